"""The rules of the verdict, by table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest

from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.evidence.verdict import (
    RULES,
    Rating,
    Verdict,
    judge,
    verdict,
)

GOOD = {
    "overlap": 0.1,
    "outside": 0.1,
    "promise": 0.5,
    "rank_correlation": 0.8,
    "coverage": 0.85,
    "disagreement": 1.5,
}


BAD_SHARE = "verdict: trust\nleast_share: many\ngreatest_share: 1.0\n"


@pytest.mark.parametrize(
    ("name", "value", "rating"),
    [
        ("overlap", 0.1, "trust"),
        ("overlap", 0.099, "caution"),
        ("overlap", 0.01, "caution"),
        ("overlap", 0.009, "extrapolation"),
        ("outside", 0.1, "trust"),
        ("outside", 0.11, "caution"),
        ("outside", 0.5, "caution"),
        ("outside", 0.51, "extrapolation"),
        ("promise", -0.3, "trust"),
        ("promise", 2.0, "caution"),
        ("promise", 9e25, "extrapolation"),
        ("promise", math.inf, "extrapolation"),
        ("rank_correlation", 0.95, "trust"),
        ("rank_correlation", 0.79, "caution"),
        ("rank_correlation", -0.9, "extrapolation"),
        ("coverage", 1.0, "trust"),
        ("coverage", 0.84, "caution"),
        ("coverage", 0.2, "extrapolation"),
        ("disagreement", 0.3, "trust"),
        ("disagreement", 2.0, "caution"),
        ("disagreement", 3.1, "extrapolation"),
        ("coverage", math.nan, "unknown"),
    ],
)
def test_rating(name: str, value: float, rating: str) -> None:
    (judgement,) = judge({name: value})
    assert judgement.rule is RULES[name]
    assert judgement.rating == rating


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "trust"),
        ({"outside": 0.3}, "caution"),
        ({"overlap": 0.001}, "caution"),  # narrow, but amid the data
        ({"overlap": 0.001, "outside": 0.9}, "extrapolation"),
        ({"promise": 9e25, "outside": 0.9}, "extrapolation"),
        ({"rank_correlation": 0.1, "coverage": 0.3}, "extrapolation"),
        ({"overlap": 0.001, "disagreement": 2.0}, "caution"),
        ({"rank_correlation": math.nan, "coverage": math.nan}, "caution"),
    ],
)
def test_verdict(changed: dict[str, float], expected: str) -> None:
    assert verdict(judge(GOOD | changed)) == expected


@pytest.mark.parametrize(
    ("least", "greatest", "expected"),
    [(0.5, 1.0, "trust"), (0.49, 0.5, "caution"), (0.0, 0.49, "extrapolation")],
)
def test_what_is_expected_of_the_batch_decides(
    least: float, greatest: float, expected: str
) -> None:
    outlook = Outlook(1.0, 0.5, least, greatest, 0.0, 1.0, 0.5)
    assert verdict(judge(GOOD), outlook) == expected
    assert verdict(judge(GOOD | {"outside": 0.9, "overlap": 0.0}), outlook) == expected


def test_what_does_not_apply_is_left_out() -> None:
    values = {name: GOOD[name] for name in ("outside", "rank_correlation", "coverage")}
    judgements = judge(values)
    assert [judgement.value for judgement in judgements] == [0.1, 0.8, 0.85]
    assert verdict(judgements) == "trust"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("overlap", 0.25, "25 %"),
        ("overlap", 0.0002242, "0.0224 %"),
        ("disagreement", 1.887, "1.89"),
        ("coverage", math.nan, "not known"),
        ("promise", 9e25, "9e+25"),
    ],
)
def test_values_as_they_are_shown(name: str, value: float, shown: str) -> None:
    assert RULES[name].shown(value) == shown


@pytest.mark.parametrize("rating", get_args(Rating))
def test_a_verdict_is_read_as_it_was_written(rating: Rating, tmp_path: Path) -> None:
    for said in (Verdict(rating), Verdict(rating, 0.25, 1.0)):
        said.write(tmp_path)
        assert Verdict.of_run(tmp_path) == said


@pytest.mark.parametrize(
    "text", [None, "", "trust", "verdict: [", "verdict: fine", "verdict: []", BAD_SHARE]
)
def test_what_is_no_verdict_is_none(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "verdict.yaml").write_text(text)
    assert Verdict.of_run(tmp_path) is None
