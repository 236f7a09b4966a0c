"""The contract of a search algorithm, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lightning_mbo.errors import ConfigurationError


@dataclass(frozen=True)
class JudgedDesigns:
    """Designs that a search has come to, and what the oracle says of them.

    Attributes:
        designs: Shape ``(m, *design_shape)``, float64.
        prediction: The oracle's distribution of the property, batch shape ``(m,)``, float64.
        disagreement: Standard deviation of the ensemble members' means, shape ``(m,)``.
        drawn: What the designs were made of, shape ``(m, *design_shape)``, float64: a draw z
            becomes the nearest design x that can be made, in bounds, a whole number, a fixed value.
    """

    designs: Tensor
    prediction: Normal
    disagreement: Tensor
    drawn: Tensor

    def with_further(self, others: JudgedDesigns) -> JudgedDesigns:
        """These designs, then others."""
        parts = (self, others)
        means, stds = (
            torch.cat([getattr(part.prediction, name) for part in parts])
            for name in ("loc", "scale")
        )
        return JudgedDesigns(
            torch.cat([part.designs for part in parts]),
            Normal(means, stds, validate_args=False),
            torch.cat([part.disagreement for part in parts]),
            torch.cat([part.drawn for part in parts]),
        )


@dataclass(frozen=True)
class Samples(JudgedDesigns):
    """Designs made of what a search model drew in one design iteration, and its densities.

    The oracle judges x; densities are of z, whose distribution is known.

    Attributes:
        log_prob: log p_θ(z) under the search model they come from, shape ``(m,)``, nats.
        log_prob_training: log p_0(z) under the training distribution, shape ``(m,)``, nats.
    """

    log_prob: Tensor
    log_prob_training: Tensor


class Algorithm(nn.Module, ABC):
    """Turns samples into what the search model is fitted to next.

    Thresholds and the like are buffers, so that they are saved and never start over.

    Attributes:
        threshold: γ, a scalar in the property's units: the desired set is {y ≥ γ}.
    """

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


def log_survival(threshold: Tensor, prediction: Normal) -> Tensor:
    """The logarithm of P(y ≥ threshold), shape ``(m,)``, accurate far into the tail."""
    log_survival: Tensor = torch.special.log_ndtr((prediction.loc - threshold) / prediction.scale)
    return log_survival
