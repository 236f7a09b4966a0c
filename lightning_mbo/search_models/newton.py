"""The minimum of a smooth convex function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

_TOLERANCE = 1e-11
"""Norm of the gradient at which the minimum is found."""

_MOST_STEPS = 100
_LEAST_SHARE = 1e-6
"""Of a step, below which rounding alone is left to gain."""


def newton(
    gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    curve: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
) -> Tensor:
    """Minimise by Newton steps, solved by conjugate gradients as exactly as they are worth.

    A step is halved until it shortens the gradient. The function's value is not needed: it is flat
    to half of the digits at the minimum, where the gradient is exact.

    Reference: Dembo, Eisenstat and Steihaug, "Inexact Newton methods", SIAM Journal on Numerical
    Analysis 1982.

    Args:
        gradient: Of a point, with what `curve` needs of it.
        curve: The product of the second derivative, at the point that gave its first argument,
            with its second argument.
        start: Any shape.

    Returns:
        The minimum, of the shape of `start`.
    """
    point, (slope, known) = start, gradient(start)
    norm = slope.norm()
    for _ in range(_MOST_STEPS):
        if norm <= _TOLERANCE:
            break
        accuracy = min(0.5, norm.sqrt().item())
        step = _solved(partial(curve, known), -slope, accuracy)
        share = 1.0
        while share >= _LEAST_SHARE:
            slope, known = gradient(point + share * step)
            if slope.norm() <= (1 - 1e-4 * share) * norm:
                break
            share /= 2
        else:
            break
        point, norm = point + share * step, slope.norm()
    return point


def _solved(product: Callable[[Tensor], Tensor], right: Tensor, accuracy: float) -> Tensor:
    """Conjugate gradients, to a residual of that share of the right-hand side."""
    solution, residual = torch.zeros_like(right), right
    direction, square = residual, residual.square().sum()
    goal = accuracy**2 * square
    for _ in range(right.numel()):
        if square <= goal:
            break
        ahead = product(direction)
        length = square / (direction * ahead).sum()
        solution = solution + length * direction
        residual = residual - length * ahead
        square, before = residual.square().sum(), square
        direction = residual + square / before * direction
    return solution
