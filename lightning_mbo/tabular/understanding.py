"""What the columns of a table mean, by their values, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.column_kinds import as_numbers, is_constant
from lightning_mbo.tabular.column_options import pasted, pasted_list
from lightning_mbo.tabular.constraints import LinearConstraint
from lightning_mbo.tabular.counts_of_letters import counting_letters
from lightning_mbo.tabular.dummies import Dummies, find_dummies
from lightning_mbo.tabular.following import (
    find_determined,
    find_monotone,
    is_function,
    is_monotone,
)
from lightning_mbo.tabular.other_results import Copies, copies_of, is_measured, suspected_results
from lightning_mbo.tabular.repeats import (
    counting,
    find_repeats,
    is_named_as_group,
    row_hashes,
    tells_apart,
)
from lightning_mbo.tabular.replicates import design_numbers
from lightning_mbo.tabular.sparse_amounts import (
    equalities_with_sparse,
    sparse_amounts,
    totals_with_sparse,
)
from lightning_mbo.tabular.wording import listed, verb, without

_ALWAYS_NEW = ("sequence", "formula", "mutations")
"""Kinds of which designs have values that the table has not, so that nothing goes with them."""


@dataclass
class Understanding:
    """What is found in a table.

    Attributes:
        kinds: Of the columns, those of dummies replaced by one category.
        dummies: The groups of columns that are designed as one category.
        leaders: Of the columns that follow from another, which.
        laws: What the numbers satisfy in every row.
        notes: What is done for it, a sentence each, with how to undo it.
        questions: What is uncertain, with what to say.
    """

    kinds: dict[str, str]
    dummies: list[Dummies] = field(default_factory=list)
    leaders: dict[str, str] = field(default_factory=dict)
    laws: list[LinearConstraint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def understand(
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    targets: Mapping[str, NDArray[np.float64]],
    settings: Collection[str],
    leaders: Mapping[str, str | None],
    laws: Collection[str],
    source: str,
) -> Understanding:
    """Find out what the columns of a table mean.

    Args:
        table: The columns that would be designed, without missing entries.
        kinds: Of each: number, integer, category, sequence or follows.
        targets: By name the values of what is measured and wanted, ``(n,)`` each.
        settings: Which columns the user says are settings.
        leaders: Of the columns of which the user says that they follow, from which; None where
            that is to be found.
        laws: Which of `LAWS` to look for.
        source: What to call the table in messages.

    Raises:
        ConfigurationError: If a column does not follow as the user says.
    """
    reader = _Reader(table, kinds, targets, settings, source)
    reader.find_counters()
    reader.find_counts_of_letters()
    for target in targets:
        reader.find_results(target)
    reader.find_repeats()
    reader.find_dummies(laws)
    reader.find_followers(leaders, laws)
    return reader.found


class _Reader:
    """Looks for one thing after the other in the columns that are still settings."""

    def __init__(
        self,
        table: pd.DataFrame,
        kinds: Mapping[str, str],
        targets: Mapping[str, NDArray[np.float64]],
        settings: Collection[str],
        source: str,
    ) -> None:
        self.targets = targets
        self.given = set(settings)
        self.source = source
        varying = [name for name in kinds if not is_constant(table[name])]
        self.numbers = {
            name: as_numbers(table[name], source).to_numpy()
            for name in varying
            if kinds[name] in ("number", "integer")
        }
        self.table = table[varying].copy(deep=False)
        dtypes = self.table.dtypes
        for name, numbers in self.numbers.items():
            if dtypes[name] != np.float64:
                self.table[name] = numbers
        self.suspected: list[str] = []
        """Columns of which a question is asked, by which nothing else is found."""
        self.found = Understanding(dict(kinds))

    @property
    def names(self) -> list[str]:
        """The columns that are still settings."""
        return list(self.table.columns)

    def _open(self, *kinds: str) -> list[str]:
        """Columns of some kinds of which the user says nothing."""
        return [n for n in self.names if self.found.kinds[n] in kinds and n not in self.given]

    def _open_whole(self) -> list[str]:
        """Such columns of whole numbers, however they are written."""
        numbers = {n: self.numbers[n] for n in self._open("number", "integer")}
        # The first few tell of most columns.
        return [n for n, v in numbers.items() if not ((v[:100] % 1).any() or (v % 1).any())]

    def _leave_out(self, names: Sequence[str], kind: str) -> None:
        self.found.kinds |= dict.fromkeys(names, kind)
        self.table = self.table.drop(columns=list(names))
        self.numbers = {name: v for name, v in self.numbers.items() if name not in names}

    def find_counters(self) -> None:
        """Leave out what counts the rows."""
        counters = {n: counting(n, self.numbers[n]) for n in self._open_whole()}
        counters = {name: how for name, how in counters.items() if how is not None}
        others = self.table.drop(columns=list(counters))
        if not counters or others.empty or not tells_apart(row_hashes(others)):
            return
        possible = [name for name, how in counters.items() if how == "may count"]
        for name, how in counters.items():
            if how == "counts":
                kind = self.found.kinds[name]
                self._leave_out([name], "count")
                self.found.notes.append(
                    f"{name!r} counts the rows and is left out. If it is a setting: "
                    f"{pasted(name, kind)}"
                )
            elif len(possible) == 1:
                self.found.questions.append(
                    f"{name!r} has each whole number from {self.table[name].min():g} to "
                    f"{self.table[name].max():g} once. If it only counts the rows: "
                    f"{pasted(name, 'ignore')}"
                )

    def find_counts_of_letters(self) -> None:
        """Leave out what only counts letters of a sequence."""
        for sequence in [n for n in self.names if self.found.kinds[n] == "sequence"]:
            numbers = {n: self.numbers[n] for n in self._open_whole()}
            for name in counting_letters(self.table[sequence].astype(str), numbers):
                kind = self.found.kinds[name]
                self._leave_out([name], "name")
                self.found.notes.append(
                    f"{name!r} counts letters of {sequence!r} and is left out. If it is a "
                    f"setting: {pasted(name, kind)}"
                )

    def find_results(self, target: str) -> None:
        """Leave out copies of a target, and ask of what else seems to be measured with it."""
        properties = self.targets[target]
        kinds = self.found.kinds
        numbers = {n: self.numbers[n] for n in self._open("number", "integer")}
        levels = {n: pd.factorize(self.table[n])[0] for n in self._open("category")}
        copies = copies_of(properties, numbers, levels)
        if len(copies.certain) + len(copies.possible) == len(self.table.columns):
            return
        if copies.certain and len(self.targets) > 1 and not self._is_measured(target, copies):
            self.found.questions.append(
                f"{listed(copies.certain)} {verb(copies.certain, 'says', 'say')} the same as "
                f"{target!r}, row by row, which other columns do not tell: "
                f"{verb(copies.certain, 'it is', 'they are')} designed, and {target!r} is what "
                f"comes of it. What is measured, and cannot be set: "
                f"{pasted_list('other_results', copies.certain)}"
            )
        elif copies.certain:
            undo = pasted(copies.certain[0], kinds[copies.certain[0]])
            self._leave_out(copies.certain, "result")
            self.found.notes.append(
                f"{listed(copies.certain)} {verb(copies.certain, 'says', 'say')} the same as "
                f"{target!r}, row by row: taken for other results and left out. If "
                f"{'it is a setting' if len(copies.certain) == 1 else 'one is a setting'}: {undo}"
            )
        rest = {n: v for n, v in numbers.items() if n not in (*copies.certain, *copies.possible)}
        levels = {n: v for n, v in levels.items() if n not in (*copies.certain, *copies.possible)}
        measured = suspected_results(target, properties, rest, levels)
        suspected = [n for n in (*copies.possible, *measured) if n not in self.suspected]
        self.suspected += suspected
        if suspected:
            self.found.questions.append(
                f"{listed(suspected)} {verb(suspected, 'goes', 'go')} with "
                f"{target!r} as another result would, and "
                f"{verb(suspected, 'is', 'are')} designed as "
                f"{verb(suspected, 'a setting', 'settings')}. What is measured with it, and "
                f"cannot be set: {pasted_list('other_results', suspected)}"
            )

    def _is_measured(self, target: str, copies: Copies) -> bool:
        """Whether a target depends on other columns than those that say the same."""
        kinds = self.found.kinds
        numbers = {n: v for n, v in self.numbers.items() if n not in copies.certain}
        levels = {
            n: pd.factorize(self.table[n])[0]
            for n in self.names
            if kinds[n] == "category" and n not in copies.certain
        }
        return is_measured(self.targets[target], numbers, levels)

    def find_repeats(self) -> None:
        """Leave out what tells apart the rows of one design, and ask of what may."""
        table = self.table.drop(columns=self.suspected)
        first = next(iter(self.targets.values()))
        for name, certain in find_repeats(self.numbers, table, first):
            if name in self.given:
                continue
            kind = self.found.kinds[name]
            if certain:
                self._leave_out([name], "replicate")
                self.found.notes.append(
                    f"{name!r} only tells apart rows of the same design and is left out. If it is "
                    f"a setting: {pasted(name, kind)}"
                )
            else:
                self.suspected.append(name)
                self.found.questions.append(
                    f"without {name!r} most rows measure a design again. If it is no setting: "
                    f"{pasted(name, 'replicate')}"
                )
        for name in (*self._open_whole(), *self._open("category")):
            if is_named_as_group(name) and name not in self.suspected:
                self.found.questions.append(
                    f"{name!r} is designed as a setting. If rows only belong together by it: "
                    f"{pasted(name, 'group')}"
                )

    def find_dummies(self, laws: Collection[str]) -> None:
        """Make one category of columns of which exactly one is 1."""
        if "dummies" not in laws:
            return
        binary = [
            name
            for name in self._open("integer", "category")
            if name not in self.suspected and self.table[name].isin((0, 1)).all()
        ]
        self.found.dummies = find_dummies(self.table, binary)
        for group in self.found.dummies:
            place = self.names.index(group.names[0])
            category = group.collapsed(self.table)
            self._leave_out(group.names, "dummy")
            self.table.insert(place, group.name, category)
            self.found.kinds[group.name] = "category"
            self.found.notes.append(
                f"exactly one of {listed(group.names)} is 1 in every row: candidates are held to "
                f"it. If they are settings of their own: {without('dummies', laws)}"
            )

    def find_followers(self, given: Mapping[str, str | None], laws: Collection[str]) -> None:
        """Find what holds among the columns in every row."""
        found = self.found
        table = self.table.drop(columns=self.suspected)
        repeated = pd.Series(design_numbers(table), table.index).duplicated()
        table = table[~repeated] if repeated.any() else table
        followers = {name: self._leader(name, leader) for name, leader in given.items()}
        names = list(table.columns)
        settings = self.given.intersection(names) | {*followers.values()}
        numbers = [n for n in names if n in self.numbers and n not in followers]
        sparse = sparse_amounts(table[numbers])
        followers |= find_monotone(table[[n for n in numbers if n not in sparse]], settings)
        numbers = [n for n in numbers if n not in followers]
        if "equalities" in laws:
            found.laws = equalities_with_sparse(table[numbers], sparse)
        held = {name for law in found.laws for name in law.coefficients}
        table = table.drop(columns=self._names_of(table, held))
        for name in [n for n in names if found.kinds[n] == "formula"]:
            table = table.drop(columns=self._names_of(table, {name}))
        rest = [
            n
            for n in names
            if n in table
            and n not in followers
            and n not in sparse
            and found.kinds[n] not in _ALWAYS_NEW
        ]
        determined = find_determined(
            table[rest], self.numbers, settings | held | {*followers.values()}
        )
        followers |= self._certain(table, determined)
        if "totals" in laws:
            free = [n for n in numbers if n not in held and n not in followers]
            found.laws += totals_with_sparse(table[free], sparse)
        self._choose_categories(table, followers)
        found.kinds |= dict.fromkeys(followers, "follows")
        found.leaders = followers
        for leader in dict.fromkeys(followers.values()):
            names = [n for n in followers if followers[n] == leader and n not in given]
            if names:
                found.notes.append(
                    f"{listed(names)} {verb(names, 'follows', 'follow')} from {leader!r} and "
                    f"{verb(names, 'is', 'are')} looked up. What is to be designed by itself: "
                    f"{pasted(names[0], 'number' if names[0] in self.numbers else 'category')}"
                )

    def _leader(self, name: str, leader: str | None) -> str:
        others = [
            n
            for n in self.names
            if n != name and self.found.kinds[n] not in ("follows", *_ALWAYS_NEW)
        ]
        others.sort(key=lambda n: n in self.numbers)
        possible = [n for n in others if leader in (None, n) and is_function(self.table, name, n)]
        if not possible:
            raise ConfigurationError(
                f"data.columns.{name}: it does not follow from "
                f"{'any other column' if leader is None else repr(leader)}: rows that are equal "
                f"there differ in {name!r}"
            )
        return possible[0]

    def _names_of(self, table: pd.DataFrame, held: Collection[str]) -> list[str]:
        """Leave out a category that names the mixtures which the other columns describe."""
        mixtures = table[sorted(held)].drop_duplicates()
        is_mixture = len(held) > 2 or any(self.found.kinds[name] == "formula" for name in held)
        names = [
            name
            for name in self._open("category")
            if is_mixture and name in table and table[name].nunique() == len(mixtures)
        ]
        for name in names:
            if len(table[[*held, name]].drop_duplicates()) > len(mixtures):
                continue
            self._leave_out([name], "name")
            self.found.notes.append(
                f"{name!r} names what other columns say in numbers, and is left out. To design it: "
                f"{pasted(name, 'category')}"
            )
        return [name for name in names if name not in self.table]

    def _certain(self, table: pd.DataFrame, determined: Mapping[str, str]) -> dict[str, str]:
        """What goes with a category, or rises or falls with numbers; the rest is asked for."""
        certain = {}
        for name, leader in determined.items():
            of_number, is_number = leader in self.numbers, name in self.numbers
            if not of_number or (is_number and is_monotone(table, name, leader)):
                certain[name] = leader
        for leader in dict.fromkeys(determined.values()):
            names = [n for n, by in determined.items() if by == leader and n not in certain]
            if names:
                self.found.questions.append(
                    f"{listed(names)} {verb(names, 'has', 'have')} one value for each of "
                    f"{leader!r}, and {verb(names, 'is', 'are')} designed all the same. What only "
                    f"describes it: {pasted(names[0], f'{{follows: {json.dumps(leader)}}}')}"
                )
        return certain

    def _choose_categories(self, table: pd.DataFrame, followers: Mapping[str, str]) -> None:
        """Numbers with which others go, without rising or falling, are those of the table."""
        for name, leader in followers.items():
            both = leader in self.numbers and name in self.numbers
            if leader in self.numbers and not (both and is_monotone(table, name, leader)):
                self.found.kinds[leader] = "category"
