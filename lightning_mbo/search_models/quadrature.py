"""A density on a grid, updated without sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.multivariate_normal import MultivariateNormal
from lightning_mbo.space import DesignSpace

_LARGEST_LOG_RATIO = 700.0
"""Nodes are held this close to the densest, in nats: then all ratios are finite numbers."""


class Quadrature(SearchModel):
    """A density over designs that are one number: piecewise linear between evenly spaced nodes.

    Where other models are fitted to weighted samples, it is multiplied by the weights of its nodes
    (`reweigh`), which is exact. Fitted to designs it is their maximum-likelihood normal, cut off
    at the ends of the grid: so is the training distribution. Beyond the ends the density is taken
    to be that of the nearer end, so that density ratios are finite everywhere.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, sections 5.1 and S3.
    """

    has_nodes = True
    remedy = "leave --search.search_model out"
    grid: Tensor
    widths: Tensor
    log_density: Tensor

    def __init__(self, lower: float, upper: float, num_nodes: int = 100) -> None:
        """Set the nodes.

        Args:
            lower: The first, in the designs' unit.
            upper: The last.
            num_nodes: How many.

        Raises:
            ConfigurationError: If they make no grid.
        """
        super().__init__()
        if not -float("inf") < lower < upper < float("inf"):
            raise ConfigurationError(
                f"search_model.lower must be less than upper, both finite: {lower}, {upper}"
            )
        if num_nodes < 2:
            raise ConfigurationError(f"search_model.num_nodes must be at least 2, not {num_nodes}")
        self.lower = lower
        self.upper = upper
        self.num_nodes = num_nodes

    def build(self, space: DesignSpace) -> None:
        """Start as the uniform density.

        Raises:
            ConfigurationError: If designs are not one number each.
        """
        if space.num_numbers != 1 or space.groups:
            raise ConfigurationError(
                f"Quadrature needs designs of one number, and these have the shape "
                f"{tuple(space.shape)}: leave --search.search_model out"
            )
        self.register_buffer(
            "grid", torch.linspace(self.lower, self.upper, self.num_nodes, dtype=torch.float64)
        )
        widths = torch.full_like(self.grid, (self.upper - self.lower) / (self.num_nodes - 1))
        widths[0] /= 2
        widths[-1] /= 2
        self.register_buffer("widths", widths, persistent=False)
        self.register_buffer("log_density", torch.zeros_like(self.grid))
        self._set(self.log_density)

    @property
    def nodes(self) -> Tensor:
        """The designs at the nodes, shape ``(m, 1)``."""
        return self.grid[:, None]

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, 1)`` designs."""
        rows = torch.multinomial(
            self.widths * self.log_density.exp(), num_samples, replacement=True, generator=generator
        )
        # The density is a mixture of triangles about the nodes, of halves of them at the ends.
        uniform = torch.rand(
            2, num_samples, generator=generator, dtype=torch.float64, device=self.grid.device
        )
        designs = self.grid[rows] + (uniform.sum(0) - 1) * (self.grid[1] - self.grid[0])
        designs = self.lower + (designs - self.lower).abs()
        return (self.upper - (self.upper - designs).abs())[:, None]

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-density of ``(m, 1)`` designs, shape ``(m,)``."""
        x = designs[:, 0].to(self.grid).clamp(self.lower, self.upper)
        left = (torch.searchsorted(self.grid, x, right=True) - 1).clamp(max=self.num_nodes - 2)
        share = (x - self.grid[left]) / (self.grid[left + 1] - self.grid[left])
        return torch.logaddexp(
            (-share).log1p() + self.log_density[left], share.log() + self.log_density[left + 1]
        )

    def expectation(self, values: Tensor) -> Tensor:
        """∫ p_θ(x) v(x) dx by the trapezoidal rule, of values at the nodes ``(m,)``: a scalar."""
        return (self.widths * self.log_density.exp()) @ values

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Become the maximum-likelihood normal of weighted designs ``(m, 1)``, between the ends.

        Raises:
            ConfigurationError: If all designs lie beyond the ends.
        """
        designs, weights = designs.to(self.grid), weights.to(self.grid)
        inside = (designs[:, 0] >= self.lower) & (designs[:, 0] <= self.upper)
        if reduce((weights * inside).sum()) == 0:
            raise ConfigurationError(
                f"no design lies between search_model.lower and upper, {self.lower:g} and "
                f"{self.upper:g}: give the range that is to be searched"
            )
        normal = MultivariateNormal()
        normal.build(DesignSpace(torch.Size([1])))
        normal.to(self.grid.device).fit(designs, weights, reduce)
        self._set(normal.log_prob(self.nodes))

    def reweigh(self, log_weights: Tensor) -> bool:
        """Multiply the density by weights.

        Args:
            log_weights: Logarithms of the nodes' weights, not normalised, shape ``(m,)``. Those
                that are not finite count as weights of zero.

        Returns:
            Whether there was a weight that is not zero; if not, the density is left as it is.
        """
        usable = log_weights.isfinite()
        if usable.any():
            self._set(self.log_density + torch.where(usable, log_weights, -torch.inf))
        return bool(usable.any())

    def _set(self, log_density: Tensor) -> None:
        log_density = log_density.clamp(min=log_density.max() - _LARGEST_LOG_RATIO)
        total = (log_density + self.widths.log()).logsumexp(0)
        self.log_density.copy_(log_density - total)
