"""Reading tables strictly: what cannot be used is named by file, column and row."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.entries import bad_entry
from lightning_mbo.tabular.text_files import (
    header_of,
    read_text,
    sniffed_separator,
    with_decimal_points,
)

_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "<NA>")
"""What stands for a missing entry. Not "None": it is the name of many a category."""


def read_csv(
    path: Path,
    separator: str | None = ",",
    option: str = "data.path",
    text_columns: Collection[str] = (),
    unique_names: bool = False,
) -> pd.DataFrame:
    """Read a table of separated values, plain or compressed.

    Args:
        path: Of the file.
        separator: Between the columns; None finds it out.
        option: Which option the user named the file by.
        text_columns: Which columns are kept as they are written.
        unique_names: Whether two columns of the same name are refused; otherwise they are numbered.

    Raises:
        DataError: If there is no such file, or it is not such a table.
    """
    kind = "tab-separated" if separator == "\t" else "CSV"
    check_is_file(path, option, f"a {kind} file, plain or compressed")
    try:
        text = read_text(path)
        if not text.strip():
            raise DataError(f"{path} is empty: {option} must name a {kind} file with a header")
        found = separator or sniffed_separator(text)
        header = header_of(text, found)
        if unique_names:
            _check_names(header, path)
        with warnings.catch_warnings():
            # Rows with more fields than the header would lose them, or shift the columns.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.StringIO(text),
                sep=found,
                index_col=False,
                skipinitialspace=True,
                keep_default_na=False,
                na_values=list(_MISSING),
                low_memory=False,
                dtype={name.lstrip(): str for name in header if name.strip() in text_columns},
            )
    except DataError:
        raise
    except Exception as error:
        # Each kind of damage, and each way to compress, has exceptions of its own.
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} cannot be read as a {kind} file, plain or compressed: {reason}"
        ) from error
    if table.empty:
        raise DataError(f"{path} has a header and no rows")
    return table


def read_table(
    path: Path, text_columns: Collection[str] = (), option: str = "data.path"
) -> pd.DataFrame:
    """Read a table by the suffix of its file: CSV, TSV, Parquet, or the first sheet of Excel.

    Args:
        path: Of the file; text may be compressed.
        text_columns: Which columns of a text are kept as they are written.
        option: Which option the user named the file by.

    Returns:
        With blanks about the columns' names removed.

    Raises:
        DataError: If there is no such file, or it is not such a table.
    """
    check_is_file(path, option, "a CSV, TSV, Parquet or Excel file")
    suffixes = [suffix.lower() for suffix in path.suffixes] or [""]
    format_ = suffixes[-2] if suffixes[-1] in _COMPRESSED and len(suffixes) > 1 else suffixes[-1]
    with path.open("rb") as file:
        start = file.read(4)
    if format_ in _BINARY or format_ in _TEXT:
        # A file whose name tells wrong is read as what it is.
        format_ = {b"PAR1": ".parquet"}.get(start, format_)
        format_ = ".xlsx" if start == b"PK\3\4" and suffixes[-1] != ".zip" else format_
    if start == b"\xd0\xcf\x11\xe0":
        raise DataError(f"{path} is of an old Excel format: save it as .xlsx or .csv")
    if format_ in _BINARY:
        table = _read_binary(path, format_)
    elif format_ in _TEXT:
        separator = "\t" if format_ in (".tsv", ".tab") else None
        table = read_csv(path, separator, option, text_columns, unique_names=True)
        table = with_decimal_points(table, path)
    else:
        raise DataError(
            f"{path} is none of the files that can be read: save the table as .csv, .tsv, "
            ".parquet or .xlsx"
        )
    return plain(table, str(path))


_COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
_TEXT = (".csv", ".txt", ".tsv", ".tab", ".dat", *_COMPRESSED)
_BINARY = {".parquet": "pyarrow", ".pq": "pyarrow", ".xlsx": "openpyxl", ".xlsm": "openpyxl"}


def _read_binary(path: Path, format_: str) -> pd.DataFrame:
    package = _BINARY[format_]
    if find_spec(package) is None:
        raise DataError(
            f"{path} needs the package {package}: pip install 'lightning-mbo[files]', or save the "
            "table as .csv"
        )
    try:
        if package == "pyarrow":
            return pd.read_parquet(path, engine="pyarrow")
        _check_names(
            [str(name) for name in pd.read_excel(path, header=None, nrows=1).iloc[0]], path
        )
        return pd.read_excel(path)
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as a {format_} file: {reason}") from error


def plain(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """A copy with rows counted from 0, names that are texts, and no special types of columns.

    Raises:
        DataError: If two columns have the same name.
    """
    table = table.set_axis([str(name).strip() for name in table.columns], axis=1)
    _check_names(list(table.columns), source)
    table = table.reset_index(drop=True)
    for name, column in table.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            table[name] = column.astype(column.cat.categories.dtype)
            column = table[name]
        extension = pd.api.types.is_extension_array_dtype(column)
        if extension and pd.api.types.is_any_real_numeric_dtype(column):
            table[name] = column.astype(np.float64)
    return table


def check_is_file(path: Path, option: str, wanted: str) -> None:
    """Refuse a path at which there is no file.

    Raises:
        DataError: Naming what there is.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "missing"
        raise DataError(f"{path} is {found}: {option} must name {wanted}")


def _check_names(names: Sequence[str], source: Path | str) -> None:
    given = [name.strip() for name in names if name.strip()]
    repeated = [name for name in dict.fromkeys(given) if given.count(name) > 1]
    if repeated:
        raise DataError(
            f"{source} has {given.count(repeated[0])} columns named {repeated[0]!r}: give each "
            "column a name of its own"
        )


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
        entry = frame.iat[row, column]
        raise DataError(bad_entry(path, columns[column], row, entry, "a finite number", len(bad)))
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
