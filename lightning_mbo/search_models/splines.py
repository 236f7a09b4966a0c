"""Chains of monotone splines, from one distribution of numbers to another."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from lightning_mbo.random import Stream

_NUM_BINS = 5
_HIDDEN = (64, 64)
_LEAST_SLOPE = 1e-2
"""Designs that lie in steps are no reason for a density without end."""

_MOST_PASSES = 8
"""In which a spline is undone: groups of numbers, each of which follows from those before it."""

_CHUNK = 2048
"""Designs at once: on their way they take some hundred times their memory."""


class Splines(nn.Module):
    """Invertible transforms to a standard normal, of zuko; at first the identity.

    Each takes every number by a monotone rational-quadratic spline between -5 and 5, which a
    network makes of the numbers before it. Outside it is the identity.
    """

    def __init__(self, num_numbers: int, num_transforms: int, stream: Stream) -> None:
        """Make the networks.

        Args:
            num_numbers: Of a design, d.
            num_transforms: The order of the numbers turns from one to the next.
            stream: Of the networks' random features.
        """
        from zuko.flows.autoregressive import MaskedAutoregressiveTransform
        from zuko.lazy import LazyComposedTransform
        from zuko.transforms import MonotonicRQSTransform

        super().__init__()
        self._stream, order = stream, torch.arange(num_numbers)
        # What zuko draws, from the global generator, is replaced.
        with torch.random.fork_rng(devices=[]):
            self.chain = LazyComposedTransform(
                *(
                    MaskedAutoregressiveTransform(
                        num_numbers,
                        passes=_MOST_PASSES,
                        order=order.flip(0) if number % 2 else order,
                        univariate=partial(MonotonicRQSTransform, slope=_LEAST_SLOPE),
                        shapes=[(_NUM_BINS,), (_NUM_BINS,), (_NUM_BINS - 1,)],
                        hidden_features=_HIDDEN,
                        activation=nn.ELU,
                    )
                    for number in range(num_transforms)
                )
            )
        self.double().requires_grad_(False)
        self.straighten()

    def straighten(self) -> None:
        """Become the identity, by networks with random features that nothing is made of yet."""
        generator = self._stream.generator("splines")
        for transform in self.chain.transforms.children():
            for parameter in transform.parameters():
                parameter.zero_()
            layers = [layer for layer in transform.modules() if isinstance(layer, nn.Linear)]
            for layer in layers[:-1]:
                for parameter in layer.parameters():
                    noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
                    parameter.copy_((2 * noise - 1) / math.sqrt(layer.in_features))

    def log_density(self, points: Tensor) -> Tensor:
        """Of points ``(m, d)`` that the transforms take to a standard normal, ``(m,)``, nats."""
        parts = []
        # Zuko does not take no points at all, which a process may have.
        for part in (points if len(points) else points.new_zeros(1, points.shape[1])).split(_CHUNK):
            noise, log_slopes = self.chain().call_and_ladj(part)
            parts.append(standard_log_density(noise) + log_slopes)
        return torch.cat(parts)[: len(points)]

    def points(self, noise: Tensor) -> Tensor:
        """What the transforms take to noise ``(m, d)``, of the same shape."""
        return torch.cat([self.chain().inv(part) for part in noise.split(_CHUNK)])


def standard_log_density(points: Tensor) -> Tensor:
    """Of points ``(m, d)`` by the standard normal, ``(m,)``, nats."""
    return -points.square().sum(1) / 2 - points.shape[1] / 2 * math.log(2 * math.pi)
