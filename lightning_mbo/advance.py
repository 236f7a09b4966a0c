"""How far designs go beyond the best rows, where several results are wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from types import ModuleType

import torch
from torch import Tensor

from lightning_mbo.common_error import CommonError
from lightning_mbo.errors import optional
from lightning_mbo.goals import Goal
from lightning_mbo.random import even_shares

_NUM_DRAWS = 64
"""Of results, by which the moments of an advance are known: they are spread evenly."""

_NUMBERS_AT_ONCE = 4_000_000

_MARGIN = 0.1
"""Of the front's range, or of a standard deviation if that is more: how much worse a result may be
than anywhere on the front."""

_FAR = -600.0
"""A logarithm of a probability of which double precision would soon have nothing left."""

_OPEN = 1e9
"""Standard deviations: what is farther below a front is as good as endless."""


@dataclass(frozen=True, eq=False)
class Advance:
    """One number for several results: how far they lie beyond the best rows.

    Results are counted in their standard deviations over the rows, and so that more is better. The
    front are the rows that meet all limits and of which no other is better in one result and no
    worse in the others. The advance of a design is how far the whole front could be moved up, in
    all results at once, and still not dominate it; it is 0 on the front. Where a limit is not met
    the advance is not greater than what is short of it, which is negative; likewise where a result
    is much worse than anywhere on the front. Where all results have limits, it is 0 at most.

    So the designs of an advance of γ or more are a set of results, S = {y: advance ≥ γ}, of boxes
    side by side. P(y ∈ S | x) is a sum of products of probabilities of intervals. As γ rises to 0
    the limits of all results become stricter together, up to what the user has said.

    Where no row meets all limits, it is first of all these that count: the front is the worst row.

    Reference: Zitzler et al., "Performance assessment of multiobjective optimizers", IEEE TEC 2003,
    for the additive ε-indicator, of which this is the negative for a single design; Brookes, Park
    and Listgarten, ICML 2019, for the desired set.

    Attributes:
        goals: What is wanted of each of q results, settled.
        scales: Standard deviations of the results, ``(q,)``, in the user's units.
        front: Of the o results without limits, p rows: ``(p, o)``, in standard deviations, more
            being better.
        worst: What a result may be at worst without being short, ``(o,)``, likewise.
        cells: Least and greatest values of boxes that share out what no row of the front
            dominates, ``(2, c, o)``, likewise.
    """

    goals: tuple[Goal, ...]
    scales: Tensor
    front: Tensor
    worst: Tensor
    cells: Tensor

    @classmethod
    def beyond(cls, goals: Sequence[Goal], values: Tensor) -> Advance:
        """Beyond rows of a table.

        Args:
            goals: Of q results.
            values: Of the rows, in the user's units, without a missing one, shape ``(n, q)``.

        Raises:
            ConfigurationError: If a library is missing, where two results or more are without
                limits.
        """
        scales = values.std(0, correction=0)
        scales = torch.where(scales > 0, scales, 1.0)
        settled = tuple(
            goal.settled(scale) for goal, scale in zip(goals, scales.tolist(), strict=True)
        )
        none = values.new_zeros(2, 0, 0)
        found = cls(settled, scales, none[0], none.new_zeros(0), none)
        heights = found.heights(values)
        if heights.shape[1] == 0:
            return found
        meets = found.shortfall(values) >= 0
        front = best_of(heights[meets]) if meets.any() else heights.amin(0)[None]
        least, greatest = front.aminmax(dim=0)
        worst = least - _MARGIN * (greatest - least).clamp(min=1.0)
        return replace(found, front=front, worst=worst, cells=_cells(front))

    @property
    def has_objectives(self) -> bool:
        """Whether there are results without limits, of which more is always better."""
        return self.front.shape[1] > 0

    @property
    def has_front(self) -> bool:
        """Whether several of them are at odds with each other."""
        return self.front.shape[1] > 1

    @property
    def has_limits(self) -> bool:
        """Whether a result has limits."""
        return any(goal.is_limit for goal in self.goals)

    @property
    def _free(self) -> list[int]:
        return [i for i, goal in enumerate(self.goals) if not goal.is_limit]

    def to(self, device: torch.device | str) -> Advance:
        """The same on a device."""
        names = "scales", "front", "worst", "cells"
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def with_rows(self, heights: Tensor) -> Advance:
        """Beyond further results too, all of which meet the limits.

        Args:
            heights: Of results without limits, shape ``(k, o)``.
        """
        front = best_of(torch.cat([self.front, heights]))
        return replace(self, front=front, cells=_cells(front))

    def heights(self, values: Tensor) -> Tensor:
        """Results without limits, ``(..., o)``, in standard deviations, more being better.

        Args:
            values: In the user's units, ``(..., q)``.
        """
        signs = self.scales.new_tensor([goal.sign for goal in self.goals])
        return (values * signs / self.scales)[..., self._free]

    def spreads(self, stds: Tensor) -> Tensor:
        """Standard deviations ``(..., q)`` of results without limits, likewise ``(..., o)``."""
        return (stds / self.scales)[..., self._free]

    def shortfall(self, values: Tensor) -> Tensor:
        """How far the limits are met, ``(...,)``, in standard deviations; negative if one is not.

        Args:
            values: In the user's units, ``(..., q)``.
        """
        least = torch.full_like(values[..., 0], torch.inf)
        for i, goal in enumerate(self.goals):
            if goal.is_limit:
                inside = torch.minimum(values[..., i] - goal.lower, goal.upper - values[..., i])
                least = torch.minimum(least, inside / self.scales[i])
        return least

    def of(self, values: Tensor) -> Tensor:
        """The advance of results ``(..., q)`` in the user's units, ``(...,)``."""
        heights, short = self.heights(values), self.shortfall(values)
        if heights.shape[-1] == 0:
            return short.clamp(max=0.0)
        if self.has_front:
            short = torch.minimum(short, (heights - self.worst).amin(-1))
        flat = heights.reshape(-1, heights.shape[-1])
        chunks = flat.split(max(1, _NUMBERS_AT_ONCE // max(1, self.front.numel())))
        beyond = torch.cat([self._beyond_front(chunk) for chunk in chunks]).view(short.shape)
        return torch.where(short < 0, torch.minimum(beyond, short), beyond)

    def log_probability(
        self,
        means: Tensor,
        stds: Tensor,
        threshold: Tensor | float,
        common: CommonError | None = None,
    ) -> Tensor:
        """The logarithm of P(advance ≥ threshold), ``(m,)``, accurate far into the tails.

        Where errors have something in common, to a few per cent down to probabilities of 1e-9.

        Args:
            means: Of normal results in the user's units, shape ``(m, q)``.
            stds: Their standard deviations, ``(m, q)``.
            threshold: A scalar; minus infinity is exceeded for certain.
            common: What their errors have in common; None: nothing.
        """
        threshold = float(threshold)
        total = torch.zeros_like(means[:, 0])
        if threshold == -math.inf:
            return total
        if common is not None and common.exists:
            values, log_weights = common.nodes()
            given = [common.given(value, means, stds) for value in values]
            means, stds = (torch.cat(parts) for parts in zip(*given, strict=True))
            found = self.log_probability(means, stds, threshold).view(len(values), -1)
            return (found + log_weights[:, None]).logsumexp(0).clamp(max=0.0)
        below = min(threshold, 0.0)
        for i, goal in enumerate(self.goals):
            if goal.is_limit:
                slack = below * self.scales[i]
                low, high = goal.lower + slack, goal.upper - slack
                total = total + log_between(
                    (low - means[:, i]) / stds[:, i], (high - means[:, i]) / stds[:, i]
                )
        if not self.has_objectives:
            return total if threshold <= 0 else torch.full_like(total, -torch.inf)
        lower, upper = self.cells + threshold
        if self.has_front:
            lower = torch.maximum(lower, self.worst + below)
        heights, spread = self.heights(means), self.spreads(stds)
        chunks = max(1, _NUMBERS_AT_ONCE // lower.numel())
        parts = [
            _log_sum_of_boxes(lower, upper, h, s)
            for h, s in zip(heights.split(chunks), spread.split(chunks), strict=True)
        ]
        return total + torch.cat(parts)

    def log_probability_of_limits(
        self, means: Tensor, stds: Tensor, common: CommonError | None = None
    ) -> Tensor:
        """The logarithm of the probability that all limits are met, ``(m,)``; as before."""
        limits = replace(self, front=self.front[:, :0])
        return limits.log_probability(means, stds, 0.0, common)

    def moments(
        self, means: Tensor, stds: Tensor, common: CommonError | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the advance of normal results, ``(m,)`` each.

        Args:
            means: In the user's units, shape ``(m, q)``.
            stds: Their standard deviations, ``(m, q)``.
            common: What their errors have in common; None: nothing.
        """
        draws = _even_draws(len(self.goals)).to(means)
        if common is not None:
            draws = common.draws(draws)
        advances = self.of(means + stds * draws[:, None])
        return advances.mean(0), advances.std(0, correction=0)

    def _beyond_front(self, heights: Tensor) -> Tensor:
        # Results first: reductions over the last of a few entries are several times as slow.
        columns = zip(heights.unbind(1), self.front.unbind(1), strict=True)
        beyond = [height.contiguous() - row[:, None] for height, row in columns]
        return reduce(torch.maximum, beyond).amin(0)


def log_between(lower: Tensor, upper: Tensor) -> Tensor:
    """log(Φ(upper) - Φ(lower)) of the standard normal, accurate in both tails.

    Args:
        lower: Of any shape; may be -inf.
        upper: Likewise; where it is not above, the result is -inf.
    """
    low, high = _in_left_half(lower, upper)
    of_high = torch.special.log_ndtr(high)
    share = (torch.special.log_ndtr(low) - of_high).exp()
    between: Tensor = of_high + torch.log1p(-share.nan_to_num(1.0).clamp(max=1.0))
    return between


def _between(lower: Tensor, upper: Tensor) -> Tensor:
    """The same without the logarithm, several times as fast."""
    low, high = _in_left_half(lower, upper)
    # Not `ndtr`, which is of no use far to the left.
    below, beyond = (torch.special.erfc(-end / math.sqrt(2)) / 2 for end in (high, low))
    between: Tensor = (below - beyond).clamp(min=0.0)
    return between


def _in_left_half(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Ends of the same probability, of which the lower one is not above zero."""
    mirrored = lower > 0
    return torch.where(mirrored, -upper, lower), torch.where(mirrored, -lower, upper)


def _log_sum_of_boxes(lower: Tensor, upper: Tensor, heights: Tensor, spreads: Tensor) -> Tensor:
    """The logarithm of the probability that heights ``(m, o)`` lie in one of c boxes, ``(m,)``."""
    columns = zip(*(part.T for part in (lower, upper, heights, spreads)), strict=True)
    inside = [
        _between((a - h[:, None]) / s[:, None], (b - h[:, None]) / s[:, None])
        for a, b, h, s in columns
    ]
    found = reduce(torch.mul, inside).sum(1).log()
    far = found < _FAR
    if far.any():
        h, s = heights[far, None], spreads[far, None]
        found[far] = log_between((lower - h) / s, (upper - h) / s).sum(2).logsumexp(1)
    return found


@lru_cache
def _even_draws(num_results: int) -> Tensor:
    """Standard normal draws ``(s, q)``, and as many mirrored."""
    draws = torch.special.ndtri(even_shares(_NUM_DRAWS // 2, num_results))
    return torch.cat([draws, -draws])


def best_of(heights: Tensor) -> Tensor:
    """Of rows ``(n, o)`` those that no other dominates, each once."""
    if heights.shape[1] == 1:
        return heights.amax(0)[None] if len(heights) else heights
    best: Tensor = _botorch("pareto").is_non_dominated(heights)
    return heights[best]


def _cells(front: Tensor) -> Tensor:
    """Boxes ``(2, c, o)`` that share out what no row of a front ``(p, o)`` dominates."""
    if front.shape[1] < 2:
        return torch.stack([front, torch.full_like(front, torch.inf)])
    boxes = _botorch("box_decompositions.non_dominated")
    endless = front.amin(0) - _OPEN
    cells: Tensor = boxes.FastNondominatedPartitioning(endless, front).get_hypercell_bounds()
    return cells


def _botorch(module: str) -> ModuleType:
    return optional(
        f"botorch.utils.multi_objective.{module}",
        "tradeoffs",
        "data.targets: to maximize or minimize several results",
        "give all but one of them limits",
    )
