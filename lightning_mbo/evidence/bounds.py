"""One-sided bounds of designs that were chosen for their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from lightning_mbo.samples import Prediction

CONFIDENCE = 0.95
"""How often each bound is to hold."""

_NORMAL_MARGIN = 1.645
"""Within how many standard deviations, to one side, a normal variable lies so often."""

_PROMISING = 0.2
"""Share of unseen rows, those of the greatest means, that margins are learnt from."""


class Seen(NamedTuple):
    """What a fit says of rows that it has not seen, and what was measured."""

    prediction: Prediction
    properties: Tensor


class Bounds(NamedTuple):
    """Below and above which the property of few designs lies: of one in twenty, each.

    The best predictions of many are too good, for being the best. A fit that has had no part in a
    choice does not share its errors; the median over several evens out how the rows were split.
    Half of the rows tell little of what lies beyond them: above, the greatest of several counts,
    and still tables that are nearly free of noise have better designs than that.
    How many of its standard deviations a bound is away is learnt from rows that the fit has not
    seen, of those that it promises most of, as it promises of what was chosen; no fewer than a
    normal distribution asks for.

    Attributes:
        lower: Shape ``(c,)``, in the property's units, finite.
        upper: Likewise.
    """

    lower: Tensor
    upper: Tensor

    @classmethod
    def by(cls, predictions: Sequence[Prediction], seen: Sequence[Seen]) -> Self:
        """The bounds by one or more fits.

        Args:
            predictions: Of the chosen designs by each fit, ``(c,)``.
            seen: Of the rows that each fit has not seen.
        """
        surprises = torch.cat([_surprises(*unseen) for unseen in seen])
        below, above = _margin(-surprises), _margin(surprises)
        lower = torch.stack([p.mean - below * p.std for p in predictions])
        upper = torch.stack([p.mean + above * p.std for p in predictions])
        return cls(lower.quantile(0.5, dim=0), upper.amax(0))


def _surprises(prediction: Prediction, properties: Tensor) -> Tensor:
    """(y - μ) / σ of the rows that most is promised of."""
    promising = prediction.mean >= prediction.mean.quantile(1 - _PROMISING)
    return ((properties - prediction.mean) / prediction.std)[promising]


def _margin(surprises: Tensor) -> float:
    return max(_NORMAL_MARGIN, surprises.quantile(CONFIDENCE).item())
