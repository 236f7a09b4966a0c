"""Groups of columns of zeros and ones, of which in each row exactly one is 1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.tabular.chance import sampled_rows

_FEWEST_COLUMNS = 3
_FEWEST_ONES = 2


@dataclass(frozen=True)
class Dummies:
    """Columns that together name one level of a category.

    Attributes:
        name: What to call the category.
        names: Of the columns.
        signs: What stands in them for no and for yes.
    """

    name: str
    names: tuple[str, ...]
    signs: tuple[Any, Any]

    @property
    def own(self) -> tuple[str, ...]:
        """The user's columns."""
        return self.names

    @property
    def derived(self) -> tuple[str, ...]:
        """The columns of designs."""
        return (self.name,)

    def collapsed(self, table: pd.DataFrame) -> pd.Series:
        """For each row the name of the column that is 1."""
        places = table[list(self.names)].to_numpy().astype(np.float64).argmax(1)
        return pd.Series(np.array(self.names, object)[places], index=table.index, name=self.name)

    def derive(self, table: pd.DataFrame) -> dict[str, pd.Series]:
        """The columns of designs, of a table with the user's."""
        return {self.name: self.collapsed(table)}

    def restore(self, values: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The user's columns, of values ``(m,)`` of those of designs."""
        levels = values[self.name]
        return {name: [self.signs[level == name] for level in levels] for name in self.names}

    def describe(self) -> tuple[str, str]:
        """The kind of the user's columns, and what values they have."""
        return "category", f"a level of {self.name}"


def find_dummies(table: pd.DataFrame, binary: Sequence[str]) -> list[Dummies]:
    """Groups of at least three columns, of which one is 1 in each row.

    Columns whose names begin alike are tried first, then each column with those after it of
    which never both are 1.

    Args:
        table: Of the user.
        binary: Which of its columns hold nothing but 0 and 1, or False and True.
    """
    binary = [name for name in binary if name in table]
    if len(binary) < _FEWEST_COLUMNS:
        return []
    rows = sampled_rows(len(table))
    ones = table[list(binary)].iloc[rows].to_numpy().astype(bool)
    left = [j for j in range(len(binary)) if ones[:, j].sum() >= _FEWEST_ONES]
    found: list[list[int]] = []
    prefixes = dict.fromkeys(_prefix(binary[j]) for j in left)
    for prefix in prefixes:
        group = [j for j in left if _prefix(binary[j]) == prefix]
        if prefix and _is_group(ones[:, group]):
            found.append(group)
    left = [j for j in left if not any(j in group for group in found)]
    while left:
        group = _grown(ones, left)
        if _is_group(ones[:, group]):
            found.append(group)
            left = [j for j in left if j not in group]
        else:
            left = left[1:]
    groups = [[binary[j] for j in sorted(group)] for group in found]
    return [
        _dummies(table, names)
        for names in groups
        if (table[names].to_numpy().astype(np.intp).sum(1) == 1).all()
    ]


def _is_group(ones: NDArray[np.bool_]) -> bool:
    return ones.shape[1] >= _FEWEST_COLUMNS and bool((ones.sum(1) == 1).all())


def _grown(ones: NDArray[np.bool_], left: Sequence[int]) -> list[int]:
    group, covered = [left[0]], ones[:, left[0]].copy()
    for j in left[1:]:
        if not (covered & ones[:, j]).any():
            group.append(j)
            covered |= ones[:, j]
    return group


def _prefix(name: str) -> str:
    match = re.match(r"(.+)[_=:. -]", name)
    return match[1] if match else ""


def _dummies(table: pd.DataFrame, names: Sequence[str]) -> Dummies:
    prefixes = {_prefix(name) for name in names}
    common = prefixes.pop() if len(prefixes) == 1 else ""
    name = common or f"one of {names[0]} to {names[-1]}"
    while name in table:
        name += " "
    signs = (False, True) if table[names[0]].dtype == bool else (0, 1)
    return Dummies(name, tuple(names), signs)
