"""Search in a list of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.searches import ListSearch

from .base import callback_of, design_data
from .importance_weighting import ImportanceWeighting
from .search import SearchCallback

if TYPE_CHECKING:
    import pandas as pd

    from lightning_mbo.tabular.pool import Pool


class PoolSearch(SearchCallback):
    """Judges the designs of a list, and searches nowhere else.

    Acts on `on_oracle_fit_end`, as every `SearchCallback`, and once: the oracle is fitted, and the
    candidates are the designs of the list; see `ListSearch`.
    """

    search: ListSearch

    def __init__(self, path: Path | pd.DataFrame | None = None) -> None:
        """Choose the list.

        Args:
            path: A CSV, TSV, Parquet or Excel file of designs with the columns of the table, and
                perhaps others; from Python also a data frame. Null: the rows of the table without
                a target.
        """
        self.path = path
        super().__init__(ListSearch(self._read), num_iterations=1)

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Read the list of a new run, and serve evaluation.

        Raises:
            ConfigurationError: If the oracle is to be refitted to where the search is, or no list
                goes with the data.
            DataError: If the list cannot be used.
        """
        weighting = callback_of(trainer, ImportanceWeighting)
        if stage == "fit" and weighting is not None and weighting.rule.enabled:
            raise ConfigurationError(
                "autofocus refits the oracle to where a search model goes, and PoolSearch has "
                "none: give --autofocus.enabled false"
            )
        self._data = design_data(trainer)
        super().setup(trainer, oracle, stage)
        if stage == "fit":
            self.search.read()

    def _read(self) -> Pool:
        return self._data.read_pool(self.path)
