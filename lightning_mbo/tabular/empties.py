"""What the empty entries of a column mean, before they cost rows."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pandas as pd

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


def _unused(values: pd.Series) -> str:
    level = NONE
    while level in set(values.astype(str)):
        level = f"({level})"
    return level
