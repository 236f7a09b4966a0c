"""Search in a list of the user's own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from torch import Tensor

from lightning_mbo.algorithms import JudgedDesigns
from lightning_mbo.errors import CheckpointError, ConfigurationError
from lightning_mbo.oracles import Oracle
from lightning_mbo.search_models import Draws
from lightning_mbo.tabular.pool import Pool

from .base import DesignIteration, callback_of, design_data
from .importance_weighting import ImportanceWeighting
from .search import Search

_PERCENTILE = 0.8


class PoolSearch(Search):
    """Judges the designs of a list, and searches nowhere else.

    Acts on `on_oracle_fit_end`, as every `Search`, and once: the oracle is fitted, and the
    candidates are the designs of the list, all of them or a batch. They are not held to bounds,
    steps or constraints: who lists a design can make it. Saves which list it was.

    Reference: Settles, "Active learning literature survey", University of Wisconsin-Madison
    technical report 1648, 2009, section 2.3, for the pool-based setting.
    """

    num_iterations = 1
    candidate_quantile = 0.0

    def __init__(self, path: Path | pd.DataFrame | None = None) -> None:
        """Choose the list.

        Args:
            path: A CSV, TSV, Parquet or Excel file of designs with the columns of the table, and
                perhaps others; from Python also a data frame. Null: the rows of the table without
                a target.
        """
        super().__init__()
        self.path = path
        self._pool: Pool | None = None
        self._digest: str | None = None

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Read the list of a new run, and serve evaluation.

        Raises:
            ConfigurationError: If the oracle is to be refitted to where the search is, or no list
                goes with the data.
            DataError: If the list cannot be used.
        """
        super().setup(trainer, oracle, stage)
        weighting = callback_of(trainer, ImportanceWeighting)
        if stage == "fit" and weighting is not None and weighting.enabled:
            raise ConfigurationError(
                "autofocus refits the oracle to where a search model goes, and PoolSearch has "
                "none: give --autofocus.enabled false"
            )
        self._data = design_data(trainer)
        self._data.test_designs = {
            "search": self.last_samples,
            "training designs": lambda: self._data.designs,
        }
        if stage == "fit":
            self._read()

    @property
    def pool(self) -> Pool:
        """The list, read when it is first needed: a run that is evaluated may need none."""
        return self._read() if self._pool is None else self._pool

    def iterate(self, oracle: Oracle) -> DesignIteration:
        """Judge the list."""
        designs = self.last_samples().to(oracle.device)
        samples = JudgedDesigns(designs, *oracle.predict(designs), designs)
        threshold = self.present_threshold.item()
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=threshold,
            candidate_threshold=-float("inf"),
            metrics={
                "oracle_p80": samples.prediction.loc.nanquantile(_PERCENTILE).item(),
                "threshold": threshold,
                "ensemble_disagreement": samples.disagreement.mean().item(),
            },
        )

    def last_samples(self) -> Tensor:
        """The designs of the list, ``(m, *design_shape)``."""
        return self.pool.designs

    def more_samples(self, num_samples: int) -> Draws:
        """The first designs of the list."""
        designs = self.pool.designs[:num_samples]
        return Draws(designs, designs, 1.0)

    @property
    def present_threshold(self) -> Tensor:
        """The greatest training label."""
        return self._data.properties.max()

    def state_dict(self) -> dict[str, Any]:
        """How far the search has come, and which list it was."""
        return {**super().state_dict(), "digest": self._digest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the same list.

        Raises:
            CheckpointError: If it is another one.
        """
        super().load_state_dict(state_dict)
        if self._pool is None:
            self._digest = state_dict["digest"]
        elif state_dict["digest"] != self._digest:
            raise _another_list(self._pool)

    def _read(self) -> Pool:
        pool = self._data.read_pool(self.path)
        digest = hashlib.sha256(pool.designs.contiguous().numpy().data).hexdigest()
        if self._digest not in (None, digest):
            raise _another_list(pool)
        self._pool, self._digest = pool, digest
        return pool


def _another_list(pool: Pool) -> CheckpointError:
    return CheckpointError(
        "the checkpoint was written with another list of designs than these "
        f"{len(pool.designs):,}: give that of its own run, start afresh, or rank this one with "
        "predict --candidates"
    )
