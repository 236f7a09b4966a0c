"""Tables as a user would have them, of which the truth is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Random = np.random.Generator
Truth = Callable[["pd.DataFrame"], Array]

TARGET = "y"
"""The column of the labels."""

_NUM_DESIGNS = 20_000
"""Random ones, by which the spread of the truth is known."""

_EDGE, _FALL = 0.3, 2.0
"""Of a cliff, in spreads of the truth: how far above the best label, and how far below it leads."""


_BESIDE = 0.002
"""Standard deviation of what lies near a line, in ranges of its columns."""


@dataclass(frozen=True)
class KnownColumn:
    """A number between two limits, on steps or not; or one of some levels."""

    lower: float = 0.0
    upper: float = 1.0
    step: float | None = None
    levels: tuple[str, ...] = ()

    def draw(self, n: int, random: Random) -> NDArray[Any]:
        """As many values, all equally likely, shape ``(n,)``."""
        if self.levels:
            return random.choice(np.array(self.levels, dtype=object), n)
        if self.step is None:
            return random.uniform(self.lower, self.upper, n).round(4)
        count = round((self.upper - self.lower) / self.step) + 1
        return self.lower + self.step * random.integers(0, count, n)

    def options(self) -> dict[str, Any]:
        """What the user says of it, as in `columns` of `CSV`."""
        if self.levels:
            return {"kind": "category"}
        given: dict[str, Any] = {"lower": self.lower, "upper": self.upper}
        if self.step == 1:
            return {"kind": "integer", **given}
        return given if self.step is None else {**given, "step": self.step}


@dataclass(frozen=True)
class KnownDesigns(ABC):
    """Random designs, of which the best are hidden.

    Attributes:
        columns: By name.
        truth: What is true of every row of a table with these columns, shape ``(n,)``; of q
            results ``(n, q)``.
        sums_to_one: Columns that are shares of a whole.
        noise: Of the labels, in standard deviations of the truth over random designs.
        hidden: Which share of the designs, the best by the truth, is no row of the table.
    """

    columns: Mapping[str, KnownColumn]
    truth: Truth
    sums_to_one: tuple[str, ...] = field(default=(), kw_only=True)
    noise: float = field(default=0.1, kw_only=True)
    hidden: float = field(default=0.2, kw_only=True)

    @property
    def constraints(self) -> list[str]:
        """What the user says of the columns together, as in `constraints` of `CSV`."""
        return [" + ".join(self.sums_to_one) + " == 1"] if self.sums_to_one else []

    @cached_property
    def spreads(self) -> Array:
        """Standard deviations of the truth over random designs, shape ``()`` or ``(q,)``."""
        spreads: Array = self.truth(self.draw(_NUM_DESIGNS, np.random.default_rng(12345))).std(0)
        return spreads

    def draw(self, n: int, random: Random) -> pd.DataFrame:
        """Random designs."""
        import pandas as pd

        table = pd.DataFrame({name: c.draw(n, random) for name, c in self.columns.items()})
        if self.sums_to_one:
            parts = random.dirichlet(np.full(len(self.sums_to_one), 0.9), n).round(3)
            parts[:, 0] += 1 - parts.sum(1)
            table[list(self.sums_to_one)] = parts.clip(0, 1).round(3)
        return table

    @abstractmethod
    def worst_first(self, true: Array) -> NDArray[np.intp]:
        """Row numbers of what is true of designs, ``(n,)``."""

    def visible(self, n: int, random: Random) -> tuple[pd.DataFrame, Array]:
        """Designs that are not hidden, and their labels, ``(n,)`` or ``(n, q)``."""
        table = self.draw(round(n / (1 - self.hidden)), random)
        true = self.truth(table)
        rows = random.permutation(self.worst_first(true)[:n])
        errors = random.normal(0, self.noise * self.spreads, true[rows].shape)
        return table.iloc[rows].reset_index(drop=True), (true[rows] + errors).round(6)

    def with_idle_columns(self, number: int) -> Self:
        """The same with numbers that have nothing to do with the property."""
        kinds = KnownColumn(), KnownColumn(-5.0, 5.0)
        idle = {f"idle{i + 1}": kinds[i % 2] for i in range(number)}
        return replace(self, columns={**self.columns, **idle})


@dataclass(frozen=True)
class KnownTable(KnownDesigns):
    """Random designs with a noisy label each.

    Attributes:
        best: The greatest that is true of any design.
        shuffled: Whether the labels are those of other rows, so that there is nothing to learn.
    """

    best: float
    shuffled: bool = False

    @property
    def spread(self) -> float:
        """Standard deviation of the truth over random designs."""
        return float(self.spreads)

    @property
    def noise_std(self) -> float:
        """Standard deviation of a label about the truth."""
        return self.noise * self.spread

    def worst_first(self, true: Array) -> NDArray[np.intp]:
        """Row numbers of what is true of designs, ``(n,)``."""
        return np.argsort(true)

    def table(self, n: int, seed: int) -> pd.DataFrame:
        """Designs that are not hidden, with their label in the column `y`; a function of both."""
        random = np.random.default_rng((seed, n))
        table, labels = self.visible(n, random)
        if self.shuffled:
            labels = random.permutation(labels)
        return table.assign(**{TARGET: labels})

    def collapsing(self, best_label: float) -> Truth:
        """The truth with a cliff, well above the best label: no row shows it.

        Beyond the edge it is the lower the greater it would have been.
        """
        edge = best_label + _EDGE * self.spread
        return partial(_fallen, self.truth, edge, 2 * best_label - _FALL * self.spread)


@dataclass(frozen=True)
class KnownLine(KnownTable):
    """The same of designs along a line: their numbers rise and fall together, but for a little."""

    def draw(self, n: int, random: Random) -> pd.DataFrame:
        """Random designs near a diagonal."""
        table = super().draw(n, random)
        places = random.uniform(size=n)
        for name, column in self.columns.items():
            shares = (places + random.normal(0, _BESIDE, n)).clip(0, 1)
            table[name] = (column.lower + (column.upper - column.lower) * shares).round(4)
        return table


def _fallen(truth: Truth, edge: float, turned: float, table: pd.DataFrame) -> Array:
    """The truth up to the edge, and what it turns into beyond."""
    before = truth(table)
    return np.where(before > edge, turned - before, before)
