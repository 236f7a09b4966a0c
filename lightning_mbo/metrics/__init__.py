"""Metrics of designs, as torchmetrics."""

from lightning_mbo.metrics.batch import (
    Diversity,
    NormalizedScore,
    Novelty,
    best_distinct,
    normalized,
)
from lightning_mbo.metrics.candidates import (
    CandidateMaximum,
    CandidateMedian,
    PercentChanceOfImprovement,
)

__all__ = [
    "CandidateMaximum",
    "CandidateMedian",
    "Diversity",
    "NormalizedScore",
    "Novelty",
    "PercentChanceOfImprovement",
    "best_distinct",
    "normalized",
]
