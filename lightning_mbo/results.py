"""Several results of each design: those measured, and what oracles say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.common_error import CommonError
from lightning_mbo.goals import Goal
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.samples import Prediction

if TYPE_CHECKING:
    from lightning_mbo.problem import DesignProblem

PROBABILITY = "probability_of_limits"
"""What the probability that all limits are met is called."""

_ENOUGH = 2000
"""Designs of which a share is known to a few per cent, where each takes long."""

LEAST_STD = 1e-300
"""Of a result, where an oracle says that it has none."""


@dataclass(frozen=True, eq=False)
class FurtherRows:
    """Rows that lack some of the results: these teach of the others, and are no rows of a problem.

    Attributes:
        designs: Shape ``(p, *design_shape)``, float64.
        values: In the user's units, NaN where a result is missing, ``(p, q)``.
        errors: Standard deviations of the values' errors, ``(p, q)``; zero where none is known.
        base_weights: Shape ``(p,)``.
    """

    designs: Tensor
    values: Tensor
    errors: Tensor
    base_weights: Tensor


@dataclass(frozen=True, eq=False)
class Results:
    """Several results of the rows of a problem.

    Attributes:
        goals: What is wanted of each of q results.
        values: In the user's units, shape ``(n, q)``, none missing.
        scatters: Standard deviations of measurements around the values that are their means,
            ``(n, q)``.
        errors: Standard deviations of the values' errors, ``(n, q)``; zero where none is known.
        advance: How far results lie beyond the best rows: the problem's property.
        further: Rows that lack some of the results.
    """

    goals: tuple[Goal, ...]
    values: Tensor
    scatters: Tensor
    errors: Tensor
    advance: Advance
    further: FurtherRows

    @property
    def names(self) -> list[str]:
        """The results' names."""
        return [goal.name for goal in self.goals]

    def of_rows(self, rows: Tensor) -> Results:
        """Those of some rows, a mask ``(n,)`` or row numbers."""
        names = "values", "scatters", "errors"
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def judged_by(self, rows: Tensor) -> Results:
        """The same, the best rows being some of these, a mask ``(n,)``."""
        return replace(self, advance=Advance.beyond(self.goals, self.values[rows]))

    @property
    def properties(self) -> Tensor:
        """The rows' advance, ``(n,)``."""
        return self.advance.of(self.values)

    def label_prediction(self, prediction: PredictionOfResults) -> PredictionOfResults:
        """What a prediction of all rows says of what was measured, whose own errors add to it."""
        said = prediction.results
        if not self.errors.any():
            return prediction
        said = replace(said, std=torch.hypot(said.std, self.errors.to(said.std)))
        return PredictionOfResults.of(said, prediction.advance, prediction.common)

    def problem_of(self, problem: DesignProblem, number: int) -> DesignProblem:
        """The problem of one result; see `DesignProblem.of_result`."""
        from lightning_mbo.problem import Property

        values = self.values[:, number]
        known = self.further.values[:, number].isfinite()
        more, zeros = self.further.values[known, number], values.new_zeros(int(known.sum()))
        noise = LabelNoise(
            torch.cat([self.errors[:, number], self.further.errors[known, number]]),
            torch.cat([self.scatters[:, number], zeros]),
        )
        groups = problem.groups
        if groups is not None:
            alone = torch.arange(len(more), device=groups.device) + 1 + groups.max()
            groups = torch.cat([groups, alone])
        name = self.goals[number].name
        return replace(
            problem,
            designs=torch.cat([problem.designs, self.further.designs[known]]),
            properties=torch.cat([values, more]),
            base_weights=torch.cat([problem.base_weights, self.further.base_weights[known]]),
            held_out=torch.cat([problem.held_out, zeros.bool()]),
            noise=noise if noise.errors.any() or noise.scatters.any() else None,
            groups=groups,
            results=None,
            property=Property(name, name),
        )


@dataclass(frozen=True)
class PredictionOfResults(Prediction):
    """What is said of several results, and of the advance that they make.

    Mean and deviations are those of the advance.

    Attributes:
        results: What is said of each, in the user's units, all of shape ``(m, q)``.
        advance: Which results make which advance.
        common: What the errors of the results have in common.
    """

    results: Prediction
    advance: Advance
    common: CommonError

    @classmethod
    def of(
        cls, results: Prediction, advance: Advance, common: CommonError | None = None
    ) -> PredictionOfResults:
        """From what is said of each result, ``(m, q)``.

        The mean is of the designs' expected results, of which more data would tell.
        """
        means, device = results.mean, results.mean.device
        common = CommonError.none(means, means.shape[1]) if common is None else common.to(device)
        advance = advance.to(device)
        mean, epistemic_std = advance.moments(means, results.epistemic_std, common)
        _, std = advance.moments(means, results.std, common)
        std = torch.maximum(std, epistemic_std)
        return cls(mean, std, epistemic_std, results, advance, common)

    def log_survival(self, threshold: Tensor | float) -> Tensor:
        """The logarithm of P(advance ≥ threshold), shape ``(m,)``, accurate far into the tail."""
        stds = self.results.std.clamp(min=LEAST_STD)
        return self.advance.log_probability(self.results.mean, stds, threshold, self.common)

    def better_than(self, value: float) -> Tensor:
        """How likely it is that each design's expected results make a greater advance, ``(m,)``."""
        stds = self.results.epistemic_std.clamp(min=LEAST_STD)
        return self.advance.log_probability(self.results.mean, stds, value, self.common).exp()

    @property
    def tells_what_it_lacks(self) -> bool:
        """Whether it says of any result that more data would tell more."""
        return self.results.tells_what_it_lacks

    def limits_met(self) -> Tensor:
        """How likely it is that each design's expected results meet all limits, ``(m,)``."""
        stds = self.results.epistemic_std.clamp(min=LEAST_STD)
        means, advance = self.results.mean, self.advance
        return advance.log_probability_of_limits(means, stds, self.common).exp()

    def result_figures(self, bounds: Tensor | None = None) -> dict[str, Tensor]:
        """Of each its mean and deviation, and bounds on the sides that matter, in the user's units.

        Behind these, where there are limits, how likely it is that all are met.

        Args:
            bounds: From below and from above, ``(2, m, q)``.
        """
        figures = {}
        for number, goal in enumerate(self.advance.goals):
            figures[f"{goal.name}_mean"] = self.results.mean[:, number]
            figures[f"{goal.name}_std"] = self.results.std[:, number]
            if bounds is not None:
                both = dict(zip(("lower", "upper"), bounds[..., number], strict=True))
                figures |= {f"{goal.name}_{side}_95": both[side] for side in goal.sides}
        return figures | ({PROBABILITY: self.limits_met()} if self.advance.has_limits else {})

    def result_metrics(self) -> dict[str, float]:
        """Means of each, and which shares are expected to meet all limits and to beat all rows.

        Of what is to be much the 80th percentile too, and of what is to be little the 20th.
        """
        metrics = {}
        for goal, means in zip(self.advance.goals, self.results.mean.unbind(1), strict=True):
            metrics[f"results/{goal.name}"] = means.nanmean().item()
            if len(goal.sides) == 1:
                share = 80 if goal.sides == ("lower",) else 20
                metrics[f"results/{goal.name}_p{share}"] = means.nanquantile(share / 100).item()
        if self.advance.has_limits:
            metrics["limits_met"] = self.limits_met().nanmean().item()
        if self.advance.has_objectives:
            some = self[:: max(1, len(self) // _ENOUGH)]
            metrics["beyond_front"] = some.better_than(0.0).nanmean().item()
        return metrics

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """All that there is of each design, shapes ``(m, ...)``."""
        return *super().columns, *self.results.columns

    def of_columns(self, columns: Sequence[Tensor]) -> PredictionOfResults:
        """That of other designs, whose `columns` these are."""
        results = self.results.of_columns(columns[3:])
        mean, std, epistemic_std = columns[:3]
        advance, common = self.advance.to(mean.device), self.common.to(mean.device)
        return PredictionOfResults(mean, std, epistemic_std, results, advance, common)
