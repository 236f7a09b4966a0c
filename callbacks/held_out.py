"""What held-out designs say of the oracle, as the search goes on."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.evidence.held_out import held_out_figures, weighted_log_likelihood
from lightning_mbo.importance import effective_sample_size, importance_weights
from lightning_mbo.oracles import Oracle
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, problem_of


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
        if iteration.held_out is None:
            return
        judged = problem_of(trainer).judged
        properties = judged.properties.to(iteration.held_out.mean)
        prediction = judged.label_prediction(iteration.held_out).normal
        figures = held_out_figures(prediction, properties)
        if not self.original:
            self.original = {"mean": prediction.loc.cpu(), "std": prediction.scale.cpu()}
        log_ratios = iteration.held_out_log_ratios
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
