"""Samples that can be made and meet the constraints."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

DRAWS_PER_SAMPLE = 100
"""Draws are given up when there have been this many times the samples that are wanted."""


class Draws(NamedTuple):
    """What was drawn, and what was made of it.

    Attributes:
        drawn: The search model's own sample z, shape ``(m, *design_shape)``.
        designs: The nearest designs x that can be made, shape ``(m, *design_shape)``.
        acceptance_rate: The share of all draws that are feasible.
    """

    drawn: Tensor
    designs: Tensor
    acceptance_rate: float


def sample_allowed(
    sample: Callable[[int, torch.Generator], Tensor],
    num_samples: int,
    generator: torch.Generator,
    nearest_allowed: Callable[[Tensor], Tensor],
    feasible: Callable[[Tensor], Tensor] | None = None,
) -> Draws:
    """Sample a search model under the condition that designs are feasible, by rejection.

    The density of the draws that are returned is p_θ(z) / Z, with Z the probability of feasibility
    under p_θ. Z is not known and as a rule not needed: a constant factor of all samples' densities
    has no effect on weights that are normalised. Without constraints the draws are the model's own.

    Args:
        sample: Draws so many from p_θ by a generator.
        num_samples: How many are wanted, m.
        generator: The source of randomness, on the device of what is drawn.
        nearest_allowed: Makes of draws ``(m, *design_shape)`` the nearest designs that can be made.
        feasible: Which of those meet the constraints, bool, ``(m,)``; None if all do.

    Returns:
        Fewer than are wanted where `DRAWS_PER_SAMPLE` do not suffice.
    """
    if feasible is None:
        drawn = sample(num_samples, generator)
        return Draws(drawn, nearest_allowed(drawn), 1.0)
    kept: list[tuple[Tensor, Tensor]] = []
    num_kept = num_drawn = 0
    while num_kept < num_samples and num_drawn < DRAWS_PER_SAMPLE * num_samples:
        drawn = sample(num_samples, generator)
        designs = nearest_allowed(drawn)
        held = feasible(designs)
        kept.append((drawn[held], designs[held]))
        num_kept += len(kept[-1][0])
        num_drawn += num_samples
    drawn, designs = (torch.cat(parts)[:num_samples] for parts in zip(*kept, strict=True))
    return Draws(drawn, designs, num_kept / num_drawn)
