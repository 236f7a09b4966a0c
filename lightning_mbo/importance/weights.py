"""Pure functions from log-density differences to weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEGLIGIBLE = 1e-8
"""Samples with less than this share of the largest weight are dropped from a search model's fit."""

_BISECTIONS = 30


def importance_weights(log_ratios: Tensor, alpha: float, self_normalize: bool = True) -> Tensor:
    """Flattened importance weights w^α of the training designs.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, equation 6 and section S2 (variance control).

    Args:
        log_ratios: log p_θ(x) - log p_0(x), shape ``(n,)``. Entries that are not finite get
            weight zero.
        alpha: α in [0, 1]; 0 makes all weights equal, 1 leaves them as they are.
        self_normalize: Scale the weights to a mean of one; otherwise they are the powers of the
            ratios themselves.

    Returns:
        Shape ``(n,)``, finite and not negative; all zero when no entry is finite.
    """
    usable = log_ratios.isfinite()
    scaled = torch.where(usable, alpha * log_ratios, -torch.inf)
    if not self_normalize:
        limit = torch.finfo(scaled.dtype).max
        return scaled.exp().clamp(max=limit / scaled.numel())
    # Subtracting the largest keeps the most relevant points from overflowing.
    weights = (scaled - scaled.max()).exp()
    weights = weights * (weights.numel() / weights.sum())
    return torch.where(usable.any(), weights, 0.0)


def effective_sample_size(weights: Tensor) -> Tensor:
    """(Σw)² / Σw², a scalar: the number of equally weighted points with the same variance.

    Args:
        weights: Shape ``(n,)``, not negative. All zero gives 0.
    """
    largest = weights.max()
    scaled = weights / largest
    return torch.where(largest <= 0, 0.0, scaled.sum().square() / scaled.square().sum())


def normalized_weights(log_weights: Tensor) -> Tensor:
    """Weights of samples, scaled to a largest of one, the negligible ones and NaN set to zero.

    Args:
        log_weights: Shape ``(m,)``.

    Returns:
        Shape ``(m,)``; all zero when no entry is usable.
    """
    usable = ~(log_weights.isnan() | log_weights.isinf())
    log_weights = torch.where(usable, log_weights, -torch.inf)
    weights = (log_weights - log_weights.max()).exp().nan_to_num(0.0)
    return torch.where(weights >= NEGLIGIBLE, weights, 0.0)


def mixed_with_equal(weights: Tensor, least: float) -> Tensor:
    """Weights with the least share of equal ones that keeps an effective sample size.

    Samples of a search model that weigh all the same stand for the model itself: a fit to the
    mixture is one to the weighted samples and to the model before.

    Args:
        weights: Of samples, shape ``(m,)``, not negative, not all zero.
        least: The effective sample size to keep. Out of reach of m samples or fewer, whose weights
            are left as they are.

    Returns:
        Shape ``(m,)``, on the scale of the given ones.
    """
    m, size = len(weights), effective_sample_size(weights).item()
    if size >= least or m <= least:
        return weights
    # Of the shares w_i / Σw and λ / m, mixed: Σ(...)² = (1 - λ)² (1 / n_e - 1 / m) + 1 / m.
    share = 1 - math.sqrt((1 / least - 1 / m) / (1 / size - 1 / m))
    return (1 - share) * weights + share * weights.mean()


def largest_alpha(
    log_ratios: Tensor, min_effective_sample_size: float, base_weights: Tensor | None = None
) -> float:
    """The largest α in [0, 1] whose weights keep the effective sample size at a given one.

    n_e of equal base weights falls as α rises, so that bisection finds it. That of unequal ones
    may rise again; then it is an α beyond which n_e falls below.

    Args:
        log_ratios: As in `importance_weights`, shape ``(n,)``.
        min_effective_sample_size: The least n_e, a number of points.
        base_weights: What the importance weights multiply, shape ``(n,)``; None: ones.

    Returns:
        α; 0 where even the base weights alone have too small an n_e.
    """
    base = torch.ones_like(log_ratios) if base_weights is None else base_weights

    def enough(alpha: float) -> bool:
        size = effective_sample_size(importance_weights(log_ratios, alpha) * base)
        return size.item() >= min_effective_sample_size

    if enough(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low
