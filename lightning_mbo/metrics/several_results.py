"""What a batch is worth of which several results are wanted, by the truth."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lightning_mbo.advance import Advance, best_of
from lightning_mbo.errors import optional


class ResultsMetric(Metric):
    """A figure of the results of a batch."""

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    values: list[Tensor]

    def __init__(self, advance: Advance, **kwargs: Any) -> None:
        """Set up the metric.

        Args:
            advance: Beyond the rows that are visible, with what is wanted of each of q results.
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.advance = advance
        self.add_state("values", default=[], dist_reduce_fx="cat")

    def update(self, values: Tensor) -> None:
        """Add the results of designs, in the user's units, shape ``(b, q)``."""
        self.values.append(values)

    def compute(self) -> Tensor:
        """The figure, a scalar."""
        return self.of_batch(dim_zero_cat(self.values))

    @abstractmethod
    def of_batch(self, values: Tensor) -> Tensor:
        """The figure of the results ``(b, q)`` of all designs."""


class ShareMeetingLimits(ResultsMetric):
    """Share of the designs that meet all limits."""

    def of_batch(self, values: Tensor) -> Tensor:
        """The share, 0 to 1."""
        return (self.advance.shortfall(values) >= 0).double().mean()


class ShareBeyondFront(ResultsMetric):
    """Share of the designs with an advance: that meet all limits, and no visible row is as good.

    It is 0 where all results have limits: these have no front.
    """

    def of_batch(self, values: Tensor) -> Tensor:
        """The share, 0 to 1."""
        return (self.advance.of(values) > 0).double().mean()


class HypervolumeGained(ResultsMetric):
    """How much of what the visible rows leave to be had the designs add: 1 is all of it.

    It is the hypervolume between a reference and the results of rows and designs that meet all
    limits, less that of the rows alone; divided by the same of the best front there is or, where
    that is not known, by the hypervolume of the rows.

    Reference: Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms",
    PPSN 1998.
    """

    def __init__(
        self,
        advance: Advance,
        visible: Tensor,
        reference: Mapping[str, float],
        best_volume: float = math.nan,
        **kwargs: Any,
    ) -> None:
        """Set up the metric.

        Args:
            advance: Beyond the rows that are visible, with what is wanted of each of q results.
            visible: The rows' results, in the user's units, shape ``(n, q)``.
            reference: Of the results without limits, by name, what is too bad to be worth anything,
                in the user's units.
            best_volume: The hypervolume of the best front there is, in the user's units; NaN where
                nobody knows it.
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(advance, **kwargs)
        free = torch.tensor([not goal.is_limit for goal in advance.goals])
        worst = [0.0 if goal.is_limit else reference[goal.name] for goal in advance.goals]
        self.unit = advance.scales[free].prod()
        self.best_volume = best_volume
        self.register_buffer("worst", advance.heights(visible.new_tensor(worst)), persistent=False)
        self.register_buffer("visible", visible, persistent=False)

    worst: Tensor
    visible: Tensor

    def of_batch(self, values: Tensor) -> Tensor:
        """The share; infinite where the rows have no volume, and the best one is not known."""
        before = self.volume(self.visible)
        gained = self.volume(torch.cat([self.visible, values])) - before
        return gained / (before if math.isnan(self.best_volume) else self.best_volume - before)

    def volume(self, values: Tensor) -> Tensor:
        """The hypervolume of results ``(m, q)`` that meet all limits, in the user's units."""
        hypervolume = optional(
            "botorch.utils.multi_objective.hypervolume", "tradeoffs", "metrics.HypervolumeGained"
        )
        heights = self.advance.heights(values[self.advance.shortfall(values) >= 0])
        volume: float = hypervolume.Hypervolume(self.worst).compute(best_of(heights))
        return self.unit * volume
