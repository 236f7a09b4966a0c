"""Labels of designs of which some are there more than once, and how well they are predicted."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from lightning_mbo.label_noise import SMALLEST_BESIDE_ERRORS, LabelNoise, noise_share
from lightning_mbo.oracles.linear_posterior import LeftOut

_SMALLEST_VARIANCE = 1e-6
"""Of the standardised labels, what noise is taken for at least."""


class Judgement(NamedTuple):
    """How well labels are predicted.

    Attributes:
        losses: Negative log-likelihoods, nats, shape ``(n,)``.
        weights: Of the labels, shape ``(n,)``, of the sum one.
        variance: σ², of the noise that says most of them.
    """

    losses: Tensor
    weights: Tensor
    variance: Tensor

    @property
    def loss(self) -> float:
        """The losses' mean under the weights."""
        return float(self.weights @ self.losses)

    def gain_over(self, other: Self) -> tuple[float, float]:
        """By how much the loss is less than another one of the same labels, and its error."""
        gains = other.losses - self.losses
        gain = self.weights @ gains
        error = (self.weights * (gains - gain)).square().sum().sqrt()
        return float(gain), float(error)


class WeightedLabels(NamedTuple):
    """n standardised labels, of g different designs.

    Attributes:
        labels: Shape ``(n,)``.
        weights: Shape ``(n,)``, not negative, not all zero.
        noise: Of the labels, shapes ``(n,)``.
        design: Which design each is of, 0 to g - 1, shape ``(n,)``.
        num_designs: g.
    """

    labels: Tensor
    weights: Tensor
    noise: LabelNoise
    design: Tensor
    num_designs: int

    def merged(self, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and mean labels of the designs, shape ``(g,)`` each.

        Args:
            variance: σ², beside which errors of labels make them count for less.
        """
        weights = self.weights * noise_share(self.noise.errors, variance)
        none = weights.new_zeros(self.num_designs)
        total = none.index_add(0, self.design, weights)
        sums = none.index_add(0, self.design, weights * self.labels)
        return total, sums / torch.where(total > 0, total, 1.0)

    def of_designs(self, designs: Tensor) -> WeightedLabels:
        """Those of some of the designs, whose numbers are given, shape ``(j,)``."""
        place = torch.full_like(self.design, -1)[: self.num_designs]
        place[designs] = torch.arange(len(designs), device=designs.device)
        places = place[self.design]
        rows = places >= 0
        noise = self.noise.map(lambda values: values[rows])
        return WeightedLabels(
            self.labels[rows], self.weights[rows], noise, places[rows], len(designs)
        )

    def judged(self, targets: Tensor, left_out: LeftOut, variance: Tensor) -> Judgement:
        """How well the labels of each design are predicted by the others'.

        σ² is learnt from them in closed form. Of labels with errors it is so approximately, from
        what they count for at another σ².

        Args:
            targets: The designs' mean labels, shape ``(g,)``.
            left_out: What the others say of these.
            variance: The other σ².
        """
        errors, scatters = self.noise
        means = (targets - left_out.residuals)[self.design]
        squares = (self.labels - means).square() + scatters.square()
        expected = 1 + left_out.spreads[self.design]
        shares = self.weights * noise_share(errors, variance).square()
        found = (shares * (squares - errors.square()) / expected).sum() / shares.sum()
        found = found.clamp(min=_SMALLEST_VARIANCE)
        whole = found * expected + errors.square()
        losses = (math.log(2 * math.pi) + whole.log() + squares / whole) / 2
        return Judgement(losses, self.weights / self.weights.sum(), found)


def beside_errors(variance: Tensor) -> Tensor:
    """σ² as labels with errors are weighed by it, of the standardised property."""
    return variance.clamp(min=SMALLEST_BESIDE_ERRORS)
