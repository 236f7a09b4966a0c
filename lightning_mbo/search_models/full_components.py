"""Normals of full covariance, as the components of a mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mbo.search_models.multivariate_normal import of_full_rank
from lightning_mbo.search_models.normal_components import (
    Components,
    Fit,
    WeightedDesigns,
    halves_of,
    is_beyond_rounding,
)


@dataclass(frozen=True)
class FullComponents(Components):
    """Normals of full covariance.

    Attributes:
        choleskys: Lower factors of the covariances, shape ``(c, d, d)``.
    """

    log_shares: Tensor
    means: Tensor
    choleskys: Tensor

    @property
    def variances(self) -> Tensor:
        """Of the columns within components, in the mean over these, ``(d,)``."""
        return self.log_shares.exp() @ self.choleskys.square().sum(2)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Shares, means and factors of covariances."""
        return self.log_shares, self.means, self.choleskys

    @property
    def num_noises(self) -> int:
        """Standard normal numbers that make a design: d."""
        return self.means.shape[1]

    def coloured(self, number: int, noise: Tensor) -> Tensor:
        """Such numbers ``(m, d)`` as designs about the mean of a component."""
        return noise @ self.choleskys[number].mT

    def log_joint(self, designs: Tensor) -> Tensor:
        """Log-densities of designs ``(m, d)`` together with each component, ``(m, c)``, nats."""
        roots = self.choleskys.diagonal(dim1=1, dim2=2).log().sum(1)
        log_norms = roots + self.means.shape[1] / 2 * math.log(2 * math.pi)
        squares = self.whitened(designs).square().sum(1)
        return self.log_shares - log_norms - squares.mT / 2

    def refitted(
        self, table: WeightedDesigns, kept: Tensor, ascribed: Tensor, shares: Tensor
    ) -> Fit:
        """By the weighted means and covariances, mended to full rank."""
        means = table.reduce(ascribed @ table.designs) / shares[:, None]
        centred = table.designs - means[:, None]
        scatters = table.reduce((ascribed[:, :, None] * centred).mT @ centred)
        varies = is_beyond_rounding(scatters.diagonal(dim1=1, dim2=2) / shares[:, None], means)
        scatters = (scatters + scatters.mT) / 2 * (varies[:, :, None] & varies[:, None])
        within = scatters.sum(0) / shares.sum()
        added = table.pseudocount / table.size
        covariances = (scatters + added * within) / (shares + added)[:, None, None]
        mended = [of_full_rank(covariance, table.scales) for covariance in covariances]
        choleskys = torch.linalg.cholesky(torch.stack([covariance for covariance, _ in mended]))
        log_shares = (shares / shares.sum()).log()
        return Fit(FullComponents(log_shares, means, choleskys), max(share for _, share in mended))

    def whitened(self, designs: Tensor) -> Tensor:
        """Designs ``(m, d)`` as each component has them, of unit covariance, ``(c, d, m)``."""
        centred = (designs - self.means[:, None]).mT
        whitened: Tensor = torch.linalg.solve_triangular(self.choleskys, centred, upper=False)
        return whitened

    def halved(self, number: int, direction: Tensor) -> FullComponents:
        """Two components in place of one, to both sides in a direction of it, ``(d,)``."""
        return FullComponents(*halves_of(self, self.choleskys, number, direction))
