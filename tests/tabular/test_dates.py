"""Dates and times are refused by name, in whatever way they are written."""

from __future__ import annotations

import datetime
from typing import Any

import pandas as pd
import pytest

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.column_kinds import inferred_kind


@pytest.mark.parametrize(
    "entry",
    [
        "2024-03-12",
        "2024/3/12",
        "12.03.2024",
        "3/12/24",
        "2024-03-12T10:00Z",
        "2024-03-12 10:00:00.250",
        "2024-03-12T10:00:00+01:00",
        "20240312T1005",
        "12.03.24 14:05",
        "12-Mar-2024",
        "12 March 2024",
        "12. März 2024",
        "12Mar24",
        "12-MAR-24 2:05 PM",
        "Mar 12, 2024",
        "March 12th 2024",
        "2024-Mar-12",
        "Sept 2024",
        "Tue, 12 Mar 2024 14:05",
        "14:05",
        "14:05:30",
        "02:05 pm",
        pd.Timestamp("2024-03-12 14:05"),
        datetime.datetime(2024, 3, 12, 14, 5),
        datetime.date(2024, 3, 12),
        datetime.time(14, 5),
        pd.Timedelta("2h"),
    ],
)
def test_dates(entry: Any) -> None:
    for dtype in (None, object):
        column = pd.Series([entry, None, entry], name="Run date [UTC]", dtype=dtype)
        with pytest.raises(DataError, match=r"'Run date \[UTC\]' holds dates or times") as raised:
            inferred_kind(column, "the table")
        assert """--data.columns '{"Run date [UTC]": ignore}'""" in str(raised.value)


def test_a_few_other_entries_among_dates() -> None:
    column = pd.Series(["2024-03-12"] * 19 + ["unknown"], name="made")
    with pytest.raises(DataError, match="holds dates"):
        inferred_kind(column, "the table")


@pytest.mark.parametrize("name", ["date", "Run date", "measuredDay"])
def test_dates_in_digits(name: str) -> None:
    dates = pd.Series([20240229, 20231231, 19991001], name=name)
    for column in (dates, dates.astype(float), dates.astype(str)):
        with pytest.raises(DataError, match="holds dates"):
            inferred_kind(column, "the table")
    assert inferred_kind(dates.rename("price"), "the table") == "integer"
    assert inferred_kind(dates + 2, "the table") == "integer"  # 20240231


@pytest.mark.parametrize(
    ("name", "entries", "kind"),
    [
        ("ratio", ["1:10", "1:20", "1:10"], "category"),
        ("ratio", ["50:50", "20:80", "50:50"], "category"),
        ("electrolyte", ["DEC-10", "DEC-20", "DEC-10"], "category"),
        ("month", ["Jan", "Feb", "Jan"], "category"),
        ("solvent", ["may contain oil", "none", "none"], "category"),
        ("day", [1, 2, 5], "integer"),
        ("well", ["A1", "B12", "A1"], "category"),
        ("code", ["1-2-3", "4-5-6", "1-2-3"], "category"),
        ("CAS", ["64-17-5", "67-63-0", "64-17-5"], "category"),
    ],
)
def test_what_is_no_date(name: str, entries: list[Any], kind: str) -> None:
    assert inferred_kind(pd.Series(2 * entries, name=name), "the table") == kind


def test_times_with_one_digit_by_their_name() -> None:
    with pytest.raises(DataError, match="holds dates"):
        inferred_kind(pd.Series(["9:05", "14:30"], name="start time"), "the table")
