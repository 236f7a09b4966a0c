"""How much each row of a table counts, and rows that measure the same design."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.entries import bad_entry


def row_weights(
    table: pd.DataFrame, error_column: str | None, weight_column: str | None, source: str
) -> NDArray[np.float64]:
    """What the rows count, ``(n,)``: 1, their weight, or the inverse variance of their error.

    Args:
        table: Labelled by row numbers from 0.
        error_column: Of the measurements' standard deviations; or None.
        weight_column: Of weights; or None.
        source: What to call the table in messages.

    Raises:
        DataError: Naming the first entry that is no positive number.
    """
    weights = np.ones(len(table))
    for name, power in ((error_column, -2), (weight_column, 1)):
        if name is not None:
            values = _positive(table[name], source)
            # Relative to the geometric mean: powers of tiny errors overflow.
            weights *= (values / np.exp(np.log(values).mean())) ** power
    mean: float = weights.mean()
    return weights / mean


def _positive(column: pd.Series, source: str) -> NDArray[np.float64]:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~((values > 0) & np.isfinite(values)))
    if len(bad):
        entry, row = column.iloc[bad[0]], column.index[bad[0]]
        raise DataError(bad_entry(source, column.name, row, entry, "a positive number", len(bad)))
    return values


class Replicates(NamedTuple):
    """A table in which every design stands once.

    Attributes:
        rows: Positions of each design's first row, ascending, ``(n,)``.
        properties: Weighted means, ``(n,)``.
        weights: Sums, ``(n,)``.
    """

    rows: NDArray[np.intp]
    properties: NDArray[np.float64]
    weights: NDArray[np.float64]


def merged(
    designs: pd.DataFrame, properties: NDArray[np.float64], weights: NDArray[np.float64]
) -> Replicates:
    """Merge the rows that measure the same design.

    Args:
        designs: Of N rows.
        properties: Shape ``(N,)``.
        weights: Shape ``(N,)``.
    """
    repeated = designs.duplicated().to_numpy()
    rows = np.flatnonzero(~repeated)
    if len(rows) == len(designs):
        return Replicates(rows, properties, weights)
    # In order of appearance, as `rows` are.
    design = designs.groupby(list(designs.columns), sort=False).ngroup().to_numpy()
    totals = np.bincount(design, weights).astype(np.float64)
    means = np.bincount(design, weights * properties) / totals
    single = np.bincount(design) == 1
    return Replicates(rows, np.where(single, properties[rows], means), totals)
