"""The record of a gradient ascent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.files import run_folder, write_text, writes_files
from lightning_mbo.oracles import DifferentiableOracle, Oracle
from lightning_mbo.report.figures import draw_ascent
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, design_data
from .figures import record_figure
from .scoring import evaluate_once

if TYPE_CHECKING:
    import pandas as pd


class AscentTrajectory(DesignCallback):
    """Records what the oracle predicts along a gradient ascent, and what is true.

    Acts on `on_search_model_update` where the iteration is an ascent: notes for each step
    the mean over the particles of the oracle's prediction and of the members' disagreement; of
    sequences, between which the particles move, also the mean prediction of the decoded ones; and,
    where there is a ground truth that does not take long, its mean and maximum over the decoded
    designs. Writes
    `ascent.csv` after every segment, and `ascent.png` at the end. Saves the rows so far.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021, figure 2.
    """

    def __init__(self) -> None:
        """Start with an empty record."""
        self.rows: list[dict[str, float]] = []

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Record one segment."""
        if iteration.path is None:
            return
        assert isinstance(oracle, DifferentiableOracle)
        # A later segment starts where the one before ended, which has been recorded.
        path = iteration.path[1 if self.rows else 0 :]
        ground_truth = _ground_truth(trainer, oracle, path)
        for place, truth in zip(path, ground_truth, strict=True):
            row = {"step": float(len(self.rows)), **_predicted(oracle, place), **truth}
            self.rows.append(row)
        if writes_files(trainer):
            self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Draw the ascent."""
        if not (writes_files(trainer) and self.rows):
            return
        self._write(trainer)
        data = design_data(trainer)
        best_label = data.properties.max().item()
        draw = partial(draw_ascent, self.table(), data.property_name, best_label)
        record_figure(trainer, "ascent", draw)

    def table(self) -> pd.DataFrame:
        """One row a step; the first is where the ascent starts."""
        import pandas as pd

        return pd.DataFrame(self.rows).astype({"step": int})

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the record."""
        self.rows = state_dict["rows"]

    def _write(self, trainer: pl.Trainer) -> None:
        write_text(run_folder(trainer) / "ascent.csv", self.table().to_csv(index=False))


@torch.no_grad()
def _predicted(oracle: DifferentiableOracle, inputs: Tensor) -> dict[str, float]:
    members = oracle.in_property_units(oracle.input_outputs(inputs)).loc
    figures = {
        "oracle_mean": members.mean().item(),
        "ensemble_disagreement": members.std(0, correction=0).mean().item(),
    }
    if len(oracle.representation.design_shape) == 2:
        sequences = oracle.representation.decode(inputs)
        figures["oracle_mean_of_designs"] = oracle.member_predictions(sequences).loc.mean().item()
    return figures


def _ground_truth(
    trainer: pl.Trainer, oracle: DifferentiableOracle, path: Tensor
) -> list[dict[str, float]]:
    data = design_data(trainer)
    num_designs = path.shape[0] * path.shape[1]
    if data.ground_truth is None or (data.most_scored or num_designs) < num_designs:
        return [{} for _ in path]
    designs = oracle.representation.decode(path).double()
    values = evaluate_once(data, designs.flatten(0, 1)).unflatten(0, path.shape[:2])
    return [
        {"ground_truth_mean": step.mean().item(), "ground_truth_max": step.max().item()}
        for step in values
    ]
