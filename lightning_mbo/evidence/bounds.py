"""Bounds of designs that were chosen for their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.samples import Prediction

CONFIDENCE = 0.95
"""How often a bound is to hold."""

_NORMAL_MARGIN = 1.645
"""Within how many standard deviations, to one side, a normal variable lies so often."""

_PROMISING = 0.2
"""Share of unseen rows, those of the greatest means, that the margin is learnt from."""


class Seen(NamedTuple):
    """What a fit says of rows that it has not seen, and what was measured."""

    prediction: Prediction
    properties: Tensor


def lower_bounds(predictions: Sequence[Prediction], seen: Sequence[Seen]) -> Tensor:
    """What one in twenty of the chosen designs should come out below.

    The best predictions of many are too good, for being the best. A fit that has had no part in a
    choice does not share its errors; the median over several evens out how the rows were split.
    How many of its standard deviations the bound is away is learnt from rows that the fit has not
    seen, of those that it promises most of, as it promises of what was chosen; no fewer than a
    normal distribution asks for.

    There is no such bound from above: fits to part of the rows think too little of what lies
    beyond the table. Where labels have little noise, half of the designs may be better than theirs.

    Args:
        predictions: Of the chosen designs by each fit, ``(c,)``.
        seen: Of the rows that each fit has not seen.

    Returns:
        Shape ``(c,)``, in the property's units, finite.
    """
    shortfalls = torch.cat([_shortfalls(*unseen) for unseen in seen])
    margin = max(_NORMAL_MARGIN, shortfalls.quantile(CONFIDENCE).item())
    bounds = torch.stack([p.mean - margin * p.std for p in predictions])
    return bounds.quantile(0.5, dim=0)


def _shortfalls(prediction: Prediction, properties: Tensor) -> Tensor:
    """(μ - y) / σ of the rows that most is promised of."""
    promising = prediction.mean >= prediction.mean.quantile(1 - _PROMISING)
    return ((prediction.mean - properties) / prediction.std)[promising]
