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
