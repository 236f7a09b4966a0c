"""How the oracle follows the search."""

from __future__ import annotations

from typing import Literal

from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.importance.kinds import KINDS, Kind
from lightning_mbo.importance.weights import (
    effective_sample_size,
    importance_weights,
    largest_alpha,
)
from lightning_mbo.samples import DesignIteration

USUAL_ALPHA = 0.2
"""The paper's: n_e is comparable between runs that autofocus and runs that do not."""

AUTO_SHARE = 0.25
FLOOR = 0.005


class Autofocus:
    """Weighs every training design by how likely the search model is to find it.

    w = (p_θ / p_0)^α. The effective sample size n_e is that of the next fit, in which the weights
    multiply the base weights. When it is below its floor the oracle is left alone until a later
    iteration. When off, the oracle stays as it is; n_e is recorded all the same, as it tells how
    far the search has gone from the data.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, equation 6 and algorithm 2.
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
            alpha: Flattening α in [0, 1] of the weights, or `auto`, the default: the largest that
                keeps the effective sample size.
            self_normalize: Scale the weights to a mean of one.
            min_effective_sample_size: Least n_e, as a share of the training designs.
            enabled: Whether the oracle is refitted at all; None: if alpha is given.
            ratio: How p_θ / p_0 is found, `exact` or `classifier`; what drives the search tells it.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        self.enabled = alpha is not None if enabled is None else enabled
        self.alpha: float | Literal["auto"] = "auto" if alpha is None else alpha
        self.self_normalize = self_normalize
        if min_effective_sample_size is None:
            min_effective_sample_size = AUTO_SHARE if self.alpha == "auto" else FLOOR
        self.min_effective_sample_size = min_effective_sample_size
        self.ratio = ratio
        if ratio not in KINDS:
            raise ConfigurationError(
                f"autofocus.ratio must be one of {', '.join(KINDS)}, not {ratio!r}"
            )
        if self.alpha != "auto" and not 0 <= self.alpha <= 1:
            raise ConfigurationError(f"autofocus.alpha must lie in [0, 1], not {alpha}")
        if not 0 <= min_effective_sample_size <= 1:
            raise ConfigurationError(
                "autofocus.min_effective_sample_size is a share of the training designs and must "
                f"lie in [0, 1], not {min_effective_sample_size}"
            )

    def weigh(self, iteration: DesignIteration, base_weights: Tensor) -> Tensor | None:
        """The weights that the oracle is to be refitted with; None where it is left as it is.

        Adds the weights to the iteration, and to its metrics n_e, α where it is chosen here, and
        whether it refits.

        Args:
            iteration: With the ratios of the training designs.
            base_weights: Of the training designs, shape ``(n,)``.

        Raises:
            ConfigurationError: If a refit is wanted after a search without densities.
        """
        log_ratios = iteration.log_ratios
        if log_ratios is None:
            if not self.enabled:
                return None
            raise ConfigurationError(
                "autofocus needs the densities of a search model, and this search has none: leave "
                "autofocus out, or give --autofocus.enabled false"
            )
        base_weights = base_weights.to(log_ratios)
        total = effective_sample_size(base_weights).item()
        floor = self.min_effective_sample_size * total
        if self.alpha != "auto":
            alpha = self.alpha
        elif self.enabled:
            alpha = iteration.metrics["alpha"] = largest_alpha(log_ratios, floor, base_weights)
        else:
            alpha = USUAL_ALPHA
        weights = importance_weights(log_ratios, alpha, self.self_normalize)
        iteration.weights = weights
        n_e = effective_sample_size(weights * base_weights).item()
        iteration.metrics["effective_sample_size"] = n_e
        iteration.metrics["oracle_refitted"] = 0.0
        if not self.enabled:
            return None
        if n_e == 0:
            rank_zero_warn(
                f"design iteration {iteration.number}: no training design has a finite weight "
                "under the search model. The oracle is left as it is",
                category=MBOWarning,
            )
            return None
        if n_e < floor and self.alpha != "auto":
            rank_zero_warn(
                f"design iteration {iteration.number}: the weighted training designs count for "
                f"{n_e:.0f} of {total:.0f}, less than autofocus.min_effective_sample_size. The "
                "oracle is left as it is; a smaller autofocus.alpha would keep more of them",
                category=MBOWarning,
            )
            return None
        iteration.metrics["oracle_refitted"] = 1.0
        return weights
