"""What held-out designs say of the oracle, as the search goes on."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.data import DesignDataModule
from lightning_mbo.evaluation.held_out import held_out_figures, weighted_log_likelihood
from lightning_mbo.importance import effective_sample_size, importance_weights
from lightning_mbo.importance.conformal import (
    as_promising,
    conformal_quantile,
    normalized_residuals,
    shifted_quantiles,
)
from lightning_mbo.oracles import Oracle

from .base import DesignCallback, DesignIteration, design_data
from .search import search_of


class HeldOut(DesignCallback):
    """Judges the oracle by the designs that were held out, where there are any.

    Acts on `on_search_model_update`: adds to the iteration's metrics, as `held_out_...`, what
    `held_out_figures` tells of the oracle that judged this iteration's samples. Where the search
    has densities, also `held_out_weighted_log_likelihood`, weighted by p_θ/p_0 with the search
    model that the samples came from, the effective sample size of these weights, and
    `held_out_weighted_log_likelihood_original` of the first oracle, whose other figures are
    those of the first iteration. Saves the first oracle's predictions.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.original: dict[str, Tensor] = {}

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Add the figures of one iteration."""
        data, search = design_data(trainer), search_of(trainer)
        if len(data.held_out_designs) == 0 or search is None:
            return
        properties = data.held_out_properties.to(oracle.device)
        prediction = data.label_distribution(oracle.predict(data.held_out_designs)[0])
        figures = held_out_figures(prediction, properties)
        if not self.original:
            self.original = {"mean": prediction.loc.cpu(), "std": prediction.scale.cpu()}
        log_ratios = search.held_out_log_ratios()
        if log_ratios is not None:
            weights = importance_weights(log_ratios, alpha=1.0)
            mean, std = (self.original[name].to(properties) for name in ("mean", "std"))
            figures |= {
                "effective_sample_size": effective_sample_size(weights).item(),
                "weighted_log_likelihood": weighted_log_likelihood(
                    prediction, properties, log_ratios
                ),
                "weighted_log_likelihood_original": weighted_log_likelihood(
                    Normal(mean, std, validate_args=False), properties, log_ratios
                ),
            }
        iteration.metrics |= {f"held_out_{name}": value for name, value in figures.items()}

    def state_dict(self) -> dict[str, Any]:
        """What the first oracle said."""
        return {"original": self.original}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the first oracle."""
        self.original = state_dict["original"]


def intervals(
    data: DesignDataModule,
    oracle: Oracle,
    prediction: Normal,
    held_out_log_ratios: Tensor | None,
    log_ratios: Tensor | None,
) -> dict[str, Tensor]:
    """Conformal intervals of what is handed out, in the user's units, where designs were held out.

    They are calibrated on the held-out designs that are `as_promising`, and infinite where these
    are too few. `lower_90` and `upper_90` hold for nine in ten of designs that come as the table's
    came and whose prediction is as good as the worst of those handed out; where ratios are given,
    `lower_90_shifted` and `upper_90_shifted` for nine in ten of those that come from the search
    model and whose prediction is as good. Where the designs with the `top` labels were held out,
    both speak only of designs that are better than all that the oracle was trained on.

    Nothing is promised of a choice among these: a batch that prefers the best of them has
    intervals that hold a little less often.

    Args:
        data: Of the held-out designs.
        oracle: That made the prediction.
        prediction: Of what is handed out, all of it, batch shape ``(c,)``.
        held_out_log_ratios: log p_θ(x) - log p_0(x) of the held-out designs, shape ``(h,)``; None
            where the search has no densities.
        log_ratios: Those of what is handed out, shape ``(c,)``; None likewise.

    Returns:
        Shape ``(c,)`` each; empty where no designs were held out.
    """
    if len(data.held_out_designs) == 0:
        return {}
    device = prediction.loc.device
    held_out, _ = oracle.predict(data.held_out_designs.to(device))
    of_labels = data.label_distribution(held_out)
    residuals = normalized_residuals(of_labels, data.held_out_properties.to(device))
    passed = as_promising(held_out.loc, prediction.loc)
    quantile = conformal_quantile(residuals[passed])
    quantiles = {"90": quantile.expand(len(prediction.loc))}
    if held_out_log_ratios is not None and log_ratios is not None:
        # Fewer than the plain quantile needs say nothing of a shift either.
        quantiles["90_shifted"] = (
            quantiles["90"]
            if quantile.isinf()
            else shifted_quantiles(residuals[passed], held_out_log_ratios[passed], log_ratios)
        )
    found: dict[str, Tensor] = {}
    for name, margins in quantiles.items():
        middle, margin = data.sign * prediction.loc, margins * prediction.scale
        found |= {f"lower_{name}": middle - margin, f"upper_{name}": middle + margin}
    return found
