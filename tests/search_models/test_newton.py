"""Newton's method against the minimum in closed form, and far from it."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.search_models.newton import newton


def test_finds_the_minimum_of_a_quadratic_function() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    matrix, right = root @ root.mT + torch.eye(6), root[0]

    def gradient(point: Tensor) -> tuple[Tensor, Tensor]:
        return matrix @ point - right, point

    result = newton(gradient, lambda _, step: matrix @ step, torch.zeros_like(right))
    torch.testing.assert_close(result, torch.linalg.solve(matrix, right), rtol=0.0, atol=1e-10)


def test_comes_from_where_a_whole_step_goes_too_far() -> None:
    # Of sqrt(1 + x²): from x = 3 a whole step of Newton leads to -27, and then ever farther.
    def gradient(point: Tensor) -> tuple[Tensor, Tensor]:
        return point / (1 + point**2).sqrt(), point

    def curve(point: Tensor, step: Tensor) -> Tensor:
        return step * (1 + point**2) ** -1.5

    start = torch.full((1, 2), 3.0, dtype=torch.float64)
    result = newton(gradient, curve, start)
    torch.testing.assert_close(result, torch.zeros_like(start), rtol=0.0, atol=1e-10)
