"""A paraboloid, known far from its top only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.space import DesignSpace
from lightning_mbo.tasks.base import KnownProblem, Task
from lightning_mbo.tasks.codecs import Standardized

INNER_RADIUS, OUTER_RADIUS = 1.0, 2.0
"""Of the ring that the designs lie on."""


@dataclass(frozen=True)
class Quadratic(Task):
    """Points (x1, x2) in the plane and the height -x1² - x2² there, which is greatest at (0, 0).

    The designs are drawn uniformly from the quarter of a ring where neither coordinate is negative.
    Each coordinate takes its best value in some of them, and never both do: to reach the top, a
    search has to combine what it learns from different designs, and to leave their convex hull.

    Reference: Kumar, Geng, Trabucco and Levine, "Designs from data: offline black-box
    optimization via conservative training", BAIR blog, 2021, on compositional structure.

    Attributes:
        num_designs: n.
    """

    num_designs: int = 1000

    property_name = "height"

    def __post_init__(self) -> None:
        """Check the option.

        Raises:
            ConfigurationError: If it is out of its range.
        """
        if self.num_designs < 1:
            raise ConfigurationError(f"data.num_designs must be at least 1, not {self.num_designs}")

    def problem(self, generator: torch.Generator) -> KnownProblem:
        """Draw the points ``(n, 2)``; designs are standardised."""
        shares = torch.rand(
            2, self.num_designs, generator=generator, dtype=torch.float64, device="cpu"
        )
        # Uniform in area: the squares of the radii are uniform.
        inner, outer = INNER_RADIUS**2, OUTER_RADIUS**2
        radii, angles = (inner + (outer - inner) * shares[0]).sqrt(), math.pi / 2 * shares[1]
        points = torch.stack([radii * angles.cos(), radii * angles.sin()], dim=1)
        codec = Standardized(["x1", "x2"], points.mean(0), points.std(0, correction=0))
        designs = codec.designs(points)

        def ground_truth(designs: Tensor) -> Tensor:
            return height(codec.numbers(designs))

        return KnownProblem(
            designs,
            ground_truth(designs),
            DesignSpace.of_shape(designs.shape[1:]),
            codec,
            ground_truth,
            property_range=(-(OUTER_RADIUS**2), 0.0),
        )


def height(points: Tensor) -> Tensor:
    """Of points ``(m, 2)``: ``(m,)``."""
    return -points.square().sum(1)
