"""Texts that a spreadsheet would take for formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytorch_lightning.utilities import rank_zero_warn

from lightning_mbo.errors import MBOWarning

if TYPE_CHECKING:
    import pandas as pd

_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(table: pd.DataFrame, escape: bool) -> str:
    """A table as CSV; texts that begin like a formula are escaped, or a warning tells of them.

    Args:
        table: Of candidates.
        escape: Whether an apostrophe is put before texts that begin with ``= + - @``, a tab or a
            carriage return, names of columns included. Numbers are never changed.
    """
    if escape:
        return _escaped(table).to_csv(index=False)
    texts = [*table.columns, *(text for _, column in _texts(table) for text in column)]
    found = next((text for text in texts if _is_formula(text)), None)
    if found is not None:
        rank_zero_warn(
            f"the table of candidates holds {found!r}, which a spreadsheet takes for a formula. If "
            "you do not trust where it comes from, give --escape_formulas true",
            category=MBOWarning,
        )
    return table.to_csv(index=False)


def _escaped(table: pd.DataFrame) -> pd.DataFrame:
    table = table.copy()
    for number, column in _texts(table):
        table.isetitem(number, [_escaped_text(text) for text in column])
    return table.set_axis([_escaped_text(name) for name in table.columns], axis=1)


def unescaped(table: pd.DataFrame) -> pd.DataFrame:
    """A table that was written with its texts escaped, as it was before."""
    table = table.copy()
    for number, column in _texts(table):
        table.isetitem(number, [_unescaped_text(text) for text in column])
    return table.set_axis([_unescaped_text(name) for name in table.columns], axis=1)


def _texts(table: pd.DataFrame) -> list[tuple[int, pd.Series]]:
    """The columns that hold texts, and their numbers."""
    import pandas as pd

    columns = [(number, table.iloc[:, number]) for number in range(table.shape[1])]
    return [(n, c) for n, c in columns if not pd.api.types.is_numeric_dtype(c)]


def _is_formula(text: object) -> bool:
    return isinstance(text, str) and text.startswith(_STARTS)


def _escaped_text(text: object) -> object:
    return f"'{text}" if _is_formula(text) else text


def _unescaped_text(text: object) -> object:
    is_escaped = isinstance(text, str) and text[:1] == "'" and _is_formula(text[1:])
    return text[1:] if is_escaped else text  # type: ignore[index]
