"""How far the oracle may be off where the search is, as the search goes on."""

from __future__ import annotations

import pytorch_lightning as pl

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.evidence.gap import gap_figures
from lightning_mbo.oracles import Oracle
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, problem_of
from .search import search_of


class OracleGap(DesignCallback):
    """Estimates the oracle gap of every design iteration, and bounds it.

    Acts on `on_search_model_update`: adds what `gap_figures` tells to the iteration's metrics. Of
    an oracle that is fitted in one call, fits to halves of the rows speak, which have been made
    once, as the first fit was; of others the held-out rows, where there are any and the search has
    densities, and else there are no figures. Saves nothing.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, section 3 and proposition 1.
    """

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Add the figures of one iteration.

        Raises:
            ConfigurationError: If there is no search.
        """
        driver = search_of(trainer)
        if driver is None:
            raise ConfigurationError("an oracle gap needs a search: add a SearchModelUpdate")
        problem = problem_of(trainer)
        fits = driver.half_fits.of(oracle, problem)
        iteration.metrics |= gap_figures(problem, iteration, fits)
