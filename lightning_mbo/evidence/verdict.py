"""How far to trust a run's candidates, by rules that can be read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self, get_args

import yaml

from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.files import write_text

_SHOWN_WHOLE = 1000

_FILE = "verdict.yaml"

_MOST = 0.5
"""Of a batch."""

Rating = Literal["trust", "caution", "extrapolation", "unknown"]


@dataclass(frozen=True)
class Rule:
    """What one figure says.

    Attributes:
        question: What the figure tells.
        trust: The limit up to which it speaks for the candidates.
        caution: The limit beyond which it speaks of extrapolation.
        is_share: Whether it is shown in per cent.
    """

    question: str
    trust: float
    caution: float
    is_share: bool

    @property
    def more_is_better(self) -> bool:
        """Whether the figure should be great."""
        return self.trust > self.caution

    def rating(self, value: float) -> Rating:
        """What a value says; NaN is not known."""
        if math.isnan(value):
            return "unknown"
        sign = 1 if self.more_is_better else -1
        if sign * value >= sign * self.trust:
            return "trust"
        return "caution" if sign * value >= sign * self.caution else "extrapolation"

    def shown(self, value: float) -> str:
        """A value or a limit as it is to be read."""
        if math.isnan(value):
            return "not known"
        if self.is_share:
            return f"{100 * value:.3g} %"
        return f"{value:.2f}" if abs(value) < _SHOWN_WHOLE else f"{value:.3g}"


RULES = {
    "overlap": Rule(
        "Share of the training designs that still count where the search is (n_e / n)",
        trust=0.1,
        caution=0.01,
        is_share=True,
    ),
    "outside": Rule(
        "Candidates farther from the data than 95 % of the training designs are from each other",
        trust=0.1,
        caution=0.5,
        is_share=True,
    ),
    "promise": Rule(
        "How far the best prediction lies beyond the best measurement, in ranges of the measured",
        trust=0.5,
        caution=2.0,
        is_share=False,
    ),
    "rank_correlation": Rule(
        "Rank correlation of prediction and measurement on designs that the oracle has not seen",
        trust=0.8,
        caution=0.5,
        is_share=False,
    ),
    "coverage": Rule(
        "Designs that it has not seen within the oracle's own 90 % interval",
        trust=0.85,
        caution=0.75,
        is_share=True,
    ),
    "disagreement": Rule(
        "Disagreement of the ensemble on the candidates, relative to that on other designs",
        trust=1.5,
        caution=3.0,
        is_share=False,
    ),
}


@dataclass(frozen=True)
class Judgement:
    """A rule, the run's value and what follows."""

    rule: Rule
    value: float

    @property
    def rating(self) -> Rating:
        """What the value says."""
        return self.rule.rating(self.value)


def judge(values: Mapping[str, float]) -> list[Judgement]:
    """Apply the rules.

    Args:
        values: By the names in `RULES`. One that is absent does not apply to the run; NaN could
            be known and is not.
    """
    return [Judgement(rule, values[name]) for name, rule in RULES.items() if name in values]


def rating_of(outlook: Outlook) -> Rating:
    """What the share of a batch that should beat the best row says.

    Trust, where half of the batch or more should beat it even were all predictions too good;
    extrapolation, where less than half of it should even were all too modest. On 42 tables of
    known truth (`trust.yaml`, but for those with a cliff) .93 of the first did so, .52 of what lies
    between, and .04 of the last.
    """
    if outlook.least_share >= _MOST:
        return "trust"
    return "caution" if outlook.greatest_share >= _MOST else "extrapolation"


def verdict(judgements: Sequence[Judgement], outlook: Outlook | None = None) -> Rating:
    """By what is expected of the batch, where that is known; else by the rules.

    By the rules: all for trust, two or more for extrapolation, or caution. One figure alone does
    not make an extrapolation: a search that has become narrow amid the data has a small n_e too.
    What is not known rules out trust.
    """
    if outlook is not None:
        return rating_of(outlook)
    ratings = [judgement.rating for judgement in judgements]
    if ratings.count("extrapolation") >= 2:
        return "extrapolation"
    return "trust" if all(rating == "trust" for rating in ratings) else "caution"


class Verdict(NamedTuple):
    """What a run said of its batch, for whoever compares it with measurements.

    Attributes:
        rating: The verdict.
        least_share: Of the batch that should beat the best row, were all predictions too good; None
            where nothing was said of it.
        greatest_share: Likewise, were all too modest.
    """

    rating: Rating
    least_share: float | None = None
    greatest_share: float | None = None

    def write(self, folder: Path) -> None:
        """Leave it in the run's folder.

        Raises:
            FileError: If it cannot be written.
        """
        said = {"verdict": self.rating} | {
            name: share for name, share in self._asdict().items() if isinstance(share, float)
        }
        write_text(folder / _FILE, yaml.safe_dump(said, sort_keys=False))

    @classmethod
    def of_run(cls, folder: Path) -> Self | None:
        """What a run has left in its folder; None where it has left nothing of the kind."""
        try:
            said = yaml.safe_load((folder / _FILE).read_text())
            rating = next(known for known in get_args(Rating) if known == said["verdict"])
            shares = [said.get(name) for name in cls._fields[1:]]
            return cls(rating, *(None if share is None else float(share) for share in shares))
        except (OSError, yaml.YAMLError, TypeError, ValueError, KeyError, StopIteration):
            return None
