"""What is drawn, not the design that it becomes, is what a search learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo.algorithms import CMAES, FB, RWR, Algorithm, CbAS
from lightning_mbo.data import CSV, DesignDataModule, Superconductor
from lightning_mbo.samples import Prediction
from lightning_mbo.search_models import CMANormal
from tests.callbacks.quadratic import ScriptedOracle, callbacks, trainer_with

NUM_ROWS = NUM_SAMPLES = 2000
NUM_ITERATIONS = 20
FORMULAS = ["YBa2Cu3O7", "La1.8Sr0.2CuO4", "Nb3Sn", "MgB2", "FeSe", "Bi2Sr2CaCu2O8", "NbN", "V3Si"]


class Ignorant(ScriptedOracle):
    """Says the same of every design."""

    def __init__(self) -> None:
        super().__init__([[[1.0]]])


class Arbitrary(Ignorant):
    """Says anything of a design."""

    def predict(self, designs: Tensor) -> Prediction:
        means = torch.rand(len(designs), dtype=torch.float64)
        return Prediction(means, torch.ones_like(means), 0 * means)


def table(seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Random columns of every kind, and what is said of them."""
    draw = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "amount": draw.gamma(draw.uniform(0.5, 3), draw.uniform(1, 50), NUM_ROWS),
        "count": draw.poisson(draw.uniform(0.3, 6), NUM_ROWS),
        "flag": (draw.random(NUM_ROWS) < draw.uniform(0.05, 0.5)).astype(int),
        "bounded": draw.normal(0, draw.uniform(1, 3), NUM_ROWS).clip(-2, 2),
        "stepped": 5.0 * draw.integers(0, 4, NUM_ROWS),
        "coarse": draw.normal(20, 3, NUM_ROWS),
        "fixed": draw.normal(50, 9, NUM_ROWS),
        "free": draw.normal(-3, 1, NUM_ROWS),
    }
    columns["free"] += draw.uniform(-1, 1) * columns["flag"]
    parts = draw.dirichlet(draw.uniform(0.4, 3, 3), NUM_ROWS)
    # An equality that is declared, and one that is not.
    columns |= {f"part {i}": parts[:, i] for i in range(3)}
    rest = draw.dirichlet([2, 1, 1], NUM_ROWS)
    columns |= {f"rest {i}": rest[:, i] for i in range(3)}
    frame = pd.DataFrame(columns)
    options = {
        "columns": {
            "bounded": {"lower": -2.0, "upper": 2.0},
            "stepped": {"step": 5.0, "upper": 15.0},
            "coarse": {"step": 40.0},
            "fixed": {"fixed": 52.0},
            "free": "number",
        },
        "constraints": ["`part 0` + `part 1` + `part 2` == 1"],
    }
    return frame, options


def problem(kind: str, tmp_path: Path) -> DesignDataModule:
    if kind == "formulas":
        draw = np.random.default_rng(0)
        formulas = [
            f"{draw.choice(FORMULAS)}{draw.choice(['O', 'F', 'H'])}{draw.uniform(0.1, 1):.3f}"
            for _ in range(NUM_ROWS)
        ]
        path = tmp_path / "formulas.csv"
        temperatures = draw.normal(40, 9, NUM_ROWS)
        pd.DataFrame({"formula": formulas, "critical_temp": temperatures}).to_csv(path)
        return Superconductor(
            path, "composition", "measured", cache_dir=tmp_path / "cache", batch_size=400
        )
    seed, mixed = int(kind[0]), kind.endswith("mixed")
    frame, options = table(seed)
    draw = np.random.default_rng(100 + seed)
    if mixed:
        frame["solvent"] = draw.choice(["water", "ethanol", "toluene"], NUM_ROWS, p=[0.7, 0.2, 0.1])
        options["columns"] = options["columns"] | {"solvent": {"fixed": "water"}}
        frame["vessel"] = draw.choice(["steel", "glass"], NUM_ROWS, p=[0.9, 0.1])
    frame["y"] = draw.normal(0, 1, NUM_ROWS)
    return CSV(frame, "y", batch_size=400, **options)


ALGORITHMS = {
    "CbAS": (CbAS, Ignorant, 1),
    "RWR": (lambda: RWR(0.0), Ignorant, NUM_ITERATIONS),
    "FB": (FB, Ignorant, NUM_ITERATIONS),
    "CMAES": (CMAES, Arbitrary, NUM_ITERATIONS),
}
"""And how many times what one sample leaves to chance adds up: only CbAS is held by p_0."""


@pytest.mark.filterwarnings("ignore:.*(lost rank|out of the bounds|constant columns)")
@pytest.mark.parametrize("kind", ["0", "1", "2 mixed", "formulas"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_without_knowledge_nothing_moves(name: str, kind: str, tmp_path: Path) -> None:
    """Every column keeps its mean, its share and its spread, to within chance."""
    if name == "CMAES" and kind.endswith("mixed"):
        pytest.skip("CMA-ES is of numbers alone")
    algorithm, oracle, times = ALGORITHMS[name]
    made: Algorithm = algorithm()
    search = callbacks.SearchModelUpdate(
        made,
        CMANormal(1.0) if name == "CMAES" else None,
        num_samples=NUM_SAMPLES,
        num_iterations=NUM_ITERATIONS,
    )
    kept = Kept()
    data = problem(kind, tmp_path)
    trainer = trainer_with(tmp_path, search, callbacks.OracleConvergence(max_epochs=1), kept)
    trainer.fit(oracle(), datamodule=data)
    first, last = (kept.designs[t].flatten(1).numpy() for t in (0, -1))
    assert len(kept.designs) == NUM_ITERATIONS
    spread = first.std(0)
    chance = np.sqrt(2 * times / NUM_SAMPLES) * spread
    assert (np.abs(last.mean(0) - first.mean(0)) <= 5 * chance + 1e-9).all()
    moved = spread > 1e-6
    ratio = last.std(0)[moved] / spread[moved]
    assert (np.abs(np.log(ratio)) < 0.5).all()
    # The training designs still count; CMA-ES changes its covariance much faster than by 1 / m.
    weights = kept.log_ratios[-1].exp()
    share = weights.sum() ** 2 / weights.square().sum() / NUM_ROWS
    assert share > (0.01 if name == "CMAES" else 0.2)


class Kept(callbacks.DesignCallback):
    """The designs of each iteration, and the log-ratios of the rows."""

    def __init__(self) -> None:
        self.designs: list[Tensor] = []
        self.log_ratios: list[Tensor] = []

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        self.designs.append(iteration.samples.designs)
        self.log_ratios.append(iteration.log_ratios)
