"""What the empty entries of a column mean, before they cost rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import DataError, MBOWarning
from lightning_mbo.problem import FEWEST_DESIGNS
from lightning_mbo.tabular.column_options import SETTINGS, ColumnOptions, pasted

NONE = "none"
"""The level that empty entries of a category are."""

_FREQUENT = 0.05
_MOST = 0.5
_MOST_LOST = 0.1
"""Of the measured rows, for missing entries."""

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
    has_empty = table.isna().any()
    with_empty = set(table.columns[has_empty.to_numpy()])
    for name, kind in kinds.items():
        if kind not in SETTINGS or name not in with_empty:
            continue
        absent = table[name].isna()
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


def complete_rows(
    table: pd.DataFrame,
    source: str,
    names: list[str],
    target: str,
    missing: Literal["drop", "refuse"] | None,
) -> NDArray[np.bool_]:
    """Which rows have all entries, ``(N,)``.

    Args:
        table: Of the user, N rows.
        source: What to call it in messages.
        names: Of the columns that count, beside the target.
        target: What is measured.
        missing: What happens to the others; None drops them if they are few.

    Raises:
        DataError: If others are refused, or too many; naming the columns.
    """
    absent = table[[*names, target]].isna()
    if absent[target].all():
        raise DataError(f"{source}, column {target!r} is empty: give another --data.target")
    complete: NDArray[np.bool_] = ~absent.any(axis=1).to_numpy()
    if complete.all():
        return complete
    counts = absent.sum()
    counts = counts[counts > 0].sort_values(ascending=False, kind="stable")
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.head(5).items())
    shown += f" and {len(counts) - 5} more columns" * (len(counts) > 5)
    if missing == "refuse":
        row = int(np.flatnonzero(~complete)[0])
        name = absent.columns[int(absent.iloc[row].to_numpy().argmax())]
        raise DataError(
            f"{source}, column {name!r}, data row {row + 1}: empty. Fill it in, or give "
            f"--data.missing drop to leave such rows out (empty entries: {shown})"
        )
    measured = int((~absent[target]).sum())
    worst = counts.index.drop(target, errors="ignore")
    if complete.sum() < FEWEST_DESIGNS:
        raise DataError(
            f"{source}: only {complete.sum()} of {len(table):,} rows have all entries, and at "
            f"least {FEWEST_DESIGNS} are needed. Empty are: {shown}"
            + (f". Leave such columns out with {pasted(worst[0], 'ignore')}" if len(worst) else "")
        )
    if missing is None and measured - complete.sum() > _MOST_LOST * measured:
        raise DataError(
            f"{source}: {measured - complete.sum():,} of {measured:,} measured rows lack an entry "
            f"(empty entries: {shown}). Leave the column out with {pasted(worst[0], 'ignore')}, or "
            "give --data.missing drop to do without these rows"
        )
    warnings.warn(
        f"{source}: {(~complete).sum():,} of {len(table):,} rows are left out for missing entries: "
        f"{shown}",
        category=MBOWarning,
        stacklevel=3,
    )
    return complete
