"""How the columns of a table become entries of designs, and designs rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightning_mbo.sequences import letters, one_hot, tokens
from lightning_mbo.tabular.spelling import respelled

GAP = "-"
"""Fills sequences up to the length of the longest."""


class Column(Protocol):
    """A column of the table; `encode` and `decode` are each other's inverse."""

    @property
    def name(self) -> str:
        """Of the column."""

    @property
    def kind(self) -> str:
        """What to call it: number, integer, category, sequence or constant."""

    @property
    def groups(self) -> tuple[int, ...]:
        """Sizes of its one-hot groups."""

    @property
    def num_entries(self) -> int:
        """How many entries of a design it has."""

    def encode(self, values: pd.Series) -> Tensor:
        """Entries ``(m, num_entries)``, float64, of the column's values, none of them missing."""

    def decode(self, entries: Tensor) -> Any:
        """The column's values, ``(m,)``, of entries ``(m, num_entries)``."""

    def nearest(self, entries: Tensor) -> Tensor:
        """The nearest entries ``(m, num_entries)`` that stand for an allowed value."""

    def describe(self) -> str:
        """What values it has, in a few words."""


@dataclass(frozen=True)
class CategoryColumn:
    """One of a few levels, one-hot.

    Attributes:
        name: Of the column.
        levels: In their order.
        fixed: If not None, the number of the only one that is allowed.
        descriptors: Of each level, where there are such: standardised numbers, a row a level.
        described_by: Their names; where there are none, they are the levels' ranks.
        unseen: Those of the levels that no row has.
    """

    name: str
    levels: tuple[Any, ...]
    fixed: int | None = None
    kind: str = "category"
    descriptors: tuple[tuple[float, ...], ...] = ()
    described_by: tuple[str, ...] = ()
    unseen: tuple[Any, ...] = ()

    @property
    def groups(self) -> tuple[int, ...]:
        """Sizes of its one-hot groups."""
        return (len(self.levels),)

    @property
    def num_entries(self) -> int:
        """How many entries of a design it has."""
        return len(self.levels)

    def encode(self, values: pd.Series) -> Tensor:
        """Entries ``(m, num_entries)``, float64, of values of which none is missing."""
        known = pd.Index(self.levels)
        numbers = known.get_indexer(values)
        if (numbers < 0).any():
            numbers = known.get_indexer(respelled(values, self.levels))
        return one_hot(torch.from_numpy(numbers.astype(np.int64)), len(self.levels))

    def decode(self, entries: Tensor) -> Any:
        """Values ``(m,)`` of entries ``(m, num_entries)``."""
        return [self.levels[level] for level in entries.argmax(1).tolist()]

    def nearest(self, entries: Tensor) -> Tensor:
        """The nearest entries ``(m, num_entries)`` that stand for an allowed value."""
        chosen = entries.argmax(1)
        chosen = chosen if self.fixed is None else torch.full_like(chosen, self.fixed)
        return one_hot(chosen, len(self.levels)).to(entries)

    def describe(self) -> str:
        """What values it has, in a few words."""
        in_order = self.descriptors and not self.described_by
        text = f"{len(self.levels)} levels: {_first(self.levels, ' < ' if in_order else ', ')}"
        if self.described_by:
            text += f"; described by {_first(self.described_by)}"
        if self.unseen:
            text += f"; {_first(self.unseen)} never seen"
        return text if self.fixed is None else f"{text}; fixed at {self.levels[self.fixed]}"


def _first(names: Sequence[Any], separator: str = ", ") -> str:
    more = f" and {len(names) - 6} more" * (len(names) > 6)
    return separator.join(str(name) for name in names[:6]) + more


@dataclass(frozen=True)
class SequenceColumn:
    """Words over an alphabet, a one-hot group for each place.

    Attributes:
        name: Of the column.
        alphabet: Its letters; where `padded`, the gap is the last.
        length: Of the longest word.
        padded: Whether shorter words are filled up with gaps.
        unknown: Those of its letters that stand in the table alone, before the gap the last.
        usual: Where there are such, what is designed in the place of each, ``(length,)``.
        unseen: Those of its letters that no row has.
    """

    name: str
    alphabet: str
    length: int
    padded: bool = False
    unknown: str = ""
    usual: tuple[int, ...] = ()
    unseen: str = ""
    kind: str = "sequence"

    @property
    def groups(self) -> tuple[int, ...]:
        """Sizes of its one-hot groups."""
        return (len(self.alphabet),) * self.length

    @property
    def num_entries(self) -> int:
        """How many entries of a design it has."""
        return self.length * len(self.alphabet)

    def encode(self, values: pd.Series) -> Tensor:
        """Entries ``(m, num_entries)``, float64, of values of which none is missing."""
        words = values.str.pad(self.length, side="right", fillchar=GAP)
        points = np.frombuffer("".join(words).encode("utf-32-le"), dtype=np.uint32)
        known = np.array([ord(letter) for letter in self.alphabet], dtype=np.uint32)
        order = known.argsort()
        numbers = order[known[order].searchsorted(points)].reshape(len(words), self.length)
        return one_hot(torch.from_numpy(numbers), len(self.alphabet)).flatten(1)

    def decode(self, entries: Tensor) -> Any:
        """Values ``(m,)`` of entries ``(m, num_entries)``."""
        words = letters(self._places(entries), self.alphabet)
        return [word.replace(GAP, "") for word in words] if self.padded else words

    def letters(self, entries: Tensor) -> list[list[str]]:
        """The letters at each place, ``(length, m)``, of entries ``(m, num_entries)``; or a gap."""
        by_place = tokens(self._places(entries)).mT.tolist()
        return [[self.alphabet[token] for token in place] for place in by_place]

    def nearest(self, entries: Tensor) -> Tensor:
        """The likeliest letter of each place; letters behind a gap move up to close it.

        In the place of an unknown letter stands the most usual one.
        """
        chosen = tokens(self._places(entries))
        if self.unknown:
            first = len(self.designed)
            is_unknown = (chosen >= first) & (chosen < first + len(self.unknown))
            chosen = torch.where(is_unknown, torch.tensor(self.usual, device=chosen.device), chosen)
        if self.padded:
            is_gap = (chosen == len(self.alphabet) - 1).long()
            chosen = chosen.gather(1, is_gap.argsort(dim=1, stable=True))
        return one_hot(chosen, len(self.alphabet)).flatten(1).to(entries)

    @property
    def designed(self) -> str:
        """The letters that candidates have, without the gap."""
        without_gap = self.alphabet.removesuffix(GAP) if self.padded else self.alphabet
        return without_gap.removesuffix(self.unknown)

    def _places(self, entries: Tensor) -> Tensor:
        places: Tensor = entries.unflatten(1, (self.length, len(self.alphabet)))
        return places

    def describe(self) -> str:
        """What values it has, in a few words."""
        text = f"{'at most ' * self.padded}{self.length} letters of {self.designed}"
        text += f"; {', '.join(self.unseen)} never seen" * bool(self.unseen)
        return text + f"; {', '.join(self.unknown)} never designed" * bool(self.unknown)


@dataclass(frozen=True)
class ConstantColumn:
    """One value in all rows, which no design needs to hold."""

    name: str
    value: Any
    kind: str = "constant"
    groups: tuple[int, ...] = ()
    num_entries: int = 0

    def encode(self, values: pd.Series) -> Tensor:
        """Entries ``(m, num_entries)``, float64, of values of which none is missing."""
        return torch.empty(len(values), 0, dtype=torch.float64, device="cpu")

    def decode(self, entries: Tensor) -> Any:
        """Values ``(m,)`` of entries ``(m, num_entries)``."""
        return [self.value] * len(entries)

    def nearest(self, entries: Tensor) -> Tensor:
        """The nearest entries ``(m, num_entries)`` that stand for an allowed value."""
        return entries

    def describe(self) -> str:
        """What values it has, in a few words."""
        return f"always {self.value}"
