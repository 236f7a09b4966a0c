"""Plain gradient ascent in an oracle's inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Objective = Callable[[Tensor], Tensor]
"""From inputs ``(..., inputs)`` to a value each, ``(...)``, none of which depends on another's."""


def ascend(objective: Objective, inputs: Tensor, num_steps: int, step_size: float) -> Tensor:
    """Where `num_steps` steps of gradient ascent lead, ``(..., inputs)``, without a graph."""
    place = inputs.detach()
    for place in ascent_path(objective, inputs, num_steps, step_size):  # noqa: B007
        pass
    return place


def ascent_path(
    objective: Objective, inputs: Tensor, num_steps: int, step_size: float
) -> Iterator[Tensor]:
    """Climb from every input on its own: x ← x + s √(number of inputs) ∇ objective(x).

    The graph of a step is freed before the next, and parameters get no gradient: a step costs
    the products of a forward pass and of a backward pass to the inputs alone.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021, equation 5.

    Args:
        objective: What to climb.
        inputs: Where to start, shape ``(..., inputs)``.
        num_steps: How many steps, T.
        step_size: s.

    Yields:
        The inputs after each step, shape ``(..., inputs)``, without a graph.
    """
    rate = step_size * math.sqrt(inputs.shape[-1])
    # Lightning predicts and tests in inference mode, which knows no gradients.
    with torch.inference_mode(False):
        inputs = inputs.detach().clone()
    for _ in range(num_steps):
        with torch.inference_mode(False), torch.enable_grad():
            place = inputs.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(objective(place).sum(), place)
            inputs = torch.add(inputs, gradient, alpha=rate).detach()
        yield inputs
