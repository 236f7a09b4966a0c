"""What a batch of designs is worth that is to be made together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lightning_mbo.designs import (
    Distances,
    euclidean,
    first_occurrences,
    mean_pairwise_distance,
    nearest,
)


def best_first(preds: Tensor) -> Tensor:
    """Row numbers of the oracle's means ``(m,)``, the greatest first, NaN last: ``(m,)``."""
    return preds.nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True)


def best_distinct(designs: Tensor, preds: Tensor, num_designs: int) -> Tensor:
    """The batch that is made of many samples: the best by the oracle, each design once.

    Published scores are of 128 designs as a method hands them over, repetitions included. To make
    a design twice is a waste of a place, so that none is repeated here.

    Args:
        designs: Shape ``(m, *design_shape)``.
        preds: The oracle's means, shape ``(m,)``.
        num_designs: At most this many, b.

    Returns:
        Row numbers, best first, shape ``(b,)``, or fewer where fewer designs are distinct. Those
        of which the oracle knows nothing (NaN) come last.
    """
    order = best_first(preds)
    return order[first_occurrences(designs[order])][:num_designs]


def normalized(values: Tensor, property_range: tuple[float, float]) -> Tensor:
    """Properties ``(m,)`` as shares of a range: its lower end is 0, its upper end 1."""
    least, greatest = property_range
    return (values - least) / (greatest - least)


class NormalizedScore(Metric):
    """A percentile of a batch's ground truth, as a share of the full data's range.

    The 100th percentile is the best of the batch, the 50th its median.

    Reference: Trabucco, Geng, Kumar and Levine, "Design-Bench", ICML 2022.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    target: list[Tensor]

    def __init__(
        self, property_range: tuple[float, float], percentile: float = 100.0, **kwargs: Any
    ) -> None:
        """Set up the metric.

        Args:
            property_range: The least and the greatest property of the full data.
            percentile: In [0, 100].
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.property_range = property_range
        self.percentile = percentile
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, target: Tensor) -> None:
        """Add the ground truth of designs, shape ``(b,)``."""
        self.target.append(target)

    def compute(self) -> Tensor:
        """The score, a scalar; above 1 where the batch is better than all data."""
        values = normalized(dim_zero_cat(self.target), self.property_range)
        return values.quantile(self.percentile / 100)


class Diversity(Metric):
    """Mean distance between two designs of a batch.

    Reference: Jain et al., "Biological sequence design with GFlowNets", ICML 2022, section 5.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    designs: list[Tensor]

    def __init__(self, distances: Distances = euclidean, **kwargs: Any) -> None:
        """Set up the metric.

        Args:
            distances: How far designs lie from others.
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.distances = distances
        self.add_state("designs", default=[], dist_reduce_fx="cat")

    def update(self, designs: Tensor) -> None:
        """Add designs ``(b, *design_shape)``."""
        self.designs.append(designs)

    def compute(self) -> Tensor:
        """The mean, a scalar; NaN of a single design."""
        return mean_pairwise_distance(dim_zero_cat(self.designs), self.distances)


class Novelty(Metric):
    """Mean distance of a batch's designs from the nearest training design.

    Reference: Jain et al., "Biological sequence design with GFlowNets", ICML 2022, section 5.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    training_designs: Tensor
    total: Tensor
    num_designs: Tensor

    def __init__(
        self, training_designs: Tensor, distances: Distances = euclidean, **kwargs: Any
    ) -> None:
        """Set up the metric.

        Args:
            training_designs: Shape ``(n, *design_shape)``.
            distances: How far designs lie from others.
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.distances = distances
        self.register_buffer("training_designs", training_designs, persistent=False)
        for name in ("total", "num_designs"):
            zero = torch.zeros((), dtype=torch.float64)
            self.add_state(name, default=zero, dist_reduce_fx="sum")

    def update(self, designs: Tensor) -> None:
        """Add designs ``(b, *design_shape)``."""
        self.total += nearest(designs, self.training_designs, self.distances)[0].sum()
        self.num_designs += len(designs)

    def compute(self) -> Tensor:
        """The mean, a scalar; NaN where there is no design."""
        return self.total / self.num_designs
