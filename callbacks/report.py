"""The page that says how far to trust the candidates."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_mbo.files import dispensable, run_folder, write_text, writes_files
from lightning_mbo.importance import effective_sample_size, importance_weights
from lightning_mbo.oracles import Oracle
from lightning_mbo.oracles.restorable import copied
from lightning_mbo.report.dependence import all_dependences
from lightning_mbo.report.motions import seen_motions, write_motions
from lightning_mbo.report.page import render, verdict_of
from lightning_mbo.report.run_evidence import Evidence
from lightning_mbo.report.suitability import all_suitabilities
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.robots.motion import Motion
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, callback_of, design_data, problem_of
from .candidate_writer import CandidateWriter
from .figures import record_figure
from .search import search_of

_MOST_OTHERS = 1000


class Report(DesignCallback):
    """Writes `report.html`: a verdict, the candidates, and the evidence.

    Acts on `on_search_model_update`, after all callbacks that add metrics, where it records the
    iteration's metrics, how much the search model overlaps with the training designs and, if the
    iteration is the best so far, what its oracle says of the held-out designs; at the start of an
    epoch that fits the oracle anew, when it keeps a copy of the one that judged the best iteration;
    and at the end of the run, when it writes the page, the verdict alone to `verdict.yaml`, and
    `motions.png` of designs that move. Needs a `CandidateWriter`. Saves what it has recorded.
    """

    def __init__(self, write: bool = True) -> None:
        """Start with an empty record.

        Args:
            write: Whether files are written.
        """
        self.write = write
        self.iterations: list[dict[str, float]] = []
        self.disagreement: dict[str, float] = {}
        self.held_out: dict[str, torch.Tensor] = {}
        self.oracle: dict[str, torch.Tensor] = {}

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Record one iteration."""
        problem = problem_of(trainer)
        row = {"design_iteration": float(iteration.number), **iteration.metrics}
        if iteration.sampled_log_ratios is not None:
            weights = importance_weights(iteration.sampled_log_ratios, alpha=1.0)
            row["overlap"] = effective_sample_size(weights).item()
        self.iterations.append(row)
        if not iteration.is_best:
            return
        others = iteration.held_out
        if others is None:
            designs = problem.training.designs
            others = oracle.predict(designs[:: -(-len(designs) // _MOST_OTHERS)])
        on_candidates = iteration.samples.prediction.epistemic_std[iteration.candidates]
        self.disagreement = {
            "candidates": on_candidates.mean().item(),
            "others": others.epistemic_std.mean().item(),
        }
        self.oracle = {}  # the present one
        if iteration.held_out is not None:
            of_labels = problem.judged.label_prediction(iteration.held_out)
            self.held_out = {"mean": of_labels.mean.cpu(), "std": of_labels.std.cpu()}
            if isinstance(of_labels, PredictionOfResults):
                results = of_labels.results.to("cpu")
                self.held_out |= {"results_mean": results.mean, "results_std": results.std}

    def on_train_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Keep the oracle that judged the best iteration, before it becomes another."""
        if self.iterations and not self.oracle and design_data(trainer).fits.fitting:
            self.oracle = copied(oracle.state_dict())

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Write the page, if there are candidates; a run that has them does not fail for it."""
        evidence = self.evidence(trainer)
        if not (self.write and writes_files(trainer)) or evidence is None:
            return
        assert isinstance(oracle, Oracle)
        folder = run_folder(trainer)
        path = folder / "report.html"
        with dispensable(path):
            configs = {c.name: c.read_text() for c in sorted(folder.glob("config*.yaml"))}
            with oracle.in_state(self.oracle) if self.oracle else nullcontext():
                depending = all_dependences(oracle, evidence.data, evidence.candidates)
                suitabilities = all_suitabilities(oracle, evidence.data)
            evidence = replace(
                evidence,
                dependences=depending,
                suitabilities=suitabilities,
                motions=self._motions(trainer, evidence),
                configs=configs,
            )
            write_text(path, render(evidence))
            verdict_of(evidence).write(folder)

    def _motions(self, trainer: pl.Trainer, evidence: Evidence) -> dict[str, Motion]:
        """What is seen of the best designs, which is also drawn by itself."""
        motions = seen_motions(evidence)
        if motions:
            record_figure(trainer, "motions", partial(write_motions, motions))
        return motions

    def evidence(self, trainer: pl.Trainer) -> Evidence | None:
        """What the run has to show, but for what is only drawn; None without candidates."""
        writer, search = callback_of(trainer, CandidateWriter), search_of(trainer)
        if writer is None or search is None or writer.designs is None or len(writer.designs) == 0:
            return None
        return Evidence(
            data=design_data(trainer),
            candidates=writer.designs,
            figures=writer.figures,
            iterations=self.iterations,
            chosen=writer.iteration,
            select=search.selector.rule,
            disagreement=self.disagreement,
            held_out=self.held_out,
            outlook=writer.outlook,
        )

    def state_dict(self) -> dict[str, Any]:
        """What has been recorded so far."""
        return {
            "iterations": self.iterations,
            "disagreement": self.disagreement,
            "held_out": self.held_out,
            "oracle": self.oracle,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the record."""
        self.iterations = state_dict["iterations"]
        self.disagreement = state_dict["disagreement"]
        self.held_out = state_dict["held_out"]
        self.oracle = state_dict["oracle"]
