"""What the empty entries of a column mean, before they cost rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import pandas as pd

from lightning_mbo.tabular.column_options import SETTINGS, ColumnOptions, pasted

NONE = "none"
"""The level that empty entries of a category are."""

_FREQUENT = 0.05
_MOST = 0.5

Meaning = Literal["level", "no", "left out", "lost"]


class Empty(NamedTuple):
    """What is made of a column's empty entries.

    Attributes:
        meaning: A `level` of their own, `no` beside yes, the column is `left out`, or they are
            `lost` with their rows.
        level: For the first two, what they become.
    """

    meaning: Meaning
    level: object = None


def meaning_of_empty(column: pd.Series, kind: str) -> Empty:
    """What the empty entries of a column mean.

    Of a category they are a level where they are frequent; and where True is all that it has
    beside them, they are False. A column of other kinds that is mostly empty is left out.

    Args:
        column: Of the table.
        kind: Its kind.
    """
    values = column.dropna()
    share = 1 - len(values) / max(len(column), 1)
    if kind == "category" and share >= _FREQUENT:
        if pd.api.types.infer_dtype(values) != "boolean":
            return Empty("level", _unused(values))
        if values.nunique() == 1:
            return Empty("no", not values.iloc[0])
    if share > _MOST or (share >= _FREQUENT and values.nunique() == 1):
        return Empty("left out")
    return Empty("lost")


def with_empties(
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    options: Mapping[str, ColumnOptions],
    by_values: bool,
) -> tuple[pd.DataFrame, dict[str, str], list[str], dict[str, object]]:
    """Fill the empty entries that mean something, and leave out columns that would cost most rows.

    Args:
        table: Of the user.
        kinds: Of its columns.
        options: What the user says of them.
        by_values: Whether to judge by the values what the user says nothing of.

    Returns:
        The table, the kinds, what is said of it, a sentence each, and by name of column the level
        that empty entries are.
    """
    table, kinds, notes = table.copy(deep=False), dict(kinds), []
    levels: dict[str, object] = {}
    for name, kind in kinds.items():
        absent = table[name].isna()
        if kind not in SETTINGS or not absent.any():
            continue
        given = options.get(name, ColumnOptions())
        if given.missing is not None:
            empty = Empty("lost") if given.missing == "drop" else Empty("level", given.missing)
        elif by_values:
            empty = meaning_of_empty(table[name], kind)
        else:
            continue
        if empty.meaning == "left out" and not given.is_setting:
            kinds[name] = "mostly empty"
            notes.append(
                f"{name!r} is empty in {absent.sum():,} of {len(table):,} rows and left out. To "
                f"keep it, and lose these rows: {pasted(name, kind)} --data.missing drop"
            )
        elif empty.meaning in ("level", "no"):
            filled = table[name].astype(object).where(~absent, empty.level)
            table[name] = filled.astype(bool) if empty.meaning == "no" else filled
            levels[name] = empty.level
            notes.append(
                f"{name!r} is empty in {absent.sum():,} rows, which is taken for a level of its "
                f"own, {empty.level}. To leave these rows out: "
                f"{pasted(name, '{kind: category, missing: drop}')}"
            )
    return table, kinds, notes, levels


def _unused(values: pd.Series) -> str:
    level = NONE
    while level in set(values.astype(str)):
        level = f"({level})"
    return level
