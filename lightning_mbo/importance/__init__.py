"""Importance weights: density ratios, flattened, normalised, and how many points they leave."""

from lightning_mbo.importance.weights import (
    effective_sample_size,
    importance_weights,
    largest_alpha,
    normalized_weights,
)

__all__ = ["effective_sample_size", "importance_weights", "largest_alpha", "normalized_weights"]
