"""Design by adaptive sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.algorithms.base import QuantileAlgorithm
from lightning_mbo.samples import Samples


class DbAS(QuantileAlgorithm):
    """Design by adaptive sampling: p_θ is refitted to samples weighted by P(y ≥ γ_t | x).

    γ_t is the `quantile` of the oracle's means over the samples, and never falls.

    Reference: Brookes and Listgarten, "Design by adaptive sampling", 2018; Fannjiang and
    Listgarten, NeurIPS 2020, section S4.
    """

    def start(self, designs: Tensor, properties: Tensor) -> None:
        """The threshold is learnt from samples alone."""

    def next_threshold(self, means: Tensor) -> Tensor:
        """γ_t, a scalar, from the oracle's means over the samples, ``(m,)``."""
        return torch.fmax(self.threshold, means.nanquantile(self.quantile))

    def log_weights(self, samples: Samples) -> Tensor:
        """Logarithms of the samples' weights, shape ``(m,)``; moves the threshold."""
        self.threshold.copy_(self.next_threshold(samples.prediction.mean))
        return samples.prediction.log_survival(self.threshold)
