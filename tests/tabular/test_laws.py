"""What the numbers of a table satisfy in every row, and nothing else, is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.tabular.laws import find_equalities, find_totals, shortened

RNG = np.random.default_rng(0)


def shares(num_rows: int, num: int, prefix: str = "x", total: float = 1.0) -> pd.DataFrame:
    values = np.random.default_rng(num).dirichlet(np.ones(num), num_rows) * total
    return pd.DataFrame(values, columns=[f"{prefix}{j}" for j in range(num)])


def texts(table: pd.DataFrame) -> list[str]:
    return [law.text for law in find_equalities(table)]


@pytest.mark.parametrize("digits", [2, 3, 12])
def test_two_mixtures(digits: int) -> None:
    table = shares(100, 4).join(shares(100, 3, "z", 100.0)).round(digits)
    table["temp"] = np.random.default_rng(9).uniform(20, 90, 100).round(1)
    assert sorted(texts(table)) == ["x0 + x1 + x2 + x3 == 1", "z0 + z1 + z2 == 100"]


def test_sums_of_other_columns() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.integers(0, 20, (60, 3)), columns=["a", "b c", "d"])
    table["total"] = table["a"] + 2 * table["b c"]
    assert texts(table) == ["a + 2*`b c` - total == 0"]


def test_a_mixture_of_many_that_is_measured() -> None:
    rng = np.random.default_rng(2)
    values = np.zeros((400, 60))
    for row in values:
        num = rng.integers(1, 5)
        row[rng.choice(60, num, replace=False)] = rng.dirichlet(np.ones(num))
    values *= rng.uniform(99.3, 100.1, (400, 1))
    (law,) = find_equalities(pd.DataFrame(values.round(2)).rename(columns=lambda j: f"f{j}"))
    assert (len(law.coefficients), law.bound) == (60, 100)
    assert shortened(law) == "f0 + f1 + ... + f59 (60 columns) == 100"


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(RNG.normal(size=(60, 5))),
        pd.DataFrame(RNG.uniform(size=(12, 10))),
        pd.DataFrame(RNG.integers(0, 2, (40, 6))),
        # Nearly proportional, as lengths and circumferences are.
        pd.DataFrame({"r": np.arange(60.0), "u": 6.28 * np.arange(60) + RNG.normal(0, 0.1, 60)}),
        shares(60, 4).drop(columns="x3"),
        shares(60, 4) * RNG.uniform(0.9, 1.1, (60, 1)),
        # What is there in one row only is no law.
        pd.DataFrame(np.eye(30)[:, :12]),
    ],
)
def test_no_equality(table: pd.DataFrame) -> None:
    assert texts(table.rename(columns=str)) == []


def test_totals() -> None:
    rng = np.random.default_rng(3)
    table = shares(300, 4, total=100.0).drop(columns="x3").round(1)
    table["temp"] = rng.uniform(20, 90, 300)
    assert [law.text for law in find_totals(table)] == ["x0 + x1 + x2 <= 100"]
    free = pd.DataFrame(rng.uniform(0, 1, (300, 3)), columns=["a", "b", "c"])
    assert find_totals(free) == []
    assert find_totals(free / 3) == []
