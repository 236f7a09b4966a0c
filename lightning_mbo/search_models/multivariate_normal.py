"""A normal distribution with a full-rank covariance."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.random import standard_normal
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.space import DesignSpace

# The smallest eigenvalue of the scaled covariance, per dimension: Cholesky's rounding error
# grows with the dimension, and triangular solves stay accurate to about half of float64's digits.
_SMALLEST_EIGENVALUE = 1e-13

_CHUNK_SIZE = 65_536

MOST_IN_PAIRS = 4000
"""Numbers of which each pair has a covariance: an update of so many takes minutes on a core."""


class MultivariateNormal(SearchModel):
    """Full-rank normal search model, the one of the superconductor experiments.

    Reference: Fannjiang and Listgarten, "Autofocused oracles for model-based design",
    NeurIPS 2020, section 5.2.
    """

    mean: Tensor
    covariance: Tensor
    cholesky: Tensor
    fitted: Tensor

    def build(self, space: DesignSpace) -> None:
        """Start as the standard normal on designs of shape ``(d,)``.

        Raises:
            ConfigurationError: If designs are not of numbers alone.
        """
        d = number_count(space, self)
        self.register_buffer("mean", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("covariance", torch.eye(d, dtype=torch.float64))
        self.register_buffer("cholesky", torch.eye(d, dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(False))

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, d)`` designs."""
        noise = standard_normal(num_samples, len(self.mean), generator, self.mean)
        return torch.addmm(self.mean, noise, self.cholesky.mT)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-density of ``(m, d)`` designs, shape ``(m,)``."""
        centred = designs.to(self.mean.dtype) - self.mean
        whitened: Tensor = torch.linalg.solve_triangular(self.cholesky, centred.mT, upper=False)
        log_norm = self.cholesky.diagonal().log().sum() + len(self.mean) / 2 * math.log(2 * math.pi)
        return -whitened.square().sum(0) / 2 - log_norm

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Weighted mean and weighted covariance (the maximum-likelihood one: no correction).

        A covariance that has lost rank is shrunk towards the diagonal of the one it replaces (at
        the first fit, its own), by the smallest share that makes it positive definite; a warning
        names the share.
        """
        designs, weights = designs.to(self.mean), weights.to(self.mean)
        variances = self.covariance.diagonal() if self.fitted else None
        mean, covariance = weighted_moments(designs, weights, reduce, variances)
        self.mean.copy_(mean)
        self.covariance.copy_(covariance)
        self.cholesky.copy_(torch.linalg.cholesky(covariance))
        self.fitted.fill_(True)


def number_count(
    space: DesignSpace,
    model: SearchModel,
    fix: str = "leave --search.search_model out",
    has_all_pairs: bool = True,
) -> int:
    """How many numbers d a design is of, for a model of nothing else.

    Args:
        space: Of the designs.
        model: Which asks.
        fix: What to do about letters and categories.
        has_all_pairs: Whether the model has a number for each pair of numbers.

    Raises:
        ConfigurationError: If designs have letters or categories, or too many numbers for that.
    """
    name, number = type(model).__name__, space.num_numbers
    if space.groups:
        raise ConfigurationError(
            f"{name} needs designs of numbers alone, and these, of shape "
            f"{tuple(space.shape)}, have {len(space.groups)} letters or categories: {fix}"
        )
    if has_all_pairs and number > MOST_IN_PAIRS:
        raise ConfigurationError(
            f"{name} has the covariance of each pair of numbers, and of {number:,} there are too "
            "many: leave --search.search_model out, or give GaussianMixture with a rank"
        )
    return number


def weighted_moments(
    designs: Tensor, weights: Tensor, reduce: Reduce, variances: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The maximum-likelihood mean and covariance of weighted designs, the latter of full rank.

    A covariance that has lost rank is mixed with a diagonal one; a warning names the share.

    Args:
        designs: This process's, shape ``(m, d)``.
        weights: Theirs, shape ``(m,)``, not negative, not all zero.
        reduce: Sums a tensor over processes.
        variances: Of the diagonal one, shape ``(d,)``; None takes the covariance's own.

    Returns:
        Shapes ``(d,)`` and ``(d, d)``, float64.
    """
    designs, weights = designs.double(), weights.double()
    total = reduce(weights.sum())
    mean = reduce(weights @ designs) / total
    products = designs.new_zeros(len(mean), len(mean))
    for part, some in zip(designs.split(_CHUNK_SIZE), weights.split(_CHUNK_SIZE), strict=True):
        centred = part - mean
        products += (some[:, None] * centred).mT @ centred
    covariance = reduce(products) / total
    covariance = (covariance + covariance.mT) / 2
    covariance, share = of_full_rank(covariance, variances)
    warn_of_lost_rank(share, stacklevel=4)
    return mean, covariance


def of_full_rank(covariance: Tensor, variances: Tensor | None = None) -> tuple[Tensor, float]:
    """Mix a covariance that has lost rank with a diagonal one.

    Args:
        covariance: Symmetric, shape ``(d, d)``.
        variances: Of the diagonal one, shape ``(d,)``; None takes the covariance's own.

    Returns:
        The mixture and the share of the diagonal one in it: 0 where nothing was lost.
    """
    variances = covariance.diagonal() if variances is None else variances
    # A constant column has no scale of its own: it takes the largest, or one if all are.
    largest = variances.max()
    variances = torch.where(variances > 0, variances, largest if largest > 0 else 1.0)
    return shrink_to_full_rank(covariance, variances)


def warn_of_lost_rank(share: float, stacklevel: int) -> None:
    """Name the share of a covariance that was replaced, if it is not 0."""
    if share > 0:
        warnings.warn(
            "the covariance of the search model had lost rank: a share of "
            f"{share:.2g} of it was replaced by variances alone",
            category=MBOWarning,
            stacklevel=stacklevel,
        )


def shrink_to_full_rank(covariance: Tensor, variances: Tensor) -> tuple[Tensor, float]:
    """Mix a covariance with a diagonal one, as little as makes it positive definite.

    Args:
        covariance: Symmetric, shape ``(d, d)``.
        variances: Of the diagonal one, shape ``(d,)``, positive.

    Returns:
        ``(1 - s) covariance + s diag(variances)`` and the share s in [0, 1]. s is 0 where the
        covariance is already positive definite.
    """
    floor = _SMALLEST_EIGENVALUE * len(variances)
    scale = variances.sqrt()
    scaled = covariance / scale[:, None] / scale
    smallest = torch.linalg.eigvalsh(scaled)[0].item()
    if smallest >= floor and torch.linalg.cholesky_ex(covariance).info == 0:
        return covariance, 0.0
    # The scaled mixture is (1 - s) scaled + s 1, with eigenvalues (1 - s) λ + s: solve for the
    # floor, and go a little past it to be safe from the rounding of λ itself.
    share = min(1.0, max(floor, 2 * (floor - smallest) / (1 - smallest)))
    while share < 1:
        mixed = (1 - share) * covariance + torch.diag(share * variances)
        # Scales that differ by many orders of magnitude leave less than that after rounding.
        if torch.linalg.cholesky_ex(mixed).info == 0:
            return mixed, share
        share = min(1.0, 10 * share)
    return torch.diag(variances), 1.0
