"""Search by asking for designs of a property that is better than any measured."""

from __future__ import annotations

import pytorch_lightning as pl

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.evidence.selection import Rule
from lightning_mbo.searches import InversionSearch

from .base import callback_of
from .importance_weighting import ImportanceWeighting
from .search import SearchCallback


class ModelInversion(SearchCallback):
    """Samples the inverse map, from a property to designs, at a property that is wanted.

    Acts on `on_oracle_fit_end`, as every `SearchCallback`; what an iteration does is told of by
    `InversionSearch`. Autofocused, the oracle is refitted between two design iterations.
    """

    search: InversionSearch

    def __init__(
        self,
        num_samples: int = 10_000,
        num_iterations: int = 20,
        increment: float = 0.5,
        latent_size: int | None = None,
        select: Rule = "promise",
    ) -> None:
        """Set up the search.

        Args:
            num_samples: Designs drawn in each design iteration, m.
            num_iterations: Design iterations of the run. The first asks for designs of the best
                label.
            increment: How much more each further one asks for, in standard deviations of the
                labels.
            latent_size: Latent variables of the inverse map; by default as many as dimensions in
                which designs may differ, at most 64.
            select: Which iteration the candidates are of: the one of the greatest `promise`, the
                80th percentile of the oracle's means, or of the greatest `held_out_likelihood`,
                weighted as often as the search finds the held-out designs.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        search = InversionSearch(num_samples, increment, latent_size)
        super().__init__(search, num_iterations, select)

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Start the search, with ratios if the oracle is to follow it.

        Raises:
            ConfigurationError: If ratios are asked for by densities, which it does not have.
        """
        weighting = callback_of(trainer, ImportanceWeighting)
        if weighting is not None and weighting.rule.enabled and weighting.rule.ratio == "exact":
            raise ConfigurationError(
                "autofocus.ratio exact needs the densities of a search model, and ModelInversion "
                "has none: give --autofocus.ratio classifier, or --autofocus.enabled false"
            )
        super().setup(trainer, oracle, stage)
