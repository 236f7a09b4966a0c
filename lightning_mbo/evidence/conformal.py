"""Intervals that hold as often as they promise: conformal prediction on held-out designs."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

CONFIDENCE = 0.9
"""How often an interval is to hold."""


def normalized_residuals(prediction: Normal, properties: Tensor) -> Tensor:
    """|y - μ| / σ of held-out designs ``(h,)``: how many of the oracle's standard deviations."""
    return (properties - prediction.loc).abs() / prediction.scale


def as_promising(means: Tensor, chosen: Tensor) -> Tensor:
    """Which designs pass the choice that others have passed: their mean is as good as the worst's.

    The best predictions of many are too good, for being the best. An interval of designs that were
    chosen by their predictions is therefore calibrated on designs that are chosen likewise.

    Args:
        means: The oracle's of held-out designs, shape ``(h,)``.
        chosen: Those of the designs that were chosen, shape ``(c,)``.

    Returns:
        Bool, shape ``(h,)``; none where nothing was chosen.
    """
    return means >= min(chosen.tolist(), default=math.inf)


def conformal_quantile(residuals: Tensor, confidence: float = CONFIDENCE) -> Tensor:
    """Within how many standard deviations the property of one more such design lies.

    Reference: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; Lei et
    al., "Distribution-free predictive inference for regression", JASA 2018, algorithm 2.

    Args:
        residuals: Of held-out designs, shape ``(h,)``.
        confidence: How often, in (0, 1).

    Returns:
        The ⌈confidence (h + 1)⌉-th smallest residual, a scalar; infinite where there are fewer.
    """
    # Rounded: 0.9 · 10 must not come out above 9.
    place = math.ceil(round(confidence * (len(residuals) + 1), 9))
    if place > len(residuals):
        return residuals.new_tensor(torch.inf)
    return residuals.sort().values[place - 1]


def shifted_quantiles(
    residuals: Tensor, log_ratios: Tensor, new_log_ratios: Tensor, confidence: float = CONFIDENCE
) -> Tensor:
    """The same for designs that come from another distribution than the held-out ones.

    A design that the search finds much more often than the held-out ones are found has no finite
    quantile: too few of them, by their weight, are like it.

    Reference: Tibshirani, Foygel Barber, Candès and Ramdas, "Conformal prediction under covariate
    shift", NeurIPS 2019, equations 7 and 8.

    Args:
        residuals: Of held-out designs, shape ``(h,)``.
        log_ratios: Their log p_θ(x) - log p_0(x), shape ``(h,)``; -inf is a weight of zero.
        new_log_ratios: Those of the new designs, shape ``(m,)``.
        confidence: How often, in (0, 1).

    Returns:
        Shape ``(m,)``; infinite where nothing can be promised.
    """
    order = residuals.argsort()
    # Relative to the heaviest held-out design: a new one may weigh infinitely more.
    largest = log_ratios.nan_to_num(nan=-torch.inf).max()
    weights = (log_ratios[order] - largest).exp().nan_to_num(nan=0.0)
    new_weights = (new_log_ratios - largest).exp().nan_to_num(nan=torch.inf)
    reached = weights.cumsum(0)
    places = torch.searchsorted(reached, confidence * (reached[-1] + new_weights))
    endless = torch.cat([residuals[order], residuals.new_tensor([torch.inf])])
    return endless[places]


def normal_coverage(residuals: Tensor, confidence: float = CONFIDENCE) -> float:
    """How many held-out designs lie within the oracle's own interval, a share.

    Args:
        residuals: Shape ``(h,)``.
        confidence: How often a normal distribution would: 0.9 is μ ± 1.645 σ.
    """
    return float((residuals <= normal_quantile(confidence)).double().mean())


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """Within how many standard deviations a normal variable lies: 1.645 for 0.9."""
    one_sided = torch.tensor((1 + confidence) / 2, dtype=torch.float64)
    return float(torch.special.ndtri(one_sided))
