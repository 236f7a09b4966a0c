"""Which numbers are whole because they were written so, and what stands for none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NULLABLE: Final = "Int64"
"""The type of whole numbers of which some are missing."""


def possibly_whole(table: pd.DataFrame) -> list[str]:
    """Columns of whole numbers that may be floating-point for their missing entries alone."""
    with_gaps = table.columns[
        table.isna().any().to_numpy() & (table.dtypes == np.float64).to_numpy()
    ]
    return [str(name) for name in with_gaps if _is_whole(table[name].to_numpy())]


def _is_whole(values: NDArray[np.float64]) -> bool:
    present = values[~np.isnan(values)]
    if not len(present) or np.isinf(present).any() or (present[:100] % 1).any():
        return False
    return bool(not (present % 1).any() and np.abs(present).max() < 2**53)


def as_whole(table: pd.DataFrame, names: Collection[str] | None = None) -> pd.DataFrame:
    """A table of which some columns are whole numbers by their type.

    Args:
        table: Of which nothing is changed.
        names: Which columns; None: all that are floating-point perhaps for missing entries alone.
    """
    table = table.copy(deep=False)
    for name in possibly_whole(table) if names is None else names:
        table[name] = table[name].astype(NULLABLE)
    return table


def floating(table: pd.DataFrame) -> pd.DataFrame:
    """The table, with whole numbers of which some are missing floating-point again."""
    table = table.copy(deep=False)
    for name in table.columns[(table.dtypes == NULLABLE).to_numpy()]:
        table[name] = table[name].astype(np.float64)
    return table


def without(table: pd.DataFrame, missing_values: Collection[str]) -> pd.DataFrame:
    """A table in which entries that stand for missing ones are missing.

    Args:
        table: Of which nothing is changed.
        missing_values: Such entries, as they are written.
    """
    numbers = pd.to_numeric(pd.Series(list(missing_values), dtype=object), errors="coerce").dropna()
    table = table.copy(deep=False)
    for name, column in table.items() if missing_values else ():
        absent = column.isin(numbers)
        if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
            absent |= column.astype(str).str.strip().isin(list(missing_values))
        if absent.any():
            table[name] = column.where(~absent)
    return table
