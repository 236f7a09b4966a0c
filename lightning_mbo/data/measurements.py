"""New measurements: which rows are of candidates, and the table with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.data import CSV
from lightning_mbo.designs import nearest
from lightning_mbo.errors import DataError
from lightning_mbo.tabular.column_kinds import as_numbers
from lightning_mbo.tabular.headers import missing_column
from lightning_mbo.tabular.replicates import merged, positive, row_weights

_SAME = 1e-6
"""Of designs, in standard deviations: candidates have ten digits, of which a spreadsheet may lose
some."""


@dataclass(frozen=True)
class Measurements:
    """Rows of a file that have a measurement, and are none of the table's own.

    Attributes:
        rows: With all their columns, r rows, labelled by their numbers from 0.
        candidates: Which candidate each is of, from 0; -1 of others. ``(r,)``
        nearest: Of rows that are designs the candidate that is most similar, otherwise -1. ``(r,)``
        reasons: Of rows that are none, why, by their label.
        num_empty: How many rows of the file have no measurement.
        num_known: How many stand in the table, with all their entries.
    """

    rows: pd.DataFrame
    candidates: NDArray[np.intp]
    nearest: NDArray[np.intp]
    reasons: dict[int, str]
    num_empty: int
    num_known: int

    @property
    def others(self) -> list[int]:
        """The labels of the rows that are of no candidate."""
        return [int(label) for label in self.rows.index[self.candidates < 0]]


def measurements_of(
    data: CSV, measured: pd.DataFrame, candidates: pd.DataFrame, source: str
) -> Measurements:
    """Look for candidates in a file of measurements.

    Args:
        data: The run's table.
        measured: The rows of the file.
        candidates: Those of `candidates.csv`.
        source: What to call the file in messages.

    Raises:
        DataError: If a column is missing, an entry of the target is no number, or no row is left.
    """
    wanted = data.measured_names
    others = [*data.error_columns.values(), data.roles.weight_column]
    for name in (*wanted, *(name for name in others if name is not None)):
        if name not in measured:
            raise DataError(missing_column("--measured", source, name, list(measured.columns)))
    has_value = pd.Series(False, index=measured.index)
    for name in wanted:
        has_value |= as_numbers(measured[name], source).notna()
    table = data.read(data.path)
    known = _stand_in(measured, table) & has_value
    rows = measured[has_value & ~known]
    if rows.empty:
        columns = " and ".join(map(repr, wanted))
        raise DataError(
            f"{source}: no row has a new {' or '.join(wanted)}. Give designs of the run's "
            "candidates.csv, with what was measured of them in the "
            f"column{'s' * (len(wanted) > 1)} {columns}"
        )
    own, _ = data.encode_readable(candidates, "candidates.csv")
    designs, reasons = data.encode_readable(rows, source)
    is_design = ~rows.index.isin(list(reasons))
    far, place = nearest(designs, own, data.distances)
    found, most_similar = (np.full(len(rows), -1, dtype=np.intp) for _ in range(2))
    found[is_design] = np.where(far.numpy() <= _SAME, place.numpy(), -1)
    most_similar[is_design] = place.numpy()
    return Measurements(
        rows, found, most_similar, reasons, int((~has_value).sum()), int(known.sum())
    )


def candidate_means(data: CSV, measurements: Measurements, source: str, name: str) -> pd.Series:
    """What was measured of each candidate, of several rows the mean, as in the run's own table.

    Args:
        data: The run's table.
        measurements: Of candidates, and of others, which are left out.
        source: What to call their file in messages.
        name: One of the data's `measured_names`. Rows that lack it are left out.

    Returns:
        Labelled by candidates, from 0, ascending.

    Raises:
        DataError: If an error or a weight of a measurement is no positive number.
    """
    roles, values = data.roles, as_numbers(measurements.rows[name], source)
    chosen = (measurements.candidates >= 0) & values.notna().to_numpy()
    rows, places = measurements.rows[chosen], measurements.candidates[chosen]
    if rows.empty:
        return pd.Series(dtype=np.float64)
    error = data.error_columns.get(name)
    replicates = merged(
        pd.DataFrame({"candidate": places}),
        values[chosen].to_numpy(),
        row_weights(rows, roles.weight_column, source),
        None if error is None else positive(rows[error], source),
    )
    return pd.Series(replicates.properties, index=places[replicates.rows]).sort_index()


def longer_table(data: CSV, measurements: Measurements) -> tuple[pd.DataFrame, list[str]]:
    """The run's table with the new rows, in its own columns.

    What the new rows lack and follows from their design, a constant for instance, is filled in. A
    column that the run has left out by itself, and that the new rows lack, stays behind: empty in
    some rows it might be taken for something else.

    Args:
        data: The run's table.
        measurements: All new rows, of candidates or not.

    Returns:
        The table, and the columns that stay behind.
    """
    table, new = data.read(data.path), measurements.rows
    designs, reasons = data.encode_readable(new, "")
    decoded = data.to_user_units(designs).set_axis(new.index[~new.index.isin(list(reasons))])
    filled = decoded[[name for name in decoded if name not in new]].reindex(new.index)
    used = {*decoded, *vars(data.roles).values(), *new}
    unused = [str(name) for name in table if name not in used]
    behind = [name for name in unused if not _is_named(name, [*data.options])]
    table = table.drop(columns=behind)
    new = pd.concat([new, filled], axis=1).reindex(columns=table.columns)
    # As objects, of which whole numbers stay whole where others are missing.
    return pd.concat([table.astype(object), new.astype(object)], ignore_index=True), behind


def _is_named(name: str, options: Sequence[str]) -> bool:
    return any(fnmatchcase(name, option) for option in options) or name in options


def _stand_in(rows: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    """Which rows are some of a table's, entry by entry."""
    if not set(table.columns) <= set(rows.columns):
        return pd.Series(False, index=rows.index)
    known = set(_entries(table))
    same = [row in known for row in _entries(rows[table.columns])]
    return pd.Series(same, index=rows.index)


def _entries(table: pd.DataFrame) -> list[tuple[object, ...]]:
    plain = table.astype(object).where(table.notna(), None)
    return list(plain.itertuples(index=False, name=None))
