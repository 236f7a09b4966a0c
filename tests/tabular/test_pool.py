"""A user's own list of designs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.columns import CategoryColumn
from lightning_mbo.tabular.layout import TableLayout
from lightning_mbo.tabular.number_column import NumberColumn
from lightning_mbo.tabular.pool import outside_range, pool_of

LAYOUT = TableLayout(
    [
        NumberColumn("x", 2.0, 0.5, seen=(1.0, 3.0)),
        NumberColumn("z", 0.0, 1.0, whole=True, seen=(-2.0, 2.0)),
        CategoryColumn("kind", ("a", "b")),
    ]
)


def listed() -> pd.DataFrame:
    """Five rows: the third lacks a number, the fourth repeats the first."""
    return pd.DataFrame(
        {
            "number": ["N1", "N2", "N3", "N4", "N5"],
            "kind": ["a", "b", "b", "a", "b"],
            "x": [1.5, 3.5, np.nan, 1.5, 2.0],
            "z": [0, 7, 1, 0, -2],
        }
    )


def test_each_design_once_with_its_row() -> None:
    with pytest.warns(UserWarning, match="list: 1 of 5 rows are left out for missing .*: x 1"):
        pool = pool_of(listed(), LAYOUT, "list")
    expected = [[-1.0, 0.0, 1.0, 0.0], [3.0, 7.0, 0.0, 1.0], [0.0, -2.0, 0.0, 1.0]]
    assert pool.designs.tolist() == expected
    assert pool.row_numbers == [1, 2, 5]
    pd.testing.assert_frame_equal(
        pool.rows, listed().iloc[[0, 1, 4]].reset_index(drop=True), check_exact=True
    )
    assert pool.num_rows == 4


def test_rows_of_designs() -> None:
    pool = pool_of(listed().drop(index=2), LAYOUT, "list")
    found = pool.rows_of(pool.designs[torch.tensor([2, 0, 2])])
    assert found["number"].tolist() == ["N5", "N1", "N5"]
    assert found.index.tolist() == [0, 1, 2]


def test_rows_are_numbered_as_in_the_file() -> None:
    pool = pool_of(listed().iloc[3:], LAYOUT, "list")
    assert pool.row_numbers == [4, 5]


def test_empty_entries_can_be_refused() -> None:
    with pytest.raises(DataError, match="list, column 'x', data row 3: empty"):
        pool_of(listed(), LAYOUT, "list", refuse_empty=True)
    with (
        pytest.warns(UserWarning, match="1 of 1 rows are left out"),
        pytest.raises(DataError, match="list: no row has all entries"),
    ):
        pool_of(listed().iloc[2:3], LAYOUT, "list")


def test_outside_the_range_of_the_table() -> None:
    pool = pool_of(listed().drop(index=2), LAYOUT, "list")
    assert outside_range(pool.entries, LAYOUT) == (1, ["x", "z"])
    assert outside_range(pool.entries.iloc[[0, 2]], LAYOUT) == (0, [])
