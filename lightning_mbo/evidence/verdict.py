"""How far to trust a run's candidates, by rules that can be read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import yaml

from lightning_mbo.files import write_text

_SHOWN_WHOLE = 1000

_FILE = "verdict.yaml"

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


def verdict(judgements: Sequence[Judgement]) -> Rating:
    """All for trust, two or more for extrapolation, or caution.

    One figure alone does not make an extrapolation: a search that has become narrow amid the data
    has a small n_e too. What is not known rules out trust.
    """
    ratings = [judgement.rating for judgement in judgements]
    if ratings.count("extrapolation") >= 2:
        return "extrapolation"
    return "trust" if all(rating == "trust" for rating in ratings) else "caution"


def write_verdict(folder: Path, rating: Rating) -> None:
    """Leave a run's verdict in its folder, for whoever compares it with measurements.

    Raises:
        FileError: If it cannot be written.
    """
    write_text(folder / _FILE, f"verdict: {rating}\n")


def read_verdict(folder: Path) -> Rating | None:
    """The verdict that a run has left in its folder; None where it has left none."""
    path = folder / _FILE
    try:
        rating = yaml.safe_load(path.read_text())["verdict"]
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        return None
    return next((known for known in get_args(Rating) if known == rating), None)
