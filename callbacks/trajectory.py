"""The record of a design run."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_mbo.files import run_folder, write_text, writes_files
from lightning_mbo.goals import Goal
from lightning_mbo.oracles import Oracle
from lightning_mbo.report.figures import draw_trajectory
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, design_data
from .figures import record_figure

if TYPE_CHECKING:
    import pandas as pd

_CHARTS = {
    "design": {
        "what the oracle promises and what is true": [
            "Multiline",
            ["design/oracle_p80", "design/threshold", "design/.*ground_truth.*"],
        ],
        "oracle gap and its bound": ["Multiline", ["design/oracle_gap.*"]],
    },
    "oracle": {
        "training loss by member": ["Multiline", ["oracle/training_loss/.*"]],
        "validation loss by member": ["Multiline", ["oracle/validation_loss/.*"]],
    },
}

_MOST_DRAWN = 1e19
"""TensorBoard's histograms end at 1e20."""


class Trajectory(DesignCallback):
    """Records every design iteration's metrics.

    Acts on `on_search_model_update`, after all callbacks that add metrics: logs them as
    `design/...` over design iterations, and histograms of the oracle's means and of the
    importance weights. Writes `trajectory.csv` after every design iteration, and
    `trajectory.png` at the end. Saves the rows so far.
    """

    def __init__(self, write: bool = True) -> None:
        """Start with an empty record.

        Args:
            write: Whether files are written and figures drawn.
        """
        self.write = write
        self.rows: list[dict[str, float]] = []

    def on_fit_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Tell TensorBoard which curves belong in one chart."""
        charts = _CHARTS | _charts_of(design_data(trainer).goals)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.add_custom_scalars(charts)

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Record one iteration."""
        self.rows.append({"design_iteration": iteration.number, **iteration.metrics})
        if not (self.write and writes_files(trainer)):
            return
        self._write(trainer)
        # A chart of what is not known would be empty.
        named = {
            f"design/{name}": value
            for name, value in iteration.metrics.items()
            if not math.isnan(value)
        }
        for logger in trainer.loggers:
            logger.log_metrics(named, step=iteration.number)
            if isinstance(logger, TensorBoardLogger):
                _log_histograms(logger, iteration)

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Draw the trajectory."""
        if not (self.write and writes_files(trainer) and self.rows):
            return
        self._write(trainer)
        data = design_data(trainer)
        best_label = data.properties.max().item()
        draw = partial(draw_trajectory, self.table(), data.property_name, best_label)
        record_figure(trainer, "trajectory", draw, len(self.rows) - 1)

    def _write(self, trainer: pl.Trainer) -> None:
        write_text(run_folder(trainer) / "trajectory.csv", self.table().to_csv(index=False))

    def table(self) -> pd.DataFrame:
        """One row a design iteration."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the record."""
        self.rows = state_dict["rows"]


def _charts_of(goals: Sequence[Goal]) -> dict[str, dict[str, list[Any]]]:
    """Of each of several results a chart, and one of what they come to together."""
    charts = {
        goal.name: ["Multiline", [f"design/results/{re.escape(goal.name)}(_p80|_p20)?$"]]
        for goal in goals
    }
    together = {"share of the samples": ["Multiline", ["design/(limits_met|beyond_front)"]]}
    return {"results": charts | together} if goals else {}


def _log_histograms(logger: TensorBoardLogger, iteration: DesignIteration) -> None:
    board = logger.experiment
    means = iteration.samples.prediction.mean
    means = means[means.isfinite()].clamp(-_MOST_DRAWN, _MOST_DRAWN)
    if len(means):
        board.add_histogram("design/oracle_means", means, iteration.number)
    if iteration.weights is not None:
        # Weights below 1e-10 all mean the same, and would stretch the axis to nothing.
        logarithms = iteration.weights.clamp(min=1e-10).log10()
        board.add_histogram("design/log10_importance_weights", logarithms, iteration.number)
