"""A Gaussian process that many weighted labels speak to through a few inducing designs.

It is that of `gaussian_posterior`, but for what the labels are taken to measure: at x they measure
the part of f that the process at the inducing designs tells, φ(x)·z, where z is standard normal
before there are labels. The features are φ(x) = L⁻¹ k_u(x), with L the Cholesky factor of the
inducing designs' covariance. What a prediction asks of f beside φ·z has its prior variance
k - φ·φ. A label of weight w and noise variance s has the precision w / s. Where all designs are
inducing ones, nothing is approximated.

Of the approximations at this price it is the nearest to the exact process in the sense of Titsias.
That in which each label's noise has k - φ·φ added (FITC) errs more, where labels have little noise:
on some tables of tests/performance/problems.py by 5 %.

Reference: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 8.3.4;
Titsias, "Variational learning of inducing variables in sparse Gaussian processes", AISTATS 2009.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.memory import in_chunks

_DRAWN_AT_ONCE = 100
_ROWS_AT_ONCE = 1000
_ROUNDED = 1e-10
"""Of a variance: when no more than this share is left to explain, it is rounding."""
_NEGLIGIBLE = 1e-6
"""Sum over labels of their precisions times what is left of the variances."""
_SMALLEST_REST = 1e-12


class Inducing(NamedTuple):
    """Designs that others are judged through.

    Attributes:
        rows: Their numbers, shape ``(r,)``.
        features: φ of all designs, shape ``(n, r)``; at `rows` it is L.
        left: k - φ·φ of all designs, shape ``(n,)``.
    """

    rows: Tensor
    features: Tensor
    left: Tensor


class Projected(NamedTuple):
    """What the labels have made of z.

    Attributes:
        basis: L, shape ``(r, r)``.
        factor: The lower Cholesky factor of z's precision A = 1 + Φᵀ diag(w / s) Φ, ``(r, r)``.
        coefficients: z's mean, shape ``(r,)``.
    """

    basis: Tensor
    factor: Tensor
    coefficients: Tensor


def inducing_designs(
    covariances: Callable[[Tensor, Tensor], Tensor],
    variances: Tensor,
    precisions: Tensor,
    number: int,
    generator: torch.Generator,
) -> Inducing:
    """Draw designs one by one in proportion to w / s times what the others leave of their variance.

    There is at least one, and there are no more where hardly anything is left.

    Reference: Chen, Epperly, Tropp and Webber, "Randomly pivoted Cholesky", Communications on Pure
    and Applied Mathematics, 2025; of blocks of draws, Epperly, Tropp and Webber, "Embrace
    rejection: kernel matrix approximation by accelerated randomly pivoted Cholesky", 2024.

    Args:
        covariances: Of some designs with others, by their numbers.
        variances: Prior ones, shape ``(n,)``.
        precisions: w / s, shape ``(n,)``, not negative, not all zero.
        number: At most so many.
        generator: Of the CPU.
    """
    features = variances.new_zeros(len(variances), number)
    everyone = torch.arange(len(variances), device=variances.device)
    left, rows = variances.clone(), everyone[:0]
    while (count := len(rows)) < number:
        shares = precisions * left
        if count and shares.sum() <= _NEGLIGIBLE:
            break
        drawn = torch.multinomial(
            shares.cpu(), _DRAWN_AT_ONCE, replacement=True, generator=generator
        ).to(everyone)
        chances = torch.rand(len(drawn), dtype=torch.float64, device="cpu", generator=generator)
        known = features[:, :count]
        unknown = covariances(drawn, drawn) - known[drawn] @ known[drawn].T
        kept, basis = _one_by_one(unknown.cpu(), chances, number - count)
        if len(kept) == 0:  # what seemed to be left was rounding
            break
        found = drawn[kept.to(drawn.device)]
        unknown = covariances(found, everyone) - known[found] @ known.T
        new = torch.linalg.solve_triangular(basis.to(unknown), unknown, upper=False)
        features[:, count : count + len(found)] = new.T
        rows = torch.cat([rows, found])
        left = left - new.square().sum(0)
        left[rows] = 0.0
        left = torch.where(left > _ROUNDED * variances, left, 0.0)
    return Inducing(rows, features[:, : len(rows)], left)


def _one_by_one(unknown: Tensor, chances: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Of designs drawn together those that would be drawn one after the other, with their L.

    Args:
        unknown: Covariance of what is left of them, shape ``(c, c)``.
        chances: Uniform draws, shape ``(c,)``.
        number: At most so many.
    """
    columns, kept = torch.zeros_like(unknown), list[int]()
    before = left = unknown.diagonal()
    for i in range(len(unknown)):
        if len(kept) < number and chances[i] * before[i] < left[i]:
            explained = columns[:, : len(kept)] @ columns[i, : len(kept)]
            column = (unknown[:, i] - explained) / left[i].sqrt()
            left = left - column.square()
            columns[:, len(kept)] = column
            kept.append(i)
    return torch.tensor(kept, device=unknown.device), columns[kept, : len(kept)].tril()


def project(inducing: Inducing, labels: Tensor, precisions: Tensor) -> Projected:
    """Condition a process of mean zero.

    Args:
        inducing: Of the designs with labels.
        labels: Shape ``(n,)``.
        precisions: w / s, shape ``(n,)``, not negative.
    """
    features = inducing.features
    system = torch.eye(features.shape[1], dtype=features.dtype, device=features.device)
    for part, some in zip(
        features.split(_ROWS_AT_ONCE), precisions.split(_ROWS_AT_ONCE), strict=True
    ):
        system += part.mT @ (some[:, None] * part)
    factor = torch.linalg.cholesky(system)
    moments = (precisions * labels) @ features
    coefficients = torch.cholesky_solve(moments[:, None], factor)[:, 0]
    return Projected(features[inducing.rows].tril(), factor, coefficients)


def projected_posterior(
    given: Projected, cross: Tensor, variances: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and variance at new designs.

    Args:
        given: The labels.
        cross: Covariances of new designs with the inducing ones, shape ``(b, r)``.
        variances: Prior ones of the new designs, shape ``(b,)``.

    Returns:
        Shapes ``(b,)``.
    """
    features = torch.linalg.solve_triangular(given.basis, cross.T, upper=False)
    unsure = torch.linalg.solve_triangular(given.factor, features, upper=False)
    left = (variances - features.square().sum(0)).clamp(min=0)
    return given.coefficients @ features, left + unsure.square().sum(0)


def projected_left_out(
    given: Projected, inducing: Inducing, labels: Tensor, precisions: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and variance at each design with a label, of the posterior without that label.

    Args:
        given: The labels.
        inducing: Of the designs with labels; the same with one label less.
        labels: Shape ``(n,)``.
        precisions: w / s, shape ``(n,)``, not negative.

    Returns:
        Shapes ``(n,)``.
    """
    spreads = in_chunks(
        lambda part: (
            torch.linalg.solve_triangular(given.factor, part.mT, upper=False).square().sum(0)
        ),
        inducing.features,
        _ROWS_AT_ONCE,
    )
    rest = (1 - precisions * spreads).clamp(min=_SMALLEST_REST)
    means = labels - (labels - inducing.features @ given.coefficients) / rest
    return means, inducing.left + spreads / rest
