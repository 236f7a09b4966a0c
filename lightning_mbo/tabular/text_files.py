"""What a file of text holds, however it was written."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pandas as pd

from lightning_mbo.errors import DataError

_SEPARATORS = (",", ";", "\t", "|")
_NUM_SNIFFED = 50
_NUM_CHARACTERS = 1_000_000
MOST_UNPACKED = 1_000_000_000
"""Bytes that a compressed table may have: a small file can unpack without end."""
_TOO_LARGE = (
    f"it unpacks to more than {MOST_UNPACKED / 1e9:g} GB, which no table has that can be learned "
    "from. If it is one, unpack it"
)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
WHOLE = re.compile(r"\s*[+-]?\d+\s*")
"""Numbers that are written without decimals."""
_THOUSANDS = re.compile(r"\s*[+-]?\d{1,3}(,\d{3})+\s*")


def read_text(path: Path) -> str:
    """The text of a file, plain or compressed by its suffix (gz, bz2, xz, zip).

    The encoding is what a byte order mark says, or UTF-8, or else Windows's Western one.

    Raises:
        ValueError: If it holds no text.
    """
    content = _unpacked(path)
    text = _decoded(content)
    found = re.search(r"[\x00-\x08\x0e-\x1f]", text[:100_000])
    place = text.find("\0") if found is None else found.start()
    if place >= 0:
        line = text.count("\n", 0, place) + 1
        raise ValueError(f"it holds bytes that are no text, the first in line {line:,}")
    start = text[:200].lstrip().lower()
    if start.startswith(("<!doctype", "<html", "<?xml")):
        raise ValueError("it is a web page or XML, perhaps in place of a download")
    if start.startswith(("{", "[{", "[[")):
        raise ValueError("it is JSON")
    return text


def _unpacked(path: Path) -> bytes:
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        return path.read_bytes()
    with opener(path) as file:
        content: bytes = file.read(MOST_UNPACKED + 1)
    if len(content) > MOST_UNPACKED:
        raise ValueError(_TOO_LARGE)
    return content


@contextmanager
def _only_member(path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise ValueError(f"the archive holds {len(names)} files and not one")
        with archive.open(names[0]) as file:
            yield file


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zip": _only_member,
}


def check_workbook(path: Path) -> None:
    """Refuse an Excel file whose parts unpack to more than a table has.

    Raises:
        ValueError: If they do.
    """
    with zipfile.ZipFile(path) as archive:
        # No part can be read beyond the size that it states.
        if sum(part.file_size for part in archive.infolist()) > MOST_UNPACKED:
            raise ValueError(_TOO_LARGE)


def check_parquet(path: Path) -> None:
    """Refuse a Parquet file that unpacks to more than a table has, by what it says of itself.

    Raises:
        ValueError: If it does.
    """
    from pyarrow.parquet import read_metadata

    metadata = read_metadata(path)
    packed = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    # An entry that repeats another takes no room in the file, and eight bytes here.
    if max(packed, 8 * metadata.num_rows * metadata.num_columns) > MOST_UNPACKED:
        raise ValueError(_TOO_LARGE)


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    head = content[:1000]
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        # Letters of the West without a mark: every second byte is zero.
        if len(head) > 3 and not any(head[offset::2]) and all(head[1 - offset :: 2]):
            return content.decode(encoding)
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def sniffed_separator(text: str) -> str:
    """What separates the columns: that which splits most of the first rows alike.

    As the first of them, or where nothing splits that one (it may be a title) as the second.
    """
    for first in (0, 1):
        agreements = {separator: _agreement(text, separator, first) for separator in _SEPARATORS}
        if any(agreement > (0.0, 0) for agreement in agreements.values()):
            break
    return max(_SEPARATORS, key=agreements.__getitem__)


def first_rows(text: str, separator: str) -> Iterator[list[str]]:
    """The rows of a text's beginning, split.

    Raises:
        ValueError: If a cell is longer than any is.
    """
    rows = csv.reader(
        io.StringIO(text[:_NUM_CHARACTERS], newline=""), delimiter=separator, skipinitialspace=True
    )
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"line {rows.line_num:,} has a cell of more than {csv.field_size_limit():,} "
                "characters: perhaps a quotation mark is not closed"
            ) from error


def _agreement(text: str, separator: str, first: int) -> tuple[float, int]:
    try:
        rows = list(islice(first_rows(text, separator), _NUM_SNIFFED))
    except ValueError:  # long lines that it does not split
        return 0.0, 0
    lengths = [len(row) for row in rows if row][first:]
    if not lengths or lengths[0] < 2:
        return 0.0, 0
    return sum(length == lengths[0] for length in lengths) / len(lengths), lengths[0]


def with_decimal_points(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table with decimal commas read as such, where a column is written with them throughout.

    Raises:
        DataError: If other columns have decimal points, or the commas may separate thousands.
    """
    are_texts = [_is_text(dtype) for dtype in table.dtypes]
    texts = dict(table.loc[:, are_texts].items())
    commas = [name for name, column in texts.items() if _throughout(column, _DECIMAL_COMMA)]
    if not commas:
        return table
    points = [
        name
        for name, column in table.items()
        if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 != 0).any()
    ]
    points += [name for name, column in texts.items() if _throughout(column, _DECIMAL_POINT)]
    if points:
        raise DataError(
            f"{path} has decimal commas in column {commas[0]!r} and decimal points in column "
            f"{points[0]!r}: write all numbers alike"
        )
    for name in commas:
        column = texts[name]
        if column.dropna().str.fullmatch(_THOUSANDS.pattern).all():
            raise DataError(
                f"{path}, column {name!r}: {column.dropna().iloc[0]!r} may be thousands or a "
                "decimal comma. Write numbers without separators of thousands"
            )
        table[name] = pd.to_numeric(column.str.replace(",", "."), errors="coerce")
    return table


def _is_text(dtype: Any) -> bool:
    return bool(pd.api.types.is_string_dtype(dtype))


def _throughout(column: pd.Series, pattern: re.Pattern[str]) -> bool:
    """Whether all entries are numbers as the pattern has them, or whole ones; some the former."""
    values = column.dropna()
    for part in (values.head(100), values):
        texts = pd.Series(part.unique()).astype(str)
        matching = texts.str.fullmatch(pattern.pattern)
        if (
            not (matching.any() or part is not values)
            or not (matching | texts.str.fullmatch(WHOLE.pattern)).all()
        ):
            return False
    return True
