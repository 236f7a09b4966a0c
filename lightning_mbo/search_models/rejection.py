"""Samples that can be made and meet the constraints."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_mbo.search_models.base import SearchModel

DRAWS_PER_SAMPLE = 100
"""Draws are given up when there have been this many times the samples that are wanted."""


def sample_allowed(
    model: SearchModel,
    num_samples: int,
    generator: torch.Generator,
    nearest_allowed: Callable[[Tensor], Tensor],
    feasible: Callable[[Tensor], Tensor],
) -> tuple[Tensor, float]:
    """Sample a search model under the condition that designs are feasible, by rejection.

    The density of what is returned is p_θ(x) / Z on the feasible designs and zero elsewhere, with
    Z the probability of feasibility under p_θ. Z is not known and as a rule not needed: a constant
    factor of all samples' densities has no effect on weights that are normalised. Without
    constraints the samples are the model's own.

    Args:
        model: p_θ.
        num_samples: How many are wanted, m.
        generator: The source of randomness, on the model's device.
        nearest_allowed: Moves designs ``(m, *design_shape)`` to the nearest that can be made.
        feasible: Which of those meet the constraints, bool, ``(m,)``.

    Returns:
        Designs ``(m, *design_shape)``, fewer where `DRAWS_PER_SAMPLE` do not suffice; and the share
        of the draws that was feasible.
    """
    kept: list[Tensor] = []
    num_kept = num_drawn = 0
    while num_kept < num_samples and num_drawn < DRAWS_PER_SAMPLE * num_samples:
        designs = nearest_allowed(model.sample(num_samples, generator))
        kept.append(designs[feasible(designs)])
        num_kept += len(kept[-1])
        num_drawn += num_samples
    return torch.cat(kept)[:num_samples], num_kept / num_drawn
