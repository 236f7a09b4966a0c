"""Whether predictions are in the right order."""

from __future__ import annotations

import warnings

from torchmetrics import SpearmanCorrCoef


def rank_correlation() -> SpearmanCorrCoef:
    """Spearman's, without a warning of the memory that the labels take, which they take anyway."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all targets")
        return SpearmanCorrCoef()
