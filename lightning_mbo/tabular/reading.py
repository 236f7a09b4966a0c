"""Reading tables strictly: what cannot be used is named by file, column and row."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import ConfigurationError, DataError, MBOError, MBOWarning, optional
from lightning_mbo.tabular.entries import MISSING, bad_entry
from lightning_mbo.tabular.excel_files import EXCEL, read_sheet
from lightning_mbo.tabular.headers import check_names, column_names, head_of_text, named
from lightning_mbo.tabular.text_files import (
    WHOLE,
    check_parquet,
    check_workbook,
    read_text,
    sniffed_separator,
    with_decimal_points,
)
from lightning_mbo.tabular.whole_numbers import NULLABLE, as_whole, possibly_whole, without


@dataclass(frozen=True)
class FileOptions:
    """What the user says of how a table is written.

    Attributes:
        header: How many header lines there are; the names are in the first.
        sheet: Of an Excel file, by its name or its number from 1; None: the first.
        missing_values: Texts that stand for missing entries, beside `MISSING`.
        target_option: By which the user names the column of what is measured.
    """

    header: int = 1
    sheet: str | int | None = None
    missing_values: tuple[str, ...] = ()
    target_option: str = "data.target"


def read_csv(path: Path, separator: str = ",", option: str = "data.path") -> pd.DataFrame:
    """Read a table of separated values, plain or compressed, with one header line.

    Args:
        path: Of the file.
        separator: Between the columns.
        option: Which option the user named the file by.

    Raises:
        DataError: If there is no such file, or it is not such a table.
    """
    kind = "tab-separated" if separator == "\t" else "CSV"
    with _refusing(path, f"{kind} file, plain or compressed"):
        table = _parsed(_text(path, kind, option), separator)
    if table.empty:
        raise DataError(f"{path} has a header and no rows")
    return table


def read_table(
    path: Path,
    text_columns: Container[str] = (),
    target: str | None = None,
    options: FileOptions = FileOptions(),
    option: str = "data.path",
) -> pd.DataFrame:
    """Read a table by the suffix of its file: CSV, TSV, Parquet or Excel.

    Whole numbers are of an integer type where they are written so, also where entries are missing.

    Args:
        path: Of the file; text may be compressed.
        text_columns: Which columns of a text are kept as they are written.
        target: A column that it has.
        options: How it is written.
        option: Which option the user named the file by.

    Returns:
        With blanks about the columns' names removed.

    Raises:
        ConfigurationError: If it has no such column, or an option does not go with the format.
        DataError: If there is no such file, or it is not such a table.
    """
    check_is_file(path, option, "a CSV, TSV, Parquet or Excel file")
    format_ = _format(path)
    if options.sheet is not None and format_ not in EXCEL:
        raise ConfigurationError(f"data.sheet is for Excel files, and {path} is none: leave it out")
    if format_ in EXCEL:
        table = _read_excel(path, target, options)
    elif format_ in _PARQUET:
        if options.header != 1:
            raise ConfigurationError("data.header is for text and Excel files: leave it out")
        optional("pyarrow", "files", str(path), _AS_TEXT)
        with _refusing(path, f"{format_} file"):
            check_parquet(path)
            table = pd.read_parquet(path, engine="pyarrow")
    else:
        separator = "\t" if format_ in (".tsv", ".tab") else None
        return plain(_read_text(path, separator, text_columns, target, options, option), str(path))
    return as_whole(without(plain(table, str(path)), options.missing_values))


_COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
_TEXT = (".csv", ".txt", ".tsv", ".tab", ".dat", *_COMPRESSED)
_PARQUET = (".parquet", ".pq")
_AS_TEXT = "save the table as .csv"


def _format(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes] or [""]
    format_ = suffixes[-2] if suffixes[-1] in _COMPRESSED and len(suffixes) > 1 else suffixes[-1]
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"\xd0\xcf\x11\xe0":
        raise DataError(f"{path} is of an old Excel format: save it as .xlsx or .csv")
    if format_ not in (*_TEXT, *_PARQUET, *EXCEL):
        raise DataError(
            f"{path} is none of the files that can be read: save the table as .csv, .tsv, "
            ".parquet or .xlsx"
        )
    # A file whose name tells wrong is read as what it is.
    format_ = {b"PAR1": ".parquet"}.get(start, format_)
    return ".xlsx" if start == b"PK\3\4" and suffixes[-1] != ".zip" else format_


def _read_excel(path: Path, target: str | None, options: FileOptions) -> pd.DataFrame:
    optional("openpyxl", "files", str(path), _AS_TEXT)
    with _refusing(path, f"{path.suffix.lower()} file"):
        check_workbook(path)
        return read_sheet(
            path,
            options.sheet,
            options.header,
            target,
            options.missing_values,
            options.target_option,
        )


def _read_text(
    path: Path,
    separator: str | None,
    text_columns: Container[str],
    target: str | None,
    options: FileOptions,
    option: str,
) -> pd.DataFrame:
    kind = "tab-separated" if separator == "\t" else "CSV"
    missing = (*MISSING, *options.missing_values)
    with _refusing(path, f"{kind} file, plain or compressed"):
        text = _text(path, kind, option)
        separator = separator or sniffed_separator(text)
        head = head_of_text(text, separator)
        names = column_names(
            head, options.header, target, missing, str(path), options.target_option
        )
        check_names(names, path)
        layout = {"header": None, "names": names, "skiprows": head.num_skipped(options.header)}
        kept = dict.fromkeys((name for name in names if name in text_columns), str)
        table = _parsed(text, separator, missing, dtype=kept, **layout)
        table = with_decimal_points(table, path)
        unclear = possibly_whole(table)
        if not unclear:
            return table
        texts = _parsed(
            text, separator, missing, dtype=str, usecols=unclear, nrows=_NUM_LOOKED_AT, **layout
        )
    distinct = {name: pd.Series(texts[name].dropna().unique(), dtype=str) for name in unclear}
    whole = [name for name in unclear if distinct[name].str.fullmatch(WHOLE.pattern).all()]
    return as_whole(table, whole)


_ROWS_AT_ONCE = 50_000
_NUMBERS = (np.dtype(np.int64), np.dtype(np.float64))
_NUM_LOOKED_AT = 2000
"""Rows of which the texts tell whether a column is written in whole numbers."""


@contextmanager
def _refusing(path: Path, wanted: str) -> Iterator[None]:
    try:
        yield
    except MBOError:
        raise
    except Exception as error:
        # Each kind of damage, and each way to compress, has exceptions of its own.
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as a {wanted}: {reason}") from error


def _text(path: Path, kind: str, option: str) -> str:
    check_is_file(path, option, f"a {kind} file, plain or compressed")
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty: {option} must name a {kind} file with a header")
    return text


def _parsed(
    text: str, separator: str, missing: Collection[str] = MISSING, **options: Any
) -> pd.DataFrame:
    def read(**how: Any) -> Any:
        return pd.read_csv(
            io.BytesIO(text.encode()),
            sep=separator,
            index_col=False,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=list(missing),
            low_memory=False,
            **options,
            **how,
        )

    with warnings.catch_warnings():
        # Rows with more fields than the header would lose them, or shift the columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # The parser needs many times the room of the rows that it is reading.
        parts = list(read(chunksize=_ROWS_AT_ONCE))
        if not _are_alike(parts):
            parts = [read()]
    table: pd.DataFrame = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    return table


def _are_alike(parts: Sequence[pd.DataFrame]) -> bool:
    """Whether each column is of the same type in all parts, or of numbers in all."""
    found = {tuple(part.dtypes) for part in parts}
    return all(
        len(set(types)) == 1 or set(types) <= {*_NUMBERS} for types in zip(*found, strict=True)
    )


def plain(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """A copy with rows counted from 0, names that are texts, and no special types of columns.

    But for whole numbers with missing entries. A column without a name gets one by its place.

    Raises:
        DataError: If two columns have the same name.
    """
    table = table.set_axis(named([str(name) for name in table.columns]), axis=1)
    check_names(list(table.columns), source)
    table = table.reset_index(drop=True)
    for name, dtype in zip(table.columns, table.dtypes, strict=True):
        if not pd.api.types.is_extension_array_dtype(dtype):
            continue
        column = table[name]
        if isinstance(dtype, pd.CategoricalDtype):
            table[name] = column.astype(column.cat.categories.dtype)
            column = table[name]
        extension = pd.api.types.is_extension_array_dtype(column)
        if extension and pd.api.types.is_any_real_numeric_dtype(column):
            if not pd.api.types.is_integer_dtype(column) or column.abs().max() >= 2**53:
                table[name] = column.astype(np.float64)
            elif column.isna().any():
                table[name] = column.astype(NULLABLE)
            else:
                table[name] = column.astype(np.int64)
    return table


def check_is_file(path: Path, option: str, wanted: str) -> None:
    """Refuse a path at which there is no file.

    Raises:
        DataError: Naming what there is.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "missing"
        raise DataError(f"{path} is {found}: {option} must name {wanted}")


def numbers(table: pd.DataFrame, columns: Sequence[str], source: object) -> NDArray[np.float64]:
    """Some columns as finite numbers, shape ``(n, len(columns))``.

    Args:
        table: Of any columns.
        columns: Which.
        source: What to call the table, such as its path.

    Raises:
        DataError: Naming the first entry that is none, by column and data row.
    """
    frame = table[list(columns)]
    values: NDArray[np.float64] = frame.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        entry = frame.iat[row, column]
        raise DataError(bad_entry(source, columns[column], row, entry, "a finite number", len(bad)))
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
        warnings.warn(
            f"{source}: constant columns are left out: {shown}", category=MBOWarning, stacklevel=2
        )
    return np.flatnonzero(changes)
