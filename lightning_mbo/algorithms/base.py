"""The contract of a search algorithm, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal


@dataclass(frozen=True)
class Samples:
    """Designs drawn from the search model in one design iteration, and what is known of them.

    Attributes:
        designs: Shape ``(m, *design_shape)``, float64.
        prediction: The oracle's distribution of the property, batch shape ``(m,)``, float64.
        disagreement: Standard deviation of the ensemble members' means, shape ``(m,)``.
        log_prob: log p_θ(x) under the search model they come from, shape ``(m,)``, nats.
        log_prob_training: log p_0(x) under the training distribution, shape ``(m,)``, nats.
    """

    designs: Tensor
    prediction: Normal
    disagreement: Tensor
    log_prob: Tensor
    log_prob_training: Tensor


class Algorithm(nn.Module, ABC):
    """Turns samples into the weights of the search model's next maximum-likelihood fit.

    Thresholds and the like are buffers, so that they are saved and never start over.
    """

    threshold: Tensor
    """γ: the desired set is {y ≥ γ}. A scalar, in the property's units."""

    @abstractmethod
    def log_weights(self, samples: Samples) -> Tensor:
        """Weigh one design iteration's samples; advances the threshold where there is one.

        Returns:
            Logarithms of weights that are not normalised, shape ``(m,)``.
        """


def log_survival(threshold: Tensor, prediction: Normal) -> Tensor:
    """The logarithm of P(y ≥ threshold), shape ``(m,)``, accurate far into the tail."""
    log_survival: Tensor = torch.special.log_ndtr((prediction.loc - threshold) / prediction.scale)
    return log_survival
