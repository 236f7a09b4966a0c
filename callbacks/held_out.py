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
    conformal_quantile,
    normalized_residuals,
    shifted_quantiles,
)
from lightning_mbo.oracles import Oracle

from .base import DesignCallback, DesignIteration, design_data
from .search import Search, search_of


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
        if search.has_densities:
            log_ratios = search.log_ratios(data.held_out_designs.to(oracle.device))
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
    data: DesignDataModule, search: Search, oracle: Oracle, designs: Tensor, prediction: Normal
) -> dict[str, Tensor]:
    """Conformal intervals of the property, in the user's units, where designs were held out.

    `lower_90` and `upper_90` hold for designs that come as the held-out ones came. Where the search
    has densities, `lower_90_shifted` and `upper_90_shifted` hold for designs that come from the
    search model; they are infinite where nothing can be promised.

    Args:
        data: Of the held-out designs.
        search: With the search model that the designs come from.
        oracle: That made the prediction.
        designs: Shape ``(m, *design_shape)``.
        prediction: Of them, batch shape ``(m,)``.

    Returns:
        Shape ``(m,)`` each; empty where no designs were held out.
    """
    if len(data.held_out_designs) == 0:
        return {}
    held_out = data.held_out_designs.to(designs.device)
    properties = data.held_out_properties.to(designs.device)
    of_labels = data.label_distribution(oracle.predict(held_out)[0])
    residuals = normalized_residuals(of_labels, properties)
    quantiles = {"90": conformal_quantile(residuals).expand(len(designs))}
    if search.has_densities:
        quantiles["90_shifted"] = shifted_quantiles(
            residuals, search.log_ratios(held_out), search.log_ratios(designs)
        )
    found: dict[str, Tensor] = {}
    for name, quantile in quantiles.items():
        middle, margin = data.sign * prediction.loc, quantile * prediction.scale
        found |= {f"lower_{name}": middle - margin, f"upper_{name}": middle + margin}
    return found
