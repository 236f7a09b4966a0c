"""What a design run costs beside the bare loop that takes the same steps.

Run with ``pytest tests/speed --benchmark-only``; the ratio of the two is the overhead.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from lightning_mbo.algorithms import CbAS
from lightning_mbo.checkpoints import AtomicCheckpointIO
from lightning_mbo.data import Superconductor
from lightning_mbo.oracles import DeepEnsemble
from lightning_mbo.search_models import MultivariateNormal
from tests.speed.bare_loop import bare_run

callbacks = importlib.import_module("lightning_mbo.callbacks")
UCI = Path(__file__).parents[3] / "shared" / "data" / "superconductor_train.csv.gz"
ITERATIONS, SAMPLES = 20, 10_000


def data_module() -> Superconductor:
    if not UCI.exists():
        pytest.skip(f"needs the UCI superconductivity table at {UCI}")
    pl.seed_everything(0)
    torch.set_num_threads(1)
    data = Superconductor(path=UCI)
    data.setup("fit")
    return data


def test_bare_loop(benchmark) -> None:
    data = data_module()
    benchmark.pedantic(bare_run, (data, ITERATIONS, SAMPLES), rounds=1)


def test_design_run(benchmark, tmp_path: Path) -> None:
    data = data_module()

    def run() -> list[float]:
        trajectory = callbacks.Trajectory()
        trainer = pl.Trainer(
            max_epochs=-1,
            accelerator="cpu",
            num_sanity_val_steps=0,
            enable_model_summary=False,
            logger=pl.loggers.TensorBoardLogger(tmp_path),
            plugins=[AtomicCheckpointIO()],
            callbacks=[
                callbacks.SearchModelUpdate(CbAS(), MultivariateNormal(), SAMPLES, ITERATIONS),
                callbacks.ImportanceWeighting(alpha=0.2),
                callbacks.OracleConvergence(),
                callbacks.Scoring(),
                trajectory,
                callbacks.CandidateWriter(),
                callbacks.DesignCheckpoint(),
                callbacks.DesignProgress(),
            ],
        )
        trainer.fit(DeepEnsemble(), datamodule=data)
        return [row["oracle_p80"] for row in trajectory.rows]

    benchmark.pedantic(run, rounds=1)
