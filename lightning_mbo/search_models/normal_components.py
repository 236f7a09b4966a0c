"""The mathematics of mixtures of normals: expectation maximisation, splits."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.search_models.base import Reduce

_LEAST_GAIN = 1e-3
"""Nats a design, of the mean log-likelihood, below which a fit has converged."""

_MOST_STEPS = 100
_FEWEST_DESIGNS = 1.0
"""A component that counts for fewer by its share of them explains nothing."""

_OFFSET = 0.7
"""Of the halves of a component from its mean, in standard deviations."""


class Components(ABC):
    """A mixture of c normals, whose covariances are RRᵀ, or that and a diagonal.

    Attributes:
        log_shares: Shape ``(c,)``, float64, nats.
        means: Shape ``(c, d)``.
    """

    log_shares: Tensor
    means: Tensor

    @property
    @abstractmethod
    def variances(self) -> Tensor:
        """Of the columns within components, in the mean over these, ``(d,)``."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Tensor, ...]:
        """All that there is of them, of each component an entry."""

    @property
    @abstractmethod
    def num_noises(self) -> int:
        """Standard normal numbers that make a design, k."""

    @abstractmethod
    def coloured(self, number: int, noise: Tensor) -> Tensor:
        """Such numbers ``(m, k)`` as designs about the mean of a component, ``(m, d)``."""

    @abstractmethod
    def log_joint(self, designs: Tensor) -> Tensor:
        """Log-densities of designs ``(m, d)`` together with each component, ``(m, c)``, nats."""

    @abstractmethod
    def refitted(
        self, table: WeightedDesigns, kept: Tensor, ascribed: Tensor, shares: Tensor
    ) -> Fit:
        """Those that explain best what is ascribed to them.

        Args:
            table: What they are fitted to.
            kept: Which components go on, bool, shape ``(c,)``.
            ascribed: Weights of the designs in each of these, shape ``(c', m)``.
            shares: Their sums over all processes, ``(c',)``.
        """

    @abstractmethod
    def whitened(self, designs: Tensor) -> Tensor:
        """Designs ``(m, d)`` as each component has them, of unit covariance, ``(c, k, m)``."""

    @abstractmethod
    def halved(self, number: int, direction: Tensor) -> Components:
        """Two components in place of one, to both sides in a direction of it, whitened, ``(k,)``.

        The halves come last.
        """


@dataclass(frozen=True)
class WeightedDesigns:
    """What a mixture is fitted to: this process's share of it. `where` normalises it.

    Attributes:
        designs: Shape ``(m, d)``, float64.
        weights: Shape ``(m,)``, not negative; over all processes their sum is one.
        reduce: Sums a tensor over processes.
        pseudocount: How many designs of the covariance within all components are added to those
            of each.
        scales: Variances ``(d,)`` that mend lost rank; None takes the designs' own.
        size: How many designs they count for, n_e.
    """

    designs: Tensor
    weights: Tensor
    reduce: Reduce
    pseudocount: float = 0.0
    scales: Tensor | None = None
    size: float = math.nan

    def where(self, chosen: Tensor) -> WeightedDesigns:
        """Those of some places, bool, ``(m,)``; some process has one that weighs something."""
        weights = self.weights[chosen]
        weights = weights / self.reduce(weights.sum())
        size = 1 / float(self.reduce(weights.square().sum()))
        return replace(self, designs=self.designs[chosen], weights=weights, size=size)

    def mean_of(self, values: Tensor) -> Tensor:
        """The weighted mean of values ``(m, ...)`` over all processes, ``(...)``."""
        return self.reduce(torch.tensordot(self.weights, values, 1))


class Fit(NamedTuple):
    """The mixture that a fit has come to.

    Attributes:
        components: Of it.
        lost: The share of a covariance that was replaced to mend its rank, the greatest of all.
    """

    components: Components
    lost: float


def maximised(components: Components, table: WeightedDesigns) -> Fit:
    """Expectation maximisation, to where the likelihood gains next to nothing.

    To what is ascribed to a component `pseudocount` designs of the covariance within all components
    are added: so none narrows down to a few designs, whose likelihood would grow without end. A
    component that counts for less than one design is left out. One component becomes the
    maximum-likelihood normal.

    Reference: Friedman, "Regularized discriminant analysis", JASA 1989, for the covariances.
    """
    fit, before = Fit(components, 0.0), -math.inf
    for _ in range(_MOST_STEPS):
        joint = fit.components.log_joint(table.designs)
        likelihood = joint.logsumexp(1)
        after = table.mean_of(likelihood).item()
        if after - before < _LEAST_GAIN:
            break
        before = after
        fit = _maximised(fit.components, table, (joint - likelihood[:, None]).exp())
    return fit


def _maximised(components: Components, table: WeightedDesigns, responsibilities: Tensor) -> Fit:
    """The components that explain best what is ascribed to them, of ``(m, c)``."""
    shares = table.mean_of(responsibilities)
    kept = (shares * table.size >= _FEWEST_DESIGNS) | (shares == shares.max())
    ascribed = (table.weights[:, None] * responsibilities[:, kept]).mT
    return components.refitted(table, kept, ascribed, shares[kept])


def is_beyond_rounding(variances: Tensor, means: Tensor) -> Tensor:
    """Whether columns vary: the mean of equal numbers is not quite their own."""
    rounding = 8 * torch.finfo(means.dtype).eps * means.abs()
    return variances > rounding.square()


def split(components: Components, table: WeightedDesigns) -> Fit:
    """One component more: where designs are least like the normal that they are ascribed to.

    The fourth moments of a component's designs, whitened, say in which direction they are flattest,
    as two peaks are, and in which they have the heaviest tails, as a narrow peak beside a wide one
    has. The component that is farthest from a normal is halved, of each of the two kinds, and what
    comes to be likelier is kept.

    Reference: Cardoso, "Source separation using higher order moments", ICASSP 1989.
    """
    joint = components.log_joint(table.designs)
    ascribed = table.weights[:, None] * joint.softmax(1)
    whitened = components.whitened(table.designs)
    excess = whitened.square().sum(1) - (whitened.shape[1] + 2)
    moments = table.reduce((whitened * (excess * ascribed.mT)[:, None]) @ whitened.mT)
    values, directions = torch.linalg.eigh((moments + moments.mT) / 2)
    fits = []
    for end, sign in ((0, -1), (-1, 1)):
        number = int((sign * values[:, end]).argmax())
        halves = components.halved(number, directions[number, :, end])
        fits.append(maximised(halves, table))
    likelihoods = [
        table.mean_of(fit.components.log_joint(table.designs).logsumexp(1)).item() for fit in fits
    ]
    return fits[likelihoods[1] > likelihoods[0]]


def halves_of(
    components: Components, roots: Tensor, number: int, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The shares, means and roots of two components in place of one; the halves come last.

    Args:
        components: All of them.
        roots: R, of each covariance RRᵀ, shape ``(c, d, k)``.
        number: Which is halved.
        direction: Where to, ``(k,)``, at most of length one.
    """
    log_shares, means = components.log_shares, components.means
    step = _OFFSET * roots[number] @ direction
    # What is left of its covariance, by factors: a difference of matrices may lose rank.
    left = torch.eye(len(direction)).to(step) - _OFFSET**2 * torch.outer(direction, direction)
    half = (roots[number] @ torch.linalg.cholesky(left))[None]
    log_share = log_shares[number, None] - math.log(2)
    others = torch.arange(len(log_shares), device=log_shares.device) != number
    return (
        torch.cat([log_shares[others], log_share, log_share]),
        torch.cat([means[others], means[number, None] + step, means[number, None] - step]),
        torch.cat([roots[others], half, half]),
    )
