"""What became of the batch, where the ground truth is known."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.data import DesignDataModule
from lightning_mbo.metrics.evidence import (
    batch_scores,
    bound_scores,
    limit_scores,
    outlook_scores,
)
from lightning_mbo.report.page import verdict_of

from .base import DesignCallback, callback_of, design_data
from .candidate_writer import CandidateWriter
from .report import Report
from .scoring import evaluate_once, results_once


class BatchScoring(DesignCallback):
    """Scores the batch that is handed out, and what was said of it, by the ground truth.

    Acts at the end of the run. Needs a `CandidateWriter`, and a `Report` for the verdict. Neither
    search nor selection sees any of it. Saves nothing.

    Attributes:
        scores: Of the batch, its outlook and its bounds, once the run has ended; empty without a
            ground truth or a batch.
        verdict: Of the run; empty likewise.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.scores: dict[str, float] = {}
        self.verdict = ""

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Score them."""
        data, writer = design_data(trainer), callback_of(trainer, CandidateWriter)
        if data.ground_truth is None or writer is None:
            return
        if writer.designs is None or len(writer.designs) == 0:
            return
        problem = data.problem
        truth, best_truth = _truth_of(data, writer.designs)
        self.scores = batch_scores(truth, best_truth, problem)
        if data.true_results is not None and problem.results is not None:
            results = results_once(data, writer.designs)
            self.scores |= limit_scores(results, problem.results.advance.to(results.device))
        if writer.outlook is not None:
            self.scores |= outlook_scores(writer.outlook, self.scores["realised_share"])
        for name in ("lower_95", "upper_95"):
            if name in writer.figures:
                # Turned back: the user has it from above where the property is to be small.
                bounds = problem.property.measured(writer.figures[name])
                self.scores |= bound_scores(truth, bounds.to(truth), data.noise_std, problem)
        report = callback_of(trainer, Report)
        evidence = None if report is None else report.evidence(trainer)
        if evidence is not None:
            self.verdict = verdict_of(evidence).rating


def _truth_of(data: DesignDataModule, batch: Tensor) -> tuple[Tensor, float]:
    """The truth of a batch ``(c, *design_shape)``, ``(c,)``, and of the row of the best label."""
    row = data.problem.designs[data.problem.properties.argmax()]
    *truth, best = evaluate_once(data, torch.cat([batch, row[None].to(batch)]))
    return torch.stack(truth), best.item()
