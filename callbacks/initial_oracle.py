"""The oracle before the search begins, for runs that share it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytorch_lightning as pl

from lightning_mbo.checkpoints import checkpoint_bytes, read_checkpoint
from lightning_mbo.oracles import Oracle

from .base import DesignCallback
from .oracle_convergence import OracleConvergence


class InitialOracle(DesignCallback):
    """Keeps a checkpoint of the first fitted oracle, without anything of the search.

    Acts on the first `on_oracle_fit_end`, and must come before the search callback. A run with the
    same model, data and seed that goes on from it ends with the same bytes as one that fits its
    own, whatever its search is.

    Attributes:
        checkpoint: The content of the file; None before the fit has ended.
    """

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self.checkpoint: bytes | None = None

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        """Keep the oracle."""
        if self.checkpoint is not None:
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "initial.ckpt"
            trainer.save_checkpoint(path)
            checkpoint = read_checkpoint(path)
        convergence = OracleConvergence.__qualname__
        checkpoint["callbacks"] = {convergence: checkpoint["callbacks"][convergence]}
        self.checkpoint = bytes(checkpoint_bytes(checkpoint))
