"""A user's own list of designs, read as the table was."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from lightning_mbo.designs import first_occurrences
from lightning_mbo.errors import DataError, MBOWarning
from lightning_mbo.tabular.encoding import check_complete, entries_of
from lightning_mbo.tabular.layout import TableLayout


@dataclass(frozen=True)
class Pool:
    """A user's own list of designs, each once.

    Attributes:
        designs: Shape ``(m, *design_shape)``, float64.
        rows: As they were given, with all their columns, m rows.
        entries: What the columns of the design have in them, m rows.
        row_numbers: Of each in the list, from 1, ``(m,)``.
        num_rows: Of the list with all entries, of which some may repeat a design.
    """

    designs: Tensor
    rows: pd.DataFrame
    entries: pd.DataFrame
    row_numbers: Sequence[int]
    num_rows: int

    def rows_of(self, designs: Tensor) -> pd.DataFrame:
        """The rows that designs ``(c, *design_shape)`` of this list were made of."""
        places = {key: row for row, key in enumerate(_keys(self.designs))}
        rows = [places[key] for key in _keys(designs)]
        return self.rows.iloc[rows].reset_index(drop=True)


def _keys(designs: Tensor) -> list[bytes]:
    return [row.tobytes() for row in designs.flatten(1).double().numpy(force=True)]


def pool_of(
    table: pd.DataFrame, layout: TableLayout, source: str, refuse_empty: bool = False
) -> Pool:
    """Read a list of designs.

    Args:
        table: Of the user, labelled by row numbers from 0.
        layout: Of the table from which the oracle has learnt.
        source: What to call the list in messages.
        refuse_empty: Whether rows with missing entries are refused, and not left out.

    Raises:
        DataError: If a column is missing, an entry is none that the table could have, or no row is
            left.
    """
    entries = entries_of(table, layout, source)
    if refuse_empty:
        check_complete(entries, source)
    complete = entries.notna().all(axis=1)
    if not complete.all():
        counts = entries.isna().sum()
        empty = ", ".join(f"{name} {count:,}" for name, count in counts[counts > 0].items())
        warnings.warn(
            f"{source}: {(~complete).sum():,} of {len(table):,} rows are left out for missing "
            f"entries: {empty}",
            category=MBOWarning,
            stacklevel=3,
        )
        entries = entries[complete]
    if entries.empty:
        raise DataError(f"{source}: no row has all entries, there is nothing to rank")
    designs = layout.encode(entries)
    first = first_occurrences(designs)
    entries = entries.iloc[first.numpy()]
    rows = table.loc[entries.index].reset_index(drop=True)
    row_numbers = (entries.index + 1).tolist()
    return Pool(designs[first], rows, entries, row_numbers, len(designs))


def outside_range(designs: pd.DataFrame, layout: TableLayout) -> tuple[int, list[str]]:
    """How many of some designs have numbers that the layout's table does not reach.

    Args:
        designs: Their columns, of which none is missing.
        layout: Of the table.

    Returns:
        Their number, and the names of the columns.
    """
    beyond = pd.DataFrame(
        {column.name: ~designs[column.name].between(*column.seen) for column in layout.numbers},
        index=designs.index,
    )
    return int(beyond.any(axis=1).sum()), list(beyond.columns[beyond.any()])
