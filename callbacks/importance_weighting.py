"""Autofocusing: the oracle is refitted where the search model is."""

from __future__ import annotations

from typing import Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.importance import (
    effective_sample_size,
    importance_weights,
    largest_alpha,
)
from lightning_mbo.oracles import Oracle

from .base import DesignCallback, DesignIteration, design_data
from .search import search_of

USUAL_ALPHA = 0.2
"""The paper's: n_e is comparable between runs that autofocus and runs that do not."""

AUTO_SHARE = 0.25
FLOOR = 0.005


class ImportanceWeighting(DesignCallback):
    """Weighs every training design by how likely the search model is to find it.

    Acts on `on_search_model_update`: recomputes w = (p_θ / p_0)^α on the training designs,
    records the effective sample size n_e that the next fit has, in which they multiply the base
    weights, hands the weights to the data and asks for a refit of the oracle. When n_e is below
    its floor the oracle is left alone until a later iteration. When off, the oracle stays as it
    is; n_e is recorded all the same, as it tells how far the search has gone from the data. Saves
    nothing: the weights are in the data's state.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, equation 6 and algorithm 2.
    """

    def __init__(
        self,
        alpha: float | Literal["auto"] | None = None,
        self_normalize: bool = True,
        min_effective_sample_size: float | None = None,
        enabled: bool | None = True,
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

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        self.enabled = alpha is not None if enabled is None else enabled
        self.alpha: float | Literal["auto"] = "auto" if alpha is None else alpha
        self.self_normalize = self_normalize
        if min_effective_sample_size is None:
            min_effective_sample_size = AUTO_SHARE if self.alpha == "auto" else FLOOR
        self.min_effective_sample_size = min_effective_sample_size
        if self.alpha != "auto" and not 0 <= self.alpha <= 1:
            raise ConfigurationError(f"autofocus.alpha must lie in [0, 1], not {alpha}")
        if not 0 <= min_effective_sample_size <= 1:
            raise ConfigurationError(
                "autofocus.min_effective_sample_size is a share of the training designs and must "
                f"lie in [0, 1], not {min_effective_sample_size}"
            )
        self.weights: Tensor | None = None

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Weigh the training designs, and ask for a refit.

        Raises:
            ConfigurationError: If a refit is wanted after a search whose densities are not known.
        """
        log_ratios = iteration.log_ratios
        if log_ratios is None:
            if not self.enabled:
                return
            raise ConfigurationError(
                "autofocus needs the densities of a search model, and "
                f"{type(search_of(trainer)).__name__} has none: leave autofocus out, or give "
                "--autofocus.enabled false"
            )
        data = design_data(trainer)
        base_weights = data.base_weights.to(log_ratios)
        total = effective_sample_size(base_weights).item()
        floor = self.min_effective_sample_size * total
        if self.alpha != "auto":
            alpha = self.alpha
        elif self.enabled:
            alpha = iteration.metrics["alpha"] = largest_alpha(log_ratios, floor, base_weights)
        else:
            alpha = USUAL_ALPHA
        self.weights = importance_weights(log_ratios, alpha, self.self_normalize)
        n_e = effective_sample_size(self.weights * base_weights).item()
        iteration.metrics["effective_sample_size"] = n_e
        iteration.metrics["oracle_refitted"] = 0.0
        if not self.enabled:
            return
        if n_e == 0:
            rank_zero_warn(
                f"design iteration {iteration.number}: no training design has a finite weight "
                "under the search model. The oracle is left as it is"
            )
        elif n_e < floor and self.alpha != "auto":
            rank_zero_warn(
                f"design iteration {iteration.number}: the weighted training designs count for "
                f"{n_e:.0f} of {total:.0f}, less than autofocus.min_effective_sample_size. The "
                "oracle is left as it is; a smaller autofocus.alpha would keep more of them"
            )
        else:
            iteration.metrics["oracle_refitted"] = 1.0
            data.begin_fit(self.weights)
