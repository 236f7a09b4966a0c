"""Columns that follow from another: found in a table, and looked up for new designs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from lightning_mbo.tabular.chance import (
    CERTAIN,
    level_numbers,
    log_chance_of_agreement,
    log_chance_of_blocks,
    sampled_rows,
)

_FEW_ROWS = 200
_MOST_COLUMNS = 1000
_NEARLY_ONE = 0.99
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
        """The column's values ``(m,)`` of the leader's ``(m,)``; None where no row has these."""
        if not self.nearest:
            found = dict(zip(self.known, self.values, strict=True))
            return [found.get(value) for value in leading]
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
        x, known, values = (np.asarray(a, np.float64) for a in (leading, self.known, self.values))
        piece = np.clip(np.searchsorted(known, x) - 1, 0, len(known) - 2)
        slope = (values[piece + 1] - values[piece]) / (known[piece + 1] - known[piece])
        found = values[piece] + slope * (x - known[piece])
        if self.whole:
            return found.round().astype(np.int64)
        return found.round(10 - math.floor(math.log10(np.abs(values).max())))


Follower = LookedUp | Interpolated


def find_determined(
    table: pd.DataFrame, numbers: Collection[str], settings: Collection[str]
) -> dict[str, str]:
    """Which columns follow from the levels of which, as name of the follower: name of the leader.

    A leader has values that repeat, and to each of them belongs one value of the follower, more
    often than by chance. Of several that say the same, the leader is the one with the most values,
    a category, the first.

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
    leaders = sorted(
        np.flatnonzero((num_levels > 1) & (num_levels * _FEWEST_REPEATS <= len(codes))).tolist(),
        key=lambda j: (-num_levels[j], names[j] not in settings, names[j] in numbers, j),
    )
    strictness = CERTAIN - 2 * math.log(len(names))
    found: dict[str, str] = {}
    for a in leaders:
        leader = names[a]
        if leader in found:
            continue
        near = np.flatnonzero(_determined(codes[:_FEW_ROWS], codes[:_FEW_ROWS, a]))
        for b in near[(near != a) & (num_levels[near] > 1)]:
            name = names[b]
            if name in settings or name in found or name in found.values():
                continue
            if (
                _determined(codes[:, [b]], codes[:, a]).all()
                and log_chance_of_agreement(codes[:, a], codes[:, b]) < strictness
                and is_function(table, name, leader)
            ):
                found[name] = leader
    return found


def is_function(table: pd.DataFrame, name: str, leader: str) -> bool:
    """Whether a column has one value for each of another's."""
    codes = pd.factorize(table[name])[0]
    return bool(_determined(codes[:, None], pd.factorize(table[leader])[0]).all())


def _determined(codes: NDArray[np.intp], leader: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which columns ``(d,)`` of level numbers ``(n, d)`` have one for each of the leader's."""
    first = np.zeros(leader.max() + 1, np.intp)
    first[leader[::-1]] = np.arange(len(leader))[::-1]
    same: NDArray[np.bool_] = (codes == codes[first[leader]]).all(0)
    return same


def find_monotone(table: pd.DataFrame, settings: Collection[str]) -> dict[str, str]:
    """Which columns of numbers rise or fall with those of which, as follower: leader.

    The leader is the one with the most values, the first. Two amounts that share a total are left
    to be an equality.

    Args:
        table: Columns of numbers, one row for each design.
        settings: Which follow from nothing.
    """
    names = list(table.columns)
    rows = sampled_rows(len(table))
    if not 2 <= len(names) <= _MOST_COLUMNS or len(rows) < 3:
        return {}
    values = table.to_numpy(np.float64)
    shown = values[rows]
    ranks = np.stack([rankdata(column) for column in shown.T], axis=1)
    ranks = (ranks - ranks.mean(0)) / ranks.std(0)
    near = np.abs(ranks.T @ ranks) > _NEARLY_ONE * len(rows)
    found: dict[str, str] = {}
    order = sorted(
        range(len(names)),
        key=lambda j: (names[j] not in settings, -len(np.unique(shown[:, j])), j),
    )
    for i, a in enumerate(order):
        for b in order[i + 1 :]:
            taken = names[a] in found or names[b] in found or names[b] in settings
            if near[a, b] and not taken and _follows(values[:, a], values[:, b]):
                found[names[b]] = names[a]
    return found


def _follows(leader: NDArray[np.float64], follower: NDArray[np.float64]) -> bool:
    if np.ptp(leader + follower) <= 1e-9 * np.abs(leader).max():
        return False
    _, first, level = np.unique(leader, return_index=True, return_inverse=True)
    of_level = follower[first]
    if not (follower == of_level[level]).all():
        return False
    steps = np.diff(of_level)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        return False
    sizes = np.bincount(level_numbers(follower))
    return len(sizes) > 2 and log_chance_of_blocks(sizes, math.log(2)) < CERTAIN


def followers(
    table: pd.DataFrame, leaders: Mapping[str, str], kinds: Mapping[str, str]
) -> list[Follower]:
    """How columns are worked out from others.

    Args:
        table: With all of them, without missing entries.
        leaders: Of each that follows, from which.
        kinds: Of the leaders: number, integer or category.
    """
    return [_follower(table, name, leader, kinds[leader]) for name, leader in leaders.items()]


def _follower(table: pd.DataFrame, name: str, leader: str, kind: str) -> Follower:
    pairs = table[[leader, name]].drop_duplicates(leader)
    if kind == "category":
        return LookedUp(name, leader, tuple(pairs[leader].tolist()), tuple(pairs[name].tolist()))
    pairs = pairs.iloc[pd.to_numeric(pairs[leader]).argsort()]
    known = tuple(pd.to_numeric(pairs[leader]).tolist())
    numbers = pd.to_numeric(pairs[name], errors="coerce")
    if numbers.isna().any() or pairs[name].dtype == bool or not numbers.is_unique:
        return LookedUp(name, leader, known, tuple(pairs[name].tolist()), nearest=True)
    whole = bool((numbers % 1 == 0).all())
    return Interpolated(name, leader, known, tuple(numbers.tolist()), whole)


def is_monotone(table: pd.DataFrame, name: str, leader: str) -> bool:
    """Whether numbers rise or fall with another column's, or stay."""
    pairs = table[[leader, name]].drop_duplicates(leader).sort_values(leader)
    steps = np.diff(pairs[name].to_numpy(np.float64))
    return bool((steps >= 0).all() or (steps <= 0).all())
