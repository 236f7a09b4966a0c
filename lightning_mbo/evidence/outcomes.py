"""What became of candidates: predicted against measured."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

_BOUND = re.compile(r"(lower|upper)_(\d+)(_[a-z]+)?")
_RARE = 0.05
"""What happens less often is not put down to chance."""


class Kept(NamedTuple):
    """How often a bound held.

    Attributes:
        held: Of how many measured candidates.
        total: Of how many it was finite.
        promised: Of which share at least it was to hold.
    """

    held: int
    total: int
    promised: float

    @property
    def as_promised(self) -> bool:
        """Whether chance alone explains what it failed for, if each fails by itself."""
        return bool(stats.binom.cdf(self.held, self.total, self.promised) >= _RARE)


@dataclass(frozen=True)
class Outcomes:
    """Candidates that were measured, in the user's units, shapes ``(c,)``.

    Attributes:
        mean: What was predicted of each.
        std: The standard deviation that the oracle gave.
        measured: What was measured, of several measurements the mean.
        bounds: By the name of their column, such as `lower_95`; infinite where nothing is promised.
        best: What was measured of the best row of the table that the run had.
        sign: 1 where great values are sought, -1 where small ones are.
    """

    mean: Array
    std: Array
    measured: Array
    bounds: Mapping[str, Array]
    best: float
    sign: int = 1

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of prediction and measurement; NaN where either does not vary."""
        if min(np.ptp(self.mean), np.ptp(self.measured)) == 0:
            return math.nan
        return float(stats.spearmanr(self.mean, self.measured).statistic)

    @property
    def rmse(self) -> float:
        """The root of the mean squared error."""
        return float(np.sqrt(np.mean((self.measured - self.mean) ** 2)))

    @property
    def mean_error(self) -> float:
        """By how much the measured are greater than predicted, in the mean."""
        return float(np.mean(self.measured - self.mean))

    @property
    def num_better(self) -> int:
        """How many are better than the best row."""
        return int((self.sign * self.measured > self.sign * self.best).sum())

    @property
    def promised_better(self) -> float:
        """How many are by the predictions' means and standard deviations, in expectation."""
        margins = self.sign * (self.mean - self.best) / self.std
        return float(stats.norm.cdf(margins).sum())

    @property
    def best_measured(self) -> float:
        """The best of them."""
        return self.sign * float((self.sign * self.measured).max())

    @property
    def shortfall(self) -> float:
        """By how much they are worse than predicted, in the mean; negative where better."""
        return -self.sign * self.mean_error

    @property
    def allowed_shortfall(self) -> float:
        """What no more than one batch in twenty would fall short by, were the oracle right.

        However its errors go together: the mean of normal errors has no greater standard deviation
        than their standard deviations have in the mean.
        """
        return float(stats.norm.ppf(1 - _RARE) * self.std.mean())

    @property
    def as_predicted(self) -> bool:
        """Whether they are as good as predicted, within the oracle's own error."""
        return self.shortfall <= self.allowed_shortfall

    def ends(self) -> tuple[Array, Array, str]:
        """What a figure shows of the bounds: from where to where, and what it is called.

        The first bound of each side that is finite somewhere; where it is infinite nothing is shown
        of it. Without such bounds the standard deviation of either side.
        """
        finite = [name for name, bound in self.bounds.items() if np.isfinite(bound).any()]
        first = {promise_of(name)[0]: name for name in reversed(finite)}
        if not first:
            return self.mean - self.std, self.mean + self.std, "± standard deviation"
        lower, upper = (
            np.where(np.isfinite(bound), bound, self.mean)
            for bound in (
                self.bounds[first[side]] if side in first else self.mean
                for side in ("lower", "upper")
            )
        )
        return lower, upper, " to ".join(first[side] for side in sorted(first))

    def kept(self, name: str) -> Kept:
        """How often the bound of this name held, where it is finite."""
        side, promised = promise_of(name)
        bound = self.bounds[name]
        held = self.measured >= bound if side == "lower" else self.measured <= bound
        finite = np.isfinite(bound)
        return Kept(int((held & finite).sum()), int(finite.sum()), promised)


def bound_names(columns: Sequence[str]) -> list[str]:
    """Those of some columns' names that are names of bounds: `lower_95`, `upper_90_shifted`."""
    return [name for name in columns if _BOUND.fullmatch(name)]


def promise_of(name: str) -> tuple[str, float]:
    """Which side a bound is of, `lower` or `upper`, and of which share at least it is to hold.

    Each end of an interval that is to hold for nine in ten holds for as many at least.

    Args:
        name: One of `bound_names`.
    """
    found = _BOUND.fullmatch(name)
    assert found is not None
    return found[1], int(found[2]) / 100
