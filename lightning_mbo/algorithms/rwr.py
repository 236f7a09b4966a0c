"""Reward-weighted regression."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.algorithms.base import Algorithm
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.samples import Samples


class RWR(Algorithm):
    """Reward-weighted regression: a sample weighs exp(η μ/s), with μ the oracle's mean.

    s, the training labels' standard deviation, makes η mean the same in all units.

    Reference: Peters and Schaal, "Reinforcement learning by reward-weighted regression for
    operational space control", ICML 2007; Fannjiang and Listgarten, NeurIPS 2020, section S4.
    """

    property_std: Tensor

    def __init__(self, eta: float = 0.15) -> None:
        """Set up the algorithm.

        Args:
            eta: η ≥ 0, in inverse standard deviations of the training labels. After T design
                iterations of a fixed oracle, p_θ is p_0 times exp(T η μ/s), but for its family.

        Raises:
            ConfigurationError: If eta is negative.
        """
        super().__init__()
        if not 0 <= eta < float("inf"):
            raise ConfigurationError(f"eta must be finite and not negative, not {eta}")
        self.eta = eta
        self.register_buffer("property_std", torch.ones((), dtype=torch.float64))

    def start(self, designs: Tensor, properties: Tensor) -> None:
        """Learn the greatest training label, and the labels' standard deviation."""
        super().start(designs, properties)
        self.property_std.copy_(properties.std(correction=0))

    def log_weights(self, samples: Samples) -> Tensor:
        """Logarithms of the samples' weights, shape ``(m,)``."""
        return self.eta * samples.prediction.mean / self.property_std
