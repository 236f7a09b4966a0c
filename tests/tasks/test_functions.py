"""Functions of tables: their greatest value, and where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.tasks.functions import FUNCTIONS


def numbered(*values: float) -> dict[str, Any]:
    return {f"x{i + 1}": value for i, value in enumerate(values)}


NOTHING = {"filler": 0.0, "solvent": 0.0, "pigment": 0.0}
BEST: dict[str, dict[str, Any]] = {
    "hartmann6": numbered(0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573),
    # Branin's least value, 0.397887, and Currin's greatest, 13.798702.
    "branin-currin": {"t": np.pi, "p": 2.275, "c": 0.21666667, "h": 0.01},
    "ackley10": numbered(*np.linspace(-0.8, 1.5, 10)),
    "rosenbrock6": numbered(*[1.0] * 6),
    "mixture": {"resin": 0.683128, "hardener": 0.316872, **NOTHING, "temp": 80.0},
    "mixed": {
        "temp": 93.6326,
        "conc": 1.14497,
        "hours": 34.9399,
        "solvent": "dmf",
        "catalyst": "D",
    },
    "steps": {"layers": 8, "passes": 5, "teeth": 27, "speed": 550, "ph": 6.5, "gap": 0.5236},
    "parts": numbered(*np.linspace(0.15, 0.85, 6)),
    "line": numbered(*np.linspace(0.15, 0.85, 6)),
}
"""By the literature, or by an exhaustive search."""

BY_HAND: dict[str, tuple[dict[str, Any], float]] = {
    "rosenbrock6": (numbered(*[0.0] * 6), -0.05),
    "mixture": ({"resin": 1.0, "hardener": 0.0, **NOTHING, "temp": 70.0}, 20 - 25 * 0.2**2),
    # At the best temperature and concentration of the pair, for no time at all.
    "mixed": (
        {"temp": 60.0, "conc": 1.43, "hours": 1.0, "solvent": "water", "catalyst": "A"},
        25 * 0.8 + 2 * 5,
    ),
    "steps": (
        {"layers": 4, "passes": 4, "teeth": 27, "speed": 500, "ph": 6.5, "gap": np.pi / 6},
        12 + 4 + 10 + 1 - 0.15 * 16,
    ),
    "parts": (numbered(0.15, 0.29, 0.43, 0.57, 0.71, 0.35), -0.25),
    # The best on the diagonal.
    "line": (numbered(*[0.5] * 6), -2 * (0.35**2 + 0.21**2 + 0.07**2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_best_there_is(name: str) -> None:
    known = FUNCTIONS[name]
    assert known.truth(pd.DataFrame([BEST[name]]))[0] == pytest.approx(known.best, abs=2e-4)
    drawn = known.truth(known.draw(20_000, np.random.default_rng(0)))
    assert drawn.max() < known.best


@pytest.mark.parametrize("name", BY_HAND)
def test_values_by_hand(name: str) -> None:
    design, expected = BY_HAND[name]
    assert FUNCTIONS[name].truth(pd.DataFrame([design]))[0] == pytest.approx(expected)
