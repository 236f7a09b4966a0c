"""Making columns of what a table holds and the user says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.column_kinds import as_numbers, is_constant
from lightning_mbo.tabular.column_options import ColumnOptions, pasted
from lightning_mbo.tabular.columns import (
    GAP,
    CategoryColumn,
    Column,
    ConstantColumn,
    SequenceColumn,
)
from lightning_mbo.tabular.descriptors import described_column, ordered_column
from lightning_mbo.tabular.entries import bad_entry
from lightning_mbo.tabular.number_column import NumberColumn
from lightning_mbo.tabular.sequence_letters import letters_of


def build_column(values: pd.Series, kind: str, options: ColumnOptions, source: str) -> Column:
    """A column of a kind.

    Args:
        values: The table's, none of them missing.
        kind: One of number, integer, category and sequence.
        options: What the user says of it.
        source: What to call the table in messages.

    Raises:
        DataError: If the values are not of this kind.
        ConfigurationError: If the options do not fit the values.
    """
    name = str(values.name)
    options.check_kind(name, kind)
    if kind == "sequence":
        return _sequence(values, options, source)
    if kind in ("number", "integer"):
        values = as_numbers(values, source)
    [first] = values.iloc[:1].tolist()
    if is_constant(values):
        value = int(first) if kind == "integer" else first
        _check_constant(name, value, options.fixed)
        return ConstantColumn(name, value)
    if kind == "category":
        levels = tuple(sorted(values.unique().tolist(), key=str))
        column = CategoryColumn(name, levels)
        if options.descriptors is not None:
            column = described_column(values, options)
        elif options.levels is not None:
            column = ordered_column(values, options, source)
        return replace(column, fixed=_level_number(name, column.levels, options.fixed))
    return _number(values, kind == "integer", options, source)


def _number(values: pd.Series, whole: bool, options: ColumnOptions, source: str) -> NumberColumn:
    name = str(values.name)
    numbers = values.to_numpy()
    broken = values[numbers % 1 != 0] if whole else values[:0]
    if len(broken):
        raise DataError(
            f"{source}, column {name!r}, data row {broken.index[0] + 1}: {broken.iloc[0]:g} is no "
            f"whole number. Correct it, or give {pasted(name, 'number')}"
        )
    log = options.scale == "log"
    if log:
        _check_positive(values, options, source)
    seen = float(numbers.min()), float(numbers.max())
    lower, upper, step = _bounds(name, seen, whole, options)
    fixed = None if options.fixed is None else _fixed_number(name, options.fixed, whole)
    if fixed is not None and not lower <= fixed <= upper:
        raise ConfigurationError(f"data.columns.{name}: fixed {fixed:g} is out of its bounds")
    entries = np.log(numbers) if log else numbers
    mean, std = float(entries.mean()), float(entries.std())
    if not 0 < std < math.inf:
        raise DataError(f"{source}, column {name!r}: its numbers are too large, or too near equal")
    uneven = options.values if step is None else None
    return NumberColumn(name, mean, std, whole, lower, upper, step, fixed, seen, log, uneven)


def _bounds(
    name: str, seen: tuple[float, float], whole: bool, options: ColumnOptions
) -> tuple[float, float, float | None]:
    """The least and the greatest number that is allowed, and the step."""
    step, log = options.step, options.scale == "log"
    for what, numbers in (("step", [step or 1.0]), ("values", options.values or ())):
        broken = [number for number in numbers if whole and number % 1]
        if broken:
            raise ConfigurationError(
                f"data.columns.{name}: the {what} of whole numbers must be whole, not "
                f"{broken[0]:g}. Or give kind: number"
            )
    if options.values is not None:
        first, last = options.values[0], options.values[-1]
        return first, last, None if log else _even_step(options.values)
    # Amounts stay amounts, and what is there or not stays so.
    lower = 0.0 if seen[0] >= 0 else -math.inf
    upper = 1.0 if whole and seen == (0.0, 1.0) else math.inf
    if log:
        # Of a grid the first that has a logarithm.
        lower = -math.inf if step is None and not whole else step or 1.0
    lower = lower if options.lower is None else options.lower
    upper = upper if options.upper is None else options.upper
    if not lower < upper:
        raise ConfigurationError(
            f"data.columns.{name}: give lower too, for values below {upper:g}; by default it is "
            f"{lower:g} here"
        )
    if whole and upper - lower < 1 and math.ceil(lower) > math.floor(upper):
        raise ConfigurationError(f"data.columns.{name}: no whole number lies within its bounds")
    return lower, upper, step


def _even_step(values: Sequence[float]) -> float | None:
    """Between any two neighbours of ascending values, or None where that differs."""
    step = (values[-1] - values[0]) / (len(values) - 1)
    even = all(
        math.isclose(value, values[0] + place * step, rel_tol=1e-9, abs_tol=1e-9 * step)
        for place, value in enumerate(values)
    )
    return step if even else None


def _check_positive(values: pd.Series, options: ColumnOptions, source: str) -> None:
    """Refuse what has no logarithm."""
    name = str(values.name)
    bad = values[values <= 0]
    if len(bad):
        wanted = "a positive number, which scale: log needs"
        entry = bad_entry(source, name, bad.index[0], f"{bad.iloc[0]:g}", wanted, len(bad))
        raise DataError(f"{entry}. Or leave scale out of data.columns.{name}")
    given = {"lower": options.lower, "upper": options.upper, "fixed": options.fixed}
    if options.values is not None:
        given["the least of its values"] = options.values[0]
    for key, number in given.items():
        if isinstance(number, (int, float)) and number <= 0:
            raise ConfigurationError(
                f"data.columns.{name}: {key} must be greater than 0 with scale: log, not {number:g}"
            )


def _fixed_number(name: str, fixed: Any, whole: bool) -> float:
    try:
        number = float(fixed)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and number % 1):
        kind = "whole number" if whole else "number"
        raise ConfigurationError(f"data.columns.{name}: fixed must be a {kind}, not {fixed!r}")
    return number


def _level_number(name: str, levels: Sequence[Any], fixed: Any) -> int | None:
    if fixed is None:
        return None
    known = [str(level) for level in levels]
    if str(fixed) not in known:
        raise ConfigurationError(
            f"data.columns.{name}: fixed {fixed!r} is none of the levels in the table, and the "
            f"oracle knows no other: {', '.join(known[:10])}"
        )
    return known.index(str(fixed))


def _check_constant(name: str, value: Any, fixed: Any) -> None:
    same = fixed is None or str(fixed) == str(value)
    if not same and isinstance(value, (int, float)):
        same = _fixed_number(name, fixed, False) == value
    if not same:
        raise ConfigurationError(
            f"data.columns.{name}: the table has {value} throughout, which says nothing of "
            f"{fixed!r}. Leave it out"
        )


def _sequence(values: pd.Series, options: ColumnOptions, source: str) -> Column:
    name = str(values.name)
    words = values.astype(str).str.strip()
    lengths = words.str.len()
    padded = bool((lengths != lengths.iloc[0]).any())
    seen = "".join(sorted(set("".join(words.unique()))))
    designed, unknown = letters_of(seen, options.alphabet)
    alphabet = designed + unknown
    for letter in [
        letter for letter in seen if letter not in alphabet or (padded and letter == GAP)
    ]:
        row = words.index[int(words.str.contains(letter, regex=False).to_numpy().argmax())]
        fix = (
            "Gaps fill up shorter sequences at their end: remove it"
            if letter == GAP
            else f"The alphabet is {alphabet}: correct the row, or add the letter"
        )
        raise DataError(
            f"{source}, column {name!r}, data row {row + 1}: the letter {letter!r}. {fix}"
        )
    if words.nunique() == 1:
        return ConstantColumn(name, words.iloc[0])
    alphabet = alphabet.replace(GAP, "") + GAP if padded else alphabet
    unseen = "".join(letter for letter in designed if letter not in seen + GAP)
    column = SequenceColumn(name, alphabet, int(lengths.max()), padded, unknown, unseen=unseen)
    return replace(column, usual=_usual(column, words)) if unknown else column


def _usual(column: SequenceColumn, words: pd.Series) -> tuple[int, ...]:
    """The most frequent letter of each place that is designed, ``(length,)``."""
    counts = column.encode(words).sum(0).unflatten(0, (column.length, len(column.alphabet)))
    # In a place that is unknown throughout, that of all places.
    counts += 1e-6 * counts.mean(0)
    first = len(column.designed)
    counts[:, first : first + len(column.unknown)] = -1.0
    return tuple(counts.argmax(1).tolist())
