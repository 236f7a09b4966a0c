"""Ground-truth scores: the one place that reads the ground truth once there are labels."""

from __future__ import annotations

import pandas as pd
import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.distributions import Normal
from torchmetrics import MeanSquaredError, Metric, MetricCollection, SpearmanCorrCoef

from lightning_mbo.data import DesignDataModule
from lightning_mbo.distributed import on_rank_zero
from lightning_mbo.files import run_folder, unused_path, write_text
from lightning_mbo.metrics import CandidateMaximum, CandidateMedian, PercentChanceOfImprovement
from lightning_mbo.oracles import Oracle
from lightning_mbo.search_models import Quadrature

from .base import DesignCallback, DesignIteration, design_data

_ROWS = ("search", "training distribution")


class Scoring(DesignCallback):
    """Scores designs by the ground truth, where there is one.

    Acts on `on_search_model_update`, where it adds the ground truth's figures to the iteration's
    metrics, and in `test`, where it scores the checkpoint's design iteration and, as a baseline,
    as many fresh samples of the training distribution as there are training designs; prints the
    table and writes it to `scores.csv`. Neither search nor selection sees any of it.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithm 3 and table 1.
    """

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Add the ground truth's 80th percentile over the samples, and the candidates' figures.

        Of a `Quadrature`, also its expectation under the updated search model.
        """
        data = design_data(trainer)
        if data.ground_truth is None:
            return
        if isinstance(iteration.search_model, Quadrature):
            at_nodes = evaluate_once(data, iteration.search_model.nodes)
            expected = iteration.search_model.expectation(at_nodes)
            iteration.metrics["expected_ground_truth"] = expected.item()
        values = evaluate_once(data, iteration.samples.designs)
        candidates = values[iteration.candidates]
        if len(candidates) == 0:
            return
        iteration.metrics |= {
            "ground_truth_p80": values.quantile(0.8).item(),
            "candidate_ground_truth_median": candidates.quantile(0.5).item(),
            "candidate_ground_truth_max": candidates.max().item(),
        }

    def on_test_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Set up the metrics."""
        best_label = design_data(trainer).properties.max().item()
        self._metrics = [
            score_metrics(best_label, quantile).to(oracle.device) for quantile in (0.8, 0.0)
        ]

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        oracle: pl.LightningModule,
        outputs: Normal,  # type: ignore[override]
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score a batch of samples."""
        data = design_data(trainer)
        if data.ground_truth is not None:
            self._metrics[dataloader_idx].update(outputs.loc, evaluate_once(data, batch))

    def on_test_epoch_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Log, print and write the scores."""
        console = Console()
        data = design_data(trainer)
        if data.ground_truth is None:
            if trainer.is_global_zero:
                console.print("There is no ground truth for these data: nothing can be scored.")
            return
        rows = [{k: v.item() for k, v in m.compute().items()} for m in self._metrics]
        for prefix, row in zip(("test/", "test/baseline_"), rows, strict=True):
            for name, value in row.items():
                oracle.log(f"{prefix}{name}", value, sync_dist=True)
        if not trainer.is_global_zero:
            return
        index = pd.Index(_ROWS, name="samples of")
        table = pd.DataFrame(rows, index=index, columns=["median", "max", "pci", "rho", "rmse"])
        path = unused_path(run_folder(trainer) / "scores.csv")
        write_text(path, table.to_csv())
        console.print(_rendered(table, data.property_name))
        console.print(f"Written to {path}", soft_wrap=True)


def evaluate_once(data: DesignDataModule, designs: Tensor) -> Tensor:
    """The ground truth of designs ``(m, *design_shape)``, computed by one process: ``(m,)``."""
    ground_truth = data.ground_truth
    assert ground_truth is not None
    like = torch.empty(len(designs), dtype=torch.float64, device=designs.device)
    return on_rank_zero(lambda: ground_truth(designs), like)


def score_metrics(best_label: float, quantile: float) -> MetricCollection:
    """The five scores of table 1; `update` takes oracle means and ground truth, ``(m,)`` each.

    Args:
        best_label: The greatest property among the training designs.
        quantile: Of the oracle's means, at or above which a sample is a candidate.
    """
    metrics: dict[str, Metric] = {
        "median": CandidateMedian(quantile),
        "max": CandidateMaximum(quantile),
        "pci": PercentChanceOfImprovement(best_label, quantile),
        "rho": SpearmanCorrCoef(),
        "rmse": MeanSquaredError(squared=False),
    }
    for metric in metrics.values():
        metric.sync_on_compute = False  # every process scores all samples
        metric.set_dtype(torch.float64)
    return MetricCollection(metrics)  # type: ignore[arg-type]


def _rendered(scores: pd.DataFrame, property_name: str) -> Table:
    table = Table(title=f"Scores by the ground truth: {property_name}")
    for header in ("Samples of", "Median", "Maximum", "PCI %", "Spearman's rho", "RMSE"):
        table.add_column(header, justify="left" if header == "Samples of" else "right")
    for name, row in scores.iterrows():
        table.add_row(
            str(name),
            *(f"{row[column]:.4g}" for column in ("median", "max")),
            f"{row['pci']:.2f}",
            f"{row['rho']:.2f}",
            f"{row['rmse']:.3g}",
        )
    return table
