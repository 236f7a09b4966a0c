"""A paraboloid, known far from its top only."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lightning_mbo.data.base import DesignDataModule
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.random import keyed_generator

INNER_RADIUS, OUTER_RADIUS = 1.0, 2.0
"""Of the ring that the designs lie on."""


class Quadratic(DesignDataModule):
    """Points (x1, x2) in the plane and the height -x1² - x2² there, which is greatest at (0, 0).

    The designs are drawn uniformly from the quarter of a ring where neither coordinate is negative.
    Each coordinate takes its best value in some of them, and never both do: to reach the top, a
    search has to combine what it learns from different designs, and to leave their convex hull.

    Reference: Kumar, Geng, Trabucco and Levine, "Designs from data: offline black-box
    optimization via conservative training", BAIR blog, 2021, on compositional structure.
    """

    property_name = "height"

    def __init__(self, num_designs: int = 1000, **kwargs: Any) -> None:
        """Set how much is known.

        Args:
            num_designs: n.
            **kwargs: Of `DesignDataModule`.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__init__(**kwargs)
        if num_designs < 1:
            raise ConfigurationError(f"data.num_designs must be at least 1, not {num_designs}")
        self.num_designs = num_designs
        self.property_range = -(OUTER_RADIUS**2), 0.0
        self.ground_truth = lambda designs: height(self._points(designs))

    def load(self) -> tuple[Tensor, Tensor]:
        """Draw the points."""
        generator = keyed_generator("training designs")
        shares = torch.rand(
            2, self.num_designs, generator=generator, dtype=torch.float64, device="cpu"
        )
        # Uniform in area: the squares of the radii are uniform.
        inner, outer = INNER_RADIUS**2, OUTER_RADIUS**2
        radii, angles = (inner + (outer - inner) * shares[0]).sqrt(), math.pi / 2 * shares[1]
        points = torch.stack([radii * angles.cos(), radii * angles.sin()], dim=1)
        self._mean, self._std = points.mean(0), points.std(0, correction=0)
        designs = (points - self._mean) / self._std
        return designs, height(self._points(designs))

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        """Coordinates."""
        return pd.DataFrame(self._points(designs).numpy(), columns=["x1", "x2"])

    def _points(self, designs: Tensor) -> Tensor:
        return designs * self._std.to(designs.device) + self._mean.to(designs.device)


def height(points: Tensor) -> Tensor:
    """Of points ``(m, 2)``: ``(m,)``."""
    return -points.square().sum(1)
