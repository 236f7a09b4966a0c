"""Metrics of designs, as torchmetrics."""

from lightning_mbo.metrics.candidates import (
    CandidateMaximum,
    CandidateMedian,
    PercentChanceOfImprovement,
)

__all__ = ["CandidateMaximum", "CandidateMedian", "PercentChanceOfImprovement"]
