"""Rows that sum up the others are no measurements."""

from __future__ import annotations

import pandas as pd
import pytest

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.summary_rows import check_no_summary

NAMES = [f"S{i}" for i in range(20)]


@pytest.mark.parametrize(
    ("entries", "parts"),
    [
        ([*NAMES, "mean"], ["data row 21 at the end is called 'mean'", "remove it"]),
        ([*NAMES, "Mean:", " SD "], ["data rows 21 and 22", "'Mean:' and 'SD'", "remove them"]),
        ([*NAMES, "MAX", None, "Std. Dev."], ["data rows 21 and 23"]),
        ([*range(20), "average", "min", "max"], ["data rows 21, 22 and 23"]),
        (["a", "b"] * 10 + ["Grand Total"], ["'Grand Total'"]),
        ([*NAMES, "RSD (%)"], ["'RSD (%)'"]),
    ],
)
def test_summaries(entries: list[object], parts: list[str]) -> None:
    table = pd.DataFrame({"the sample": pd.Series(entries, dtype=object), "y": 1.0})
    with pytest.raises(DataError) as caught:
        check_no_summary(table, [], "the table")
    message = str(caught.value)
    assert message.startswith("the table, column 'the sample': ")
    assert """--data.columns '{"the sample": category}'""" in message
    assert all(part in message for part in parts), message
    check_no_summary(table, ["the sample"], "the table")


@pytest.mark.parametrize(
    "entries",
    [
        NAMES,
        ["min", "mid", "max"] * 6,
        ["mean", *NAMES],
        [*NAMES, "meander", "total synthesis", "maximal"],
        [*NAMES, "mean", "S21"],
        [float(i) for i in range(20)],
    ],
)
def test_levels_and_names(entries: list[object]) -> None:
    check_no_summary(pd.DataFrame({"c": entries}), [], "the table")
