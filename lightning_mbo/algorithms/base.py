"""The contract of a search algorithm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.samples import Samples


class Algorithm(nn.Module, ABC):
    """Turns samples into what the search model is fitted to next.

    Thresholds and the like are buffers, so that they are saved and never start over.

    Attributes:
        gives_ranks: Whether nothing but the order of its weights matters.
        collects_samples: Whether it says itself what the search model is fitted to.
        threshold: γ, a scalar in the property's units: the desired set is {y ≥ γ}.
    """

    gives_ranks: ClassVar[bool] = False
    collects_samples: ClassVar[bool] = False
    threshold: Tensor

    def __init__(self) -> None:
        """Start without a threshold."""
        super().__init__()
        self.register_buffer("threshold", torch.tensor(-torch.inf, dtype=torch.float64))

    def start(self, designs: Tensor, properties: Tensor) -> None:
        """Learn what the search starts from. Called once, before all else.

        The threshold becomes the greatest training label, for algorithms without one of their own.

        Args:
            designs: The training designs, shape ``(n, *design_shape)``, float64.
            properties: Their labels, shape ``(n,)``, float64.
        """
        self.threshold.copy_(properties.max())

    @abstractmethod
    def log_weights(self, samples: Samples) -> Tensor:
        """Weigh one design iteration's samples; advances the threshold where there is one.

        Returns:
            Logarithms of weights that are not normalised, shape ``(m,)``.
        """

    def fitting_set(self, samples: Samples, weights: Tensor) -> tuple[Tensor, Tensor]:
        """What the search model is fitted to: by default, the weighted samples as drawn.

        Args:
            samples: Those that `log_weights` was given.
            weights: Its weights, normalised, negligible ones zero, shape ``(m,)``.

        Returns:
            Draws ``(p, *design_shape)`` and their weights ``(p,)``.
        """
        return samples.drawn, weights


class QuantileAlgorithm(Algorithm, ABC):
    """An algorithm with a quantile: of what, its subclasses say."""

    def __init__(self, quantile: float = 0.9) -> None:
        """Set up the algorithm.

        Args:
            quantile: Q in [0, 1], the share that falls below the threshold.

        Raises:
            ConfigurationError: If the quantile is outside [0, 1].
        """
        super().__init__()
        if not 0 <= quantile <= 1:
            raise ConfigurationError(f"quantile must lie in [0, 1], not {quantile}")
        self.quantile = quantile
