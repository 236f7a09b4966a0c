"""How far labels lie from the property that they measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, hypot
from torch.distributions import Normal

SMALLEST_BESIDE_ERRORS = 0.01
"""Of the labels' variance, what an oracle's is taken for at least when labels are weighed: errors
that are stated too large leave it none, and nothing would be learnt from any."""


class LabelNoise(NamedTuple):
    """What is known of the noise of labels beforehand, in the property's units.

    A label whose own error is e comes from Normal(μ, √(σ² + e²)), where an oracle says
    Normal(μ, σ) of the property: σ is what the oracle cannot know, without the error.

    A label that is the mean of measurements without known errors weighs as much as they do
    together. That mean scatters less than they do, so that σ, which is learnt from how far labels
    lie from μ, would come out too small for all designs. Measurements each from Normal(μ, σ), of
    mean y and standard deviation v around it, have the log-likelihood
    -log σ - ((y - μ)² + v²) / (2 σ²) apiece: hence v goes with the label.

    Attributes:
        errors: e, shape ``(n,)``; zero where none is known.
        scatters: v, shape ``(n,)``; zero of a single measurement.
    """

    errors: Tensor
    scatters: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> LabelNoise:
        """Errors and scatters alike, such as some rows of them, or in other units."""
        return LabelNoise(function(self.errors), function(self.scatters))


def of_labels(prediction: Normal, errors: Tensor) -> Normal:
    """What a prediction of the property, batch shape ``(..., n)``, says of labels with errors."""
    return Normal(prediction.loc, hypot(prediction.scale, errors), validate_args=False)


def noise_share(errors: Tensor, variance: Tensor) -> Tensor:
    """What a label with an error counts for, beside one without: σ² / (σ² + e²).

    Args:
        errors: e, shape ``(..., n)``.
        variance: σ² of labels without errors, positive, of a shape that goes with it.

    Returns:
        Shape ``(..., n)``, in (0, 1].
    """
    share: Tensor = variance / (variance + errors.square())
    return share


def negative_log_likelihoods(
    prediction: Normal, labels: Tensor, noise: LabelNoise | None
) -> Tensor:
    """Of each label, for each of the measurements that it is the mean of; see `LabelNoise`.

    Args:
        prediction: Of the property, batch shape ``(k, b)``.
        labels: Shape ``(k, b)``.
        noise: Of the labels, shapes ``(k, b)``, in the same units; None: there is none.

    Returns:
        Nats, shape ``(k, b)``.
    """
    measured = prediction if noise is None else of_labels(prediction, noise.errors)
    losses: Tensor = -measured.log_prob(labels)
    return losses if noise is None else losses + (noise.scatters / measured.scale).square() / 2
