"""Bounds of designs that were chosen for their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

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
    """What a fit says of rows that it has not seen, and what was measured.

    Attributes:
        prediction: Of u rows, shape ``(u,)``, or of q results of each, ``(u, q)``.
        properties: What was measured, of the same shape.
        promise: How much the fit promises of each row, ``(u,)``; None: the prediction's mean.
    """

    prediction: Prediction
    properties: Tensor
    promise: Tensor | None = None


def lower_bounds(
    predictions: Sequence[Prediction], seen: Sequence[Seen], sign: Literal[1, -1] = 1
) -> Tensor:
    """What one in twenty of the chosen designs should come out below.

    The best predictions of many are too good, for being the best. A fit that has had no part in a
    choice does not share its errors; the median over several evens out how the rows were split.
    How many of its standard deviations the bound is away is learnt from rows that the fit has not
    seen, of those that it promises most of, as it promises of what was chosen; no fewer than a
    normal distribution asks for.

    There is no such bound of how good the designs may be: fits to part of the rows think too little
    of what lies beyond the table. Where labels have little noise, half of the designs may be better
    than theirs.

    Args:
        predictions: Of the chosen designs by each fit, ``(c,)`` or ``(c, q)``.
        seen: Of the rows that each fit has not seen.
        sign: -1 for bounds from above, of what was chosen for being small or within limits.

    Returns:
        Of the predictions' shape, in the property's units, finite.
    """
    shortfalls = sign * torch.cat([_shortfalls(*unseen) for unseen in seen])
    margin = sign * shortfalls.quantile(CONFIDENCE, dim=0).clamp(min=_NORMAL_MARGIN)
    bounds = torch.stack([p.mean - margin * p.std for p in predictions])
    return bounds.quantile(0.5, dim=0)


def _shortfalls(prediction: Prediction, properties: Tensor, promise: Tensor | None) -> Tensor:
    """(μ - y) / σ of the rows that most is promised of."""
    promise = prediction.mean if promise is None else promise
    promising = promise >= promise.quantile(1 - _PROMISING)
    return ((prediction.mean - properties) / prediction.std)[promising]
