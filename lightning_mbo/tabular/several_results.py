"""Tables of which several columns are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lightning_mbo.advance import Advance
from lightning_mbo.errors import ConfigurationError, DataError, MBOWarning
from lightning_mbo.goals import Goal
from lightning_mbo.problem import FEWEST_DESIGNS
from lightning_mbo.tabular.column_kinds import as_numbers
from lightning_mbo.tabular.headers import missing_column
from lightning_mbo.tabular.replicates import positive

ADVANCE = "advance"
"""The column that stands for all results."""

ADVANCE_IS = (
    "how far all results together lie beyond the rows, in standard deviations; 0 is as good as the "
    "best rows that meet the limits"
)


class SplitRows(NamedTuple):
    """A table by what is measured of its rows.

    Attributes:
        table: Rows that have all results, with their `ADVANCE`.
        further: Rows that have some.
        values: Their results, NaN where one is missing, ``(p, q)``.
        errors: Standard deviations of these; zero where none is known, ``(p, q)``.
        shown: By result what is wanted, between which values all rows lie, and how many lack it.
    """

    table: pd.DataFrame
    further: pd.DataFrame
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    shown: dict[str, tuple[str, str]]


def split_rows(
    table: pd.DataFrame,
    goals: Sequence[Goal],
    source: str,
    error_columns: Mapping[str, str] | None = None,
) -> SplitRows:
    """Tell rows that have all results from others, and what the results come to.

    Args:
        table: With rows counted from 0.
        goals: Of the results.
        source: What to call the table in messages.
        error_columns: The standard deviations of some results' errors, by result.

    Raises:
        ConfigurationError: If there is no column of a result, or one of the name `ADVANCE`.
        DataError: If an entry is no number, too few rows have all results, a column says nothing,
            or the error of a result is no positive number.
    """
    names = list(map(str, table.columns))
    error_columns = error_columns or {}
    asked = [("data.targets", goal.name) for goal in goals]
    asked += [("data.error_column", name) for name in error_columns.values()]
    for option, name in asked:
        if name not in names:
            raise ConfigurationError(missing_column(option, source, name, names))
    if ADVANCE in names:
        raise ConfigurationError(
            f"{source} has a column {ADVANCE!r}, which with data.targets is what the results come "
            "to: rename the column"
        )
    values = np.stack([as_numbers(table[goal.name], source) for goal in goals], axis=1)
    measured, errors = ~np.isnan(values), np.zeros_like(values)
    for number, goal in enumerate(goals):
        if goal.name in error_columns:
            there = measured[:, number]
            of_there = table.loc[there, error_columns[goal.name]]
            errors[there, number] = positive(of_there, source)
    complete, none = measured.all(1), ~measured.any(1)
    if complete.sum() < FEWEST_DESIGNS:
        counts = ", ".join(
            f"{goal.name} {count:,}" for goal, count in zip(goals, measured.sum(0), strict=True)
        )
        raise DataError(
            f"{source}: {complete.sum()} rows have all of data.targets, and at least "
            f"{FEWEST_DESIGNS} are needed (rows that have each: {counts})"
        )
    for goal, column in zip(goals, values[complete].T, strict=True):
        if column.min() == column.max():
            raise DataError(
                f"{source}, column {goal.name!r}: all {len(column)} entries are {column[0]:g}, "
                "there is nothing to learn"
            )
    advance = np.full(len(table), np.nan)
    found = torch.from_numpy(values[complete])
    advance[complete] = Advance.beyond(goals, found).of(found).numpy()
    if np.nanmin(advance) == np.nanmax(advance):
        raise DataError(
            f"{source}: all rows meet data.targets, and nothing is left to be wanted: maximize or "
            "minimize a result"
        )
    if none.any():
        warnings.warn(
            f"{source}: {none.sum():,} rows have none of data.targets and are left out",
            category=MBOWarning,
            stacklevel=3,
        )
    shown = {goal.name: _shown(goal, column) for goal, column in zip(goals, values.T, strict=True)}
    whole, partial = table.assign(**{ADVANCE: advance})[complete], ~(complete | none)
    return SplitRows(whole, table[partial], values[partial], errors[partial], shown)


def _shown(goal: Goal, column: NDArray[np.float64]) -> tuple[str, str]:
    absent = int(np.isnan(column).sum())
    values = f"{np.nanmin(column):g} to {np.nanmax(column):g}; {goal}"
    return values, f"{absent:,}" if absent else ""


def goal_lines(goals: Sequence[Goal], values: NDArray[np.float64]) -> list[str]:
    """What is wanted of each result, and how the rows stand to it, a line each.

    Args:
        goals: Of q results, settled.
        values: Of the rows, in the user's units, ``(n, q)``.
    """
    lines, meets = [], np.ones(len(values), dtype=bool)
    for goal, column in zip(goals, values.T, strict=True):
        line = f"{goal.name}: {goal}; measured {column.min():g} to {column.max():g}"
        if goal.is_limit:
            met = goal.is_met(column)
            meets &= met
            line += f", within the limits in {met.sum():,} of {len(column):,} rows"
            if not met.any():
                far = np.maximum(goal.lower - column, column - goal.upper)
                line += f"; the nearest is {column[far.argmin()]:g}"
        lines.append(line)
    if sum(goal.is_limit for goal in goals) > 1:
        lines.append(f"all limits are met in {meets.sum():,} of {len(values):,} rows")
    return lines
