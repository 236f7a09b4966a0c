"""What held-out designs say of an oracle."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal
from torchmetrics import MeanSquaredError, Metric

from lightning_mbo.importance import importance_weights
from lightning_mbo.metrics import TopOverlap, rank_correlation

LEAST_CORRELATION = 0.1
"""Of ranks, below which a search has been no better than chance on tables of known truth."""


def held_out_figures(prediction: Normal, properties: Tensor) -> dict[str, float]:
    """Judge an oracle by designs that it has not been fitted to.

    Args:
        prediction: What it says of their labels, batch shape ``(h,)``.
        properties: These labels, shape ``(h,)``.

    Returns:
        `rank_correlation` (Spearman's), `top_overlap` (which share of the best tenth is predicted
        to be the best tenth), `rmse` (in the property's units) and `log_likelihood` (mean of the
        log-density of the property in its units, nats).
    """
    metrics: dict[str, Metric] = {
        "rank_correlation": rank_correlation(),
        "top_overlap": TopOverlap(),
        "rmse": MeanSquaredError(squared=False),
    }
    figures = {}
    for name, metric in metrics.items():
        metric.sync_on_compute = False  # every process judges all of them
        metric.set_dtype(torch.float64).to(properties.device)
        metric.update(prediction.loc, properties)
        figures[name] = metric.compute().item()
    return figures | {"log_likelihood": prediction.log_prob(properties).mean().item()}


def weighted_log_likelihood(prediction: Normal, properties: Tensor, log_ratios: Tensor) -> float:
    """The log-likelihood of held-out designs, as often as the search finds them.

    Self-normalised importance sampling: it estimates the mean log-likelihood of designs that come
    from the search model.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, equation 6, of which it is the held-out side.

    Args:
        prediction: What an oracle says of them, batch shape ``(h,)``.
        properties: Their labels, shape ``(h,)``.
        log_ratios: log p_θ(x) - log p_0(x), shape ``(h,)``.

    Returns:
        Nats; NaN where no design has a weight.
    """
    weights = importance_weights(log_ratios, alpha=1.0)
    if not weights.any():
        return math.nan
    return float((weights * prediction.log_prob(properties)).sum() / weights.sum())
