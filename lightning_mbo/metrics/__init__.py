"""Metrics of designs, as torchmetrics."""

from lightning_mbo.metrics.candidates import (
    CandidateMaximum,
    CandidateMedian,
    PercentChanceOfImprovement,
)
from lightning_mbo.metrics.top import TopDrift, TopOverlap

__all__ = [
    "CandidateMaximum",
    "CandidateMedian",
    "PercentChanceOfImprovement",
    "TopDrift",
    "TopOverlap",
]
