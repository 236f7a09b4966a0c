"""Which of several oracles has how much of the say, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_mbo.goals import Goal

_SHARE, _SCORE = "share_", "score_"

_KINDS = {
    "GaussianProcess": "smooth curves, all columns together",
    "AdditiveRegression": "each column adds its part",
    "TreeEnsemble": "boosted trees",
}


@dataclass(frozen=True)
class Share:
    """One of several oracles that speak as one.

    Attributes:
        name: Its class, numbered where there are several of one.
        share: Of the prediction, from 0 to 1.
        score: Mean log-likelihood of left-out rows, nats; -inf of one that cannot be fitted.
    """

    name: str
    share: float
    score: float

    @property
    def is_possible(self) -> bool:
        """Whether it could be fitted."""
        return math.isfinite(self.score)

    @property
    def kind(self) -> str:
        """What it is, in a few words; nothing of one that is not known."""
        return _KINDS.get(self.name.partition("_")[0], "")


def shares_in(figures: Mapping[str, float], result: str = "") -> list[Share]:
    """Of an iteration's figures those of several oracles, the greatest share first; or none.

    Args:
        figures: Of the iteration.
        result: Of several, the one that the oracles are of.
    """
    share, score = (f"{result}_{kind}" if result else kind for kind in (_SHARE, _SCORE))
    found = [
        Share(name.removeprefix(share), value, figures[score + name.removeprefix(share)])
        for name, value in figures.items()
        if name.startswith(share) and score + name.removeprefix(share) in figures
    ]
    return sorted(found, key=lambda one: (-one.share, -one.score))


def shares_of_results(
    figures: Mapping[str, float], goals: Sequence[Goal]
) -> dict[str, list[Share]]:
    """The same by the result that the oracles are of, without those that have one oracle.

    Args:
        figures: Of the iteration.
        goals: Of several results; none of one property, which has no name here.
    """
    names = [goal.name for goal in goals] or [""]
    shares = {name: shares_in(figures, name) for name in names}
    return {name: of_result for name, of_result in shares.items() if of_result}


def in_one_line(shares: list[Share]) -> str:
    """Who speaks, and why the others do not."""
    speak = ", ".join(f"{one.name} {100 * one.share:.0f} %" for one in shares if one.share > 0)
    silent = [one for one in shares if one.share == 0]
    worse = [one.name for one in silent if one.is_possible]
    unable = [one.name for one in silent if not one.is_possible]
    reasons = [
        f"{' and '.join(worse)} predict{'s' * (len(worse) == 1)} left-out rows worse"
    ] * bool(worse)
    reasons += [f"{' and '.join(unable)} cannot learn from this table"] * bool(unable)
    return speak + f" ({'; '.join(reasons)})" * bool(reasons)
