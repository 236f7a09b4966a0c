"""The networks of a variational autoencoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

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

    The prior of the latent variables z is the standard normal.

    Attributes:
        log_deviations: Of the numbers given z, ``(d,)``.
    """

    def __init__(self, width: int, num_numbers: int, num_latent: int, num_hidden: int) -> None:
        """Start with zeros.

        Args:
            width: Of the features of a design, and of the decoder's outputs.
            num_numbers: d, how many of them are numbers.
            num_latent: How many latent variables there are.
            num_hidden: Of each network.
        """
        super().__init__()
        self.encoder = Perceptron(width, num_hidden, 2 * num_latent)
        self.decoder = Perceptron(num_latent, num_hidden, width)
        start = torch.full((num_numbers,), _FIRST_LOG_DEVIATION, dtype=torch.float64)
        self.log_deviations = nn.Parameter(start, requires_grad=False)

    def start(self, generator: torch.Generator) -> None:
        """Draw the weights."""
        self.encoder.start(generator)
        self.decoder.start(generator)

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of the deviations of z, ``(m, z)`` each, given ``(m, width)``."""
        means, scores = self.encoder(features).chunk(2, dim=-1)
        return means, _NARROWEST * torch.sigmoid(scores - 2.0)

    def forward(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw z and decode it.

        Args:
            features: Shape ``(m, width)``.
            noise: Standard normal, ``(m, z)``.

        Returns:
            The decoder's outputs ``(m, width)``, the divergence of q(z | x) from the prior,
            ``(m,)``, nats, and the numbers' `log_deviations`.
        """
        means, logs = self.encode(features)
        divergence = ((means.square() + (2 * logs).exp() - 1) / 2 - logs).sum(-1)
        return self.decoder(means + logs.exp() * noise), divergence, self.log_deviations
