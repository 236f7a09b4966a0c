"""Cross-validation of oracles, and what it says of several."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NUM_STEPS = 1000
_LEAST_GAIN = 1e-6
"""Nats a label that another mixture might gain: shares that leave less are the best ones."""

_SMALLEST_SHARE = 0.01
"""An oracle with less is not worth fitting."""


def balanced_folds(weights: Tensor, num_folds: int, generator: torch.Generator) -> Tensor:
    """Random folds that share the heavy designs evenly.

    Of the designs in the order of their weights, each `num_folds` neighbours fall into different
    folds. Were the few heavy ones to meet in one fold, it would be predicted by a fit that has
    seen nothing of where the weight lies, and its error would be that of another oracle.

    Args:
        weights: Shape ``(n,)``.
        num_folds: k.
        generator: Draws which design falls into which fold, and the order of equal weights; of
            the CPU, so that the folds of one seed are the same on every device.

    Returns:
        Each design's fold, 0 to k - 1, shape ``(n,)``.
    """
    n = len(weights)
    shuffled = torch.randperm(n, generator=generator, device="cpu")
    order = shuffled[weights.cpu()[shuffled].argsort(descending=True, stable=True)]
    draws = torch.rand(
        -(-n // num_folds), num_folds, generator=generator, dtype=torch.float32, device="cpu"
    )
    folds = torch.empty_like(order)
    folds[order] = draws.argsort(1).flatten()[:n]
    return folds.to(weights.device)


def grouped_folds(things: Tensor, num_folds: int, generator: torch.Generator) -> Tensor:
    """Random folds of designs, with what is the same thing in the same fold, none of them empty.

    Of fewer things than folds there are as many folds; where all designs are one thing, no fit
    could do without it, and each design is by itself.

    Args:
        things: Of each design, from 0 without gaps, shape ``(n,)``.
        num_folds: k.
        generator: Of the CPU.

    Returns:
        Each design's fold, 0 to k - 1, shape ``(n,)``.
    """
    things = things.cpu() if things.any() else torch.arange(len(things), device="cpu")
    num_things = int(things.max()) + 1
    number = min(num_folds, num_things)
    return balanced_folds(torch.ones(num_things, device="cpu"), number, generator)[things]


def clearly_worse(log_likelihoods: Tensor, num_errors: float) -> Tensor:
    """Which oracles predict worse than the best one by more than chance explains.

    Args:
        log_likelihoods: Of left-out labels by each oracle, shape ``(k, n)``, nats; -inf of an
            oracle that is out of the question.
        num_errors: By so many standard errors of the mean difference.

    Returns:
        Bool, shape ``(k,)``.
    """
    best = log_likelihoods.mean(1).argmax()
    behind = log_likelihoods[best] - log_likelihoods
    error = behind.std(1) / math.sqrt(behind.shape[1])
    return ~(behind.mean(1) <= num_errors * error)


def shares_of(log_likelihoods: Tensor, weights: Tensor) -> Tensor:
    """The mixture of oracles that makes weighted left-out labels most likely.

    By expectation maximisation, which cannot miss: the likelihood is concave in the shares.

    Args:
        log_likelihoods: Of left-out labels by each oracle, shape ``(k, n)``, nats; -inf of an
            oracle that is out of the question.
        weights: Of these labels, shape ``(n,)``, not negative, not all zero.

    Returns:
        Shape ``(k,)``, summing to one; small ones are zero.
    """
    possible = log_likelihoods.isfinite().all(1)
    found, weights = torch.zeros_like(possible, dtype=weights.dtype), weights / weights.sum()
    log_likelihoods = log_likelihoods[possible]
    likelihoods = (log_likelihoods - log_likelihoods.amax(0)).exp().to(weights)
    shares = weights.new_ones(len(likelihoods)) / len(likelihoods)
    for _ in range(_NUM_STEPS):
        growth = likelihoods @ (weights / (shares @ likelihoods))
        shares = shares * growth
        # These are the derivatives by the shares, along which no other mixture gains more.
        if growth.max() <= 1 + _LEAST_GAIN:
            break
    found[possible] = torch.where(shares < _SMALLEST_SHARE, 0.0, shares)
    return found / found.sum()
