"""Columns that count or group the rows of a table and are no settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.tabular.chance import level_numbers

_NAMES_OF_REPEATS = ("replicate", "replicates", "rep", "repeat", "repetition", "duplicate")
_NAMES_OF_GROUPS = ("batch", "plate", "block", "lot", "run", "day", "operator", "well", "campaign")
_NAMES_OF_COUNTERS = (
    *("index", "id", "row", "no", "nr", "number", "n", "entry", "experiment", "sample"),
    *("trial", "measurement"),
)
_REPEATED_SHARE = 0.5
"""Of the rows that must have another of the same design, for a column to count repeats."""
_LARGEST_EFFECT = 6.0
"""Of a column that only counts: the variance between its values over that within."""
_NOISE_SHARE = 0.2
"""Of the target's variance: the most that measurements of the same design differ by."""

Counting = Literal["counts", "may count"]


class Repeats(NamedTuple):
    """A column that tells apart rows of the same design.

    Attributes:
        name: Of the column.
        certain: Whether it is no setting; otherwise it may be one.
    """

    name: str
    certain: bool


def last_word(name: str) -> str:
    """The word at the end of a column's name, in small letters, without signs of counting."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).casefold())
    while len(words) > 1 and words[-1] in ("id", "no", "nr", "number", "num", "index"):
        words.pop()
    return words[-1] if words else ""


def is_named_as_group(name: str) -> bool:
    """Whether a column is called by what rows are made together in."""
    return last_word(name) in _NAMES_OF_GROUPS


def counting(name: str, numbers: NDArray[np.float64]) -> Counting | None:
    """Whether whole numbers, none twice, count the rows in their order, or may in another.

    Args:
        name: Of the column.
        numbers: Shape ``(n,)``.
    """
    if len(numbers) < 3 or (numbers[:100] % 1).any() or (numbers % 1).any():
        return None
    steps = np.diff(numbers)
    # A counter of which rows have been removed still counts most of them.
    if (steps > 0).all() and np.median(steps) == 1 and not (steps % 1).any():
        return "counts"
    if np.ptp(numbers) != len(numbers) - 1 or len(np.unique(numbers)) < len(numbers):
        return None
    named = last_word(name) in (*_NAMES_OF_COUNTERS, *_NAMES_OF_GROUPS)
    return "counts" if named else "may count"


def row_hashes(table: pd.DataFrame) -> NDArray[np.uint64]:
    """A number for each entry, ``(n, d)``; those of a row add up to one for the row."""
    columns = [
        pd.util.hash_array(table[name].to_numpy(), categorize=True) * np.uint64(2 * j + 1)
        for j, name in enumerate(table.columns)
    ]
    return np.stack(columns, axis=1)


def tells_apart(hashes: NDArray[np.uint64]) -> bool:
    """Whether most rows, of hashes ``(n, d)``, differ from all others."""
    rows = _sampled(hashes.sum(axis=1))
    return len(np.unique(rows)) > _REPEATED_SHARE * len(rows)


def find_repeats(
    numbers: Mapping[str, NDArray[np.float64]],
    table: pd.DataFrame,
    properties: NDArray[np.float64],
) -> list[Repeats]:
    """Which columns count or name the repeats of a design.

    Without such a column most rows have others that are equal to them. Of those it has the values
    1 to k (or 0 to k-1), without an effect of its own; or its name says so. Where the other columns
    are a full grid, it is a factor of the grid unless its name says otherwise, and where several
    columns are like this, all are.

    Args:
        numbers: The columns of whole numbers among the table's.
        table: The columns that may be settings, ``(n, d)``.
        properties: What is measured, ``(n,)``.
    """
    if len(table.columns) < 2:
        return []
    hashes = row_hashes(table)
    total = hashes.sum(axis=1)
    if _repeats(_sampled(total)):
        return []
    counted, asked = [], []
    for j, name in enumerate(table.columns):
        others = total - hashes[:, j]
        if not _repeats(_sampled(others)):
            continue
        design = level_numbers(others)
        is_named = _is_named(str(name))
        is_grid = _is_grid(table.drop(columns=name), design)
        value = level_numbers(numbers[name]) if name in numbers else None
        if is_named or (value is not None and _counts_within(numbers[name], value, design)):
            has_effect = not is_named and _has_effect(value, design, properties)
            if is_named or not is_grid or last_word(str(name)) in _NAMES_OF_COUNTERS:
                certain = is_named or not (is_grid or has_effect)
                counted.append(Repeats(str(name), certain))
        elif not is_grid and _is_noise_of_few(table[name], design, properties):
            asked.append(Repeats(str(name), False))
    found = counted if len(counted) == 1 else [c for c in counted if _is_named(c.name)]
    return found or (asked if len(asked) == 1 and not counted else [])


def _is_named(name: str) -> bool:
    return last_word(name) in _NAMES_OF_REPEATS


def _sampled(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Some of the designs, each with all its rows."""
    every = max(len(hashes) // 5000, 1)
    sampled: NDArray[np.uint64] = hashes[(hashes >> np.uint64(7)) % np.uint64(every) == 0]
    return sampled


def _repeats(hashes: NDArray[np.uint64]) -> bool:
    counts = np.unique(hashes, return_counts=True)[1]
    return bool(counts[counts > 1].sum() > _REPEATED_SHARE * len(hashes))


def _counts_within(
    numbers: NDArray[np.float64], value: NDArray[np.intp], design: NDArray[np.intp]
) -> bool:
    """Whether it goes 1 to k, or 0 to k-1, within each design."""
    start, num_values = numbers.min(), value.max() + 1
    if start not in (0, 1) or np.ptp(numbers) != num_values - 1 or (numbers % 1).any():
        return False
    sizes = np.bincount(design)
    largest = np.zeros(len(sizes), np.intp)
    np.maximum.at(largest, design, value)
    pairs = np.unique(design * num_values + value)
    return len(pairs) == len(value) and bool((largest == sizes - 1).all())


def _is_grid(others: pd.DataFrame, design: NDArray[np.intp]) -> bool:
    num_designs, points = design.max() + 1, 1.0
    for name in others.columns:
        points *= others[name].nunique()
        if points > 2 * num_designs:
            return False
    return True


def _variances(
    value: NDArray[np.intp] | None, design: NDArray[np.intp], properties: NDArray[np.float64]
) -> tuple[float, float]:
    """Between the values, and within, of what is left of the properties without the designs."""
    sizes = np.bincount(design)
    rest = properties - (np.bincount(design, properties) / sizes)[design]
    freedom = max(len(rest) - len(sizes), 1)
    if value is None:
        return 0.0, float((rest**2).sum() / freedom)
    counts = np.bincount(value)
    between = (np.bincount(value, rest) ** 2 / np.maximum(counts, 1)).sum()
    steps = max((counts > 0).sum() - 1, 1)
    within = max((rest**2).sum() - between, 0.0) / max(freedom - steps, 1)
    return float(between / steps), float(within)


def _has_effect(
    value: NDArray[np.intp] | None, design: NDArray[np.intp], properties: NDArray[np.float64]
) -> bool:
    between, within = _variances(value, design, properties)
    return between > _LARGEST_EFFECT * within


def _is_noise_of_few(
    column: pd.Series, design: NDArray[np.intp], properties: NDArray[np.float64]
) -> bool:
    """Whether rows of one design hardly differ, and not by one of a few values of the column."""
    value = pd.factorize(column)[0]
    if value.max() >= np.bincount(design).max():
        return False
    within = _variances(None, design, properties)[1]
    small = within < _NOISE_SHARE * float(properties.var())
    return small and not _has_effect(value, design, properties)
