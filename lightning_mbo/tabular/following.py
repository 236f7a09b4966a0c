"""Columns that follow from another: found in a table, and looked up for new designs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.tabular.chance import (
    CERTAIN,
    level_numbers,
    log_chance_of_agreement,
    log_chance_of_blocks,
    sampled_rows,
)

_FEW_ROWS = 200
_MOST_COLUMNS = 1000
_FEWEST_REPEATS = 2
"""Rows of each of a leader's levels, in the mean: what is never repeated determines everything."""


@dataclass(frozen=True)
class LookedUp:
    """A column whose value goes with the value of another.

    Attributes:
        name: Of the column.
        leader: Of the other one.
        known: The leader's values.
        values: What goes with each.
        nearest: Whether the leader has numbers between those, of which the nearest counts.
    """

    name: str
    leader: str
    known: tuple[Any, ...]
    values: tuple[Any, ...]
    nearest: bool = False

    def of(self, leading: Any) -> Any:
        """The column's values ``(m,)`` of the leader's ``(m,)``."""
        if not self.nearest:
            place = dict(zip(self.known, range(len(self.known)), strict=True))
            return [self.values[place[value]] for value in leading]
        known = np.asarray(self.known, np.float64)
        between = (known[1:] + known[:-1]) / 2
        places = np.searchsorted(between, np.asarray(leading, np.float64))
        return [self.values[place] for place in places]


@dataclass(frozen=True)
class Interpolated:
    """A column of numbers that rises or falls with another's, in straight lines between the rows.

    Attributes:
        name: Of the column.
        leader: Of the other one.
        known: The leader's numbers, ascending.
        values: What goes with each.
        whole: Whether they are whole numbers.
    """

    name: str
    leader: str
    known: tuple[float, ...]
    values: tuple[float, ...]
    whole: bool

    def of(self, leading: Any) -> Any:
        """The column's values ``(m,)`` of the leader's ``(m,)``; beyond the table the last line."""
        x, known, values = (
            np.asarray(a, np.float64) for a in (leading, self.known, self.values)
        )
        piece = np.clip(np.searchsorted(known, x) - 1, 0, len(known) - 2)
        slope = (values[piece + 1] - values[piece]) / (known[piece + 1] - known[piece])
        found = values[piece] + slope * (x - known[piece])
        if self.whole:
            return found.round().astype(np.int64)
        return found.round(10 - math.floor(math.log10(np.abs(values).max())))


Follower = LookedUp | Interpolated


def find_followers(
    table: pd.DataFrame, numbers: Collection[str], settings: Collection[str]
) -> dict[str, str]:
    """Which columns follow from which, as name of the follower: name of the leader.

    A leader has values that repeat, and to each of them belongs one value of the follower, more
    often than by chance; or both are numbers, one rising or falling with the other. Of several
    that say the same, the leader is the one with the most values, a category, the first.

    Args:
        table: One row for each design.
        numbers: Which columns are numbers; the others are categories.
        settings: Which follow from nothing.
    """
    if not 2 <= len(table.columns) <= _MOST_COLUMNS:
        return {}
    rows = sampled_rows(len(table))
    codes = np.stack([pd.factorize(table[name].iloc[rows])[0] for name in table], axis=1)
    names = list(table.columns)
    num_levels = codes.max(0) + 1
    order = sorted(
        range(len(names)),
        key=lambda j: (names[j] not in settings, -num_levels[j], names[j] in numbers, j),
    )
    strictness = CERTAIN - 2 * math.log(len(names))
    found: dict[str, str] = {}
    few = codes[: max(_FEW_ROWS, len(codes) // 10)]
    for a in order:
        if names[a] in found or num_levels[a] < 2:
            continue
        if num_levels[a] * _FEWEST_REPEATS > len(codes):
            continue
        for b in np.flatnonzero(_determined(few, a)):
            free = b != a and names[b] not in settings and names[b] not in found
            leads = names[b] in found.values()
            if not free or leads or num_levels[b] < 2 or not _determined(codes[:, [b]], codes[:, a]):
                continue
            if log_chance_of_agreement(codes[:, a], codes[:, b]) < strictness and _determined(
                pd.factorize(table[names[b]])[0][:, None], pd.factorize(table[names[a]])[0]
            ):
                found[names[b]] = names[a]
    return found | _monotone(table, [n for n in numbers if n not in found], settings, found)


def _determined(codes: NDArray[np.intp], by: int | NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which columns ``(d,)`` have one value for each of the leader's."""
    leader = codes[:, by] if isinstance(by, int) else by
    first = np.zeros(leader.max() + 1, np.intp)
    first[leader[::-1]] = np.arange(len(leader))[::-1]
    same: NDArray[np.bool_] = (codes == codes[first[leader]]).all(0)
    return same


def _monotone(
    table: pd.DataFrame,
    numbers: list[str],
    settings: Collection[str],
    found: Mapping[str, str],
) -> dict[str, str]:
    """Numbers that rise or fall with those of a column before them, or after if that is given."""
    rows = sampled_rows(len(table))
    if len(numbers) < 2 or len(rows) < 3:
        return {}
    values = table[numbers].to_numpy(np.float64)
    ranks = np.stack([pd.Series(values[rows, j]).rank() for j in range(len(numbers))], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        near = np.abs(np.corrcoef(ranks, rowvar=False)) > 0.99
    more: dict[str, str] = {}
    order = sorted(
        range(len(numbers)),
        key=lambda j: (numbers[j] not in settings, -len(np.unique(values[rows, j])), j),
    )
    for i, a in enumerate(order):
        if numbers[a] in more:
            continue
        for b in order[i + 1 :]:
            free = numbers[b] not in settings and numbers[b] not in more
            leads = numbers[b] in found.values() or numbers[b] in more.values()
            if near[a, b] and free and not leads and _follows(values[:, a], values[:, b]):
                more[numbers[b]] = numbers[a]
    return more


def _follows(leader: NDArray[np.float64], follower: NDArray[np.float64]) -> bool:
    level = level_numbers(leader)
    _, first = np.unique(leader, return_index=True)
    of_level = follower[first]
    if not (follower == of_level[level]).all():
        return False
    steps = np.diff(of_level)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        return False
    sizes = np.bincount(level_numbers(follower))
    return len(sizes) > 2 and log_chance_of_blocks(sizes, math.log(2)) < CERTAIN


def follower(table: pd.DataFrame, name: str, leader: str, numbers: Mapping[str, bool]) -> Follower:
    """How a column is worked out from another.

    Args:
        table: With both columns.
        name: Of the one that follows.
        leader: Of the other one.
        numbers: Which columns are designed or looked up as numbers, and whether as whole ones.
    """
    pairs = table[[leader, name]].drop_duplicates(leader).sort_values(leader)
    known, values = tuple(pairs[leader].tolist()), tuple(pairs[name].tolist())
    if leader in numbers and name in numbers:
        return Interpolated(name, leader, known, values, numbers[name])
    return LookedUp(name, leader, known, values, leader in numbers)


def is_monotone(table: pd.DataFrame, name: str, leader: str) -> bool:
    """Whether numbers rise or fall with another column's, level by level."""
    pairs = table[[leader, name]].drop_duplicates(leader).sort_values(leader)
    steps = np.diff(pairs[name].to_numpy(np.float64))
    return bool((steps > 0).all() or (steps < 0).all())
