"""The networks of a variational autoencoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

MOST_LATENT = 64
"""Variables, where nobody says how many."""

_NUM_HIDDEN = 64

_LEAST_START = 0.1
"""Standard deviation of what hidden layers write at first."""

_FIRST_LOG_DEVIATION = -0.7
_NARROWEST = -5.0
"""Of the logarithm of a latent variable's deviation given a design."""


class Perceptron(nn.Module):
    """One hidden layer, and a linear map beside it: y = b + A x + V tanh(U x + c).

    What is linear need not be learnt through the hidden layer, and goes on outside of what was
    seen.
    """

    def __init__(self, num_inputs: int, num_hidden: int, num_outputs: int) -> None:
        """Start with zeros.

        Args:
            num_inputs: Of x.
            num_hidden: Of the hidden layer.
            num_outputs: Of y.
        """
        super().__init__()

        def zeros(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(*shape, dtype=torch.float64), requires_grad=False)

        self.linear = zeros(num_outputs, num_inputs)
        self.hidden = zeros(num_hidden, num_inputs)
        self.hidden_bias = zeros(num_hidden)
        self.output = zeros(num_outputs, num_hidden)
        self.bias = zeros(num_outputs)

    def start(self, generator: torch.Generator) -> None:
        """Draw the weights; the output is small, and nearly linear."""
        scale = 1 / math.sqrt(max(1, self.linear.shape[1]))
        for weights, size in (
            (self.linear, scale),
            (self.hidden, scale),
            (self.output, _LEAST_START / math.sqrt(len(self.hidden))),
        ):
            noise = torch.randn(
                weights.shape, generator=generator, dtype=weights.dtype, device="cpu"
            )
            weights.copy_(size * noise)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs ``(..., outputs)`` of ``(..., inputs)``."""
        hidden = torch.tanh(inputs @ self.hidden.mT + self.hidden_bias)
        return inputs @ self.linear.mT + hidden @ self.output.mT + self.bias


class Autoencoder(nn.Module):
    """An encoder, q(z | x) = N(z; m(x), diag s(x)²), a decoder, and the numbers' deviations.

    The prior of the latent variables z is the standard normal. Both may be told of something else,
    c: the autoencoder is then of x given c.

    Attributes:
        num_latent: How many latent variables there are.
        log_deviations: Of the numbers given z, ``(d,)``.
    """

    def __init__(self, width: int, num_numbers: int, num_latent: int, num_given: int = 0) -> None:
        """Start with zeros.

        Args:
            width: Of the features of a design, and of the decoder's outputs.
            num_numbers: d, how many of them are numbers.
            num_latent: How many latent variables there are.
            num_given: Of the entries of c.
        """
        super().__init__()
        self.num_latent = num_latent
        self.encoder = Perceptron(width + num_given, _NUM_HIDDEN, 2 * num_latent)
        self.decoder = Perceptron(num_latent + num_given, _NUM_HIDDEN, width)
        start = torch.full((num_numbers,), _FIRST_LOG_DEVIATION, dtype=torch.float64)
        self.log_deviations = nn.Parameter(start, requires_grad=False)

    def start(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        self.encoder.start(generator)
        self.decoder.start(generator)

    def encode(self, features: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Means and logarithms of the deviations of z, ``(m, z)`` each, given ``(m, width)``."""
        means, scores = self.encoder(_beside(features, given)).chunk(2, dim=-1)
        return means, _NARROWEST * torch.sigmoid(scores - 2.0)

    def decode(self, latent: Tensor, given: Tensor | None = None) -> Tensor:
        """Outputs ``(..., width)`` of z ``(..., z)``."""
        outputs: Tensor = self.decoder(_beside(latent, given))
        return outputs

    def forward(
        self, features: Tensor, noise: Tensor, given: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw z and decode it.

        Args:
            features: Shape ``(m, width)``.
            noise: Standard normal, ``(m, z)``.
            given: c, ``(m, given)``; None where there is nothing.

        Returns:
            The decoder's outputs ``(m, width)``, the divergence of q(z | x) from the prior,
            ``(m,)``, nats, and the numbers' `log_deviations`.
        """
        means, logs = self.encode(features, given)
        divergence = ((means.square() + (2 * logs).exp() - 1) / 2 - logs).sum(-1)
        return self.decode(means + logs.exp() * noise, given), divergence, self.log_deviations


def _beside(inputs: Tensor, given: Tensor | None) -> Tensor:
    return inputs if given is None else torch.cat([inputs, given], dim=-1)
