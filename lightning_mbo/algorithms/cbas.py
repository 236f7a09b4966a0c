"""Conditioning by adaptive sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.algorithms.base import Algorithm, Samples, log_survival
from lightning_mbo.errors import ConfigurationError


class CbAS(Algorithm):
    """Conditioning by adaptive sampling: p_θ approaches p_0(x) conditioned on y ≥ γ.

    A sample weighs p_0(x) / p_θ(x) · P(y ≥ γ_t | x), where γ_t is the `quantile` of the oracle's
    means over the samples, and never falls.

    Reference: Brookes, Park and Listgarten, "Conditioning by adaptive sampling for robust
    design", ICML 2019.
    """

    def __init__(self, quantile: float = 0.9) -> None:
        """Set up the algorithm.

        Args:
            quantile: Q in [0, 1], the share of samples below the threshold.

        Raises:
            ConfigurationError: If the quantile is outside [0, 1].
        """
        super().__init__()
        if not 0 <= quantile <= 1:
            raise ConfigurationError(f"quantile must lie in [0, 1], not {quantile}")
        self.quantile = quantile
        self.register_buffer("threshold", torch.tensor(-torch.inf, dtype=torch.float64))

    def log_weights(self, samples: Samples) -> Tensor:
        """Logarithms of the samples' weights, shape ``(m,)``; the threshold rises or stays."""
        means = samples.prediction.loc
        self.threshold.copy_(torch.fmax(self.threshold, means.nanquantile(self.quantile)))
        ratio = samples.log_prob_training - samples.log_prob
        return ratio + log_survival(self.threshold, samples.prediction)
