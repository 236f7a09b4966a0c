"""An ensemble of networks that predict the property alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional
from torchmetrics import MetricCollection

from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.label_noise import SMALLEST_BESIDE_ERRORS, LabelNoise, noise_share
from lightning_mbo.metrics import TopDrift, TopOverlap, rank_correlation
from lightning_mbo.oracles.arguments import positive_rate
from lightning_mbo.oracles.deep_ensemble import StackedMLP
from lightning_mbo.oracles.differentiable import DifferentiableOracle
from lightning_mbo.oracles.gradient import GradientOracle
from lightning_mbo.oracles.representations import Representation
from lightning_mbo.space import DesignSpace

_SMALLEST_VARIANCE = 1e-6


class RegressionEnsemble(DifferentiableOracle, GradientOracle):
    """Networks trained by squared error, each on its own split, as gradient ascent uses them.

    As a distribution, a member's view of any design is a normal whose variance is the weighted
    mean squared error on the member's held-out points: it does not grow away from the data. Of
    labels with errors of their own each squared error counts by its `noise_share`, and the errors'
    variance is not part of the member's. Logs for each member the rank correlation on its held-out
    points and what it makes of the best tenth of them; these count every point once, whatever its
    weight.

    Reference: Trabucco, Geng, Kumar and Levine, "Design-Bench", ICML 2022 (gradient ascent).
    """

    network: nn.Module
    residual_variance: Tensor

    def __init__(
        self,
        num_members: int = 5,
        hidden_sizes: Sequence[int] = (256, 256),
        learning_rate: float = 3e-4,
        negative_slope: float = 0.01,
        representation: Representation | None = None,
    ) -> None:
        """Describe the ensemble; `build` creates it.

        Args:
            num_members: k.
            hidden_sizes: Units of each hidden layer of a member.
            learning_rate: Adam's.
            negative_slope: Of the leaky ReLU; 0 makes it a ReLU.
            representation: What the network sees of a design; default: the design itself.
        """
        super().__init__(num_members, representation)
        self.hidden_sizes = tuple(hidden_sizes)
        self.learning_rate = positive_rate(learning_rate)
        self.negative_slope = negative_slope
        self.register_buffer("residual_variance", torch.ones(num_members, dtype=torch.float32))
        self._held_out = nn.ModuleList(_held_out_metrics() for _ in range(num_members))

    def build(self, space: DesignSpace) -> None:
        """Create the stacked network for designs of this space."""
        super().build(space)
        self.network = self.stacked(self.num_members)

    def stacked(self, number: int) -> StackedMLP:
        """So many networks of its kind, as one."""
        return StackedMLP(
            (self.representation.num_features, *self.hidden_sizes, 1),
            number,
            self.stream,
            partial(functional.leaky_relu, negative_slope=self.negative_slope),
        )

    def values(self, inputs: Tensor) -> Tensor:
        """Each member's prediction of the standardised property, shape ``(k, b)``."""
        values: Tensor = self.network(self.representation.features(inputs))[..., 0].float()
        return values

    def input_outputs(self, inputs: Tensor) -> Normal:
        """Each member's prediction, with its residual variance, batch shape ``(k, b)``."""
        values = self.values(inputs)
        std = self.residual_variance.clamp(min=_SMALLEST_VARIANCE).sqrt()
        return Normal(values, std[:, None].expand_as(values), validate_args=False)

    def point_losses(self, batch: DesignBatch) -> Tensor:
        """Squared errors of the standardised property, shape ``(k, b)``."""
        return self.squared_errors(self.values(self.representation.encode(batch.designs)), batch)

    def squared_errors(self, values: Tensor, batch: DesignBatch) -> Tensor:
        """Of values ``(k, b)`` of the standardised property; a noisy label's counts for less."""
        errors = (values - self.standardized(batch.properties)).square()
        noise = self.standardized_noise(batch)
        if noise is None:
            return errors
        return self.shares(noise) * errors

    def shares(self, noise: LabelNoise) -> Tensor:
        """What labels of the standardised property count for, ``(k, b)``."""
        variance = self.residual_variance.clamp(min=SMALLEST_BESIDE_ERRORS)
        return noise_share(noise.errors, variance[:, None])

    def validation_step(self, batch: DesignBatch, batch_idx: int) -> None:
        """Accumulate the members' squared errors and what they say of the best points."""
        self.judge(self.values(self.representation.encode(batch.designs)), batch)

    def judge(self, values: Tensor, batch: DesignBatch) -> None:
        """Accumulate what values ``(k, b)`` of the standardised property are worth."""
        errors = (values - self.standardized(batch.properties)).square()
        weights, noise = batch.weights, self.standardized_noise(batch)
        if noise is not None:
            # What is left of the variance without the errors', by maximum likelihood: a squared
            # error's own variance goes with the square of its expectation.
            errors = errors + noise.scatters.square() - noise.errors.square()
            weights = weights * self.shares(noise).square()
        self.add_validation_losses(errors, weights)
        means = values * self.property_std + self.property_mean
        for metrics, *member in zip(self._metrics(), means, batch.properties, strict=True):
            metrics.update(*member)

    def end_validation(self) -> dict[str, Tensor]:
        """Take the held-out errors for the variance."""
        figures = super().end_validation()
        # A member whose held-out points all weigh nothing keeps the variance that it has.
        errors = self.validation_losses
        self.residual_variance.copy_(torch.where(errors.isfinite(), errors, self.residual_variance))
        return figures

    def epoch_figures(self) -> dict[str, Tensor]:
        """Rank correlation, top overlap and top drift on the held-out points."""
        members = [metrics.compute() for metrics in self._metrics()]
        for metrics in self._metrics():
            metrics.reset()
        return {name: torch.stack([member[name] for member in members]) for name in members[0]}

    def _metrics(self) -> list[MetricCollection]:
        return cast(list[MetricCollection], list(self._held_out))


def _held_out_metrics() -> MetricCollection:
    metrics = {
        "rank_correlation": rank_correlation(),
        "top_overlap": TopOverlap(),
        "top_drift": TopDrift(),
    }
    # All keep the same two columns; to find that out, the collection would compare their values.
    return MetricCollection(metrics, compute_groups=[list(metrics)])  # type: ignore[arg-type]
