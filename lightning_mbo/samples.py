"""What a search has come to, and what the oracle says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.distributions import Normal

if TYPE_CHECKING:
    from lightning_mbo.search_models import SearchModel


_LEAST = 1e-300
"""Of what more data would tell, where an oracle says that it would tell nothing."""


@dataclass(frozen=True)
class Prediction:
    """What an oracle says of designs, in the property's units, float64.

    Attributes:
        mean: Shape ``(m,)``.
        std: The standard deviation of the property, shape ``(m,)``.
        epistemic_std: The part of it that more data would remove, of an ensemble the standard
            deviation of the members' means, shape ``(m,)``; not greater than `std`.
    """

    mean: Tensor
    std: Tensor
    epistemic_std: Tensor

    @property
    def normal(self) -> Normal:
        """The normal distribution of this mean and standard deviation."""
        return Normal(self.mean, self.std, validate_args=False)

    def __len__(self) -> int:
        """How many designs it is of."""
        return len(self.mean)

    def log_survival(self, threshold: Tensor | float) -> Tensor:
        """The logarithm of P(y ≥ threshold), shape ``(m,)``, accurate far into the tail."""
        log_survival: Tensor = torch.special.log_ndtr((self.mean - threshold) / self.std)
        return log_survival

    def better_than(self, value: float) -> Tensor:
        """How likely it is that each design's expected property is greater, ``(m,)``."""
        spread = self.epistemic_std.clamp(min=_LEAST)
        believed = Normal(self.mean, spread, validate_args=False)
        better: Tensor = 1 - believed.cdf(torch.full_like(self.mean, value))
        return better

    @property
    def tells_what_it_lacks(self) -> bool:
        """Whether it says of any design that more data would tell more."""
        return bool(self.epistemic_std.any())

    def result_figures(self, bounds: Tensor | None = None) -> dict[str, Tensor]:
        """Named figures of each of several results, ``(m,)``; none of a single property.

        Args:
            bounds: Of the results from below and from above, ``(2, m, q)``.
        """
        return {}

    def result_metrics(self) -> dict[str, float]:
        """Of the designs together, what the results come to; nothing of a single property."""
        return {}

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """All that there is of each design, shapes ``(m, ...)``."""
        return self.mean, self.std, self.epistemic_std

    def of_columns(self, columns: Sequence[Tensor]) -> Prediction:
        """That of other designs, whose `columns` these are."""
        return Prediction(*columns)

    def __getitem__(self, rows: Tensor | slice) -> Prediction:
        """That of some of the designs."""
        return self.of_columns([column[rows] for column in self.columns])

    def to(self, device: torch.device | str) -> Prediction:
        """The same on a device."""
        return self.of_columns([column.to(device) for column in self.columns])

    @staticmethod
    def joined(parts: Sequence[Prediction]) -> Prediction:
        """That of all designs of several predictions of one oracle, in their order."""
        columns = zip(*(part.columns for part in parts), strict=True)
        return parts[0].of_columns([torch.cat(column) for column in columns])


@dataclass(frozen=True)
class JudgedDesigns:
    """Designs that a search has come to, and what the oracle says of them.

    Attributes:
        designs: Shape ``(m, *design_shape)``, float64.
        prediction: What the oracle says of them.
        drawn: What the designs were made of, shape ``(m, *design_shape)``, float64: a draw z
            becomes the nearest design x that can be made, in bounds, a whole number, a fixed value.
    """

    designs: Tensor
    prediction: Prediction
    drawn: Tensor

    def of_rows(self, rows: Tensor) -> Self:
        """Some of these designs, a mask ``(m,)`` or row numbers."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def with_further(self, others: JudgedDesigns) -> JudgedDesigns:
        """These designs, then others."""
        return JudgedDesigns(
            torch.cat([self.designs, others.designs]),
            Prediction.joined([self.prediction, others.prediction]),
            torch.cat([self.drawn, others.drawn]),
        )


@dataclass(frozen=True)
class Samples(JudgedDesigns):
    """Designs made of what a search model drew in one design iteration, and its densities.

    The oracle judges x; densities are of z, whose distribution is known.

    Attributes:
        log_prob: log p_θ(z) under the search model they come from, shape ``(m,)``, nats.
        log_prob_training: log p_0(z) under the training distribution, shape ``(m,)``, nats.
    """

    log_prob: Tensor
    log_prob_training: Tensor


@dataclass
class DesignIteration:
    """One step of a search, and the evidence of it, which is gathered once.

    Attributes:
        number: t, from 0.
        samples: What the search has come to and what the oracle says of it.
        threshold: γ_t, in the property's units.
        candidate_threshold: The least oracle mean of a candidate.
        search_model: The updated search model, p_θ; None for a search without densities.
        training_distribution: p_0; None likewise.
        log_ratios: log p_θ - log p_0 of the training designs, shape ``(n,)``; None likewise.
        sampled_log_ratios: The same with the search model that the samples came from.
        held_out_log_ratios: That of the held-out designs, shape ``(h,)``; None likewise.
        held_out: What the oracle says of the held-out designs; None where there are none.
        path: Of an ascent, the oracle's inputs before it and after each of its steps, shape
            ``(steps + 1, m, inputs)``; None of other searches.
        weights: Importance weights of the training designs, shape ``(n,)``; None where the oracle
            cannot follow the search.
        metrics: Named figures of this iteration. Callbacks add theirs; `Trajectory` records them.
        is_best: Whether the rule of choice prefers it to all before; set before it is announced.
    """

    number: int
    samples: JudgedDesigns
    threshold: float
    candidate_threshold: float
    search_model: SearchModel | None = None
    training_distribution: SearchModel | None = None
    log_ratios: Tensor | None = None
    sampled_log_ratios: Tensor | None = None
    held_out_log_ratios: Tensor | None = None
    held_out: Prediction | None = None
    path: Tensor | None = None
    weights: Tensor | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    is_best: bool = False

    @property
    def candidates(self) -> Tensor:
        """Which samples are at or above the candidates' threshold, bool, shape ``(m,)``."""
        return self.samples.prediction.mean >= self.candidate_threshold
