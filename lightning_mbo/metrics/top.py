"""What an oracle makes of the best held-out designs: known without any ground truth."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class TopMetric(Metric):
    """A figure of the designs with the greatest labels."""

    full_state_update = False
    is_differentiable = False
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, share: float = 0.1, **kwargs: Any) -> None:
        """Set up the metric.

        Args:
            share: Of the designs, in (0, 1]; at least one design is among the best.
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.share = share
        self.add_state("preds", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add designs.

        Args:
            preds: The oracle's means, shape ``(m,)``.
            target: The labels, shape ``(m,)``.
        """
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """The figure, a scalar; NaN where there is no design."""
        preds, target = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        if len(target) == 0:
            return preds.new_tensor(torch.nan)
        return self.of_top(preds, target, math.ceil(self.share * len(target)))

    @abstractmethod
    def of_top(self, preds: Tensor, target: Tensor, num_top: int) -> Tensor:
        """The figure of the `num_top` best of the designs ``(m,)``."""


class TopOverlap(TopMetric):
    """How many of the best designs are among as many that are predicted to be: a share."""

    higher_is_better = True

    def of_top(self, preds: Tensor, target: Tensor, num_top: int) -> Tensor:
        """The share, 0 to 1; among equal values the earlier design is the better one."""
        best, promised = (_best(values, num_top) for values in (target, preds))
        return torch.isin(best, promised).float().mean()


class TopDrift(TopMetric):
    """How far the predictions of the best designs lie above their labels, in their units.

    A model that has become too conservative has drifted far below zero.
    """

    def of_top(self, preds: Tensor, target: Tensor, num_top: int) -> Tensor:
        """The mean of prediction less label."""
        best = _best(target, num_top)
        return (preds[best] - target[best]).mean()


def _best(values: Tensor, num_top: int) -> Tensor:
    return values.argsort(descending=True, stable=True)[:num_top]
