"""What a spreadsheet would execute."""

from __future__ import annotations

import io
import warnings

import pandas as pd
import pytest

from lightning_mbo.spreadsheets import csv_text, unescaped

TABLE = pd.DataFrame(
    {
        "mean": [-1.5, 2.0],
        "solvent": ["=1+1", "water"],
        "salt": ["+a", "-b"],
        "mixed": ["@x", -3],
        "blank": ["\tx", "\ry"],
        "=name": [1, 2],
    }
)


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text, newline=""), lineterminator="\n")


def test_texts_are_escaped_and_numbers_are_not() -> None:
    found = read(csv_text(TABLE, escape=True))
    assert list(found) == ["mean", "solvent", "salt", "mixed", "blank", "'=name"]
    assert found["mean"].tolist() == [-1.5, 2.0]
    assert found["solvent"].tolist() == ["'=1+1", "water"]
    assert found["salt"].tolist() == ["'+a", "'-b"]
    assert found["mixed"].tolist() == ["'@x", "-3"]
    assert found["blank"].tolist() == ["'\tx", "'\ry"]
    assert TABLE["solvent"][0] == "=1+1"


def test_without_it_nothing_is_changed_and_a_warning_says_so() -> None:
    with pytest.warns(UserWarning, match=r"'=name'.*--escape_formulas true"):
        assert csv_text(TABLE, escape=False) == TABLE.to_csv(index=False)


@pytest.mark.parametrize("escape", [False, True])
def test_a_table_without_is_as_it_was(escape: bool) -> None:
    table = pd.DataFrame({"mean": [-1.0], "solvent": ["a=b"], "mean ": [2.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert csv_text(table, escape) == table.to_csv(index=False)


def test_what_was_escaped_is_as_it_was_before() -> None:
    table = TABLE.assign(mixed=["@x", "'quoted'"])
    found = unescaped(read(csv_text(table, escape=True)))
    pd.testing.assert_frame_equal(found, table)
