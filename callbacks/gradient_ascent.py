"""Search by gradient ascent on the oracle."""

from __future__ import annotations

import pytorch_lightning as pl

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import EnsembleObjective
from lightning_mbo.searches import AscentSearch
from lightning_mbo.searches.ascent import climbable

from .base import callback_of
from .importance_weighting import ImportanceWeighting
from .search import SearchCallback


class GradientAscent(SearchCallback):
    """Climbs the oracle from the best training designs; where they come to are the candidates.

    Acts on `on_oracle_fit_end`, as every `SearchCallback`; what an iteration does is told of by
    `AscentSearch`. Autofocused, the oracle is refitted between two segments of the ascent.
    """

    search: AscentSearch

    def __init__(
        self,
        num_steps: int = 50,
        step_size: float = 0.05,
        num_starts: int = 128,
        objective: EnsembleObjective | None = None,
        num_iterations: int = 1,
    ) -> None:
        """Set up the ascent.

        Args:
            num_steps: Steps of a design iteration, T.
            step_size: s; a step is s √(number of inputs) times the gradient of the standardised
                property.
            num_starts: How many of the best training designs to start from, m; and how many
                candidates are wanted, if the table has so many. Where fewer of them lead to
                designs that are new and distinct, further ascents begin at the next best ones.
            objective: What to climb: the members' mean (the default), their minimum, or a lower
                confidence bound.
            num_iterations: Design iterations of the run, each of which goes on from the one before.

        Raises:
            ConfigurationError: If a number is too small.
        """
        if min(num_steps, num_starts, num_iterations) < 1:
            raise ConfigurationError(
                "search.num_steps, num_starts and num_iterations must be at least 1, not "
                f"{num_steps}, {num_starts} and {num_iterations}"
            )
        search = AscentSearch(num_steps, step_size, num_starts, objective)
        super().__init__(search, num_iterations)

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Start the search, with densities if the oracle is to follow it.

        Raises:
            ConfigurationError: If the oracle has no gradient, or is to be refitted between the
                segments and there is one only.
        """
        climbable(oracle)
        weighting = callback_of(trainer, ImportanceWeighting)
        self.search.with_densities = weighting is not None and weighting.rule.enabled
        if stage == "fit" and self.search.with_densities and self.num_iterations == 1:
            raise ConfigurationError(
                "autofocus refits the oracle between the segments of a gradient ascent, and "
                "search.num_iterations 1 makes one segment only: give more, of fewer "
                "search.num_steps each, or leave autofocus out"
            )
        super().setup(trainer, oracle, stage)
