"""When a search goes on."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.evidence.halves import HalfFits
from lightning_mbo.evidence.selection import Rule, Selector
from lightning_mbo.oracles import Oracle
from lightning_mbo.searches import Search

from .base import DesignCallback, announce, callback_of, design_data, problem_of
from .importance_weighting import ImportanceWeighting


class SearchCallback(DesignCallback):
    """One design iteration whenever the oracle has been fitted.

    Acts on `on_oracle_fit_end`: has the search iterate, announces `on_search_model_update`, and
    makes the iteration's metrics available to monitors as `design/...`. Stops the trainer after
    the last iteration. Saves the search and the best iteration so far.

    Attributes:
        search: What is driven.
        num_iterations: Design iterations of the run.
        selector: The rule that chooses the best iteration.
        half_fits: Of the run's oracle, for whoever judges by them.
    """

    def __init__(self, search: Search, num_iterations: int, select: Rule = "promise") -> None:
        """Drive a search.

        Args:
            search: Which.
            num_iterations: Design iterations of the run.
            select: The rule that chooses the best iteration.

        Raises:
            ConfigurationError: If there is no iteration, or no such rule.
        """
        if num_iterations < 1:
            raise ConfigurationError(
                f"search.num_iterations must be at least 1, not {num_iterations}"
            )
        self.search = search
        self.num_iterations = num_iterations
        self.selector = Selector(select)
        self.half_fits = HalfFits()
        self._problem: object = None

    @property
    def finished(self) -> bool:
        """Whether all design iterations are done, or there is nothing to go on from."""
        return self.search.exhausted or self.search.num_done >= self.num_iterations

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Start the search, once, and serve evaluation."""
        problem = problem_of(trainer)
        self.selector.check(problem)
        self.half_fits = HalfFits()
        if problem is not self._problem:  # otherwise a later stage of the same run
            self._problem = problem
            weighting = callback_of(trainer, ImportanceWeighting)
            if weighting is not None:
                self.search.ratio_kind = weighting.rule.ratio
            self.search.start(problem, trainer.strategy.root_device)
        assert isinstance(oracle, Oracle)
        design_data(trainer).test_designs = {
            "search": lambda: self.search.last_samples(oracle),
            self.search.baseline_name: self.search.baseline,
        }

    def on_train_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """A run that was finished before it was resumed stops at once."""
        if self.finished and trainer.ckpt_path is None:
            rank_zero_warn(
                f"this search has made its {self.search.num_done} design iterations: for another "
                f"run make another {type(self).__name__}",
                category=MBOWarning,
            )
        trainer.should_stop = trainer.should_stop or self.finished

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        """Make a design iteration, and announce it."""
        iteration = None if self.finished else self.search.iterate(oracle)
        if iteration is None:
            trainer.should_stop = True
            return
        iteration.is_best = self.selector.prefers(iteration, problem_of(trainer))
        announce(trainer, "on_search_model_update", oracle, iteration)
        # For callbacks that monitor; `Trajectory` hands the figures to the loggers. To `log` them,
        # which prepares for sums over batches and processes, takes longer than a small iteration.
        trainer.callback_metrics.update(
            {
                f"design/{name}": torch.tensor(value, dtype=torch.float32)
                for name, value in iteration.metrics.items()
            }
        )
        trainer.should_stop = trainer.should_stop or self.finished

    def state_dict(self) -> dict[str, Any]:
        """The search, and the best iteration so far."""
        return {"search": self.search.state_dict(), "selector": self.selector.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the last complete design iteration."""
        self.selector.load_state_dict(state_dict["selector"])
        self.search.load_state_dict(state_dict["search"])


def search_of(trainer: pl.Trainer) -> SearchCallback | None:
    """The callback that drives the trainer's search, or None."""
    return callback_of(trainer, SearchCallback)
