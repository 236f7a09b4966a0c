"""What the ground truth says of the samples that the oracle likes best."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class CandidateMetric(Metric):
    """A figure of the ground truth over the candidates.

    Candidates are the samples whose oracle mean is at or above the `quantile` of all samples'.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithm 3.
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, quantile: float = 0.8, **kwargs: Any) -> None:
        """Set up the metric.

        Args:
            quantile: In [0, 1]; 0 makes every sample a candidate.
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.quantile = quantile
        self.add_state("preds", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add samples.

        Args:
            preds: The oracle's means, shape ``(m,)``.
            target: The ground truth, shape ``(m,)``.
        """
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """The figure, a scalar; NaN where the oracle knows nothing of any sample."""
        preds = dim_zero_cat(self.preds)
        candidates = dim_zero_cat(self.target)[preds >= preds.nanquantile(self.quantile)]
        return self.of_candidates(candidates) if len(candidates) else preds.new_tensor(torch.nan)

    @abstractmethod
    def of_candidates(self, ground_truth: Tensor) -> Tensor:
        """The figure of the candidates' ground truth ``(c,)``."""


class CandidateMedian(CandidateMetric):
    """Median ground truth of the candidates, in the property's units."""

    def of_candidates(self, ground_truth: Tensor) -> Tensor:
        """The median, of an even number the mean of the middle two."""
        return ground_truth.quantile(0.5)


class CandidateMaximum(CandidateMetric):
    """Greatest ground truth of the candidates, in the property's units."""

    def of_candidates(self, ground_truth: Tensor) -> Tensor:
        """The maximum."""
        return ground_truth.max()


class PercentChanceOfImprovement(CandidateMetric):
    """Percentage of the candidates whose ground truth exceeds the best training label (PCI)."""

    def __init__(self, best_label: float, quantile: float = 0.8, **kwargs: Any) -> None:
        """Set up the metric.

        Args:
            best_label: The greatest property among the training designs.
            quantile: As in `CandidateMetric`.
            **kwargs: Of `torchmetrics.Metric`.
        """
        super().__init__(quantile, **kwargs)
        self.best_label = best_label

    def of_candidates(self, ground_truth: Tensor) -> Tensor:
        """The percentage, 0 to 100."""
        return 100 * (ground_truth > self.best_label).double().mean()
