"""Conditioning by adaptive sampling."""

from __future__ import annotations

from torch import Tensor

from lightning_mbo.algorithms.dbas import DbAS
from lightning_mbo.samples import Samples


class CbAS(DbAS):
    """Conditioning by adaptive sampling: p_θ approaches p_0(x) conditioned on y ≥ γ.

    A sample weighs p_0(x) / p_θ(x) · P(y ≥ γ_t | x), with the threshold γ_t of DbAS.

    Reference: Brookes, Park and Listgarten, "Conditioning by adaptive sampling for robust
    design", ICML 2019.
    """

    def log_weights(self, samples: Samples) -> Tensor:
        """Logarithms of the samples' weights, shape ``(m,)``; moves the threshold."""
        ratio = samples.log_prob_training - samples.log_prob
        return ratio + super().log_weights(samples)
