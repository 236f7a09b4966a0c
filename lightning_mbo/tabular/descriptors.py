"""Categories of whose levels more is known than their names: numbers that describe them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import DataError, MBOWarning, did_you_mean
from lightning_mbo.tabular.column_options import ColumnOptions
from lightning_mbo.tabular.columns import CategoryColumn, Column
from lightning_mbo.tabular.reading import numbers, plain, read_table
from lightning_mbo.tabular.spelling import respelled
from lightning_mbo.tabular.wording import listed

_MOST_LISTED = 6


def described_column(values: pd.Series, options: ColumnOptions) -> CategoryColumn:
    """A category with the levels of a table of descriptors.

    Args:
        values: Of the user's table, none of them missing.
        options: With the descriptors.

    Raises:
        DataError: If they are not one number for each descriptor of each level.
    """
    name, given = str(values.name), options.descriptors
    seen = sorted(values.unique().tolist(), key=str)
    source = f"the descriptors of {name!r}" if isinstance(given, pd.DataFrame) else str(given)
    table, key = _read(name, given, any(isinstance(level, str) for level in seen), source)
    levels = _named_as_seen(_names(table[key], source), seen, options)
    for row, level in enumerate(levels):
        if (first := levels.index(level)) < row:
            raise DataError(
                f"{source}, column {key!r}, data row {row + 1}: {str(level)!r} stands in data row "
                f"{first + 1} already. Keep one of them"
            )
    absent = [level for level in seen if level not in levels]
    if absent:
        raise DataError(
            f"{source}, column {key!r}: no row is {str(absent[0])!r}, a level of {name!r}"
            f"{did_you_mean(str(absent[0]), map(str, levels))}. Add it, or leave out the rows that "
            f"have it ({len(absent)} such levels in all)"
        )
    found = _numbers(table.drop(columns=key), source)
    varying = np.ptp(found, axis=0) > 0
    names = table.columns.drop(key).to_numpy()
    if not varying.any():
        raise DataError(
            f"{source}: no descriptor differs between levels. Add one that does, or leave "
            f"data.columns.{name}.descriptors out"
        )
    if not varying.all():
        warnings.warn(
            f"{source}: constant descriptors are left out: {listed(list(names[~varying]))}",
            category=MBOWarning,
            stacklevel=2,
        )
    order = sorted(range(len(levels)), key=lambda row: str(levels[row]))
    return CategoryColumn(
        name,
        tuple(levels[row] for row in order),
        descriptors=_standardized(found[order][:, varying]),
        described_by=tuple(names[varying]),
        unseen=tuple(levels[row] for row in order if levels[row] not in seen),
    )


def ordered_column(values: pd.Series, options: ColumnOptions, source: str) -> CategoryColumn:
    """A category with levels in an order, which are described by their ranks.

    Args:
        values: Of the user's table, none of them missing.
        options: With the levels.
        source: What to call the table in messages.

    Raises:
        DataError: If an entry is none of the levels.
    """
    name, given = str(values.name), options.levels or ()
    seen = values.unique().tolist()
    levels = _named_as_seen(given, seen, options)
    wrong = ~values.isin(levels)
    if wrong.any():
        row = values.index[int(wrong.to_numpy().argmax())]
        raise DataError(
            f"{source}, column {name!r}, data row {row + 1}: {str(values[row])!r} is none of "
            f"data.columns.{name}.levels{did_you_mean(str(values[row]), map(str, given))}. Correct "
            f"it, or add it in its place ({wrong.sum():,} such entries in all)"
        )
    ranks = np.arange(len(levels), dtype=np.float64)[:, None]
    unseen = tuple(level for level in levels if level not in seen)
    return CategoryColumn(name, tuple(levels), descriptors=_standardized(ranks), unseen=unseen)


def level_notes(columns: Sequence[Column]) -> list[str]:
    """What is said of levels of the designs' columns that no row has, a sentence each."""
    notes = []
    for column in columns:
        if not isinstance(column, CategoryColumn) or not column.unseen:
            continue
        unseen = [str(level) for level in column.unseen]
        some = f"{len(unseen)} of the {len(column.levels)} levels"
        shown = listed(unseen) if len(unseen) <= _MOST_LISTED else some
        known = "descriptors" if column.described_by else "place in the order"
        notes.append(
            f"in {column.name!r} no row has {shown}, of which the oracle knows the {known} alone, "
            "and candidates may"
        )
    return notes


def _read(name: str, given: Any, as_texts: bool, source: str) -> tuple[pd.DataFrame, str]:
    """The table of descriptors, and its column of levels."""
    if isinstance(given, pd.DataFrame):
        table = plain(given, source)
        key = _key(table, name, source)
    else:
        option = f"data.columns.{name}.descriptors"
        table = read_table(Path(given), option=option)
        key = _key(table, name, source)
        if as_texts:
            table = read_table(Path(given), [key], option=option)
    return table, key


def _key(table: pd.DataFrame, name: str, source: str) -> str:
    if len(table.columns) < 2:
        raise DataError(
            f"{source} has {len(table.columns)} columns: it must have one of levels, and one or "
            "more of numbers that describe them"
        )
    return name if name in table else str(table.columns[0])


def _names(column: pd.Series, source: str) -> list[Any]:
    absent = column.isna().to_numpy()
    if absent.any():
        raise DataError(
            f"{source}, column {column.name!r}, data row {absent.argmax() + 1}: empty. Name the "
            f"level, or remove the row ({absent.sum():,} such entries in all)"
        )
    return column.tolist()


def _numbers(table: pd.DataFrame, source: str) -> NDArray[np.float64]:
    try:
        return numbers(table, list(table.columns), source)
    except DataError as error:
        raise DataError(f"{error}. If its column describes no level, leave it out") from None


def _named_as_seen(names: Sequence[Any], seen: Sequence[Any], options: ColumnOptions) -> list[Any]:
    """Levels as they are written in the user's table, where they are there."""
    texts = pd.Series([str(name).strip() for name in names], dtype=object)
    known = {str(level): level for level in seen}
    if options.spelling != "exact":
        texts = respelled(texts, list(known))
    as_texts = any(isinstance(level, str) for level in seen)
    return [
        known.get(text, text if as_texts else name) for text, name in zip(texts, names, strict=True)
    ]


def _standardized(values: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Of mean 0 and standard deviation 1 over the levels; a row a level."""
    scaled = values / np.abs(values).max(0)  # squares of large numbers overflow
    scaled = (scaled - scaled.mean(0)) / scaled.std(0)
    return tuple(map(tuple, scaled.tolist()))
