"""Autofocusing: the oracle is refitted where the search model is."""

from __future__ import annotations

from typing import Literal

import pytorch_lightning as pl

from lightning_mbo.importance import Autofocus, Kind
from lightning_mbo.oracles import Oracle
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, design_data


class ImportanceWeighting(DesignCallback):
    """Weighs every training design by how likely the search model is to find it.

    Acts on `on_search_model_update`: has the rule weigh the training designs, records the
    effective sample size that the next fit has, hands the weights to the data's `fits` and asks for
    a refit of the oracle. Saves nothing: the weights are in the data's state.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, equation 6 and algorithm 2.

    Attributes:
        rule: How the oracle follows the search.
    """

    def __init__(
        self,
        alpha: float | Literal["auto"] | None = None,
        self_normalize: bool = True,
        min_effective_sample_size: float | None = None,
        enabled: bool | None = True,
        ratio: Kind = "exact",
    ) -> None:
        """Set how the oracle follows the search.

        Args:
            alpha: Flattening α in [0, 1] of the weights. 1 takes them as they are; 0 makes them
                all one, which refits the oracle without autofocusing (the control). `auto` takes
                in each iteration the largest that keeps the effective sample size, and is the
                default: any fixed one leaves some searches with a handful of training designs.
            self_normalize: Scale the weights to a mean of one. Where designs are constrained, the
                probabilities of feasibility under p_θ and p_0 cancel only then.
            min_effective_sample_size: Least n_e, as a share of the training designs (of their own
                n_e, where they do not all count alike): what `auto` keeps (default 0.25), or the
                floor below which the oracle is left alone (default 0.005).
            enabled: Whether the oracle is refitted at all; null: if alpha is given.
            ratio: How p_θ / p_0 is found. `exact`: by the densities of the search model and of p_0,
                which is fitted to the training designs (of a gradient ascent, of densities that
                are fitted to its particles and to the training designs). `classifier`: by how well
                samples of p_θ are told from the training designs themselves. Held-out likelihoods
                and overlaps go by the same ratio.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        self.rule = Autofocus(alpha, self_normalize, min_effective_sample_size, enabled, ratio)

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Weigh the training designs, and ask for a refit."""
        fits = design_data(trainer).fits
        weights = self.rule.weigh(iteration, fits.problem.base_weights)
        if weights is not None:
            fits.begin(weights)
