"""Letters that are drawn place by place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.sequences import one_hot


class Categorical(SearchModel):
    """Search model of sequences: in each place a distribution over letters, places independent.

    A letter that occurs in no weighted design must keep a probability, or its importance ratio
    p_θ / p_0 would be zero, infinite or undefined. To n_e = (Σw)² / Σw² designs, which is what the
    weighted ones count for, `pseudocount` designs of uniform letters are therefore added. No
    probability falls below pseudocount / (v (n_e + pseudocount)), so that a log-ratio of two fits
    is at most l log(v (n_e + pseudocount) / pseudocount) from zero; a fit to a single design keeps
    half of its mass elsewhere; and a fit to many is the maximum-likelihood one.

    Attributes:
        log_probabilities: Shape ``(l, v)``, float64, nats.
    """

    log_probabilities: Tensor

    def __init__(self, pseudocount: float = 1.0) -> None:
        """Set the smoothing; `build` creates the distribution.

        Args:
            pseudocount: Designs of uniform letters that are added to those of a fit.

        Raises:
            ConfigurationError: If it is not positive.
        """
        super().__init__()
        if not 0 < pseudocount < math.inf:
            raise ConfigurationError(f"pseudocount must be positive and finite, not {pseudocount}")
        self.pseudocount = pseudocount

    def build(self, design_shape: torch.Size) -> None:
        """Start as uniform on one-hot designs of shape ``(l, v)``.

        Raises:
            ConfigurationError: If designs are no sequences.
        """
        if len(design_shape) != 2:
            raise ConfigurationError(
                "Categorical needs sequences, and these designs are of shape "
                f"{tuple(design_shape)}: give --search.search_model MultivariateNormal"
            )
        uniform = torch.full(design_shape, -math.log(design_shape[1]), dtype=torch.float64)
        self.register_buffer("log_probabilities", uniform)

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, l, v)`` one-hot designs."""
        probabilities = self.log_probabilities.exp()
        tokens = probabilities.multinomial(num_samples, replacement=True, generator=generator)
        return one_hot(tokens.mT, probabilities.shape[1])

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-probability of ``(m, l, v)`` designs, shape ``(m,)``."""
        return (designs * self.log_probabilities).sum((1, 2))

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Weighted frequencies of the letters in each place, with the pseudocount."""
        weights = weights.to(self.log_probabilities.dtype)
        weights = weights / reduce(weights.sum())
        size = 1 / reduce(weights.square().sum())
        frequencies = reduce(torch.tensordot(weights, designs.to(weights.dtype), 1))
        share = self.pseudocount / (size + self.pseudocount)
        smoothed = (1 - share) * frequencies + share / frequencies.shape[1]
        self.log_probabilities.copy_(smoothed.log())
