"""A Gaussian process under weighted, noisy labels, where its covariance is known.

A label y of weight w and noise variance s counts as Normal(y; f(x), s)^w. As far as f is
concerned, that is a label of variance s / w. It is
computed by B = I + R K R with R² = w / s, where nothing is divided by a weight, and which no weight
and no repeated design leaves without its Cholesky factor.

Reference: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, sections 2.2,
3.4.3 and 5.4.2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Conditioned(NamedTuple):
    """What the labels have made of a Gaussian process.

    Attributes:
        factor: The lower Cholesky factor of B, shape ``(n, n)``.
        roots: The diagonal of R, shape ``(n,)``.
        coefficients: a of the mean Σ a_i k(x_i, ·), shape ``(n,)``.
    """

    factor: Tensor
    roots: Tensor
    coefficients: Tensor


def condition(covariance: Tensor, labels: Tensor, precisions: Tensor) -> Conditioned:
    """Condition a process of mean zero.

    Args:
        covariance: K of the designs, shape ``(n, n)``.
        labels: Shape ``(n,)``.
        precisions: R², shape ``(n,)``, not negative.
    """
    factor, roots, solved = _solve(covariance, labels, precisions)
    return Conditioned(factor, roots, roots * solved)


def _solve(covariance: Tensor, labels: Tensor, precisions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B's Cholesky factor, R's diagonal, and B⁻¹ R y, which is R times what the mean misses."""
    roots = precisions.sqrt()
    system = (roots[:, None] * covariance).mul_(roots)
    system.diagonal().add_(1)
    factor = torch.linalg.cholesky(system)
    # Not `cholesky_solve`, which copies the factor.
    half = torch.linalg.solve_triangular(factor, (roots * labels)[:, None], upper=False)
    return factor, roots, torch.linalg.solve_triangular(factor.mT, half, upper=True)[:, 0]


def posterior(given: Conditioned, cross: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance at new designs.

    Args:
        given: The labels.
        cross: Covariances of new designs with those that have labels, shape ``(b, n)``.
        variances: Prior ones of the new designs, shape ``(b,)``.

    Returns:
        Shapes ``(b,)``.
    """
    solved = torch.linalg.solve_triangular(given.factor, (cross * given.roots).T, upper=False)
    return cross @ given.coefficients, (variances - solved.square().sum(0)).clamp(min=0)


class Evidence(NamedTuple):
    """The weighted log marginal likelihood, without 2π, and what it depends on.

    Attributes:
        value: A scalar.
        by_covariance: Its derivatives by K, shape ``(n, n)``.
        by_noise: Its derivatives by the labels' noise variances s, shape ``(n,)``.
    """

    value: Tensor
    by_covariance: Tensor
    by_noise: Tensor


def evidence(
    covariance: Tensor, labels: Tensor, weights: Tensor, noise: Tensor, scatters: Tensor
) -> Evidence:
    """Log of ∫ Π Normal(y_i; f_i, s_i)^w_i p(f) df, without 2π.

    Args:
        covariance: K, shape ``(n, n)``.
        labels: Shape ``(n,)``.
        weights: w, shape ``(n,)``, not negative.
        noise: s, shape ``(n,)``, positive.
        scatters: Standard deviations of the measurements that a label is the mean of, ``(n,)``.
    """
    precisions = weights / noise
    factor, roots, solved = _solve(covariance, labels, precisions)
    value = (
        -(roots * labels * solved).sum() / 2
        - factor.diagonal().log().sum()
        - (weights * (noise.log() + scatters.square() / noise)).sum() / 2
    )
    with torch.no_grad():
        inverse = torch.cholesky_inverse(factor)
        # The posterior's variance at the labels, times R².
        unsure = 1 - inverse.diagonal()
        misfits = solved.square() + precisions * scatters.square()
        by_noise = (misfits + unsure - weights) / (2 * noise)
        # R (B⁻¹R y (B⁻¹R y)ᵀ - B⁻¹) R / 2, in place.
        by_covariance = inverse.addr_(solved, solved, beta=-1)
        by_covariance.mul_(roots[:, None] / 2).mul_(roots)
    return Evidence(value, by_covariance, by_noise)


def left_out(given: Conditioned, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance at each design, of the posterior without its own label.

    Args:
        given: The labels.
        labels: Shape ``(n,)``.

    Returns:
        Shapes ``(n,)``; without meaning where R is zero.
    """
    inverse = torch.cholesky_inverse(given.factor).diagonal()
    means = labels - given.coefficients / (given.roots.square() * inverse)
    return means, ((1 / inverse - 1) / given.roots.square()).clamp(min=0)
