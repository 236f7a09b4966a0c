"""Functions of tables whose greatest value is known: numbers, steps, categories, a mixture.

Hartmann's, Branin's, Ackley's and Rosenbrock's functions are as in Surjanovic and Bingham, "Virtual
library of simulation experiments", 2013, the second with one of Currin, Mitchell, Morris and
Ylvisaker, JASA 1991; `parts` and `line` are after an example of Kumar, Geng, Trabucco and Levine,
"Designs from data", BAIR blog, 2021; the others are made up as coatings, reactions and machines may
behave.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lightning_mbo.tasks.known_tables import Array, KnownColumn, KnownLine, KnownTable

if TYPE_CHECKING:
    import pandas as pd


def numbers_of(table: pd.DataFrame, names: list[str]) -> list[Array]:
    """Some columns of a table, shape ``(n,)`` each."""
    return [table[name].to_numpy(np.float64) for name in names]


def names_of(prefix: str, count: int) -> list[str]:
    """As many numbered names, from 1."""
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
    x = table[names_of("x", 6)].to_numpy(np.float64)
    squares = (sharpness * (x[:, None] - peaks) ** 2).sum(2)
    heights: Array = np.exp(-squares) @ np.array([1.0, 1.2, 3.0, 3.2])
    return heights


def branin(t: Array, p: Array) -> Array:
    """Branin's function, of which little is wanted."""
    height: Array = (p - 5.1 / (4 * np.pi**2) * t**2 + 5 / np.pi * t - 6) ** 2
    height += 10 * (1 - 1 / (8 * np.pi)) * np.cos(t) + 10
    return height


def currin(c: Array, h: Array) -> Array:
    """Currin's function."""
    height: Array = (1 - np.exp(-1 / (2 * h))) * (2300 * c**3 + 1900 * c**2 + 2092 * c + 60)
    height /= 100 * c**3 + 500 * c**2 + 4 * c + 20
    return height


def branin_currin(table: pd.DataFrame) -> Array:
    """A product and a sum of Branin's function and Currin's."""
    t, p, c, h = numbers_of(table, ["t", "p", "c", "h"])
    low = branin(t, p)
    heights: Array = currin(c, h) * (1 + np.exp(-low / 20)) - np.sqrt(low) / 2
    return heights


def ackley(table: pd.DataFrame) -> Array:
    """Ackley's function of ten numbers, off the centre and with slow waves."""
    z = table[names_of("x", 10)].to_numpy(np.float64) - np.linspace(-0.8, 1.5, 10)
    bowl = 20 * np.exp(-0.2 * np.sqrt((z**2).mean(1)))
    heights: Array = bowl + np.exp(np.cos(np.pi * z).mean(1)) - 20 - np.e
    return heights


def rosenbrock(table: pd.DataFrame) -> Array:
    """Rosenbrock's valley in six numbers, upside down."""
    x = table[names_of("x", 6)].to_numpy(np.float64)
    valley = 100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2
    heights: Array = -valley.sum(1) / 100
    return heights


PARTS = ("resin", "filler", "hardener", "solvent", "pigment")


def coating(table: pd.DataFrame) -> Array:
    """A recipe whose parts act in pairs, cured at a temperature that hangs on the solvent."""
    r, f, h, s, p = numbers_of(table, list(PARTS))
    warmth = (table["temp"].to_numpy(np.float64) - 70) / 50
    linear = 20 * r + 10 * f + 8 * h + 5 * s + 2 * p
    cured = 90 * r * h * np.exp(-12 * (r - 2.2 * h) ** 2)
    filled = 40 * r * f * (1 - p) + 240 * f * p * r
    lost = 25 * (warmth - 0.2 - 0.5 * s) ** 2 * (r + h) + 30 * np.maximum(s - 0.3, 0)
    heights: Array = linear + cured + filled - lost
    return heights


SOLVENTS, CATALYSTS = ("water", "ethanol", "toluene", "dmf"), ("A", "B", "C", "D", "E")


def reaction(table: pd.DataFrame) -> Array:
    """A yield with an optimum of its own for each solvent and catalyst."""
    t, c, h = numbers_of(table, ["temp", "conc", "hours"])
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
    heights: Array = heated + mixed + 2 * together - 12 * h * t
    return heights


def machine(table: pd.DataFrame) -> Array:
    """Settings of a machine: counts, and numbers on steps."""
    layers, passes, teeth, speed, ph, gap = numbers_of(
        table, ["layers", "passes", "teeth", "speed", "ph", "gap"]
    )
    built = 6 * np.sqrt(layers) - 0.35 * np.maximum(layers - 1.2 * passes, 0) ** 2
    tuned = 4 * np.cos((teeth - 27) / 6) + 10 * np.exp(-(((speed - 300 - 50 * passes) / 200) ** 2))
    heights: Array = (
        built
        + tuned
        - 1.2 * np.abs(ph - 6.5)
        + 3 * np.sin(3 * gap) * layers / 12
        - 0.15 * passes**2
    )
    return heights


_TOPS = np.linspace(0.15, 0.85, 6)
"""Where each column is best."""


def parts(table: pd.DataFrame) -> Array:
    """A paraboloid in six numbers, to which each adds its own part."""
    x = table[names_of("x", 6)].to_numpy(np.float64)
    heights: Array = -((x - _TOPS) ** 2).sum(1)
    return heights


FUNCTIONS: Mapping[str, KnownTable] = {
    "hartmann6": KnownTable(dict.fromkeys(names_of("x", 6), KnownColumn()), hartmann, 3.32237),
    "branin-currin": KnownTable(
        {
            "t": KnownColumn(-5.0, 10.0),
            "p": KnownColumn(0.0, 15.0),
            "c": KnownColumn(0.01, 1.0),
            "h": KnownColumn(0.01, 1.0),
        },
        branin_currin,
        27.01025,
    ),
    "ackley10": KnownTable(dict.fromkeys(names_of("x", 10), KnownColumn(-2.0, 4.0)), ackley, 0.0),
    "rosenbrock6": KnownTable(
        dict.fromkeys(names_of("x", 6), KnownColumn(-2.0, 2.0)), rosenbrock, 0.0
    ),
    "mixture": KnownTable(
        {**dict.fromkeys(PARTS, KnownColumn()), "temp": KnownColumn(20.0, 120.0)},
        coating,
        35.6336,
        sums_to_one=PARTS,
    ),
    "mixed": KnownTable(
        {
            "temp": KnownColumn(20.0, 120.0),
            "conc": KnownColumn(0.1, 2.0),
            "hours": KnownColumn(1.0, 48.0),
            "solvent": KnownColumn(levels=SOLVENTS),
            "catalyst": KnownColumn(levels=CATALYSTS),
        },
        reaction,
        89.50324,
    ),
    "steps": KnownTable(
        {
            "layers": KnownColumn(1, 12, 1),
            "passes": KnownColumn(1, 8, 1),
            "teeth": KnownColumn(10, 40, 1),
            "speed": KnownColumn(100.0, 1000.0, 50.0),
            "ph": KnownColumn(3.0, 10.0, 0.5),
            "gap": KnownColumn(0.1, 2.0),
        },
        machine,
        27.82056,
    ),
    "parts": KnownTable(dict.fromkeys(names_of("x", 6), KnownColumn()), parts, 0.0),
    "line": KnownLine(dict.fromkeys(names_of("x", 6), KnownColumn()), parts, 0.0),
}
"""By name."""
