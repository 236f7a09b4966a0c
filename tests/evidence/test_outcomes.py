"""Predicted against measured, on numbers that are worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lightning_mbo.evidence.outcomes import Kept, Outcomes, bound_names, promise_of

NONE = np.inf


def outcomes() -> Outcomes:
    """Four candidates; the errors are 1, -3, 0 and 6."""
    return Outcomes(
        mean=np.array([10.0, 12.0, 8.0, 9.0]),
        std=np.array([1.0, 2.0, 1.0, 4.0]),
        measured=np.array([11.0, 9.0, 8.0, 15.0]),
        bounds={
            "lower_95": np.array([9.0, 10.0, 8.0, -NONE]),
            "upper_95": np.array([10.5, 14.0, 9.0, 14.0]),
        },
        best=10.0,
    )


def of_small() -> Outcomes:
    """The same where small values are sought: all signs are turned, and the sides of the bounds."""
    one = outcomes()
    bounds = {"lower_95": -one.bounds["upper_95"], "upper_95": -one.bounds["lower_95"]}
    return replace(
        one, mean=-one.mean, measured=-one.measured, bounds=bounds, best=-one.best, sign=-1
    )


def test_errors() -> None:
    one = outcomes()
    assert one.mean_error == 1.0
    assert one.rmse == pytest.approx(math.sqrt((1 + 9 + 0 + 36) / 4))
    # Ranks 3, 4, 1, 2 against 3, 2, 1, 4: 1 - 6 (0 + 4 + 0 + 4) / (4 · 15).
    assert one.rank_correlation == pytest.approx(1 - 6 * 8 / 60)


@pytest.mark.parametrize("sought", [outcomes(), of_small()], ids=["great", "small"])
def test_how_many_are_better_than_the_best_row(sought: Outcomes) -> None:
    assert sought.num_better == 2
    # Φ of 0, 1, -2 and -1/4.
    expected = 0.5 + 0.841344746 + 0.022750132 + 0.401293674
    assert sought.promised_better == pytest.approx(expected, abs=1e-8)
    assert sought.best_measured == sought.sign * 15


@pytest.mark.parametrize("sought", [outcomes(), of_small()], ids=["great", "small"])
def test_worse_than_predicted_is_what_the_user_does_not_want(sought: Outcomes) -> None:
    assert sought.shortfall == -1.0
    assert sought.allowed_shortfall == pytest.approx(1.6448536 * 2.0)
    assert sought.as_predicted
    worse = replace(sought, measured=sought.measured - sought.sign * 4.3)
    assert worse.shortfall == pytest.approx(3.3)
    assert not worse.as_predicted


def test_bounds_are_counted_where_they_are_finite() -> None:
    one = outcomes()
    assert one.kept("lower_95") == Kept(2, 3, 0.95)
    assert one.kept("upper_95") == Kept(2, 4, 0.95)
    small = of_small()
    assert small.kept("upper_95") == Kept(2, 3, 0.95)
    assert small.kept("lower_95") == Kept(2, 4, 0.95)


@pytest.mark.parametrize(
    ("kept", "as_promised"),
    [
        # .95^20 = .358 and 20 · .05 · .95^19 = .377; three failures or more have .075, four .016.
        (Kept(20, 20, 0.95), True),
        (Kept(17, 20, 0.95), True),
        (Kept(16, 20, 0.95), False),
        (Kept(0, 1, 0.95), True),
        (Kept(0, 1, 0.96), False),
    ],
)
def test_few_failures_are_put_down_to_chance(kept: Kept, as_promised: bool) -> None:
    assert kept.as_promised is as_promised


def test_what_is_a_bound() -> None:
    columns = ["oracle_mean", "lower_90", "upper_90_shifted", "lower_limit", "upper_95", "lower_"]
    assert bound_names(columns) == ["lower_90", "upper_90_shifted", "upper_95"]
    assert promise_of("upper_90_shifted") == ("upper", 0.9)
    assert promise_of("lower_95") == ("lower", 0.95)


def test_nothing_is_in_order_that_does_not_vary() -> None:
    one = outcomes()
    assert math.isnan(replace(one, measured=np.full(4, 3.0)).rank_correlation)
    assert math.isnan(replace(one, mean=np.full(4, 3.0)).rank_correlation)


def test_what_a_figure_shows_of_bounds() -> None:
    one = outcomes()
    lower, upper, label = one.ends()
    np.testing.assert_array_equal(lower, [9.0, 10.0, 8.0, 9.0])
    np.testing.assert_array_equal(upper, one.bounds["upper_95"])
    assert label == "lower_95 to upper_95"
    alone = replace(one, bounds={"lower_95": one.bounds["lower_95"]})
    assert alone.ends()[2] == "lower_95"
    np.testing.assert_array_equal(alone.ends()[1], one.mean)
    endless = replace(one, bounds={"upper_90": np.full(4, NONE)})
    np.testing.assert_array_equal(endless.ends()[0], [9.0, 10.0, 7.0, 5.0])
    assert endless.ends()[2] == "± standard deviation"
