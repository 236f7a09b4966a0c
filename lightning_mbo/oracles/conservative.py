"""Conservative objective models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles.adversaries import Adversary, BatchAscent
from lightning_mbo.oracles.arguments import positive_rate
from lightning_mbo.oracles.regression_ensemble import RegressionEnsemble
from lightning_mbo.oracles.representations import Representation
from lightning_mbo.space import DesignSpace


class ConservativeObjectiveModel(RegressionEnsemble):
    """A regressor that is held down where gradient ascent on it would lead (COMs).

    Minimises, over the weighted points, (y - f(x))² under the constraint that adversarial designs
    x⁻, found by ascent on f, are overestimated by τ at most: f(x⁻) - f(x) ≤ τ on average. The
    constraint's Lagrange multiplier α is learnt as log α, and rises while it is violated. Every
    member has adversarial designs and a multiplier of its own. Logs the overestimation, α and the
    squared error beside what a `RegressionEnsemble` logs.

    Reference: Trabucco, Kumar, Geng and Levine, "Conservative objective models for effective
    offline model-based optimization", ICML 2021, equations 3 to 5.
    """

    def __init__(
        self,
        num_members: int = 1,
        hidden_sizes: Sequence[int] = (256, 256),
        learning_rate: float = 3e-4,
        negative_slope: float = 0.0,
        overestimation_limit: float = 0.5,
        alpha: float = 0.1,
        alpha_learning_rate: float = 0.01,
        adversary: Adversary | None = None,
        representation: Representation | None = None,
    ) -> None:
        """Describe the model; `build` creates it.

        Args:
            num_members: k.
            hidden_sizes: Units of each hidden layer of a member.
            learning_rate: Adam's.
            negative_slope: Of the leaky ReLU; 0 makes it a ReLU.
            overestimation_limit: τ, in standard deviations of the property.
            alpha: What the multiplier α starts at.
            alpha_learning_rate: Adam's for log α; 0 leaves it as it is.
            adversary: How adversarial designs are found; default: as published.
            representation: What the network sees of a design; default: the design itself.

        Raises:
            ConfigurationError: If α or a learning rate is not positive.
        """
        super().__init__(num_members, hidden_sizes, learning_rate, negative_slope, representation)
        if alpha <= 0:
            raise ConfigurationError(f"model.alpha must be positive, not {alpha}")
        self.overestimation_limit = overestimation_limit
        self.alpha = alpha
        self.alpha_learning_rate = (
            positive_rate(alpha_learning_rate, "model.alpha_learning_rate")
            if alpha_learning_rate
            else 0.0
        )
        self.adversary = BatchAscent() if adversary is None else adversary
        self.log_alpha = nn.Parameter(
            torch.full((num_members,), math.log(alpha), dtype=torch.float32)
        )

    def build(self, space: DesignSpace) -> None:
        """Create the network and what its adversary keeps."""
        super().build(space)
        self.adversary.build(self.num_members, self.representation.num_inputs)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam, which descends in the network's parameters and ascends in log α."""
        groups: list[dict[str, Any]] = [
            {"params": list(self.network.parameters())},
            {"params": [self.log_alpha], "lr": self.alpha_learning_rate, "maximize": True},
        ]
        return torch.optim.Adam(groups, lr=self.learning_rate, fused=True)

    def member_losses(self, batch: DesignBatch) -> Tensor:
        """Each member's Lagrangian of a batch, every point by its own weight, shape ``(k,)``."""
        inputs = self.representation.encode(batch.designs)
        adversarial, adversarial_weights, measured = self.adversary.find(
            self.values, inputs, batch.weights
        )
        both = self.values(torch.cat([inputs, adversarial], dim=1))
        values, adversarial_values = both.tensor_split([inputs.shape[1]], dim=1)
        errors = (batch.weights * self.squared_errors(values, batch)).sum(1)
        overestimation = weighted_mean(adversarial_values, adversarial_weights) - weighted_mean(
            values, batch.weights
        )
        # Without an adversarial design that weighs anything, nothing is overestimated.
        overestimation = torch.where(adversarial_weights.sum(1) > 0, overestimation, 0.0)
        if measured is not None:
            # The value that the multiplier follows, with the gradient that holds the network down.
            overestimation = measured + (overestimation - overestimation.detach())
        alpha, weight = self.log_alpha.exp(), batch.weights.sum(1)
        self.record("squared_error", errors / batch.size)
        self.record("overestimation", overestimation)
        self.record("alpha", alpha)
        excess = overestimation - self.overestimation_limit
        return (errors + weight * alpha * excess) / batch.size


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """The mean over the points ``(k, b)`` by their weights, ``(k,)``; 0 where all weigh nothing."""
    total = weights.sum(1).clamp(min=torch.finfo(weights.dtype).tiny)
    return (weights * values).sum(1) / total
