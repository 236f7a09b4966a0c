"""Tables of known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.tasks.functions import FUNCTIONS
from lightning_mbo.tasks.known_tables import KnownColumn, KnownTable

FIRST = {
    "hartmann6": (-0.014704, 5.704272),
    "branin-currin": (3.020365, 213.102236),
    "ackley10": (-7.606993, -426.897541),
    "rosenbrock6": (-73.31354, -1197.253534),
    "mixture": (13.45548, 346.699891),
    "mixed": (32.948169, 1747.915215),
    "steps": (13.273842, 257.759716),
    "parts": (-1.593325, -44.017651),
    "line": (-0.540507, -46.740763),
}
"""The first label, and the sum of all, of 50 rows by the seed 0."""


def line(**options: object) -> KnownTable:
    """The number itself, between 0 and 1."""
    return replace(
        KnownTable({"a": KnownColumn()}, lambda table: table["a"].to_numpy(np.float64), 1.0),
        **options,
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tables_are_what_they_were(name: str) -> None:
    table = FUNCTIONS[name].table(50, 0)
    assert (table["y"][0], table["y"].sum()) == pytest.approx(FIRST[name], abs=1e-9)
    pd.testing.assert_frame_equal(FUNCTIONS[name].table(50, 0), table)
    assert not FUNCTIONS[name].table(50, 1).equals(table)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_better_fifth_is_hidden(name: str) -> None:
    known = FUNCTIONS[name]
    table = known.table(200, 3)
    every = known.truth(known.draw(250, np.random.default_rng((3, 200))))
    np.testing.assert_array_equal(np.sort(known.truth(table)), np.sort(every)[:200])


def test_rows_of_parts_have_each_part_and_none_all_of_them() -> None:
    tops = np.linspace(0.15, 0.85, 6)
    columns = FUNCTIONS["parts"].table(200, 0).drop(columns="y").to_numpy()
    away = np.abs(columns - tops)
    assert (away.min(0) < 0.02).all()
    assert (away.max(1) > 0.25).all()
    assert np.abs(np.corrcoef(columns.T) - np.eye(6)).max() < 0.2


def test_columns_along_a_line_move_together() -> None:
    columns = FUNCTIONS["line"].table(200, 0).drop(columns="y").to_numpy()
    assert np.corrcoef(columns.T).min() > 0.9999
    assert columns.min() >= 0
    assert columns.max() <= 1


def test_any_share_is_hidden() -> None:
    assert line(hidden=0.0).table(400, 0)["a"].max() > 0.99
    assert line(hidden=0.5).table(400, 0)["a"].max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.1, 3.0])
def test_labels_scatter_about_the_truth(noise: float) -> None:
    known = line(noise=noise)
    assert known.spread == pytest.approx(12**-0.5, rel=0.02)
    table = known.table(2000, 0)
    errors = (table["y"] - table["a"]).std()
    assert errors == pytest.approx(known.noise_std, rel=0.05, abs=1e-6)
    assert known.noise_std == pytest.approx(noise * known.spread)


def test_shuffled_labels_are_those_of_other_rows() -> None:
    table, shuffled = line().table(400, 0), line(shuffled=True).table(400, 0)
    pd.testing.assert_series_equal(shuffled["a"], table["a"])
    assert sorted(shuffled["y"]) == sorted(table["y"])
    assert np.corrcoef(table["a"], table["y"])[0, 1] > 0.9
    assert abs(np.corrcoef(shuffled["a"], shuffled["y"])[0, 1]) < 0.15


def test_the_cliff_is_where_no_row_is() -> None:
    known = line()
    spread, best_label = known.spread, 0.6
    truth = known.collapsing(best_label)
    below = pd.DataFrame({"a": [0.0, 0.5, 0.6 + 0.29 * spread]})
    np.testing.assert_array_equal(truth(below), below["a"])
    beyond = truth(pd.DataFrame({"a": [0.6 + 0.31 * spread, 0.9, 1.0]}))
    assert beyond[0] == pytest.approx(0.6 - 2.31 * spread)
    assert (np.diff(beyond) < 0).all()


def test_idle_columns_mean_nothing() -> None:
    known = line().with_idle_columns(3)
    table = known.table(50, 0)
    assert list(table.columns) == ["a", "idle1", "idle2", "idle3", "y"]
    assert table["idle2"].between(-5, 5).all()
    assert table["idle2"].min() < -1
    np.testing.assert_array_equal(known.truth(table), table["a"])


def test_a_mixture_sums_to_one() -> None:
    known = FUNCTIONS["mixture"]
    assert known.constraints == ["resin + filler + hardener + solvent + pigment == 1"]
    np.testing.assert_allclose(known.table(200, 0)[list(known.sums_to_one)].sum(axis=1), 1)
    assert FUNCTIONS["mixed"].constraints == []


def test_steps_and_levels() -> None:
    column = KnownColumn(3.0, 10.0, 0.5)
    drawn = column.draw(500, np.random.default_rng(0))
    assert set(drawn) == set(np.arange(3, 10.5, 0.5))
    assert column.options() == {"lower": 3.0, "upper": 10.0, "step": 0.5}
    assert KnownColumn(1, 8, 1).options() == {"kind": "integer", "lower": 1, "upper": 8}
    levels = KnownColumn(levels=("A", "B"))
    assert set(levels.draw(50, np.random.default_rng(0))) == {"A", "B"}
    assert levels.options() == {"kind": "category"}
