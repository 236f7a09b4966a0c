"""Tables of known truth, as a user would have them: numbers, steps, categories, a mixture.

A table has noisy labels of random designs, of which the better fifth is hidden. The regret of a
batch is 0 where its best design is the best there is, and 1 where it is no better than the best
row of the table, both by the truth: the best of noisy labels may promise more than there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Random = np.random.Generator

_HIDDEN = 0.2
_MANY = 20_000


@dataclass(frozen=True)
class Column:
    """A number between two limits, on steps or not; or one of some levels."""

    lower: float = 0.0
    upper: float = 1.0
    step: float | None = None
    levels: tuple[str, ...] = ()

    def draw(self, n: int, random: Random) -> NDArray[Any]:
        if self.levels:
            return random.choice(np.array(self.levels, dtype=object), n)
        if self.step is None:
            return random.uniform(self.lower, self.upper, n).round(4)
        count = round((self.upper - self.lower) / self.step) + 1
        return self.lower + self.step * random.integers(0, count, n)

    def options(self) -> dict[str, Any]:
        """What the user says of it."""
        if self.levels:
            return {"kind": "category"}
        given: dict[str, Any] = {"lower": self.lower, "upper": self.upper}
        if self.step == 1:
            return {"kind": "integer", **given}
        return given if self.step is None else {**given, "step": self.step}


@dataclass(frozen=True)
class Problem:
    """Columns, and the true property of every row; `best` is the greatest there is."""

    columns: Mapping[str, Column]
    truth: Callable[[pd.DataFrame], Array]
    best: float
    sums_to_one: tuple[str, ...] = ()
    noise: float = 0.1
    """In standard deviations of the truth over random designs."""
    extra: tuple[str, ...] = field(default=())
    """Columns that mean nothing."""

    def draw(self, n: int, random: Random) -> pd.DataFrame:
        """Random designs."""
        table = pd.DataFrame({name: c.draw(n, random) for name, c in self.columns.items()})
        if self.sums_to_one:
            parts = random.dirichlet(np.full(len(self.sums_to_one), 0.9), n).round(3)
            parts[:, 0] += 1 - parts.sum(1)
            table[list(self.sums_to_one)] = parts.clip(0, 1).round(3)
        return table

    @cached_property
    def noise_std(self) -> float:
        spread = self.truth(self.draw(_MANY, np.random.default_rng(12345))).std()
        return float(self.noise * spread)

    def table(self, n: int, seed: int) -> pd.DataFrame:
        """Designs below the hidden fifth, with their noisy label `y`."""
        random = np.random.default_rng((seed, n))
        table = self.draw(round(n / (1 - _HIDDEN)), random)
        true = self.truth(table)
        visible = random.permutation(np.argsort(true)[:n])
        labels = true[visible] + random.normal(0, self.noise_std, n)
        return table.iloc[visible].reset_index(drop=True).assign(y=labels.round(6))

    def regrets(self, batch: pd.DataFrame, table: pd.DataFrame) -> Array:
        """Of each design of a batch."""
        return (self.best - self.truth(batch)) / (self.best - self.truth(table).max())

    def noisy(self, noise: float) -> Problem:
        """The same with labels that scatter by so many standard deviations of the truth."""
        return Problem(self.columns, self.truth, self.best, self.sums_to_one, noise, self.extra)

    def with_idle_columns(self) -> Problem:
        """The same with two columns that have nothing to do with it."""
        idle = {"idle1": Column(), "idle2": Column(-5.0, 5.0)}
        return Problem(
            {**self.columns, **idle}, self.truth, self.best, self.sums_to_one, self.noise
        )


def numbers(table: pd.DataFrame, names: list[str]) -> list[Array]:
    return [table[name].to_numpy(np.float64) for name in names]


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{i + 1}" for i in range(count)]


def hartmann(table: pd.DataFrame) -> Array:
    """Hartmann's function of six numbers."""
    sharpness = np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    )
    peaks = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    x = table[names("x", 6)].to_numpy(np.float64)
    squares = (sharpness * (x[:, None] - peaks) ** 2).sum(2)
    return np.exp(-squares) @ np.array([1.0, 1.2, 3.0, 3.2])


def branin_currin(table: pd.DataFrame) -> Array:
    """A product and a sum of Branin's function and Currin's."""
    t, p, c, h = numbers(table, ["t", "p", "c", "h"])
    branin = (p - 5.1 / (4 * np.pi**2) * t**2 + 5 / np.pi * t - 6) ** 2
    branin += 10 * (1 - 1 / (8 * np.pi)) * np.cos(t) + 10
    currin = (1 - np.exp(-1 / (2 * h))) * (2300 * c**3 + 1900 * c**2 + 2092 * c + 60)
    currin /= 100 * c**3 + 500 * c**2 + 4 * c + 20
    return currin * (1 + np.exp(-branin / 20)) - np.sqrt(branin) / 2


def ackley(table: pd.DataFrame) -> Array:
    """Ackley's function of ten numbers, off the centre and with slow waves."""
    z = table[names("x", 10)].to_numpy(np.float64) - np.linspace(-0.8, 1.5, 10)
    bowl = 20 * np.exp(-0.2 * np.sqrt((z**2).mean(1)))
    return bowl + np.exp(np.cos(np.pi * z).mean(1)) - 20 - np.e


def rosenbrock(table: pd.DataFrame) -> Array:
    """Rosenbrock's valley in six numbers, upside down."""
    x = table[names("x", 6)].to_numpy(np.float64)
    valley = 100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2
    return -valley.sum(1) / 100


PARTS = ("resin", "filler", "hardener", "solvent", "pigment")


def coating(table: pd.DataFrame) -> Array:
    """A recipe whose parts act in pairs, cured at a temperature that hangs on the solvent."""
    r, f, h, s, p = numbers(table, list(PARTS))
    warmth = (table["temp"].to_numpy(np.float64) - 70) / 50
    linear = 20 * r + 10 * f + 8 * h + 5 * s + 2 * p
    cured = 90 * r * h * np.exp(-12 * (r - 2.2 * h) ** 2)
    filled = 40 * r * f * (1 - p) + 240 * f * p * r
    lost = 25 * (warmth - 0.2 - 0.5 * s) ** 2 * (r + h) + 30 * np.maximum(s - 0.3, 0)
    return linear + cured + filled - lost


SOLVENTS, CATALYSTS = ("water", "ethanol", "toluene", "dmf"), ("A", "B", "C", "D", "E")


def reaction(table: pd.DataFrame) -> Array:
    """A yield with an optimum of its own for each solvent and catalyst."""
    t, c, h = numbers(table, ["temp", "conc", "hours"])
    t, c, h = (t - 20) / 100, (c - 0.1) / 1.9, (h - 1) / 47
    solvent = table["solvent"].map(SOLVENTS.index).to_numpy(int)
    catalyst = table["catalyst"].map(CATALYSTS.index).to_numpy(int)
    best_t = np.array([0.3, 0.55, 0.8, 0.65])[solvent]
    best_t = best_t + np.array([0.1, -0.1, 0, 0.05, -0.2])[catalyst]
    best_c = np.array([0.7, 0.4, 0.2, 0.55, 0.85])[catalyst]
    pairs = [[5, 2, 0, 8, 3], [1, 9, 4, 2, 6], [3, 0, 12, 1, 2], [7, 4, 2, 15, 0]]
    together = np.array(pairs)[solvent, catalyst]
    heated = 40 * np.exp(-6 * (t - best_t) ** 2) * (1 - np.exp(-4 * h))
    mixed = 25 * np.exp(-8 * (c - best_c) ** 2) * (0.4 + t)
    return heated + mixed + 2 * together - 12 * h * t


def machine(table: pd.DataFrame) -> Array:
    """Settings of a machine: counts, and numbers on steps."""
    layers, passes, teeth, speed, ph, gap = numbers(
        table, ["layers", "passes", "teeth", "speed", "ph", "gap"]
    )
    built = 6 * np.sqrt(layers) - 0.35 * np.maximum(layers - 1.2 * passes, 0) ** 2
    tuned = 4 * np.cos((teeth - 27) / 6) + 10 * np.exp(-(((speed - 300 - 50 * passes) / 200) ** 2))
    return (
        built
        + tuned
        - 1.2 * np.abs(ph - 6.5)
        + 3 * np.sin(3 * gap) * layers / 12
        - 0.15 * passes**2
    )


PROBLEMS = {
    "hartmann6": Problem(dict.fromkeys(names("x", 6), Column()), hartmann, 3.32237),
    "branin-currin": Problem(
        {
            "t": Column(-5.0, 10.0),
            "p": Column(0.0, 15.0),
            "c": Column(0.01, 1.0),
            "h": Column(0.01, 1.0),
        },
        branin_currin,
        27.01025,
    ),
    "ackley10": Problem(dict.fromkeys(names("x", 10), Column(-2.0, 4.0)), ackley, 0.0),
    "rosenbrock6": Problem(dict.fromkeys(names("x", 6), Column(-2.0, 2.0)), rosenbrock, 0.0),
    "mixture": Problem(
        {**dict.fromkeys(PARTS, Column()), "temp": Column(20.0, 120.0)},
        coating,
        35.6336,
        sums_to_one=PARTS,
    ),
    "mixed": Problem(
        {
            "temp": Column(20.0, 120.0),
            "conc": Column(0.1, 2.0),
            "hours": Column(1.0, 48.0),
            "solvent": Column(levels=SOLVENTS),
            "catalyst": Column(levels=CATALYSTS),
        },
        reaction,
        89.50324,
    ),
    "steps": Problem(
        {
            "layers": Column(1, 12, 1),
            "passes": Column(1, 8, 1),
            "teeth": Column(10, 40, 1),
            "speed": Column(100.0, 1000.0, 50.0),
            "ph": Column(3.0, 10.0, 0.5),
            "gap": Column(0.1, 2.0),
        },
        machine,
        27.82056,
    ),
}
