"""Tables as a user would have them, of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

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
class KnownTable:
    """Random designs with noisy labels, of which the best are hidden.

    Attributes:
        columns: By name.
        truth: The property of every row of a table with these columns, shape ``(n,)``.
        best: The greatest there is.
        sums_to_one: Columns that are shares of a whole.
        noise: Of the labels, in standard deviations of the truth over random designs.
        hidden: Which share of the designs, the best by the truth, is no row of the table.
        shuffled: Whether the labels are those of other rows, so that there is nothing to learn.
    """

    columns: Mapping[str, KnownColumn]
    truth: Truth
    best: float
    sums_to_one: tuple[str, ...] = ()
    noise: float = 0.1
    hidden: float = 0.2
    shuffled: bool = False

    @property
    def constraints(self) -> list[str]:
        """What the user says of the columns together, as in `constraints` of `CSV`."""
        return [" + ".join(self.sums_to_one) + " == 1"] if self.sums_to_one else []

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the truth over random designs."""
        return float(self.truth(self.draw(_NUM_DESIGNS, np.random.default_rng(12345))).std())

    @property
    def noise_std(self) -> float:
        """Standard deviation of a label about the truth."""
        return self.noise * self.spread

    def draw(self, n: int, random: Random) -> pd.DataFrame:
        """Random designs."""
        import pandas as pd

        table = pd.DataFrame({name: c.draw(n, random) for name, c in self.columns.items()})
        if self.sums_to_one:
            parts = random.dirichlet(np.full(len(self.sums_to_one), 0.9), n).round(3)
            parts[:, 0] += 1 - parts.sum(1)
            table[list(self.sums_to_one)] = parts.clip(0, 1).round(3)
        return table

    def table(self, n: int, seed: int) -> pd.DataFrame:
        """Designs that are not hidden, with their label in the column `y`; a function of both."""
        random = np.random.default_rng((seed, n))
        table = self.draw(round(n / (1 - self.hidden)), random)
        true = self.truth(table)
        visible = random.permutation(np.argsort(true)[:n])
        labels = (true[visible] + random.normal(0, self.noise_std, n)).round(6)
        if self.shuffled:
            labels = random.permutation(labels)
        return table.iloc[visible].reset_index(drop=True).assign(**{TARGET: labels})

    def with_idle_columns(self, number: int) -> KnownTable:
        """The same with numbers that have nothing to do with the property."""
        kinds = KnownColumn(), KnownColumn(-5.0, 5.0)
        idle = {f"idle{i + 1}": kinds[i % 2] for i in range(number)}
        return replace(self, columns={**self.columns, **idle})

    def collapsing(self, best_label: float) -> Truth:
        """The truth with a cliff, well above the best label: no row shows it.

        Beyond the edge it is the lower the greater it would have been.
        """
        edge = best_label + _EDGE * self.spread
        return partial(_fallen, self.truth, edge, 2 * best_label - _FALL * self.spread)


def _fallen(truth: Truth, edge: float, turned: float, table: pd.DataFrame) -> Array:
    """The truth up to the edge, and what it turns into beyond."""
    before = truth(table)
    return np.where(before > edge, turned - before, before)
