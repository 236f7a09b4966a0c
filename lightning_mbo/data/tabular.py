"""Reading tables strictly: what cannot be used is named by file, column and row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import DataError


def read_csv(path: Path, separator: str = ",", option: str = "data.path") -> pd.DataFrame:
    """Read a table of separated values, plain or compressed.

    Args:
        path: Of the file.
        separator: Between the columns.
        option: Which option the user named the file by.

    Raises:
        DataError: If there is no such file, or it is not such a table.
    """
    kind = "tab-separated" if separator == "\t" else "CSV"
    if not path.is_file():
        found = "a folder" if path.is_dir() else "missing"
        raise DataError(f"{path} is {found}: {option} must name a {kind} file, plain or compressed")
    try:
        with warnings.catch_warnings():
            # Rows with more fields than the header would lose them, or shift the columns.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, sep=separator, index_col=False)
    except pd.errors.EmptyDataError as error:
        raise DataError(
            f"{path} is empty: {option} must name a {kind} file with a header"
        ) from error
    except Exception as error:
        # Each kind of damage, and each way to compress, has exceptions of its own.
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} cannot be read as a {kind} file, plain or compressed: {reason}"
        ) from error
    if table.empty:
        raise DataError(f"{path} has a header and no rows")
    return table


def numbers(table: pd.DataFrame, columns: Sequence[str], path: Path) -> NDArray[np.float64]:
    """Some columns as finite numbers, shape ``(n, len(columns))``.

    Raises:
        DataError: Naming the first entry that is none, by column and data row.
    """
    frame = table[list(columns)]
    values: NDArray[np.float64] = frame.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        entry = str(frame.iat[row, column])
        shown = "empty" if entry == "nan" else repr(entry[:40])
        raise DataError(
            f"{path}, column {columns[column]!r}, data row {row + 1}: {shown} is not a "
            f"finite number. Correct it or remove the row ({len(bad)} such entries in all)"
        )
    return values


def varying(values: NDArray[np.float64], names: Sequence[str], source: str) -> NDArray[np.intp]:
    """Which columns are not constant; a warning names the others, which say nothing of a design.

    Args:
        values: Shape ``(n, d)``.
        names: Of the columns.
        source: What to call the table.

    Returns:
        Column numbers, ascending.

    Raises:
        DataError: If all columns are constant.
    """
    changes = np.ptp(values, axis=0) > 0
    constant = [name for name, change in zip(names, changes, strict=True) if not change]
    if not changes.any():
        raise DataError(f"{source}: all columns are constant, there is nothing to design")
    if constant:
        shown = ", ".join(constant[:5]) + (f" and {len(constant) - 5} more" * (len(constant) > 5))
        warnings.warn(f"{source}: constant columns are left out: {shown}", stacklevel=2)
    return np.flatnonzero(changes)
