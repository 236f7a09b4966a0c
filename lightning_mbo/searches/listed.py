"""Search in a list of the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from torch import Tensor

from lightning_mbo.errors import CheckpointError
from lightning_mbo.oracles import Oracle
from lightning_mbo.samples import DesignIteration, JudgedDesigns
from lightning_mbo.search_models import Draws
from lightning_mbo.searches.base import Search
from lightning_mbo.tabular.types import Pool


class ListSearch(Search):
    """Judges the designs of a list once, and searches nowhere else.

    The candidates are the designs of the list, all of them or a batch. They are not held to bounds,
    steps or constraints: who lists a design can make it.

    Reference: Settles, "Active learning literature survey", University of Wisconsin-Madison
    technical report 1648, 2009, section 2.3, for the pool-based setting.
    """

    candidate_quantile = 0.0
    baseline_name = "training designs"

    def __init__(self, read: Callable[[], Pool]) -> None:
        """Name the list.

        Args:
            read: Reads it, when it is first needed: a run that is evaluated may need none.
        """
        super().__init__()
        self._source = read
        self._pool: Pool | None = None
        self._digest: str | None = None

    def advance(self, oracle: Oracle) -> DesignIteration | None:
        """Judge the list."""
        designs = self.pool.designs.to(oracle.device)
        samples = JudgedDesigns(designs, oracle.predict(designs), designs)
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=self.threshold.item(),
            candidate_threshold=-float("inf"),
            metrics=self._figures(samples.prediction),
        )

    def last_samples(self, oracle: Oracle) -> Tensor:
        """The designs of the list, ``(m, *design_shape)``."""
        return self.pool.designs

    def more_samples(self, oracle: Oracle, num_samples: int) -> Draws:
        """The first designs of the list."""
        designs = self.pool.designs[:num_samples]
        return Draws(designs, designs, 1.0)

    def baseline(self) -> Tensor:
        """The training designs."""
        return self._problem.training.designs

    @property
    def pool(self) -> Pool:
        """The list, read when it is first needed."""
        return self.read() if self._pool is None else self._pool

    def read(self) -> Pool:
        """Read the list, if that has not been done.

        Raises:
            CheckpointError: If it is another one than that of the checkpoint.
        """
        if self._pool is None:
            pool = self._source()
            digest = hashlib.sha256(pool.designs.contiguous().numpy().data).hexdigest()
            if self._digest not in (None, digest):
                raise _another_list(pool)
            self._pool, self._digest = pool, digest
        return self._pool

    def get_extra_state(self) -> dict[str, Any]:
        """How far the search has come, and which list it was."""
        return {**super().get_extra_state(), "digest": self._digest}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on with the same list.

        Raises:
            CheckpointError: If it is another one.
        """
        super().set_extra_state(state)
        if self._pool is None:
            self._digest = state["digest"]
        elif state["digest"] != self._digest:
            raise _another_list(self._pool)


def _another_list(pool: Pool) -> CheckpointError:
    return CheckpointError(
        "the checkpoint was written with another list of designs than these "
        f"{len(pool.designs):,}: give that of its own run, start afresh, or rank this one with "
        "predict --candidates"
    )
