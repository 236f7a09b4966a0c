"""Amounts that keep their total while one of them changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.tabular.column_building import build_column
from lightning_mbo.tabular.column_options import ColumnOptions
from lightning_mbo.tabular.columns import ConstantColumn
from lightning_mbo.tabular.constraints import parse_constraints, with_columns
from lightning_mbo.tabular.layout import TableLayout
from lightning_mbo.tabular.totals import totals_of

TABLE = pd.DataFrame(
    {"a": [10.0, 20.0, 50.0], "b": [60.0, 80.0, 0.0], "other": [1.0, 2.0, 4.0]}
).assign(c=lambda t: 90 - t["a"] - t["b"] / 2)


def layout(**options: ColumnOptions) -> TableLayout:
    columns = [
        build_column(TABLE[name], "number", options.get(name, ColumnOptions()), "the table")
        for name in TABLE
    ]
    return TableLayout([*columns, ConstantColumn("salt", 10.0)])


def followed(text: str, place: int, value: float, **options: ColumnOptions) -> pd.DataFrame:
    known = layout(**options)
    (total,) = totals_of(with_columns(parse_constraints([text]), known.columns), known.columns)
    changed = TABLE.assign(**{TABLE.columns[place]: value})
    numbers = total.followed(known.encode(changed), place)
    return known.decode(numbers, TABLE.columns)


@pytest.mark.parametrize("text", ["2*a + b + 2*c == 180", "a + b/2 + c + salt == 100"])
def test_the_others_keep_their_ratios(text: str) -> None:
    found = followed(text, 0, 30.0)
    assert found["a"].tolist() == [30.0] * 3
    np.testing.assert_allclose(found["a"] + found["b"] / 2 + found["c"], 90)
    np.testing.assert_allclose(found["b"] * TABLE["c"], TABLE["b"] * found["c"], atol=1e-6)
    np.testing.assert_allclose(found["other"], TABLE["other"])


def test_where_there_is_nothing_of_the_others_they_become_alike() -> None:
    known = layout()
    (total,) = totals_of(
        with_columns(parse_constraints(["a + b + c == 90"]), known.columns), known.columns
    )
    rows = pd.DataFrame({"a": [30.0], "b": [0.0], "c": [0.0], "other": [1.0]})
    found = known.decode(total.followed(known.encode(rows), 0))
    np.testing.assert_allclose(found[["b", "c"]], 30.0)


def test_what_is_fixed_does_not_follow() -> None:
    found = followed("2*a + b + 2*c == 180", 0, 30.0, b=ColumnOptions(fixed=60.0))
    np.testing.assert_allclose(found["b"], TABLE["b"])
    np.testing.assert_allclose(found["c"], 60 - TABLE["b"] / 2)


def test_what_does_not_share_the_total_moves_alone() -> None:
    known = layout()
    (total,) = totals_of(
        with_columns(parse_constraints(["a + b/2 + c == 90"]), known.columns), known.columns
    )
    numbers = known.encode(TABLE)
    assert torch.equal(total.followed(numbers, 2), numbers)


@pytest.mark.parametrize("text", ["a + b <= 5", "a - b == 0"])
def test_no_totals(text: str) -> None:
    known = layout()
    laws = with_columns(parse_constraints([text]), known.columns)
    assert totals_of(laws, known.columns) == []
