"""Who of several oracles speaks, in words."""

from __future__ import annotations

import math

import pytest

from lightning_mbo.report.shares import in_one_line, shares_in

FIGURES = {
    "oracle_p80": 3.0,
    "share_AdditiveRegression": 0.0,
    "share_GaussianProcess": 0.83,
    "share_TreeEnsemble": 0.17,
    "score_AdditiveRegression": -2.0,
    "score_GaussianProcess": -1.0,
    "score_TreeEnsemble": -1.1,
}


def test_of_an_iteration() -> None:
    found = shares_in(FIGURES)
    assert [(one.name, one.share, one.score) for one in found] == [
        ("GaussianProcess", 0.83, -1.0),
        ("TreeEnsemble", 0.17, -1.1),
        ("AdditiveRegression", 0.0, -2.0),
    ]
    assert shares_in({"oracle_p80": 3.0}) == []


def test_of_one_of_several_results() -> None:
    of_yield = {f"yield_{name}": value for name, value in FIGURES.items()}
    both = {"ee_share_Stack": 1.0, "ee_score_Stack": 2.0, **of_yield}
    assert shares_in(both, "yield") == shares_in(FIGURES)
    assert [one.name for one in shares_in(both, "ee")] == ["Stack"]
    assert shares_in(both) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {},
            "GaussianProcess 83 %, TreeEnsemble 17 % "
            "(AdditiveRegression predicts left-out rows worse)",
        ),
        (
            {"share_GaussianProcess": 1.0, "share_TreeEnsemble": 0.0},
            "GaussianProcess 100 % "
            "(TreeEnsemble and AdditiveRegression predict left-out rows worse)",
        ),
        (
            {"score_AdditiveRegression": -math.inf},
            "GaussianProcess 83 %, TreeEnsemble 17 % "
            "(AdditiveRegression cannot learn from this table)",
        ),
        (
            {"share_AdditiveRegression": 0.5, "share_GaussianProcess": 0.33},
            "AdditiveRegression 50 %, GaussianProcess 33 %, TreeEnsemble 17 %",
        ),
    ],
)
def test_in_one_line(changed: dict[str, float], line: str) -> None:
    assert in_one_line(shares_in(FIGURES | changed)) == line
