"""What a batch is expected to come to, before it is measured."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import Prediction

_DEVIATIONS = 1.2816
"""On each side of which a normal variable lies one time in ten."""

_LEAST = 1e-300
"""Of what more data would tell, where an oracle says that it would tell nothing."""


class Outlook(NamedTuple):
    """What is expected of a batch, all values being those of the property.

    Predictions of designs that lie together err together: the least and the greatest share are
    those were all of them too good, or too modest, by the same number of standard deviations, as
    happens one time in ten each.

    Attributes:
        beaten: The best label of all rows.
        share: Of designs whose expected property is greater, in the mean.
        least_share: Likewise, were all predictions too good.
        greatest_share: Likewise, were all too modest.
        least_best: Above which the property of the best design of the batch is to come out; NaN
            without bounds.
    """

    beaten: float
    share: float
    least_share: float
    greatest_share: float
    least_best: float

    @classmethod
    def of(cls, problem: DesignProblem, prediction: Prediction, bounds: Tensor | None) -> Self:
        """Of designs that were predicted.

        Args:
            problem: Of the rows.
            prediction: Of the batch, shape ``(c,)``, with at least one design.
            bounds: Of its properties, from below, ``(c,)``; None where there are none.
        """
        beaten = problem.properties.max().item()
        means, spread = prediction.mean, _DEVIATIONS * prediction.epistemic_std
        believed = Normal(means, prediction.epistemic_std.clamp(min=_LEAST), validate_args=False)
        share = 1 - believed.cdf(torch.full_like(means, beaten)).mean().item()
        least, greatest = (
            (means + shift > beaten).double().mean().item() for shift in (-spread, spread)
        )
        least_best = torch.nan if bounds is None else bounds.max().item()
        return cls(beaten, share, least, greatest, least_best)

    def sentence(self, problem: DesignProblem, number: int) -> str:
        """In words, in the user's units.

        Args:
            problem: Which says what is measured.
            number: Of designs in the batch.
        """
        measured = problem.property.measured
        share, least, greatest = (f"{100 * share:.0f}" for share in self[1:4])
        said = (
            f"{share} % of {'the' if number > 1 else 'this'} {number:,} candidate"
            f"{'s' if number > 1 else ''} should beat the best row, measured at "
            f"{measured(self.beaten):.4g} ({least} to {greatest} %, as predictions that lie "
            "together err together)"
        )
        if self.least_best == self.least_best:
            more = "more" if problem.property.sign > 0 else "less"
            said += f"; the best should come out at {measured(self.least_best):.4g} or {more}"
        return f"{said}."
