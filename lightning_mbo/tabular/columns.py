"""How the columns of a table become entries of designs, and designs rows of the table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightning_mbo.sequences import letters, one_hot, tokens

GAP = "-"
"""Fills sequences up to the length of the longest."""

_ROUNDING = 1e-9
"""Of an entry, in standard deviations."""

_DIGITS = 10
"""Of a number's scale that are shown: standardising costs the last few of float64's sixteen."""


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
class NumberColumn:
    """Numbers, standardised.

    Attributes:
        name: Of the column.
        mean: Over the table.
        std: Over the table, not zero.
        whole: Whether they are integers.
        lower: The least that is allowed.
        upper: The greatest.
        step: If not None, allowed are `lower` (or 0) and whole multiples of it from there.
        fixed: If not None, the only one that is allowed.
        seen: The least and the greatest in the table.
    """

    name: str
    mean: float
    std: float
    whole: bool = False
    lower: float = -math.inf
    upper: float = math.inf
    step: float | None = None
    fixed: float | None = None
    seen: tuple[float, float] = (-math.inf, math.inf)
    groups: tuple[int, ...] = ()
    num_entries: int = 1

    @property
    def kind(self) -> str:
        """What to call it: number, integer, category, sequence or constant."""
        return "integer" if self.whole else "number"

    def encode(self, values: pd.Series) -> Tensor:
        """Entries ``(m, num_entries)``, float64, of values of which none is missing."""
        numbers = torch.from_numpy(values.to_numpy(np.float64, copy=True))
        return ((numbers - self.mean) / self.std)[:, None]

    def decode(self, entries: Tensor) -> Any:
        """Values ``(m,)`` of entries ``(m, num_entries)``."""
        numbers = self._on_grid(entries[:, 0] * self.std + self.mean).numpy()
        if self.whole and np.abs(numbers).max(initial=0) < 2**62:
            return numbers.round().astype(np.int64)
        scale = max(abs(self.mean), self.std)
        return numbers.round(_DIGITS - math.floor(math.log10(scale)))

    def nearest(self, entries: Tensor) -> Tensor:
        """The nearest entries ``(m, num_entries)`` that stand for an allowed value."""
        if self.fixed is not None:
            return torch.full_like(entries, (self.fixed - self.mean) / self.std)
        numbers = (entries * self.std + self.mean).clamp(self.lower, self.upper)
        numbers = self._on_grid(numbers)
        # The bound itself need not be on the grid: the last point before it is.
        unit = self._unit or 0.0
        slack = 1e-9 * unit
        numbers = torch.where(numbers > self.upper + slack, numbers - unit, numbers)
        numbers = torch.where(numbers < self.lower - slack, numbers + unit, numbers)
        return (numbers - self.mean) / self.std

    def cell(self, entries: Tensor) -> tuple[Tensor, Tensor]:
        """Between which entries all become, by `nearest`, what these ``(m, 1)`` become.

        Returns:
            The least and the greatest, ``(m, 1)`` each; alike where it is the entry alone.
        """
        infinite = torch.full_like(entries, math.inf)
        if self.fixed is not None:
            return -infinite, infinite
        nearest = self.nearest(entries)
        nearest = torch.where((nearest - entries).abs() > _ROUNDING, nearest, entries)
        unit = (self._unit or 0.0) / self.std
        least, greatest = self.nearest(-infinite), self.nearest(infinite)
        at_least, at_most = nearest <= least + _ROUNDING, nearest >= greatest - _ROUNDING
        return (
            torch.where(at_least, -infinite, nearest - unit / 2),
            torch.where(at_most, infinite, nearest + unit / 2),
        )

    @property
    def _unit(self) -> float | None:
        return self.step if self.step is not None else (1.0 if self.whole else None)

    def _on_grid(self, numbers: Tensor) -> Tensor:
        if self._unit is None:
            return numbers
        origin = self.lower if self.step is not None and math.isfinite(self.lower) else 0.0
        return origin + ((numbers - origin) / self._unit).round() * self._unit

    def describe(self) -> str:
        """What values it has, in a few words."""
        text = f"{self.seen[0]:g} to {self.seen[1]:g}"
        if self.fixed is not None:
            return f"{text}; fixed at {self.fixed:g}"
        bounds = [f"at least {self.lower:g}"] * math.isfinite(self.lower)
        bounds += [f"at most {self.upper:g}"] * math.isfinite(self.upper)
        bounds += [] if self.step is None else [f"in steps of {self.step:g}"]
        return "; ".join([text, *bounds])


@dataclass(frozen=True)
class CategoryColumn:
    """One of a few levels, one-hot.

    Attributes:
        name: Of the column.
        levels: In their order.
        fixed: If not None, the number of the only one that is allowed.
    """

    name: str
    levels: tuple[Any, ...]
    fixed: int | None = None
    kind: str = "category"

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
        numbers = pd.Index(self.levels).get_indexer(values)
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
        shown = ", ".join(str(level) for level in self.levels[:6])
        more = f" and {len(self.levels) - 6} more" * (len(self.levels) > 6)
        fixed = "" if self.fixed is None else f"; fixed at {self.levels[self.fixed]}"
        return f"{len(self.levels)} levels: {shown}{more}{fixed}"


@dataclass(frozen=True)
class SequenceColumn:
    """Words over an alphabet, a one-hot group for each place.

    Attributes:
        name: Of the column.
        alphabet: Its letters; where `padded`, the gap is the last.
        length: Of the longest word.
        padded: Whether shorter words are filled up with gaps.
    """

    name: str
    alphabet: str
    length: int
    padded: bool = False
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

    def nearest(self, entries: Tensor) -> Tensor:
        """The likeliest letter of each place; letters behind a gap move up to close it."""
        chosen = tokens(self._places(entries))
        if self.padded:
            is_gap = (chosen == len(self.alphabet) - 1).long()
            chosen = chosen.gather(1, is_gap.argsort(dim=1, stable=True))
        return one_hot(chosen, len(self.alphabet)).flatten(1).to(entries)

    def _places(self, entries: Tensor) -> Tensor:
        places: Tensor = entries.unflatten(1, (self.length, len(self.alphabet)))
        return places

    def describe(self) -> str:
        """What values it has, in a few words."""
        alphabet = self.alphabet.removesuffix(GAP) if self.padded else self.alphabet
        at_most = "at most " * self.padded
        return f"{at_most}{self.length} letters of {alphabet}"


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
