"""Statistics of paired trials against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from lightning_mbo.benchmark.comparison import (
    averages,
    compare,
    improvement,
    signed_rank_p_value,
    stars,
)

ARMS = ["original", "retrained", "autofocused"]


def benchmark_rows(values: dict[str, list[float]], **columns: object) -> pd.DataFrame:
    """Rows of one cell: for each arm the metric `median` by trial."""
    return pd.DataFrame(
        [
            {
                "method": "CbAS",
                **columns,
                "arm": arm,
                "trial": trial,
                "seconds": 40.0,
                "error": "",
                "median": value,
            }
            for arm, by_trial in values.items()
            for trial, value in enumerate(by_trial)
        ]
    )


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # Of the 2^n assignments of signs, all plus and all minus are as extreme.
        ([0.3 + trial for trial in range(10)], 2 / 2**10),
        ([-0.3 - trial for trial in range(10)], 2 / 2**10),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 2**5),
        # Ranks of minus signs that sum to 3 at most: {}, {1}, {2}, {3}, {1, 2}.
        ([1.0, 2.0, -3.0, 4.0, 5.0, 6.0], 2 * 5 / 2**6),
        # Zeros are dropped.
        ([0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 5.0], 2 / 2**5),
        # Midranks 1.5, 1.5, 3, 4; minus signs that sum to 1.5 at most: {} and two of one.
        ([1.0, -1.0, 2.0, 3.0], 2 * 3 / 2**4),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 2 / 2**6),
        # The same tie, but not to the last bit.
        ([0.1 - 0.15, 0.05, 0.1, 0.15], 2 * 3 / 2**4),
        ([1.0, -1.0], 1.0),
        ([7.0], 1.0),
        ([0.0, 0.0, 0.0], 1.0),
    ],
)
def test_p_values_by_counting(differences: list[float], expected: float) -> None:
    assert signed_rank_p_value(np.array(differences)) == pytest.approx(expected, rel=1e-12)


def test_no_differences_have_no_p_value() -> None:
    assert np.isnan(signed_rank_p_value(np.array([])))


def test_p_value_has_no_scale() -> None:
    differences = np.random.default_rng(0).normal(0.5, 1.0, size=50)
    expected = scipy.stats.wilcoxon(differences, method="exact").pvalue
    for scale in (1e-9, 1.0, 1e9):
        assert signed_rank_p_value(scale * differences) == pytest.approx(expected, rel=1e-12)


def test_ties_among_many_differences() -> None:
    rng = np.random.default_rng(0)
    differences = rng.integers(-3, 6, size=40).astype(float)
    approximate = scipy.stats.wilcoxon(differences, method="asymptotic").pvalue
    result = signed_rank_p_value(differences)
    assert result == pytest.approx(approximate, abs=0.005)
    assert result == signed_rank_p_value(differences)


@pytest.mark.parametrize(
    ("p_value", "expected"),
    [(0.0099, "**"), (0.01, "*"), (0.0499, "*"), (0.05, ""), (1.0, ""), (np.nan, "")],
)
def test_stars(p_value: float, expected: str) -> None:
    assert stars(p_value) == expected


def test_every_arm_is_compared_with_those_before_it() -> None:
    rows = benchmark_rows({arm: [10.0 * place] * 3 for place, arm in enumerate(ARMS)})
    result = compare(rows, ["median"], [], ARMS)
    assert result[["arm", "reference", "mean_difference"]].to_numpy().tolist() == [
        ["retrained", "original", 10.0],
        ["autofocused", "original", 20.0],
        ["autofocused", "retrained", 10.0],
    ]


def test_figures_of_a_comparison() -> None:
    original = [float(trial) for trial in range(10)]
    gains = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
    retrained = [value + gain for value, gain in zip(original, gains, strict=True)]
    rows = benchmark_rows({"retrained": retrained, "original": original})
    (result,) = compare(rows, ["median"], [], ARMS[:2]).to_dict("records")
    # The squared deviations of 0.5, ..., 5 from 2.75 sum to 82.5 / 4.
    standard_error = np.sqrt(82.5 / 4 / 9 / 10)
    assert result == {
        "method": "CbAS",
        "metric": "median",
        "arm": "retrained",
        "reference": "original",
        "n": 10,
        "mean": 7.25,
        "reference_mean": 4.5,
        "mean_difference": 2.75,
        "standard_error": pytest.approx(standard_error, rel=1e-12),
        "p_value": 0.001953125,
        "stars": "**",
    }


def test_trials_are_paired_by_number_whatever_the_order_of_rows() -> None:
    rows = benchmark_rows({"original": [1.0, 20.0, 300.0], "retrained": [2.0, 22.0, 303.0]})
    shuffled = rows.sample(frac=1.0, random_state=3)
    result = compare(shuffled, ["median"], [], ARMS[:2])
    assert result["mean_difference"].tolist() == [2.0]
    assert result["p_value"].tolist() == [2 / 2**3]


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_what_is_missing_is_left_out_of_its_pairs_only(spoilt: float) -> None:
    rows = benchmark_rows(
        {
            "original": [1.0, 2.0, 3.0, 4.0],
            "retrained": [2.0, spoilt, 5.0, 100.0],
            "autofocused": [4.0, 5.0, 6.0],
        }
    )
    rows.loc[(rows["arm"] == "retrained") & (rows["trial"] == 3), "error"] = "out of memory"
    result = compare(rows, ["median"], [], ARMS).set_index(["arm", "reference"])
    assert result["n"].tolist() == [2, 3, 2]
    assert result["mean_difference"].tolist() == [1.5, 3.0, 1.5]
    assert result["reference_mean"].tolist() == [2.0, 2.0, 3.5]
    means = averages(rows, ["median"], [], ARMS).set_index("arm")
    assert means["n"].tolist() == [4, 2, 3]
    assert means["mean"].tolist() == [2.5, 3.5, 5.0]


def test_an_arm_without_runs() -> None:
    rows = benchmark_rows({"original": [1.0, 2.0], "retrained": [3.0, 4.0]})
    rows["error"] = rows["arm"].map({"original": np.nan, "retrained": "no"})
    means = averages(rows, ["median"], [], ARMS).set_index("arm")
    assert means["n"].tolist() == [2, 0, 0]
    assert means["mean"].isna().tolist() == [False, True, True]
    result = compare(rows, ["median"], [], ARMS)
    assert result["n"].tolist() == [0, 0, 0]
    assert result[["mean_difference", "p_value"]].isna().all(axis=None)
    assert result["stars"].tolist() == ["", "", ""]


def test_nothing_finished() -> None:
    rows = benchmark_rows({"original": [1.0], "retrained": [3.0]}).assign(error="no")
    assert averages(rows, ["median"], [], ARMS)["n"].tolist() == [0, 0, 0]
    assert compare(rows, ["median"], [], ARMS)["n"].tolist() == [0, 0, 0]
    assert compare(rows[:0], ["median"], [], ARMS).empty


def test_averages() -> None:
    rows = benchmark_rows({"original": [1.0, 2.0, 3.0, 6.0], "retrained": [5.0]})
    rows["pci"] = 100 * rows["median"]
    result = averages(rows, ["median", "pci"], [], ["retrained", "original"])
    assert result.columns.tolist() == [
        *("method", "metric", "arm", "n", "mean", "std", "standard_error")
    ]
    assert result["metric"].tolist() == ["median", "median", "pci", "pci"]
    assert result["arm"].tolist() == ["retrained", "original"] * 2
    assert result["n"].tolist() == [1, 4, 1, 4]
    assert result["mean"].tolist() == [5.0, 3.0, 500.0, 300.0]
    std = np.sqrt(14 / 3)
    np.testing.assert_allclose(result["std"], [np.nan, std, np.nan, 100 * std], rtol=1e-12)
    np.testing.assert_allclose(result["standard_error"], result["std"] / 2, rtol=1e-12)


def test_methods_and_cells_keep_their_order() -> None:
    cells = [
        benchmark_rows({"original": [0.0], "autofocused": [gain]}, noise=noise, scale=1).assign(
            method=method
        )
        for method, noise, gain in (("RWR", 0.3, 1.0), ("RWR", 0.1, 2.0), ("CbAS", 0.3, 3.0))
    ]
    result = improvement(
        pd.concat(cells), "median", ["noise", "scale"], ["original", "autofocused"]
    )
    assert result.columns.tolist() == [
        *("method", "noise", "scale", "n", "mean_difference", "standard_error")
    ]
    assert result[["method", "noise", "mean_difference"]].to_numpy().tolist() == [
        ["RWR", 0.3, 1.0],
        ["RWR", 0.1, 2.0],
        ["CbAS", 0.3, 3.0],
    ]


def test_improvement_is_the_last_arm_minus_the_first() -> None:
    rows = benchmark_rows(
        {"original": [1.0, 2.0], "retrained": [50.0, 60.0], "autofocused": [2.0, 5.0]}
    )
    (result,) = improvement(rows, "median", [], ARMS).to_dict("records")
    assert result == {
        "method": "CbAS",
        "n": 2,
        "mean_difference": 2.0,
        "standard_error": pytest.approx(1.0, rel=1e-12),
    }
