"""Making columns of what a table holds and the user says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.column_kinds import as_numbers
from lightning_mbo.tabular.column_options import ColumnOptions, pasted
from lightning_mbo.tabular.columns import (
    GAP,
    CategoryColumn,
    Column,
    ConstantColumn,
    NumberColumn,
    SequenceColumn,
)


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
    levels = tuple(sorted(values.unique().tolist(), key=str))
    if len(levels) == 1:
        value = int(levels[0]) if kind == "integer" else levels[0]
        _check_constant(name, value, options.fixed)
        return ConstantColumn(name, value)
    if kind == "category":
        return CategoryColumn(name, levels, _level_number(name, levels, options.fixed))
    return _number(values, kind == "integer", options, source)


def _number(values: pd.Series, whole: bool, options: ColumnOptions, source: str) -> NumberColumn:
    name = str(values.name)
    broken = values[values % 1 != 0] if whole else values[:0]
    if len(broken):
        raise DataError(
            f"{source}, column {name!r}, data row {broken.index[0] + 1}: {broken.iloc[0]:g} is no "
            f"whole number. Correct it, or give {pasted(name, 'number')}"
        )
    seen = float(values.min()), float(values.max())
    # Amounts stay amounts, and what is there or not stays so.
    lower = 0.0 if seen[0] >= 0 else -math.inf
    upper = 1.0 if whole and seen == (0.0, 1.0) else math.inf
    lower = lower if options.lower is None else options.lower
    upper = upper if options.upper is None else options.upper
    if not lower < upper:
        raise ConfigurationError(
            f"data.columns.{name}: give lower too, for values below {upper:g}; by default it is 0 "
            "where the table has nothing negative"
        )
    if whole and options.step is not None and options.step % 1:
        raise ConfigurationError(
            f"data.columns.{name}: the step of whole numbers must be a whole one, not "
            f"{options.step:g}. Or give kind: number"
        )
    if whole and upper - lower < 1 and math.ceil(lower) > math.floor(upper):
        raise ConfigurationError(f"data.columns.{name}: no whole number lies within its bounds")
    fixed = None if options.fixed is None else _fixed_number(name, options.fixed, whole)
    if fixed is not None and not lower <= fixed <= upper:
        raise ConfigurationError(f"data.columns.{name}: fixed {fixed:g} is out of its bounds")
    mean, std = float(values.mean()), float(values.std(ddof=0))
    if not 0 < std < math.inf:
        raise DataError(f"{source}, column {name!r}: its numbers are too large, or too near equal")
    return NumberColumn(name, mean, std, whole, lower, upper, options.step, fixed, seen)


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
    alphabet = options.alphabet or seen
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
    return SequenceColumn(name, alphabet, int(lengths.max()), padded)
