"""Tables of known truth with several results: trade-offs with limits and without, and ranges.

Branin's and Currin's function, DTLZ2, C2-DTLZ2 and the crash of a vehicle are as in BoTorch's
`test_functions.multi_objective`, after Deb, Thiele, Laumanns and Zitzler, "Scalable test problems",
2005; Jain and Deb, "An evolutionary many-objective algorithm", IEEE TEC 2014; and Liao, Li, Yang,
Zhang and Li, "Multiobjective optimization for crash safety design", SMO 2008. The reaction and the
paint are made up, as these may behave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.errors import optional
from lightning_mbo.goals import Goal, parse_goals
from lightning_mbo.tasks.functions import (
    CATALYSTS,
    FUNCTIONS,
    branin,
    currin,
    hartmann,
    names_of,
    numbers_of,
    reaction,
)
from lightning_mbo.tasks.known_tables import Array, KnownColumn, KnownDesigns
from lightning_mbo.tasks.toy import two_bumps

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class KnownResults(KnownDesigns):
    """Random designs with several noisy results each.

    The best are those that meet all limits, by non-domination rank in the results without limits,
    and among equal ranks by the sum of these in standard deviations, or, where there are none, by
    how far within the limits they lie. Behind them come the others, by how far they fall short.

    Attributes:
        targets: What is wanted of each result, as in `targets` of `CSV`.
        reference: Of the results without limits, what is too bad to be worth anything.
        best_volume: The hypervolume between this and the best front there is, or the best that is
            known; NaN where nothing is to be had without end.
    """

    targets: Mapping[str, str]
    reference: Mapping[str, float] = field(default_factory=dict)
    best_volume: float = np.nan

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What is wanted of each of q results."""
        return parse_goals(self.targets)

    def worst_first(self, true: Array) -> NDArray[np.intp]:
        """Row numbers of what is true of designs, ``(n, q)``."""
        values = torch.from_numpy(true)
        advance = Advance.beyond(self.goals, values)
        within, heights = advance.shortfall(values), advance.heights(values)
        ranks, depth = torch.zeros(len(values), dtype=torch.long), within
        if heights.shape[1]:
            ranks[within >= 0] = domination_ranks(heights[within >= 0])
            depth = heights.sum(1)
        return np.lexsort((depth.numpy(), -ranks.numpy(), within.clamp(max=0).numpy()))

    def table(self, n: int, seed: int) -> pd.DataFrame:
        """Designs that are not hidden, with their results; a function of both."""
        table, labels = self.visible(n, np.random.default_rng((seed, n)))
        return table.assign(**dict(zip(self.targets, labels.T, strict=True)))


def domination_ranks(heights: Tensor) -> Tensor:
    """0 for rows of the front, 1 for those of the front without these, and so on, ``(n,)``.

    Args:
        heights: More being better, shape ``(n, o)``.
    """
    pareto = optional("botorch.utils.multi_objective.pareto", "tradeoffs", "a table of trade-offs")
    ranks = torch.zeros(len(heights), dtype=torch.long)
    left = torch.arange(len(heights))
    while len(left):
        left = left[~pareto.is_non_dominated(heights[left], deduplicate=False)]
        ranks[left] += 1
    return ranks


def branin_and_currin(table: pd.DataFrame) -> Array:
    """Branin's function and Currin's, of the same two numbers."""
    a, b = numbers_of(table, ["a", "b"])
    return np.stack([branin(15 * a - 5, 15 * b), currin(a, b)], 1)


def dtlz2(table: pd.DataFrame) -> Array:
    """Distances along two axes; the front is a quarter of a circle."""
    angle, *others = numbers_of(table, [name for name in table.columns if name.startswith("x")])
    radius = 1 + sum((x - 0.5) ** 2 for x in others)
    turned = angle * np.pi / 2
    return np.stack([radius * np.cos(turned), radius * np.sin(turned)], 1)


_RADIUS = 0.2


def c2_dtlz2(table: pd.DataFrame) -> Array:
    """The same, and how far it lies within three circles, about the front's middle and ends."""
    f = dtlz2(table)
    ends = ((f - 1) ** 2 + f[:, ::-1] ** 2 - _RADIUS**2).min(1)
    middle = ((f - 0.5**0.5) ** 2 - _RADIUS**2).sum(1)
    return np.column_stack([f, -np.minimum(ends, middle)])


def vehicle(table: pd.DataFrame) -> Array:
    """Mass, acceleration and intrusion, by the thicknesses of five parts."""
    a, b, c, d, e = numbers_of(table, names_of("t", 5))
    mass = 1640.2823 + 2.3573285 * a + 2.3220035 * b + 4.5688768 * c
    mass += 7.7213633 * d + 4.4559504 * e
    acceleration = 6.5856 + 1.15 * a - 1.0427 * b + 0.9738 * c + 0.8364 * d
    acceleration += -0.3695 * a * d + 0.0861 * a * e + 0.3628 * b * d
    acceleration += -0.1106 * a**2 - 0.3437 * c**2 + 0.1764 * d**2
    intrusion = -0.0551 + 0.0181 * a + 0.1024 * b + 0.0421 * c - 0.0073 * a * b
    intrusion += 0.024 * b * c - 0.0118 * b * d - 0.0204 * c * d - 0.008 * c * e
    intrusion += -0.0241 * b**2 + 0.0109 * d**2
    return np.stack([mass, acceleration, intrusion], 1)


def reaction_with_cost(table: pd.DataFrame) -> Array:
    """The yield of a reaction, what it costs, and how pure its product is."""
    t, c, h = numbers_of(table, ["temp", "conc", "hours"])
    t, c, h = (t - 20) / 100, (c - 0.1) / 1.9, (h - 1) / 47
    prices = np.array([2.0, 6.0, 4.0, 12.0, 8.0])
    catalyst = table["catalyst"].map(CATALYSTS.index).to_numpy(int)
    cost = 5 + 12 * c + 10 * h + 6 * t + prices[catalyst]
    purity = 98 - 25 * t**2 * (0.3 + h) - 6 * (c - 0.4) ** 2 + 3 * (catalyst == 2)
    return np.stack([reaction(table), cost, purity], 1)


def bumps(table: pd.DataFrame) -> Array:
    """The one-dimensional example."""
    (x,) = numbers_of(table, ["x"])
    return two_bumps(torch.tensor(x)[:, None])[:, None].numpy()


_BINDERS = ("acrylic", "alkyd", "latex")


def paint(table: pd.DataFrame) -> Array:
    """How thick a paint is, and its pH."""
    pigment, thinner, base = numbers_of(table, ["pigment", "thinner", "base"])
    binder = table["binder"].map(_BINDERS.index).to_numpy(int)
    thickness = np.array([30.0, 45.0, 20.0])[binder]
    viscosity = thickness * np.exp(1.8 * pigment - 1.5 * thinner + 0.4 * base * pigment)
    start = np.array([7.2, 6.4, 8.0])[binder]
    return np.stack([viscosity, start + 2 * np.tanh(2 * base - 1) - 1.2 * pigment**2], 1)


def _numbered(prefix: str, count: int, lower: float, upper: float) -> dict[str, KnownColumn]:
    return dict.fromkeys(names_of(prefix, count), KnownColumn(lower, upper))


_AXES, _CORNER = dict.fromkeys(["f1", "f2"], "minimize"), dict.fromkeys(["f1", "f2"], 1.1)

SEVERAL_RESULTS: Mapping[str, KnownResults] = {
    "branin-and-currin": KnownResults(
        {"a": KnownColumn(), "b": KnownColumn(0.01)},
        branin_and_currin,
        {"branin": "minimize", "currin": "minimize"},
        {"branin": 18.0, "currin": 6.0},
        59.3642,
    ),
    "dtlz2": KnownResults(_numbered("x", 6, 0, 1), dtlz2, _AXES, _CORNER, 1.21 - np.pi / 4),
    "c2-dtlz2": KnownResults(
        _numbered("x", 4, 0, 1), c2_dtlz2, {**_AXES, "slack": ">= 0"}, _CORNER, 0.39974
    ),
    "vehicle": KnownResults(
        _numbered("t", 5, 1, 3),
        vehicle,
        dict.fromkeys(["mass", "acceleration", "intrusion"], "minimize"),
        {"mass": 1864.72022, "acceleration": 11.81993945, "intrusion": 0.2903999384},
        246.81607,
    ),
    "reaction": KnownResults(
        FUNCTIONS["mixed"].columns,
        reaction_with_cost,
        {"yield": "maximize", "cost": "minimize", "purity": ">= 90"},
        {"yield": 0.0, "cost": 45.0},
        2761.7,
    ),
    "toy-range": KnownResults(
        {"x": KnownColumn(0, 10)},
        bumps,
        {"y": "0.5 to 0.7"},
    ),
    "hartmann6-range": KnownResults(
        FUNCTIONS["hartmann6"].columns,
        lambda table: hartmann(table)[:, None],
        {"height": "1 to 1.5"},
    ),
    "paint": KnownResults(
        {
            "pigment": KnownColumn(),
            "thinner": KnownColumn(),
            "base": KnownColumn(),
            "binder": KnownColumn(levels=_BINDERS),
        },
        paint,
        {"viscosity": "40 to 60", "pH": "near 7.5 +- 0.3"},
    ),
}
"""By name."""
