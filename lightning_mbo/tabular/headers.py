"""Where a table's names stand, and whether they are the ones that are wanted."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lightning_mbo.errors import ConfigurationError, DataError, MBOWarning, did_you_mean
from lightning_mbo.tabular.text_files import first_rows

_NUM_SEEN = 50
_MOST_HEADERS = 4
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_NAMED_BY_PANDAS = re.compile(r"Unnamed: \d+(_level_\d+)?")
_NAMED_BY_PLACE = re.compile(r"column_\d+_*")


class Head(NamedTuple):
    """The first rows of a table as they are written, without blank ones.

    Attributes:
        rows: Their entries.
        ends: How many rows of the file have ended with each, blank ones counted.
    """

    rows: list[list[str]]
    ends: list[int]

    def num_skipped(self, header: int) -> int:
        """How many rows of the file lie above the table's, with so many header lines."""
        return self.ends[header - 1] if header else self.ends[0] - 1


def head_of_text(text: str, separator: str) -> Head:
    """The first rows of a text."""
    return _head(first_rows(text, separator))


def head_of_sheet(sheet: pd.DataFrame) -> Head:
    """The first rows of a sheet that was read without a header."""
    return _head(
        ["" if pd.isna(entry) else str(entry) for entry in row]
        for row in sheet.itertuples(index=False)
    )


def _head(rows: Iterable[list[str]]) -> Head:
    written = (
        (end, row) for end, row in enumerate(rows, start=1) if any(entry.strip() for entry in row)
    )
    found = list(islice(written, _NUM_SEEN))
    return Head([row for _, row in found], [end for end, _ in found])


def named(names: Sequence[str]) -> list[str]:
    """Names without blanks about them; columns without one are named by their place, from 1."""
    given = [name.strip() for name in names]
    return [
        _by_place(j, given) if not name or _NAMED_BY_PANDAS.fullmatch(name) else name
        for j, name in enumerate(given, start=1)
    ]


def _by_place(place: int, given: Sequence[str]) -> str:
    name = f"column_{place}"
    while name in given:
        name += "_"
    return name


def is_named_by_place(name: str) -> bool:
    """Whether a column is called as one that has no name in its file."""
    return _NAMED_BY_PLACE.fullmatch(name) is not None


def check_names(names: Sequence[str], source: Path | str) -> None:
    """Refuse names that are not each of one column only.

    Raises:
        DataError: Naming the first that is not.
    """
    repeated = [name for name, num in Counter(names).items() if num > 1]
    if repeated:
        raise DataError(
            f"{source} has {names.count(repeated[0])} columns named {repeated[0]!r}: give each "
            "column a name of its own"
        )


def column_names(
    head: Head,
    header: int,
    target: str | None,
    missing: Collection[str],
    source: str,
    option: str = "data.target",
) -> list[str]:
    """The names of a file's columns, from the first of its header lines.

    Args:
        head: Of the file.
        header: How many header lines there are.
        target: The column that the user names; None says nothing of it.
        missing: What stands for a missing entry.
        source: What to call the file.
        option: By which the user names the column.

    Raises:
        ConfigurationError: If there is no such column.
        DataError: If there are no rows beneath the header, or more header lines than that.
    """
    if len(head.rows) <= header:
        lines = "a header" if header == 1 else f"{header} header lines"
        raise DataError(f"{source} has {lines} and no rows")
    width = max(len(row) for row in head.rows[header:])
    names = named(head.rows[0] if header else [""] * width)
    if target is not None and target not in names:
        hint = _where_the_target_is(head, header, target)
        raise ConfigurationError(missing_column(option, source, target, names, hint))
    beneath = [
        ["" if entry.strip() in missing else entry.strip() for entry in row]
        for row in head.rows[header:]
    ]
    if header:
        _warn_of_no_names(head.rows[0], names, beneath, source)
    more = _num_further_headers(beneath)
    if more:
        shown = next(entry for entry in beneath[0] if _is_text(entry))
        raise DataError(
            f"{source} has no numbers in data row 1, where there are numbers beneath "
            f"({shown[:40]!r}): if it belongs to the header give --data.header {header + more}, "
            "else correct it"
        )
    return names


def missing_column(
    option: str, source: str, name: str, names: Sequence[str], hint: str = ""
) -> str:
    """What is said of a column that is named and is not there.

    Args:
        option: By which it is named.
        source: What to call the table.
        name: Of the column.
        names: Of those that there are.
        hint: A sentence on where it may be; empty: none.
    """
    message = f"{option}: {source} has no column {name!r}{did_you_mean(name, names)}"
    return message + (" " if message.endswith("?") else ". ") * bool(hint) + hint


def _warn_of_no_names(
    header: Sequence[str], names: Sequence[str], beneath: Sequence[Sequence[str]], source: str
) -> None:
    """Say how columns without a name are called, unless they are empty or count the rows."""
    for j, name in enumerate(header):
        entries = [_at(row, j) for row in beneath]
        counts = any(entries == [str(i + k) for i in range(len(entries))] for k in (0, 1))
        if not name.strip() and any(entries) and not counts:
            warnings.warn(
                f"{source}: column {j + 1} has no name and is called {names[j]!r}",
                category=MBOWarning,
                stacklevel=2,
            )


def _where_the_target_is(head: Head, header: int, target: str) -> str:
    for line, row in enumerate(head.rows[1:_MOST_HEADERS], start=2):
        if target in (entry.strip() for entry in row) and not _is_number(target):
            return (
                f"It stands in line {line} of the file (blank ones not counted): the names must "
                "stand in the first, remove what is above them"
            )
    first = head.rows[0]
    if header and any(_is_number(entry) for entry in first):
        return (
            f"Its first line is {_shown(first)}: if that is no header give --data.header 0; the "
            f"columns are then column_1 to column_{len(first)}, for instance --data.target "
            f"column_{len(first)}"
        )
    if header and (len(first) == 1 or not all(entry.strip() for entry in first)):
        return f"Its first lines are {_shown(first)} and {_shown(head.rows[1])}"
    return ""


def _shown(row: Sequence[str]) -> str:
    entries = [entry.strip()[:20] for entry in row]
    return repr(", ".join([*entries[:6], *["..."] * (len(entries) > 6)]))


def _num_further_headers(rows: Sequence[Sequence[str]]) -> int:
    """How many rows at the top have no number, in any column that has nothing else beneath."""
    for num in range(1, min(_MOST_HEADERS, len(rows) - 1)):
        beneath = rows[num:]
        numeric = [j for j in range(len(rows[0])) if _is_numeric([_at(row, j) for row in beneath])]
        above = [[_at(row, j) for j in numeric] for row in rows[:num]]
        if any(_is_number(entry) for row in above for entry in row):
            # So it would be with more rows above, too.
            return 0
        if all(any(map(_is_text, row)) for row in above):
            return num
    return 0


def _at(row: Sequence[str], j: int) -> str:
    return row[j] if j < len(row) else ""


def _is_numeric(entries: Sequence[str]) -> bool:
    """Whether some are numbers, and no other is a text."""
    return any(map(_is_number, entries)) and not any(map(_is_text, entries))


def _is_number(entry: str) -> bool:
    return _NUMBER.fullmatch(entry.strip()) is not None


def _is_text(entry: str) -> bool:
    return bool(entry) and not _is_number(entry)
