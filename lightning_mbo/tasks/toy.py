"""The one-dimensional example, in which everything can be drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.space import DesignSpace
from lightning_mbo.tasks.base import KnownProblem, Task
from lightning_mbo.tasks.codecs import Numbers


@dataclass(frozen=True)
class Toy(Task):
    """Noisy measurements of two bumps, where there are few on the higher one.

    The ground truth is the sum of the densities of N(5, 1) and N(7, 0.5²), greatest near 7; the
    designs are drawn from a normal distribution that is centred far from there. They are not
    standardised.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, sections 5.1 and S3.

    Attributes:
        num_designs: n.
        design_mean: Of the distribution that designs are drawn from.
        design_std: Its standard deviation, σ_0.
        noise_std: Standard deviation of the labels' noise, σ_ε.
    """

    num_designs: int = 100
    design_mean: float = 3.0
    design_std: float = 1.6
    noise_std: float = 0.04

    property_name = "property y"

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigurationError: If a standard deviation is out of its range.
        """
        if not 0 < self.design_std < float("inf"):
            raise ConfigurationError(
                f"data.design_std must be finite and positive, not {self.design_std}"
            )
        if not 0 <= self.noise_std < float("inf"):
            raise ConfigurationError(
                f"data.noise_std must be finite and not negative: {self.noise_std}"
            )

    def problem(self, generator: torch.Generator) -> KnownProblem:
        """Draw designs ``(n, 1)`` and their labels ``(n,)``."""
        normal = torch.randn(
            2, self.num_designs, generator=generator, dtype=torch.float64, device="cpu"
        )
        designs = (self.design_mean + self.design_std * normal[0])[:, None]
        return KnownProblem(
            designs,
            two_bumps(designs) + self.noise_std * normal[1],
            DesignSpace.of_shape(designs.shape[1:]),
            Numbers(["x"]),
            two_bumps,
            noise_std=self.noise_std,
        )


def two_bumps(designs: Tensor) -> Tensor:
    """The sum of the densities of N(5, 1) and N(7, 0.5²) at ``(m, 1)``, shape ``(m,)``."""
    x = designs[:, 0].double()
    wide, narrow = (-(x - 5).square() / 2).exp(), (-(x - 7).square() / (2 * 0.5**2)).exp()
    return (wide + narrow / 0.5) / math.sqrt(2 * math.pi)
