"""Ground-truth scores: the one place that reads the ground truth once there are labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import spread
from lightning_mbo.distributed import on_rank_zero
from lightning_mbo.files import run_folder, unused_path, write_text, writes_files
from lightning_mbo.metrics.scores import score
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import GroundTruth
from lightning_mbo.report.headings import heading
from lightning_mbo.samples import DesignIteration, Prediction

from .base import DesignCallback, design_data
from .search import search_of

if TYPE_CHECKING:
    import pandas as pd


class Scoring(DesignCallback):
    """Scores designs by the ground truth, where there is one.

    Acts on `on_search_model_update`, where it adds the ground truth's figures to the iteration's
    metrics, and in `test`, where it scores the checkpoint's design iteration and the baseline that
    the search names; prints the table and writes it to `scores.csv`. Neither search nor selection
    sees any of it.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithm 3 and table 1.
    """

    def __init__(self, skip_slow: bool = False) -> None:
        """Nothing is scored yet.

        Args:
            skip_slow: Whether a ground truth that takes long is left out of design iterations'
                metrics.
        """
        self.skip_slow = skip_slow

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Add the ground truth's 80th percentile over the samples, and the candidates' figures.

        Of a search model with nodes, also its expectation under the updated search model.
        """
        data = design_data(trainer)
        if data.ground_truth is None or (self.skip_slow and data.most_scored is not None):
            return
        model = iteration.search_model
        if model is not None and model.has_nodes:
            expected = model.expectation(evaluate_once(data, model.nodes))
            iteration.metrics["expected_ground_truth"] = expected.item()
        values, candidates = _values(data, iteration.samples.designs, iteration.candidates)
        if len(candidates) == 0:
            return
        iteration.metrics |= {
            "ground_truth_p80": values.quantile(0.8).item(),
            "candidate_ground_truth_median": candidates.quantile(0.5).item(),
            "candidate_ground_truth_max": candidates.max().item(),
        }

    def on_test_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Nothing has been scored yet."""
        self._tested: list[list[tuple[Tensor, ...]]] = [
            [] for _ in design_data(trainer).test_designs
        ]

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        oracle: pl.LightningModule,
        outputs: Prediction,  # type: ignore[override]
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Evaluate a batch of samples."""
        data = design_data(trainer)
        if data.ground_truth is not None:
            judged = batch, outputs.mean, evaluate_once(data, batch)
            self._tested[dataloader_idx].append(judged)

    def on_test_epoch_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Log, print and write the scores."""
        import pandas as pd

        console = Console()
        data = design_data(trainer)
        if data.ground_truth is None:
            if trainer.is_global_zero:
                console.print("There is no ground truth for these data: nothing can be scored.")
            return
        rows = []
        search = search_of(trainer)
        quantiles = search.search.candidate_quantile if search else 0.0, 0.0
        for parts, quantile in zip(self._tested, quantiles, strict=True):
            designs, means, values = (torch.cat(column) for column in zip(*parts, strict=True))
            rows.append(score(data, designs, means, values, quantile))
        for prefix, row in zip(("test/", "test/baseline_"), rows, strict=True):
            for name, value in row.items():
                oracle.log(f"{prefix}{name}", value, sync_dist=True)
        if not trainer.is_global_zero:
            return
        index = pd.Index(list(data.test_designs), name="samples of")
        table = pd.DataFrame(rows, index=index)
        console.print(_rendered(table, data.property_name))
        if writes_files(trainer):
            path = unused_path(run_folder(trainer) / "scores.csv")
            write_text(path, table.to_csv())
            console.print(f"Written to {path}", soft_wrap=True)


def _values(data: DesignDataModule, designs: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The ground truth of samples and of the chosen, a mask ``(m,)``; of some, if it takes long."""
    if data.most_scored is None:
        values = evaluate_once(data, designs)
        return values, values[chosen]
    parts = [
        part[spread(len(part), data.most_scored).to(part.device)]
        for part in (designs, designs[chosen])
    ]
    of_samples, of_chosen = evaluate_once(data, torch.cat(parts)).split([len(p) for p in parts])
    return of_samples, of_chosen


def evaluate_once(data: DesignDataModule, designs: Tensor) -> Tensor:
    """The ground truth of designs ``(m, *design_shape)``, computed by one process: ``(m,)``."""
    assert data.ground_truth is not None
    return _once(data.ground_truth, designs, torch.Size([len(designs)]))


def results_once(data: DesignDataModule, designs: Tensor) -> Tensor:
    """The true results of designs ``(m, *design_shape)``, likewise: ``(m, q)``."""
    assert data.true_results is not None
    return _once(data.true_results, designs, torch.Size([len(designs), len(data.goals)]))


def _once(truth: GroundTruth, designs: Tensor, shape: torch.Size) -> Tensor:
    like = torch.empty(shape, dtype=torch.float64, device=designs.device)
    return on_rank_zero(lambda: truth(designs), like)


def _rendered(scores: pd.DataFrame, property_name: str) -> Table:
    table = Table(title=f"Scores by the ground truth: {property_name}")
    table.add_column("samples of")
    for samples in scores.index:
        table.add_column(samples, justify="right")
    for metric, values in scores.items():
        table.add_row(heading(str(metric)), *(f"{value:.3g}" for value in values))
    return table
