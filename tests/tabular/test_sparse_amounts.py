"""Recipes of a few of many ingredients: the sum is a law, what two of them do in a row is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.data import CSV
from lightning_mbo.tabular.sparse_amounts import (
    equalities_with_sparse,
    sparse_amounts,
    totals_with_sparse,
)

NUM = 20
NAMES = [f"f{j:02d}" for j in range(NUM)]


def recipes(total: float = 100.0, num_rows: int = 120) -> pd.DataFrame:
    """One to four ingredients, and one row of all of them, the last two of which are only there."""
    rng = np.random.default_rng(0)
    amounts = np.zeros((num_rows, NUM))
    for row in amounts[1:]:
        chosen = rng.choice(NUM - 2, rng.integers(1, 5), replace=False)
        row[chosen] = rng.dirichlet(np.ones(len(chosen)))
    amounts[0] = 1 / NUM
    return pd.DataFrame((total * amounts).round(2), columns=NAMES)


def test_which_are_sparse() -> None:
    table = recipes().assign(temp=range(120), flag=[0, 0, 1] * 40, below=[-1.0, 0, 0] * 40)
    assert sparse_amounts(table) == NAMES
    assert sparse_amounts(table[NAMES[:7]]) == []


def test_all_of_them_are_the_sum() -> None:
    table = recipes()
    table.loc[[5, 9], "f00"] += 3
    (law,) = equalities_with_sparse(table, NAMES)
    assert law.coefficients == dict.fromkeys(NAMES, 1.0)
    assert (law.sense, law.bound) == ("==", 100.0)
    table.loc[table.index % 8 == 0, "f00"] += 3
    assert equalities_with_sparse(table, NAMES) == []


def test_the_sum_with_others() -> None:
    rng = np.random.default_rng(2)
    table = recipes().mul(rng.uniform(0.1, 0.6, 120), axis=0).round(2)
    table["water"] = (100 - table.sum(axis=1)) * rng.uniform(0.1, 0.9, 120)
    table["salt"] = 130 - table.sum(axis=1)
    (law,) = equalities_with_sparse(table, NAMES)
    assert law.coefficients == dict.fromkeys(["water", "salt", *NAMES], 1.0)
    assert law.bound == pytest.approx(130)


def test_a_total_that_is_not_exceeded() -> None:
    rng = np.random.default_rng(3)
    table = recipes().mul(rng.uniform(0.1, 0.9, 120), axis=0).round(2)
    table["inert"] = (100 - table.sum(axis=1)) * rng.uniform(0.3, 1, 120).round(1)
    (law,) = totals_with_sparse(table, NAMES)
    assert set(law.coefficients) == {"inert", *NAMES}
    assert (law.sense, law.bound) == ("<=", 100.0)


def test_candidates_are_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    table = recipes()
    table["y"] = table.to_numpy() @ np.random.default_rng(1).normal(size=NUM)
    data = CSV(table, target="y")
    with pytest.warns(UserWarning, match="1 of 103 designs of the table are out of"):
        data.setup("fit")
    printed = capsys.readouterr().out
    assert "(20 columns) == 100 holds in every row" in printed
    assert "15 more columns are above 0 in 99 % of the rows" in printed
    assert "follow" not in printed
    made = data.to_user_units(data.nearest_allowed(3 * data.designs))
    np.testing.assert_allclose(made.sum(axis=1), 100, atol=1e-6)
    assert ((made > 0).sum(axis=1) <= 4).all()
