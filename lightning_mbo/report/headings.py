"""What metrics are called, and how many decimals are shown of them."""

from __future__ import annotations

import math

_HEADINGS = {
    "expected_ground_truth": "expected ground truth",
    "median": "median",
    "max": "maximum",
    "pci": "PCI %",
    "rho": "Spearman's ρ",
    "rmse": "RMSE",
    "best_128": "best of 128",
    "median_128": "median of 128",
    "best_visible": "best row",
    "best_128_repeated": "best of 128, as made",
    "median_128_repeated": "median of 128, as made",
    "diversity_128": "diversity",
    "novelty_128": "novelty",
    "batch_median": "median of the batch",
    "batch_best": "best of the batch",
    "bound_held": "bound held",
    "bound_distance": "distance",
    "infinite_bounds": "infinite",
    "predicted_share": "predicted share",
    "realised_share": "realised share",
    "brier_score": "Brier score",
    "held_out_rank_correlation": "held-out ρ",
    "held_out_top_overlap": "held-out top overlap",
    "held_out_log_likelihood": "held-out log-likelihood",
    "held_out_weighted_log_likelihood": "the same, weighted",
}
_IN_UNITS_OF_THE_PROPERTY = ("median", "max", "rmse", "batch_median", "batch_best")


def heading(metric: str) -> str:
    """A metric's name for a table."""
    return _HEADINGS.get(metric, metric)


def metric_label(metric: str, property_name: str) -> str:
    """A metric's name for an axis, with its unit.

    Args:
        metric: As the column is called.
        property_name: With its unit.
    """
    name = heading(metric)
    return f"{name} of {property_name}" if metric in _IN_UNITS_OF_THE_PROPERTY else name


def decimals_for(largest: float) -> int:
    """How many decimals show three digits of the largest figure, and at least one below 1,000."""
    if not largest > 0:
        return 1
    exponent = math.floor(math.log10(largest))
    return 0 if exponent > 2 else max(1, 2 - exponent)
