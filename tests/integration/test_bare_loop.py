"""A design run takes the very steps of the algorithm written out as one loop."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytorch_lightning as pl
import torch

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import Superconductor
from lightning_mbo.oracles import DeepEnsemble
from lightning_mbo.search_models import MultivariateNormal
from tests.performance.bare_loop import bare_run

callbacks = importlib.import_module("lightning_mbo.callbacks")


def test_a_run_equals_the_bare_loop(small_table: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = Superconductor(small_table, num_features=4, num_designs=400, cache_dir=tmp_path)
    data.setup("fit")
    trajectory = callbacks.Trajectory()
    trainer = pl.Trainer(
        max_epochs=-1,
        accelerator="cpu",
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            callbacks.SearchModelUpdate(CbAS(), MultivariateNormal(), 500, 3),
            # The loop has no floor of the effective sample size.
            callbacks.ImportanceWeighting(alpha=0.2, min_effective_sample_size=0.0),
            callbacks.OracleConvergence(),
            trajectory,
        ],
    )
    trainer.fit(DeepEnsemble(), datamodule=data)
    bare = bare_run(data, 3, 500)
    assert [row["oracle_p80"] for row in trajectory.rows] == bare.oracle_p80
    assert trainer.current_epoch == bare.num_epochs
