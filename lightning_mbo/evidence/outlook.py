"""What a batch is expected to come to, before it is measured."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from lightning_mbo.problem import DesignProblem
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction

_RARE = 0.1
"""How often all predictions of a batch are off by so much on one side."""

_APART = 0.1
"""Shares that differ by less are not both told."""


class Outlook(NamedTuple):
    """What is expected of a batch, all values being those of the property.

    Predictions of designs that lie together err together: the least and the greatest share are
    those were all of them too good, or too modest, by the same number of standard deviations, as
    happens one time in ten each.

    Attributes:
        beaten: The best label of all rows; see `DesignProblem.beaten`.
        share: Of designs whose expected property is greater, in the mean.
        least_share: Likewise, were all predictions too good.
        greatest_share: Likewise, were all too modest.
        least_best: Above which the property of the best design of the batch is to come out; NaN
            without bounds.
        expected: The best of what the oracle says of the rows: the best of noisy labels owes much
            to luck.
        share_of_expected: Of designs whose expected property is greater than that, in the mean.
        share_of_limits: Of designs whose expected results meet all limits, in the mean; NaN where
            there are none.
    """

    beaten: float
    share: float
    least_share: float
    greatest_share: float
    least_best: float
    expected: float
    share_of_expected: float
    share_of_limits: float = math.nan

    @classmethod
    def of(
        cls,
        problem: DesignProblem,
        prediction: Prediction,
        expected: float,
        bounds: Tensor | None,
    ) -> Self:
        """Of designs that were predicted.

        Args:
            problem: Of the rows.
            prediction: Of the batch, shape ``(c,)``, with at least one design.
            expected: The best of what the oracle says of the rows.
            bounds: Of the batch's properties, from below, ``(c,)``; None where there are none.
        """
        beaten = problem.beaten
        likely = prediction.better_than(beaten)
        return cls(
            beaten=beaten,
            share=likely.mean().item(),
            # Were all designs off by what happens one time in ten, those that are as likely as that
            # to be better would be, or only those that are nine times as likely.
            least_share=(likely > 1 - _RARE).double().mean().item(),
            greatest_share=(likely > _RARE).double().mean().item(),
            least_best=torch.nan if bounds is None else bounds.max().item(),
            expected=expected,
            share_of_expected=prediction.better_than(expected).mean().item(),
            share_of_limits=prediction.limits_met().mean().item()
            if isinstance(prediction, PredictionOfResults)
            else math.nan,
        )

    def sentence(self, problem: DesignProblem, number: int) -> str:
        """In words, in the user's units.

        Args:
            problem: Which says what is measured.
            number: Of designs in the batch.
        """
        share, least, greatest = (f"{100 * share:.0f}" for share in self[1:4])
        said = (
            f"{share} % of {'the' if number > 1 else 'this'} {number:,} candidate"
            f"{'s' if number > 1 else ''} should {self._feat(problem)} ({least} to {greatest} %, "
            "as predictions that lie together err together)"
        )
        if problem.results is not None:
            if problem.results.advance.has_objectives and self.share_of_limits < 1 - _APART:
                said += f"; {100 * self.share_of_limits:.0f} % should meet all limits"
            return f"{said}."
        measured = problem.property.measured
        if abs(self.share_of_expected - self.share) >= _APART:
            said += (
                f"; {100 * self.share_of_expected:.0f} % should beat what the oracle makes of the "
                f"best row without its luck, {measured(self.expected):.4g}"
            )
        if self.least_best == self.least_best:
            more = "more" if problem.property.sign > 0 else "less"
            said += f"; the best should come out at {measured(self.least_best):.4g} or {more}"
        return f"{said}."

    def _feat(self, problem: DesignProblem) -> str:
        """What makes a design better than all rows, in words."""
        if problem.results is None:
            beaten = problem.property.measured(self.beaten)
            return f"beat the best row, measured at {beaten:.4g}"
        advance = problem.results.advance
        limits = ["meet all limits"] * advance.has_limits
        better = ["lie beyond the front of the rows" if advance.has_front else "beat the best row"]
        if not (problem.properties >= 0).any():
            limits, better = ["meet all limits, which no row does"], []
        elif limits and not advance.has_front:
            better = ["beat the best row that does"]
        return " and ".join([*limits, *better * advance.has_objectives])
