"""What is said of candidates that were measured."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_mbo.evidence.outcomes import Outcomes
from lightning_mbo.evidence.verdict import Rating, Verdict
from lightning_mbo.report.outcomes import outcome_lines, verdict_line


def outcomes(error: float, sign: int = 1) -> Outcomes:
    """Two candidates that are both measured greater by an error than predicted."""
    mean = np.array([2.0, 4.0])
    bounds = {
        "lower_95": mean - 1,
        "upper_95": np.array([3.0, np.inf]),
        "upper_90_shifted": np.array([np.inf, np.inf]),
    }
    return Outcomes(mean, np.ones(2), mean + error, bounds, 3.0, sign)


def test_what_is_said_of_predictions_and_bounds() -> None:
    assert list(outcome_lines(outcomes(-1.5), "yield")) == [
        "Predicted against measured yield: rank correlation 1, RMSE 1.5, measured less predicted "
        "-1.5 in the mean",
        "0 of 2 beat the best row of the table, 3, where 1.0 were predicted to; the best is 2.5",
        "lower_95 did not hold: 0 of 2 measured are at or above it, of at least 95 % promised",
        "upper_95 held: 1 of 1 measured are at or below it, of at least 95 % promised; of 1 "
        "others it is infinite",
        "upper_90_shifted is infinite for all, so that nothing was promised",
    ]


def test_an_order_of_one_is_not_known() -> None:
    two = outcomes(0.0)
    one = Outcomes(two.mean[:1], two.std[:1], two.measured[:1], {}, two.best)
    assert "rank correlation not known, RMSE 0," in next(outcome_lines(one, "yield"))


@pytest.mark.parametrize(
    ("verdict", "error", "sign", "expected"),
    [
        ("trust", -1.6, 1, "The verdict, trust, came true: in the mean the candidates are 1.6 wor"),
        ("trust", -1.7, 1, "The verdict, trust, did not come true: in the mean the candidates are"),
        ("trust", 1.7, -1, "The verdict, trust, did not come true: in the mean the candidates are"),
        ("trust", 9.0, 1, "The verdict, trust, came true: in the mean the candidates are 9 better"),
        ("caution", -9.0, 1, "The verdict, caution, was right to doubt: "),
        ("caution", 0.0, 1, "The verdict, caution, was more careful than it had to be: "),
        ("extrapolation", -9.0, 1, "The verdict, extrapolation, came true: "),
        ("extrapolation", -9.0, -1, "The verdict, extrapolation, was more careful than it had"),
        (None, 0.0, 1, "The run has left no verdict: in the mean"),
    ],
)
def test_whether_the_verdict_came_true(
    verdict: Rating | None, error: float, sign: int, expected: str
) -> None:
    said = verdict_line(None if verdict is None else Verdict(verdict), outcomes(error, sign))
    assert said.startswith(expected)
    assert said.endswith("where the oracle's own error allows for 1.645 worse")


@pytest.mark.parametrize(
    ("least", "greatest", "held"),
    [(0.2, 1.0, "came true"), (0.8, 1.0, "was too good"), (0.0, 0.1, "was too modest")],
)
def test_whether_the_outlook_came_true(least: float, greatest: float, held: str) -> None:
    found = outcomes(0.0, 1)
    share = 100 * found.num_better / len(found.measured)
    assert verdict_line(Verdict("caution", least, greatest), found) == (
        f"The verdict, caution, {held}: {share:.0f} % of the measured beat the best row, where "
        f"{100 * least:.0f} to {100 * greatest:.0f} % should"
    )
