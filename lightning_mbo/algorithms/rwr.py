"""Reward-weighted regression."""

from __future__ import annotations

from torch import Tensor

from lightning_mbo.algorithms.base import Algorithm, Samples
from lightning_mbo.errors import ConfigurationError


class RWR(Algorithm):
    """Reward-weighted regression: a sample weighs exp(η μ), with μ the oracle's mean.

    Reference: Peters and Schaal, "Reinforcement learning by reward-weighted regression for
    operational space control", ICML 2007; Fannjiang and Listgarten, NeurIPS 2020, section S4.
    """

    def __init__(self, eta: float = 0.01) -> None:
        """Set up the algorithm.

        Args:
            eta: η ≥ 0, in inverse units of the property.

        Raises:
            ConfigurationError: If eta is negative.
        """
        super().__init__()
        if not 0 <= eta < float("inf"):
            raise ConfigurationError(f"eta must be finite and not negative, not {eta}")
        self.eta = eta

    def log_weights(self, samples: Samples) -> Tensor:
        """Logarithms of the samples' weights, shape ``(m,)``."""
        return self.eta * samples.prediction.loc
