"""Which checkpoints a design run leaves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_mbo.distributed import rank
from lightning_mbo.oracles import Oracle
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback
from .search import search_of


class DesignCheckpoint(ModelCheckpoint, DesignCallback):
    """Writes `last.ckpt` after every epoch and `best.ckpt` after the best design iteration.

    Best is the iteration whose monitored figure is greatest; by default the one that the search
    takes its candidates from. `last.ckpt` is for resuming: an epoch's end is after the design
    iteration that it may have brought.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithm 3.
    """

    on_train_batch_end = None  # type: ignore[assignment]

    def __init__(
        self,
        monitor: str | None = None,
        mode: str = "max",
        dirpath: str | Path | None = None,
    ) -> None:
        """Set what is best.

        Args:
            monitor: A figure of the design iterations, as `design/...`; default: what the search
                chooses by.
            mode: `max` or `min`.
            dirpath: Where the checkpoints go; default: `checkpoints` in the logger's folder. The
                run's other files go into the folder above.
        """
        super().__init__(
            dirpath=dirpath,
            monitor=monitor,
            mode=mode,
            filename="best",
            save_last=True,
            # A resumed run repeats what it had not saved, and replaces it.
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        self._iteration_is_new = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Follow the search's rule of choice."""
        search = search_of(trainer)
        if self.monitor is None and search is not None:
            self.monitor = f"design/{search.selector.metric}"
        super().setup(trainer, pl_module, stage)

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Note that there is something to compare."""
        self._iteration_is_new = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is due."""
        # The base class saves only after optimiser steps, and an epoch without a refit has none.
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        candidates = self._monitor_candidates(trainer)
        if self._iteration_is_new:
            self._save_topk_checkpoint(trainer, candidates)
            self._iteration_is_new = False
        self._save_last_checkpoint(trainer, candidates)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the best so far, also from elsewhere or in another folder."""
        saved, here = Path(state_dict["best_model_path"]), Path(self.dirpath or "")
        if state_dict["best_model_path"]:
            best = here / saved.name
            if not best.exists() and saved.exists() and rank() == 0:
                best.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(saved, best)
            scores = state_dict["best_k_models"].values()
            state_dict |= {
                "best_model_path": str(best),
                "kth_best_model_path": str(best),
                "best_k_models": dict.fromkeys([str(best)], *scores),
            }
        last = state_dict["last_model_path"]
        state_dict |= {
            "dirpath": self.dirpath,
            "last_model_path": last and str(here / Path(last).name),
        }
        super().load_state_dict(state_dict)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: the last epoch has been saved."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: the epoch's end is the resumable point."""
