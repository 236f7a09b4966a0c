"""Sheets of Excel files."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from lightning_mbo.errors import ConfigurationError, did_you_mean
from lightning_mbo.tabular.headers import (
    check_names,
    column_names,
    head_of_sheet,
    missing_column,
    named,
)

EXCEL = (".xlsx", ".xlsm")
"""Suffixes of such files."""

_NUM_SEEN = 60


def read_sheet(
    path: Path,
    sheet: str | int | None,
    header: int,
    target: str | None,
    missing: Collection[str],
    option: str = "data.target",
) -> pd.DataFrame:
    """Read a sheet.

    Args:
        path: Of the file.
        sheet: Its name or its number from 1; None: the first.
        header: How many header lines there are; the names are in the first.
        target: A column that it has; None: any.
        missing: Texts that stand for missing entries, beside those that pandas knows.
        option: By which the user names the column.

    Raises:
        ConfigurationError: If there is no such sheet, or no such column in it.
        DataError: If there are no rows beneath the header, or two columns have the same name.
    """
    with pd.ExcelFile(path, engine="openpyxl") as file:
        names = [str(name) for name in file.sheet_names]
        chosen = names[0] if sheet is None else _chosen(names, sheet, path)
        source = str(path) if sheet is None else f"{path}, sheet {chosen!r}"
        head = head_of_sheet(_top(file, chosen, _NUM_SEEN))
        if sheet is None and header and target is not None:
            _check_other_sheets(file, names, head.rows[:1], target, path, option)
        columns = column_names(head, header, target, missing, source, option)
        check_names(columns, source)
        table = pd.read_excel(
            file,
            sheet_name=chosen,
            header=None,
            skiprows=head.num_skipped(header),
            na_values=list(missing),
        )
    more = [""] * (table.shape[1] - len(columns))
    return table.set_axis(named([*columns, *more])[: table.shape[1]], axis=1)


def _top(file: pd.ExcelFile, sheet: str, num_rows: int) -> pd.DataFrame:
    return pd.read_excel(file, sheet_name=sheet, header=None, nrows=num_rows, dtype=object)


def _chosen(names: list[str], sheet: str | int, path: Path) -> str:
    if str(sheet) in names:
        return str(sheet)
    if str(sheet).isdecimal() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    raise ConfigurationError(
        f"data.sheet: {path} has no sheet {sheet!r}{did_you_mean(str(sheet), names)}"
    )


def _check_other_sheets(
    file: pd.ExcelFile,
    names: list[str],
    first: list[list[str]],
    target: str,
    path: Path,
    option: str,
) -> None:
    """Say so where another sheet than the first has the target."""
    if any(target in named(row) for row in first):
        return
    for name in names[1:]:
        if any(target in named(row) for row in head_of_sheet(_top(file, name, 5)).rows):
            raise ConfigurationError(
                missing_column(
                    option,
                    f"{path}, sheet {names[0]!r},",
                    target,
                    named(first[0]) if first else [],
                    f"The sheet {name!r} has: --data.sheet {shlex.quote(name)}",
                )
            )
