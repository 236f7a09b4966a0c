"""Better designs amid those that a search has found."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_mbo.problem import DesignProblem

_ROUNDS = 40

_STEPS = (0.2, 0.6)
"""Of the way between two others that a design moves, in turns."""

_MOVED = 0.7
"""Share of its numbers that a design moves in a round."""

_CROSSED = 0.2
"""Share of its categories, or letters, that it takes over from another."""


def climbed(
    designs: Tensor,
    worth: Callable[[Tensor], Tensor],
    problem: DesignProblem,
    generator: torch.Generator,
) -> Tensor:
    """Move each of some designs to where it is worth more, by differential evolution.

    In each round a design moves by a share of the difference of two others, and takes over some
    categories of one of them. It stays where it was if that is worth no more, or does not meet the
    constraints. So steps are as long, and go in such directions, as the designs lie apart: samples
    that keep to a valley climb along it, and nothing has to have a gradient. No number leaves the
    range of those that it began amid: beyond, much is promised because nothing is known.

    Reference: Storn and Price, "Differential evolution", Journal of Global Optimization 11, 1997.

    Args:
        designs: Where each begins, shape ``(m, *design_shape)``, which meet the constraints.
        worth: What is to be great, of designs, shape ``(m,)``.
        problem: Which designs can be made.
        generator: The source of randomness, on the designs' device.

    Returns:
        Shape ``(m, *design_shape)``, none worth less than where it began.
    """
    best, m, device = worth(designs), len(designs), designs.device
    space = problem.space
    least, greatest = space.numbers(designs).aminmax(dim=0)
    for i in range(_ROUNDS):
        one, other = torch.randint(m, (2, m), generator=generator, device=device)
        numbers = space.numbers(designs)
        moved = torch.rand(numbers.shape, generator=generator, device=device) < _MOVED
        step = _STEPS[i % len(_STEPS)] * (numbers[one] - numbers[other])
        numbers = (numbers + step * moved).clamp(least, greatest)
        groups = [
            torch.where(
                torch.rand(m, 1, generator=generator, device=device) < _CROSSED, group[one], group
            )
            for group in space.one_hots(designs)
        ]
        tried = problem.nearest_allowed(space.join(numbers, groups))
        value = worth(tried).where(problem.is_feasible(tried), -torch.inf)
        better = value > best
        designs = torch.where(better.view(-1, *[1] * (tried.dim() - 1)), tried, designs)
        best = torch.where(better, value, best)
    return designs
