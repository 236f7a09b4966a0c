"""How much each row of a table counts, and rows that measure the same design."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.column_kinds import as_floats
from lightning_mbo.tabular.entries import bad_entry


def row_weights(table: pd.DataFrame, weight_column: str | None, source: str) -> NDArray[np.float64]:
    """What the rows count, ``(n,)``, of mean 1.

    Args:
        table: Labelled by row numbers from 0.
        weight_column: Of weights; or None: all rows count alike.
        source: What to call the table in messages.

    Raises:
        DataError: Naming the first entry that is no positive number.
    """
    weights = np.ones(len(table))
    if weight_column is not None:
        values = positive(table[weight_column], source)
        # Relative to the geometric mean: the sum of huge ones overflows.
        weights = values / np.exp(np.log(values).mean())
    mean: float = weights.mean()
    return weights / mean


def positive(column: pd.Series, source: str) -> NDArray[np.float64]:
    """A column's numbers, ``(n,)``.

    Args:
        column: Labelled by row numbers from 0.
        source: What to call the table in messages.

    Raises:
        DataError: Naming the first entry that is no positive number.
    """
    values = as_floats(column).to_numpy()
    bad = np.flatnonzero(~((values > 0) & np.isfinite(values)))
    if len(bad):
        entry, row = column.iloc[bad[0]], column.index[bad[0]]
        raise DataError(bad_entry(source, column.name, row, entry, "a positive number", len(bad)))
    return values


def design_numbers(designs: pd.DataFrame) -> NDArray[np.intp]:
    """Equal numbers for equal rows, from 0 in the order of appearance, ``(N,)``."""
    numbers = np.zeros(len(designs), np.intp)
    for name in designs.columns:
        values, levels = pd.factorize(designs[name], use_na_sentinel=False)
        numbers, found = pd.factorize(numbers * len(levels) + values)
        if len(found) == len(designs):
            break  # The first few columns tell the rows of most tables apart.
    return numbers


class Replicates(NamedTuple):
    """A table in which every design stands once.

    Attributes:
        rows: Positions of each design's first row, ascending, ``(n,)``.
        properties: Means, ``(n,)``.
        weights: Sums of the rows' weights; where measurements have errors, means. ``(n,)``.
        errors: Standard deviations of the means that come from the measurements' errors, ``(n,)``;
            zero where these are not known.
        scatters: Standard deviations of measurements without errors around their mean, ``(n,)``.
    """

    rows: NDArray[np.intp]
    properties: NDArray[np.float64]
    weights: NDArray[np.float64]
    errors: NDArray[np.float64]
    scatters: NDArray[np.float64]


def merged(
    designs: pd.DataFrame,
    properties: NDArray[np.float64],
    weights: NDArray[np.float64],
    errors: NDArray[np.float64] | None = None,
) -> Replicates:
    """Merge the rows that measure the same design.

    Measurements with errors e are averaged by e⁻², and the error of their mean is (Σ e⁻²)^(-1/2).
    Without errors they are averaged by their weights.

    Args:
        designs: Of N rows.
        properties: Shape ``(N,)``.
        weights: Shape ``(N,)``.
        errors: Standard deviations of the properties, positive, ``(N,)``; None: not known.
    """
    # In order of appearance, as the rows are.
    design = design_numbers(designs)
    rows = np.unique(design, return_index=True)[1]
    none = np.zeros(len(rows))
    if len(rows) == len(designs):
        return Replicates(rows, properties, weights, none if errors is None else errors, none)
    numbers = np.bincount(design)
    totals = np.bincount(design, weights).astype(np.float64)
    if errors is None:
        means, scatters = _means(design, properties, weights)
        properties = np.where(numbers == 1, properties[rows], means)
        return Replicates(rows, properties, totals, none, scatters)
    # Relative to the design's least error: inverse squares of tiny errors overflow.
    least = pd.Series(errors).groupby(design).min().to_numpy()
    precisions = (least[design] / errors) ** 2
    means, _ = _means(design, properties, precisions)
    of_means = least / np.sqrt(np.bincount(design, precisions))
    properties = np.where(numbers == 1, properties[rows], means)
    return Replicates(rows, properties, totals / numbers, of_means, none)


def grouped(designs: pd.DataFrame, columns: pd.DataFrame) -> NDArray[np.intp] | None:
    """Equal integers for rows that belong together, ``(N,)``, or None where all are by themselves.

    Args:
        designs: Of N rows: equal ones belong together.
        columns: Those by which rows belong together, of N rows; an empty entry says nothing.
    """
    if columns.empty:
        return None
    design = design_numbers(designs)
    num_nodes = int(design.max()) + 1
    edges = []
    for name in columns:
        group = pd.factorize(columns[name])[0]
        edges.append(np.stack([design, num_nodes + group])[:, group >= 0])
        num_nodes += int(group.max()) + 1
    one, other = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(num_nodes, num_nodes))
    numbers: NDArray[np.intp] = connected_components(graph, directed=False)[1][design]
    return numbers.astype(np.intp)


def _means(
    design: NDArray[np.integer[Any]], values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each design's weighted mean, and the weighted standard deviation around it."""
    totals = np.bincount(design, weights)
    means = np.bincount(design, weights * values) / totals
    squares = np.bincount(design, weights * (values - means[design]) ** 2) / totals
    return means, np.sqrt(squares)
