"""What the ground truth says of a design iteration's samples."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, Metric, SpearmanCorrCoef

from lightning_mbo.data import DesignDataModule
from lightning_mbo.metrics import (
    CandidateMaximum,
    CandidateMedian,
    Diversity,
    NormalizedScore,
    Novelty,
    PercentChanceOfImprovement,
    best_distinct,
    best_first,
)

BATCH_SIZE = 128
"""Designs that would be made together, in the benchmarks of the field."""


def score(
    data: DesignDataModule, designs: Tensor, means: Tensor, ground_truth: Tensor, quantile: float
) -> dict[str, float]:
    """Score samples: as the paper's table 1 does and, by their best batch, as Design-Bench does.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithm 3; Trabucco, Geng, Kumar and
    Levine, "Design-Bench", ICML 2022.

    Args:
        data: Of the training designs.
        designs: The samples, shape ``(m, *design_shape)``.
        means: What the oracle says of them, shape ``(m,)``.
        ground_truth: What is true, shape ``(m,)``.
        quantile: Of the oracle's means, at or above which a sample is a candidate.

    Returns:
        Of the candidates `median`, `max` and `pci` (percentage above the best training label); of
        all samples `rho` and `rmse` of the oracle's means; of the best 128 distinct designs by
        the oracle `best_128` and `median_128` (shares of the full data's range, where it is
        known, as is `best_visible` of the best training label), `diversity_128` and
        `novelty_128` (in the data's distances). Of the best 128 samples with their repetitions,
        as published figures are, `best_128_repeated` and `median_128_repeated`.
    """
    pairs: dict[str, Metric] = {
        "median": CandidateMedian(quantile),
        "max": CandidateMaximum(quantile),
        "pci": PercentChanceOfImprovement(data.properties.max().item(), quantile),
        "rho": SpearmanCorrCoef(),
        "rmse": MeanSquaredError(squared=False),
    }
    batch: dict[str, Metric] = {}
    repeated: dict[str, Metric] = {}
    if data.property_range is not None:
        batch = {
            "best_128": NormalizedScore(data.property_range, 100.0),
            "median_128": NormalizedScore(data.property_range, 50.0),
        }
        repeated = {
            "best_128_repeated": NormalizedScore(data.property_range, 100.0),
            "median_128_repeated": NormalizedScore(data.property_range, 50.0),
        }
    spread: dict[str, Metric] = {
        "diversity_128": Diversity(data.distances),
        "novelty_128": Novelty(data.designs, data.distances),
    }
    for metric in (*pairs.values(), *batch.values(), *repeated.values(), *spread.values()):
        metric.sync_on_compute = False  # every process scores all samples
        metric.set_dtype(torch.float64).to(designs.device)
    for metric in pairs.values():
        metric.update(means, ground_truth)
    rows = best_distinct(designs, means, BATCH_SIZE)
    for metric in batch.values():
        metric.update(ground_truth[rows])
    for metric in repeated.values():
        metric.update(ground_truth[best_first(means)[:BATCH_SIZE]])
    for metric in spread.values():
        metric.update(designs[rows])
    scores = {
        name: metric.compute().item()
        for name, metric in (pairs | batch | repeated | spread).items()
    }
    if data.property_range is not None:
        least, greatest = data.property_range
        scores["best_visible"] = (data.properties.max().item() - least) / (greatest - least)
    return scores
