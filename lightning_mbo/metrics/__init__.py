"""Metrics of designs, as torchmetrics."""

from lightning_mbo.metrics.batch import (
    Diversity,
    NormalizedScore,
    Novelty,
    best_distinct,
    best_first,
    normalized,
)
from lightning_mbo.metrics.candidates import (
    CandidateMaximum,
    CandidateMedian,
    PercentChanceOfImprovement,
)
from lightning_mbo.metrics.rank import rank_correlation
from lightning_mbo.metrics.several_results import (
    HypervolumeGained,
    ShareBeyondFront,
    ShareMeetingLimits,
)
from lightning_mbo.metrics.top import TopDrift, TopOverlap

__all__ = [
    "CandidateMaximum",
    "CandidateMedian",
    "Diversity",
    "HypervolumeGained",
    "NormalizedScore",
    "Novelty",
    "PercentChanceOfImprovement",
    "ShareBeyondFront",
    "ShareMeetingLimits",
    "TopDrift",
    "TopOverlap",
    "best_distinct",
    "best_first",
    "normalized",
    "rank_correlation",
]
