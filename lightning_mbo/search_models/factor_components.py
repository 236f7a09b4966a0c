"""Normals that vary by a few factors, as the components of a mixture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.search_models.normal_components import (
    Components,
    Fit,
    WeightedDesigns,
    halves_of,
    is_beyond_rounding,
)

_NUM_SWEEPS = 3
"""Of the factors, between one look at which design is of which component and the next."""

_NUM_TURNS = 20
"""Of the directions in which factors are looked for at first."""

_FEW_COLUMNS = 200
"""Whose covariances are written out."""

_LEAST_OWN = 1e-6
"""Of a column's variance, which no factor explains."""

_WEAKEST = 1e-9
"""Of a factor's variance to the columns' own, below which it has no direction."""


@dataclass(frozen=True)
class FactorComponents(Components):
    """Normals of covariance ΛΛᵀ + Ψ: so many columns need no matrix of all their pairs.

    They begin with principal components, and are fitted by expectation maximisation, of factors and
    components at once.

    Reference: Ghahramani and Hinton, "The EM algorithm for mixtures of factor analyzers", 1996.

    Attributes:
        loadings: Λ, shape ``(c, d, r)``.
        own: The diagonals of Ψ, shape ``(c, d)``.
    """

    log_shares: Tensor
    means: Tensor
    loadings: Tensor
    own: Tensor

    @property
    def variances(self) -> Tensor:
        """Of the columns within components, in the mean over these, ``(d,)``."""
        return self.log_shares.exp() @ (self.loadings.square().sum(2) + self.own)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Shares, means, loadings and own variances."""
        return self.log_shares, self.means, self.loadings, self.own

    @property
    def num_noises(self) -> int:
        """Standard normal numbers that make a design: of each factor and each column."""
        return self.loadings.shape[2] + self.means.shape[1]

    def coloured(self, number: int, noise: Tensor) -> Tensor:
        """Such numbers ``(m, r + d)`` as designs about the mean of a component."""
        rank = self.loadings.shape[2]
        return (
            noise[:, :rank] @ self.loadings[number].mT + noise[:, rank:] * self.own[number].sqrt()
        )

    def log_joint(self, designs: Tensor) -> Tensor:
        """Log-densities of designs ``(m, d)`` together with each component, ``(m, c)``, nats."""
        densities = []
        for mean, loadings, own in zip(self.means, self.loadings, self.own, strict=True):
            scale = own.sqrt()
            centred, scaled = (designs - mean) / scale, loadings / scale[:, None]
            unit = torch.eye(scaled.shape[1]).to(scaled)
            root = torch.linalg.cholesky(unit + scaled.mT @ scaled)
            factors = torch.cholesky_solve((centred @ scaled).mT, root)
            # By what is left, and not by a difference of squares.
            square = (centred - (scaled @ factors).mT).square().sum(1) + factors.square().sum(0)
            log_norm = scale.log().sum() + root.diagonal().log().sum()
            densities.append(-square / 2 - log_norm - len(mean) / 2 * math.log(2 * math.pi))
        return self.log_shares + torch.stack(densities, dim=1)

    def refitted(
        self, table: WeightedDesigns, kept: Tensor, ascribed: Tensor, shares: Tensor
    ) -> Fit:
        """By the weighted means and some steps towards the likeliest factors."""
        means = table.reduce(ascribed @ table.designs) / shares[:, None]
        scales = _variances(table) if table.scales is None else table.scales
        fits = [
            _factors(
                self._covariance(table, weights, mean, len(shares) > 1),
                loadings,
                own,
                scales,
            )
            for weights, mean, loadings, own in zip(
                ascribed, means, self.loadings[kept], self.own[kept], strict=True
            )
        ]
        loadings, own = (
            torch.stack(parts) for parts in zip(*(fit[:2] for fit in fits), strict=True)
        )
        log_shares = (shares / shares.sum()).log()
        components = FactorComponents(log_shares, means, loadings, own)
        return Fit(components, max(fit.lost for fit in fits))

    def _covariance(
        self, table: WeightedDesigns, weights: Tensor, mean: Tensor, is_shrunk: bool
    ) -> _Covariance:
        """Of what is ascribed to a component, with the pseudocount of what there is within all."""
        share = table.reduce(weights.sum())
        centred = table.designs - mean
        variances = table.reduce(weights @ centred.square()) / share
        varies = is_beyond_rounding(variances, mean)
        centred = centred * varies
        weighted = (weights[:, None] * centred).mT
        # Of few columns one product is cheaper than those that the factors take.
        scatter = table.reduce(weighted @ centred) if len(mean) <= _FEW_COLUMNS else None
        added = table.pseudocount / table.size if is_shrunk else 0.0

        def product(matrix: Tensor) -> Tensor:
            seen = (
                table.reduce(weighted @ (centred @ matrix)) if scatter is None else scatter @ matrix
            )
            return (seen + added * self._within(matrix)) / (share + added)

        within = added * self.variances
        return _Covariance((share * variances * varies + within) / (share + added), product)

    def _within(self, matrix: Tensor) -> Tensor:
        """The covariance within all components times a matrix ``(d, r)``."""
        products = self.loadings @ (self.loadings.mT @ matrix) + self.own[:, :, None] * matrix
        within: Tensor = torch.tensordot(self.log_shares.exp(), products, 1)
        return within

    def whitened(self, designs: Tensor) -> Tensor:
        """The factors that each component ascribes to designs, of unit covariance, ``(c, r, m)``.

        Those that it does not have are zero.
        """
        found = []
        for number, (mean, loadings, own) in enumerate(
            zip(self.means, self.loadings, self.own, strict=True)
        ):
            strengths, turn = self._strengths(number)
            scales = torch.where(strengths > _WEAKEST, strengths * (1 + strengths), torch.inf)
            found.append(
                (turn / scales.sqrt()).mT @ ((designs - mean) @ (loadings / own[:, None])).mT
            )
        return torch.stack(found)

    def halved(self, number: int, direction: Tensor) -> Components:
        """Two components in place of one, to both sides in a direction of it, ``(r,)``."""
        strengths, turn = self._strengths(number)
        direction = turn @ ((strengths / (1 + strengths)).sqrt() * direction)
        others = torch.arange(len(self.own), device=self.own.device) != number
        own = torch.cat([self.own[others], self.own[number].expand(2, -1)])
        return FactorComponents(*halves_of(self, self.loadings, number, direction), own)

    def _strengths(self, number: int) -> tuple[Tensor, Tensor]:
        """Λᵀ Ψ⁻¹ Λ of a component by its eigenvalues ``(r,)`` and eigenvectors ``(r, r)``."""
        loadings = self.loadings[number]
        values, turn = torch.linalg.eigh((loadings / self.own[number][:, None]).mT @ loadings)
        return values.clamp(min=0), turn


def _variances(table: WeightedDesigns) -> Tensor:
    """Of the columns, ``(d,)``, zero where they do not vary."""
    mean = table.mean_of(table.designs)
    variances = table.mean_of((table.designs - mean).square())
    return variances * is_beyond_rounding(variances, mean)


class _Covariance(NamedTuple):
    """A covariance, of which only this is asked.

    Attributes:
        variances: Its diagonal, ``(d,)``.
        times: Its product with a matrix ``(d, r)``.
    """

    variances: Tensor
    times: Callable[[Tensor], Tensor]


class _Factors(NamedTuple):
    """What a covariance has come to.

    Attributes:
        loadings: Shape ``(d, r)``.
        own: Shape ``(d,)``.
        lost: The share of the variances that was replaced because rank was lost: 0 if it was not.
    """

    loadings: Tensor
    own: Tensor
    lost: float


def _factors(covariance: _Covariance, loadings: Tensor, own: Tensor, scales: Tensor) -> _Factors:
    """Loadings and own variances that are likelier for a covariance than those before.

    Args:
        covariance: Of d columns.
        loadings: Shape ``(d, r)``.
        own: Shape ``(d,)``.
        scales: Variances that mend lost rank, ``(d,)``.
    """
    largest = scales.max()
    floor = _LEAST_OWN * scales.where(scales > 0, largest if largest > 0 else 1.0)
    if not loadings.any():
        loadings, own = _principal(covariance, floor, loadings.shape[1])
    left = own
    for _ in range(_NUM_SWEEPS):
        scaled = loadings / left.maximum(floor)[:, None]
        inner = torch.linalg.inv(torch.eye(loadings.shape[1]).to(own) + loadings.mT @ scaled)
        seen = covariance.times(scaled @ inner)
        loadings = torch.linalg.solve(inner + (scaled @ inner).mT @ seen, seen, left=False)
        left = covariance.variances - (loadings * seen).sum(1)
    is_lost = bool((covariance.variances < floor).any() or (left < floor).all())
    return _Factors(loadings, left.maximum(floor), _LEAST_OWN * is_lost)


def _principal(covariance: _Covariance, floor: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Loadings and own variances to begin with: the principal components of the correlations.

    Reference: Tipping and Bishop, "Probabilistic principal component analysis", 1999.
    """
    scale = covariance.variances.maximum(floor).sqrt()[:, None]
    basis = torch.eye(len(scale), rank).to(scale)
    for _ in range(_NUM_TURNS):
        seen = covariance.times(basis / scale) / scale
        values, turn = torch.linalg.eigh(basis.mT @ seen)
        directions, basis = basis @ turn, torch.linalg.qr(seen).Q
    noise = ((len(scale) - values.sum()) / (len(scale) - rank)).clamp(min=_LEAST_OWN)
    loadings = scale * directions * (values - noise).clamp(min=0).sqrt()
    return loadings, noise * scale[:, 0].square()
