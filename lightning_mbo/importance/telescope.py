"""Classifiers of samples and designs that lie far apart, by waypoints between the two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_mbo.importance.classifier import NUM_FOLDS, Classifier, cross_fitted
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import Amounts

_PARTED = 0.3
"""Of the loss of one who knows nothing: below it, classes hardly overlap."""

_NUM_PAIRS = 5000
_SHORTEST = 1 / 16
"""Of the way, which is not halved any more."""

_LEAST = 1e-3
"""Of a total: of less there may be nothing but rounding."""


class Odds(Protocol):
    """What tells samples from designs."""

    def log_odds(self, designs: Tensor) -> Tensor:
        """Log-odds that designs are samples, were there as many of either, shape ``(m,)``."""


class Telescope(NamedTuple):
    """Classifiers of neighbours on the way from designs to samples."""

    classifiers: tuple[Classifier, ...]

    def log_odds(self, designs: Tensor) -> Tensor:
        """The sum of theirs, shape ``(m,)``."""
        return torch.stack([each.log_odds(designs) for each in self.classifiers]).sum(0)


class Lot(NamedTuple):
    """Designs of one distribution.

    Attributes:
        designs: Shape ``(n, *design_shape)``, float64.
        folds: Of each its fold, 0 to `NUM_FOLDS` - 1, shape ``(n,)``.
    """

    designs: Tensor
    folds: Tensor

    def log_odds(self, classifiers: Sequence[Odds]) -> Tensor:
        """Of each by the classifier that knows nothing of its fold, shape ``(n,)``."""
        of_all = torch.stack([each.log_odds(self.designs) for each in classifiers])
        return of_all.gather(0, self.folds[None])[0]


def told_apart(
    designs: Lot, samples: Lot, problem: DesignProblem, generator: torch.Generator
) -> Sequence[Odds]:
    """For each fold what tells samples from designs, and knows nothing of it.

    A classifier of classes that hardly overlap says that they do, and little of how far a design is
    from the samples. Where that is so, the way between is halved until neighbours overlap, and the
    log-ratio is the sum of theirs, as long as it tells rows that are left out apart no worse than
    the one classifier does: where neighbours are not what a classifier can tell, their errors add
    up.

    Reference: Rhodes, Xu and Gutmann, "Telescoping density-ratio estimation", NeurIPS 2020.

    Args:
        designs: The training designs.
        samples: Of p_θ.
        problem: Whose they are.
        generator: Of the pairs that the waypoints are made of; of the CPU.
    """
    one = _cross_fitted(designs, samples, problem)
    loss = _loss(one, designs, samples)
    if loss >= _PARTED:
        return one
    pairs = _Pairs.drawn(designs, samples, problem, generator)
    legs = _halved(pairs, (0.0, 1.0), (designs, samples))
    several = [Telescope(of_fold) for of_fold in zip(*legs, strict=True)]
    return several if _loss(several, designs, samples) <= loss else one


def _halved(
    pairs: _Pairs, places: tuple[float, float], ends: tuple[Lot, Lot]
) -> list[list[Classifier]]:
    """Classifiers of the neighbours on a part of the way, by way of its middle."""
    middle = sum(places) / 2
    waypoint = pairs.at(middle)
    legs = []
    for of_half, (low, high) in (
        ((places[0], middle), (ends[0], waypoint)),
        ((middle, places[1]), (waypoint, ends[1])),
    ):
        classifiers = _cross_fitted(low, high, pairs.problem)
        is_long = of_half[1] - of_half[0] > _SHORTEST
        if is_long and _loss(classifiers, low, high) < _PARTED:
            legs += _halved(pairs, of_half, (low, high))
        else:
            legs.append(classifiers)
    return legs


def _cross_fitted(low: Lot, high: Lot, problem: DesignProblem) -> list[Classifier]:
    return cross_fitted(low.designs, high.designs, low.folds, high.folds, problem.space)


def _loss(classifiers: Sequence[Odds], low: Lot, high: Lot) -> float:
    """Of rows that are left out, as a share of that of one who knows nothing."""
    of_low = softplus(low.log_odds(classifiers)).mean()
    of_high = softplus(-high.log_odds(classifiers)).mean()
    return (of_low + of_high).item() / (2 * math.log(2))


@dataclass(frozen=True)
class _Pairs:
    """Designs and samples, two by two, each pair of one fold.

    Attributes:
        designs: Shape ``(k, *design_shape)``.
        samples: Likewise.
        folds: One after the other, shape ``(k,)``.
        turns: Where on the way each amount and each group becomes that of the sample, from 0 to 1,
            shape ``(k, amounts + groups)``.
        problem: Whose designs they are.
    """

    designs: Tensor
    samples: Tensor
    folds: Tensor
    turns: Tensor
    problem: DesignProblem

    @classmethod
    def drawn(
        cls, designs: Lot, samples: Lot, problem: DesignProblem, generator: torch.Generator
    ) -> _Pairs:
        """As many of each fold."""

        def some(lot: Lot) -> Tensor:
            rows = []
            for fold in range(NUM_FOLDS):
                own = (lot.folds == fold).nonzero()[:, 0]
                size = (_NUM_PAIRS // NUM_FOLDS,)
                drawn = torch.randint(len(own), size, generator=generator, device="cpu")
                rows.append(own[drawn.to(own.device)])
            return torch.cat(rows)

        before, after = some(designs), some(samples)
        num_turns = problem.space.num_amounts + len(problem.space.groups)
        turns = torch.rand(len(before), num_turns, generator=generator, device="cpu")
        return cls(
            designs.designs[before],
            samples.designs[after],
            designs.folds[before],
            turns.to(designs.designs),
            problem,
        )

    def at(self, place: float) -> Lot:
        """Designs at a place on the way, from 0 to 1.

        Numbers are between those of the pair, and as spread out as these; amounts, categories and
        letters are those of the one or of the other.
        """
        space = self.problem.space
        share = math.sin(place * math.pi / 2) ** 2
        numbers, others = space.numbers(self.designs), space.numbers(self.samples)
        # Of each fold by itself, so that no other fold knows of it.
        means = numbers.unflatten(0, (NUM_FOLDS, -1)).mean(1)
        center = means.repeat_interleave(_NUM_PAIRS // NUM_FOLDS, dim=0)
        between = math.sqrt(1 - share) * (numbers - center) + math.sqrt(share) * (others - center)
        between = between + center
        has_turned = self.turns < share
        if space.amounts is not None:
            places = list(space.amounts.places)
            chosen = has_turned[:, : len(places)]
            between[:, places] = torch.where(chosen, others[:, places], numbers[:, places])
            _restore_totals(between, numbers, space.amounts)
        one_hots = [
            torch.where(turned[:, None], of_sample, of_design)
            for turned, of_design, of_sample in zip(
                has_turned[:, space.num_amounts :].mT,
                space.one_hots(self.designs),
                space.one_hots(self.samples),
                strict=True,
            )
        ]
        return Lot(self.problem.nearest_allowed(space.join(between, one_hots)), self.folds)


def _restore_totals(numbers: Tensor, others: Tensor, amounts: Amounts) -> None:
    """Scale amounts in numbers ``(k, num_numbers)`` to their totals, in place.

    Those of which next to nothing is there become others' ``(k, num_numbers)``.
    """
    for members, bound in amounts.totals:
        places = [amounts.places[member] for member in members]
        zeros, scales = (
            numbers.new_tensor([of_all[member] for member in members])
            for of_all in (amounts.zeros, amounts.scales)
        )
        there = (numbers[:, places] - zeros) * scales
        total = there.sum(1, keepdim=True)
        scaled = zeros + there * (bound / total) / scales
        numbers[:, places] = torch.where(total > _LEAST * bound, scaled, others[:, places])
