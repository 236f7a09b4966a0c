"""Designs that are not in the table, understood as its rows were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lightning_mbo.errors import DataError, did_you_mean
from lightning_mbo.tabular.column_kinds import as_numbers
from lightning_mbo.tabular.columns import (
    GAP,
    CategoryColumn,
    Column,
    ConstantColumn,
    SequenceColumn,
)
from lightning_mbo.tabular.derivations import Derivation
from lightning_mbo.tabular.dummies import Dummies
from lightning_mbo.tabular.following import LookedUp
from lightning_mbo.tabular.layout import TableLayout
from lightning_mbo.tabular.mutations import PARENT, Mutations
from lightning_mbo.tabular.number_column import NumberColumn
from lightning_mbo.tabular.sequence_letters import END
from lightning_mbo.tabular.spelling import respelled
from lightning_mbo.tabular.wording import listed


def entries_of(table: pd.DataFrame, layout: TableLayout, source: str) -> pd.DataFrame:
    """What the columns of a layout have in a user's rows; NaN where an entry is missing.

    Empty entries that are a level in the layout's table are so here.

    Args:
        table: Of the user, labelled by row numbers from 0.
        layout: Whose columns are wanted; those that are constant or follow from others may be
            missing.
        source: What to call the table in messages.

    Raises:
        DataError: If another column is missing, or an entry is none that the layout's table could
            have.
    """
    filled = {
        name: table[name].astype(object).where(table[name].notna(), level)
        for name, level in layout.empties.items()
        if name in table
    }
    table = table.assign(**filled)
    derived: dict[str, pd.Series] = {}
    for derivation in layout.derivations:
        if not set(derivation.derived) <= set(table.columns):
            derived |= _derived(derivation, table, source)
    table = table.assign(**derived)
    entries: dict[str, pd.Series] = {}
    for column in layout.columns:
        if column.name in table:
            entries[column.name] = _read(column, table[column.name], source)
        elif not isinstance(column, ConstantColumn):
            entries[column.name] = _fixed(column, table, source)
    found = pd.DataFrame(entries, index=table.index)
    for follower in layout.followers:
        if isinstance(follower, LookedUp) and not follower.nearest and follower.name in table:
            _check_follows(follower, table[follower.name], found[follower.leader], source)
    return found[[c.name for c in layout.columns if not isinstance(c, ConstantColumn)]]


def readable_entries(
    table: pd.DataFrame, layout: TableLayout, source: str
) -> tuple[pd.DataFrame, dict[int, str]]:
    """As `entries_of`, without the rows that are no designs of the layout or lack an entry.

    Args:
        table: As in `entries_of`.
        layout: Likewise.
        source: Likewise.

    Returns:
        The entries of all other rows, labelled as they were; and of each that is left out its
        label, and why.

    Raises:
        DataError: If no row is left, of the first.
    """
    found: list[pd.DataFrame] = []
    reasons: dict[int, str] = {}

    def read(rows: pd.DataFrame) -> None:
        try:
            entries = entries_of(rows, layout, source)
            check_complete(entries, source)
        except DataError as error:
            if len(rows) == 1:
                reasons[int(rows.index[0])] = str(error)
                return
            # Few rows are wrong: halves find them sooner than one row after the other.
            read(rows.iloc[: len(rows) // 2])
            read(rows.iloc[len(rows) // 2 :])
        else:
            found.append(entries)

    read(table)
    if not found:
        raise DataError(next(iter(reasons.values())))
    return pd.concat(found), reasons


def check_complete(entries: pd.DataFrame, source: str) -> None:
    """Refuse rows with missing entries.

    Raises:
        DataError: Naming the first.
    """
    absent = entries.isna()
    if absent.any(axis=None):
        row = _first_row(absent.any(axis=1))
        name = absent.columns[int(absent.loc[row].to_numpy().argmax())]
        raise DataError(
            f"{source}, column {name!r}, data row {row + 1}: empty. Fill it "
            f"in, or leave such rows out ({absent.any(axis=1).sum():,} in all)"
        )


def _read(column: Column, values: pd.Series, source: str) -> pd.Series:
    if isinstance(column, NumberColumn):
        return as_numbers(values, source)
    if isinstance(column, CategoryColumn):
        return _levels(column, values, source)
    if isinstance(column, SequenceColumn):
        return _words(column, values, source)
    if isinstance(column, ConstantColumn):
        _check_constant(column, values, source)
    return values


def _levels(column: CategoryColumn, values: pd.Series, source: str) -> pd.Series:
    known = {str(level).strip(): level for level in reversed(column.levels)}
    known |= {level: level for level in column.levels}
    distinct = values.dropna().unique().tolist()
    # A file of nothing but numbers has numbers where another file has them as texts.
    spelled = respelled(pd.Series([str(value).strip() for value in distinct]), column.levels)
    found = {
        value: known.get(value, known.get(text))
        for value, text in zip(distinct, spelled, strict=True)
    }
    unknown = [value for value in distinct if found[value] is None]
    if unknown:
        row = _first_row(values.isin(unknown))
        raise DataError(
            f"{_place(source, column, row)}: {str(values[row])!r} is no level in the table, and "
            f"the oracle knows no other{did_you_mean(str(values[row]), map(str, column.levels))}"
        )
    return values.map(found).astype(object)


def _words(column: SequenceColumn, values: pd.Series, source: str) -> pd.Series:
    words = values.dropna().astype(str).str.strip()
    if END not in column.alphabet:
        words = words.str.rstrip(END)
    alphabet = column.alphabet.removesuffix(GAP) if column.padded else column.alphabet
    wrong = ~words.map(lambda word: set(word).issubset(alphabet)).astype(bool)
    if wrong.any():
        row = _first_row(wrong)
        letter = next(letter for letter in words[row] if letter not in alphabet)
        raise DataError(
            f"{_place(source, column, row)}: the letter {letter!r}, and the oracle knows none but "
            f"{alphabet}"
        )
    lengths = words.str.len()
    wrong = lengths > column.length if column.padded else lengths != column.length
    if wrong.any():
        row = _first_row(wrong)
        at_most = "at most " * column.padded
        raise DataError(
            f"{_place(source, column, row)}: {lengths[row]} letters, where those of the table have "
            f"{at_most}{column.length}"
        )
    return words.reindex(values.index)


def _check_constant(column: ConstantColumn, values: pd.Series, source: str) -> None:
    given = values.dropna()
    if isinstance(column.value, (int, float)) and not isinstance(column.value, bool):
        differs = as_numbers(given, source) != column.value
    else:
        differs = given.astype(str).str.strip() != str(column.value).strip()
    if differs.any():
        row = _first_row(differs)
        raise DataError(
            f"{_place(source, column, row)}: {str(given[row])!r}, where the table has "
            f"{column.value} throughout, which says nothing of others. Remove the row "
            f"({differs.sum():,} such entries in all)"
        )


def _derived(derivation: Derivation, table: pd.DataFrame, source: str) -> dict[str, pd.Series]:
    """The columns of designs that stand for others of the user's."""
    if isinstance(derivation, Dummies):
        return {derivation.name: _collapsed(derivation, table, source)}
    (name,) = derivation.own
    values = _column(table, name, source)
    if isinstance(derivation, Mutations):
        values = values.astype(object).where(values.notna(), PARENT)
    present = values.dropna().astype(str).to_frame()
    try:
        columns = derivation.derive(present)
    except DataError:
        for row in present.index:
            try:
                derivation.derive(present.loc[[row]])
            except DataError as error:
                raise DataError(f"{source}, data row {row + 1}: {error}") from error
        raise
    return {name: column.reindex(table.index) for name, column in columns.items()}


def _collapsed(group: Dummies, table: pd.DataFrame, source: str) -> pd.Series:
    columns = {name: as_numbers(_column(table, name, source), source) for name in group.names}
    ones = pd.DataFrame(columns, index=table.index)
    whole = ones.notna().all(axis=1)
    wrong = whole & ~(ones.isin((0, 1)).all(axis=1) & (ones.sum(axis=1) == 1))
    if wrong.any():
        row = _first_row(wrong)
        raise DataError(
            f"{source}, data row {row + 1}: of {listed(group.names)} exactly one is 1 in every row "
            f"of the table, and the oracle knows nothing else ({wrong.sum():,} such rows in all)"
        )
    return group.collapsed(ones.fillna(0)).where(whole)


def _fixed(column: Column, table: pd.DataFrame, source: str) -> pd.Series:
    """The value of a column that is not given, where the user has fixed it."""
    value: Any = None
    if isinstance(column, NumberColumn):
        value = column.fixed
    elif isinstance(column, CategoryColumn) and column.fixed is not None:
        value = column.levels[column.fixed]
    if value is None:
        return _column(table, column.name, source)
    return pd.Series([value] * len(table), index=table.index, name=column.name)


def _column(table: pd.DataFrame, name: str, source: str) -> pd.Series:
    if name not in table:
        raise DataError(f"{source} has no column {name!r}{did_you_mean(name, table.columns)}")
    return table[name]


def _check_follows(follower: LookedUp, values: pd.Series, leading: pd.Series, source: str) -> None:
    both = values.notna() & leading.isin(follower.known)
    given = values[both]
    expected = pd.Series(follower.of(leading[both]), index=given.index, dtype=object)
    differs = expected.astype(str).str.strip() != given.astype(str).str.strip()
    one, other = (pd.to_numeric(v, errors="coerce").to_numpy(np.float64) for v in (expected, given))
    differs &= ~np.isclose(one, other)
    if differs.any():
        row = _first_row(differs)
        raise DataError(
            f"{_place(source, follower, row)}: {str(given[row])!r}, where the table has "
            f"{str(expected[row])!r} for {follower.leader} {leading[row]}: the oracle knows "
            f"nothing else. Correct it, or leave the column out ({differs.sum():,} such rows in "
            "all)"
        )


def _place(source: str, column: Column | LookedUp, row: int) -> str:
    return f"{source}, column {column.name!r}, data row {row + 1}"


def _first_row(wrong: pd.Series) -> int:
    return int(wrong.index[int(wrong.to_numpy().argmax())])
