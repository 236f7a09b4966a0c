"""Columns of mutations of a parent sequence, designed by the letters of the places that vary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.column_options import ColumnOptions

PARENT = "WT"
"""What stands for no mutation at all."""

_PARENTS = ("", "WT", "WILDTYPE", "WILD-TYPE", "WILD TYPE", "PARENT", "_WT", "NONE")
_SEPARATORS = re.compile(r"[\s:;,/+]+")
_MUTATION = re.compile(r"([A-Z])([0-9]+)([A-Z])")
_FEWEST_TEXTS = 10
_SURE = 0.95
_FEWEST_LETTERS = 4

Mutated = dict[int, str]
"""The new letters, by their place in the parent, from 0, ascending."""


@dataclass(frozen=True)
class Mutations:
    """A column of mutations, of which the letters of each place that varies are designed.

    Attributes:
        name: Of the column.
        parent: The sequence without mutations.
        offset: What is to be added to a place in the parent, from 1, for its number.
        places: Those that vary, from 0, ascending.
        prefix: Before a place in the name of its column of designs.
        most: How many mutations are together in an entry of the table.
    """

    name: str
    parent: str
    offset: int
    places: tuple[int, ...]
    prefix: str
    most: int

    @property
    def own(self) -> tuple[str, ...]:
        """The user's columns."""
        return (self.name,)

    @property
    def derived(self) -> tuple[str, ...]:
        """The columns of designs."""
        return tuple(f"{self.prefix}{place + 1 + self.offset}" for place in self.places)

    @property
    def options(self) -> dict[str, ColumnOptions]:
        """What the columns of designs are."""
        return dict.fromkeys(self.derived, ColumnOptions("category"))

    def of_rows(self, table: pd.DataFrame) -> Mutations:
        """With the places of the mutations of these rows only."""
        read = [self._read(text) for text in table[self.name].unique()]
        prefix = self.prefix
        while any(str(name).startswith(prefix) for name in table):
            prefix += " "
        places = tuple(sorted({place for mutated in read for place in mutated}))
        return replace(self, places=places, prefix=prefix, most=max(map(len, read)))

    def derive(self, table: pd.DataFrame) -> dict[str, pd.Series]:
        """The columns of designs, of a table with the user's."""
        codes, texts = pd.factorize(table[self.name])
        read = [self._read(text) for text in texts]
        for text, mutated in zip(texts, read, strict=True):
            if not mutated.keys() <= set(self.places):
                raise DataError(
                    f"{self.name!r}: {text} mutates a place at which nothing varies in the table"
                )
        derived = {}
        for place, name in zip(self.places, self.derived, strict=True):
            letters = np.array([mutated.get(place, self.parent[place]) for mutated in read], object)
            derived[name] = pd.Series(letters[codes], index=table.index, name=name)
        return derived

    def restore(self, values: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The user's columns, of values ``(m,)`` of those of designs."""
        rows = zip(*(values[name] for name in self.derived), strict=True)
        return {self.name: [self.written(dict(zip(self.places, row, strict=True))) for row in rows]}

    def written(self, mutated: Mutated) -> str:
        """Mutations as an entry of the column, those to the parent's own letter left out."""
        words = [
            f"{self.parent[place]}{place + 1 + self.offset}{letter}"
            for place, letter in mutated.items()
            if letter != self.parent[place]
        ]
        return ":".join(words) or PARENT

    def describe(self) -> tuple[str, str]:
        """The kind of the user's columns, and what values they have."""
        return "mutations", f"{len(self.places)} places vary, at most {self.most} in a row"

    def _read(self, text: Any) -> Mutated:
        mutated, reason = _parsed(text, self.parent, self.offset)
        if reason:
            raise DataError(f"{self.name!r}: {text!r}: {reason}")
        return mutated


def read_mutations(
    column: pd.Series, options: ColumnOptions, source: str, advice: str
) -> tuple[Mutations, pd.Series, list[str]]:
    """Read a column of mutations.

    Args:
        column: Of the table, labelled by row numbers from 0. Empty entries are the parent, unless
            they are to be dropped.
        options: What the user says of it.
        source: What to call the table in messages.
        advice: How to have the rows dropped that cannot be read.

    Returns:
        How the column is designed; the column, all written in one way; and what is said of it, a
        sentence each.

    Raises:
        DataError: Naming the first entry that cannot be read or does not go with the parent, and
            how many there are.
    """
    parent, offset = str(options.parent), int(options.offset or 0)
    drops, absent, notes = options.missing == "drop", column.isna(), []
    if absent.any() and not drops:
        notes.append(
            f"{column.name!r} is empty in {absent.sum():,} rows, which is taken for the parent. To "
            f"leave these rows out: {advice}"
        )
        column = column.where(~absent, PARENT)
    codes, texts = pd.factorize(column)
    parsed = [_parsed(text, parent, offset) for text in texts]
    bad = np.isin(codes, [i for i, (_, reason) in enumerate(parsed) if reason])
    if bad.any():
        first = int(bad.argmax())
        said = (
            f"data row {first + 1}: {str(column.iloc[first])!r}: {parsed[codes[first]][1]} "
            f"({bad.sum():,} such entries in all)"
        )
        shift = _shift(texts, parent, offset)
        if shift is not None:
            raise DataError(
                f"{source}, column {column.name!r}, {said}. Nearly all letters agree if the "
                f"parent's first is number {1 + shift}: give its option offset: {shift}"
            )
        if not drops or bad.all():
            raise DataError(
                f"{source}, column {column.name!r}, {said}. Correct it, or leave out such rows: "
                f"{advice}"
            )
        notes.append(f"{column.name!r} has entries that cannot be read, and are left out: {said}")
    most = max(len(mutated) for mutated, _ in parsed)
    found = Mutations(str(column.name), parent, offset, (), f"{column.name} ", most)
    written = [None if reason else found.written(mutated) for mutated, reason in parsed]
    entries = [None if code < 0 else written[code] for code in codes]
    return found, pd.Series(entries, index=column.index, name=column.name, dtype=object), notes


def reads_as_mutations(texts: Sequence[str]) -> bool:
    """Whether texts, none of them twice, are nearly all mutations at several places."""
    words = [[w for w in _SEPARATORS.split(text.strip()) if w] for text in texts]
    matched = [[_MUTATION.fullmatch(word) for word in row] for row in words]
    sure = [row for row in matched if row and all(row)]
    places = {match[2] for row in sure for match in row if match}
    return (
        len(texts) >= _FEWEST_TEXTS
        and len(sure) >= _SURE * len(texts)
        and len(places) > 1
        # What stands at one place is the same in all.
        and len({match[1] + match[2] for row in sure for match in row if match}) == len(places)
    )


def _parsed(text: Any, parent: str, offset: int) -> tuple[Mutated, str]:
    """The mutations, in the order of their places; and why they are none, or an empty text."""
    mutated: Mutated = {}
    word = str(text).strip()
    if word.upper() in _PARENTS:
        return mutated, ""
    for word in filter(None, _SEPARATORS.split(str(text).strip())):
        match = _MUTATION.fullmatch(word)
        if match is None:
            return {}, _no_mutation(word)
        old, number, new = match[1], int(match[2]), match[3]
        place = number - 1 - offset
        if not 0 <= place < len(parent):
            last = len(parent) + offset
            return {}, f"{word}: the parent has the places {1 + offset} to {last}, and no {number}"
        if parent[place] != old:
            return {}, f"{word}: the parent has {parent[place]} at {number}, not {old}"
        if mutated.get(place, new) != new:
            return {}, f"two letters at {number}"
        mutated[place] = new
    return dict(sorted((place, new) for place, new in mutated.items() if new != parent[place])), ""


def _no_mutation(word: str) -> str:
    small = word.casefold()
    if "ins" in small or "dup" in small:
        return f"{word} is an insertion, which cannot be designed here: give whole sequences"
    if "del" in small or re.fullmatch(r"[a-z]?[0-9]+-|-[0-9]+[a-z]?", small):
        return f"{word} is a deletion, which cannot be designed here: give whole sequences"
    if re.fullmatch(r"(p\.)?[a-z]{3}[0-9]+([a-z]{3}|\*|=)", small):
        return f"{word}: letters are read, such as A5V, and no names of three"
    return f"{word} is no mutation such as A5V"


def _shift(texts: Iterable[Any], parent: str, offset: int) -> int | None:
    """The offset by which nearly all letters agree with the parent's, if not with the one given."""
    words = [word for text in texts for word in _SEPARATORS.split(str(text).strip())]
    pairs = {(m[1], int(m[2])) for m in map(_MUTATION.fullmatch, words) if m}
    if len(pairs) < _FEWEST_LETTERS:
        return None

    def agreeing(shift: int) -> int:
        return sum(
            0 <= number - 1 - shift < len(parent) and parent[number - 1 - shift] == letter
            for letter, number in pairs
        )

    numbers = [number for _, number in pairs]
    best = max(range(max(numbers) - len(parent), min(numbers)), key=agreeing, default=offset)
    enough = _SURE * len(pairs)
    return best if agreeing(best) >= enough > agreeing(offset) else None
