"""Rows at the end of a table that sum up the others."""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.column_options import pasted

_NUM_LOOKED_AT = 10
_SUMMARY = re.compile(
    r"(grand |sub-?)?(means?|averages?|avg|median|mode|(grand )?totals?|sum|min|max|minimum|maximum"
    r"|sds?|std|sem|rsd|cv|var|variance|range|count"
    r"|(st(d|an?d?ard)|rel(ative)?)\.?[ _-]?(dev(iation)?|err(or)?)|stdevp?|mean ?± ?sd"
    r"|25 ?%|50 ?%|75 ?%)[.:]?( ?[(\[]?%?[)\]]?)?",
    re.IGNORECASE,
)


def check_no_summary(table: pd.DataFrame, texts: Collection[str], source: str) -> None:
    """Refuse a table that ends with rows called mean, SD, max or the like.

    They are told by a column of texts, or of numbers with texts at its end, in which no other row
    is called so.

    Args:
        table: With rows counted from 0.
        texts: Columns in which such words are levels like others.
        source: What to call it in messages.

    Raises:
        DataError: Naming the rows.
    """
    for name, dtype in zip(table.columns, table.dtypes, strict=True):
        if name in texts or not pd.api.types.is_string_dtype(dtype):
            continue
        column = table[name]
        words = column.iloc[-_NUM_LOOKED_AT:].dropna().astype(str).str.strip()
        is_summary = words.map(lambda word: _SUMMARY.fullmatch(word) is not None)
        last = words[is_summary[::-1].cummin()[::-1].astype(bool)]
        if last.empty or column.iloc[: last.index[0]].isin(last).any():
            continue
        one = len(last) == 1
        rows = f"row {last.index[0] + 1}" if one else f"rows {_listed(last.index + 1)}"
        called = " and ".join(repr(word) for word in last)
        raise DataError(
            f"{source}, column {name!r}: data {rows} at the end {'is' if one else 'are'} called "
            f"{called}, and {'sums' if one else 'sum'} up the others: remove "
            f"{'it' if one else 'them'}. Or, if {'it is a row' if one else 'they are rows'} like "
            f"others: {pasted(str(name), 'category')}"
        )


def _listed(numbers: pd.Index) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
