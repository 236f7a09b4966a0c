"""Importance weights: density ratios, flattened, normalised, and how many points they leave."""

from lightning_mbo.importance.autofocus import Autofocus
from lightning_mbo.importance.classifier_ratio import ClassifierRatio
from lightning_mbo.importance.kinds import KINDS, Kind
from lightning_mbo.importance.ratios import (
    DensityRatio,
    ExactRatio,
    Preimages,
    log_density_ratios,
    preimages_of,
)
from lightning_mbo.importance.weights import (
    effective_sample_size,
    importance_weights,
    largest_alpha,
    mixed_with_equal,
    normalized_weights,
)

__all__ = [
    "KINDS",
    "Autofocus",
    "ClassifierRatio",
    "DensityRatio",
    "ExactRatio",
    "Kind",
    "Preimages",
    "effective_sample_size",
    "importance_weights",
    "largest_alpha",
    "log_density_ratios",
    "mixed_with_equal",
    "normalized_weights",
    "preimages_of",
]
