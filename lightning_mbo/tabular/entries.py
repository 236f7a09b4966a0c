"""What is said of an entry that cannot be used."""

from __future__ import annotations

from typing import Any

import pandas as pd

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "<NA>")
"""What stands for a missing entry. Not "None": it is the name of many a category."""


def bad_entry(source: object, column: object, row: int, entry: Any, wanted: str, num: int) -> str:
    """Name the first entry of a column that is not what is wanted, and how many there are.

    Args:
        source: The table.
        column: Its name.
        row: Of the entry, from 0.
        entry: As it stands there.
        wanted: What it is not, for instance "a finite number".
        num: How many entries are none either, this one included.
    """
    shown = "empty" if pd.isna(entry) else repr(str(entry)[:40])
    return (
        f"{source}, column {column!r}, data row {row + 1}: {shown} is not {wanted}. Correct it or "
        f"remove the row ({num} such entries in all)"
    )
