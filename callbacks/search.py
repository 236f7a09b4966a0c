"""What all searches share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import CheckpointError, ConfigurationError, DataError
from lightning_mbo.evaluation.held_out import weighted_log_likelihood
from lightning_mbo.importance import Preimages, log_density_ratios, preimages_of
from lightning_mbo.oracles import Oracle
from lightning_mbo.random import keyed_generator
from lightning_mbo.search_models import Draws, SearchModel
from lightning_mbo.tabular.pool import Pool

from .base import DesignCallback, DesignIteration, announce, callback_of, design_data

SELECTED_BY = {
    "promise": "oracle_p80",
    "held_out_likelihood": "held_out_weighted_log_likelihood",
}
"""The metric of a design iteration that each rule of choice looks at."""

_NONE_FEASIBLE = "next to none of the designs that the search comes to meets data.constraints"


class Search(DesignCallback, ABC):
    """One design iteration whenever the oracle has been fitted.

    Acts on `on_oracle_fit_end`: makes the iteration, announces `on_search_model_update`, and makes
    the iteration's metrics available to monitors as `design/...`. Stops the trainer after the last
    iteration. Saves how far it has come; subclasses add what else the next iteration depends on.

    Attributes:
        num_iterations: Design iterations of the run.
        num_done: Those that are done.
        select: The rule that chooses the best iteration.
        best_score: What the rule goes by: the greatest so far.
        best_iteration: The design iteration that had it.
        exhausted: Whether there is nothing to go on from.
        training_rows: The training designs, and draws that become them; where it has densities.
        held_out_rows: The held-out designs likewise.
        num_wanted: How many candidates are expected of it, or None for whatever it finds.
        candidate_quantile: Candidates are the samples whose oracle mean is at or above it.
    """

    num_iterations: int
    num_wanted: int | None = None
    candidate_quantile: float
    training_rows: Preimages
    held_out_rows: Preimages

    def __init__(self, select: Literal["promise", "held_out_likelihood"] = "promise") -> None:
        """Start with nothing done.

        Args:
            select: The rule that chooses the best iteration, of those in `SELECTED_BY`.

        Raises:
            ConfigurationError: If there is no such rule.
        """
        if select not in SELECTED_BY:
            raise ConfigurationError(
                f"search.select must be one of {', '.join(SELECTED_BY)}, not {select!r}"
            )
        self.select = select
        self.num_done = 0
        self.best_score = -float("inf")
        self.best_iteration = -1
        self.exhausted = False

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Refuse a rule that lacks what it goes by.

        Raises:
            ConfigurationError: If no designs are held out for it.
        """
        held_out = design_data(trainer).held_out_designs
        if self.select == "held_out_likelihood" and len(held_out) == 0:
            raise ConfigurationError(
                "search.select held_out_likelihood needs held-out designs: give "
                "--data.held_out_fraction 0.1"
            )

    @abstractmethod
    def iterate(self, oracle: Oracle) -> DesignIteration | None:
        """Make the next design iteration, number `num_done`; None where no design is feasible."""

    @abstractmethod
    def last_samples(self) -> Tensor:
        """The samples of the last design iteration again, ``(m, *design_shape)``."""

    @abstractmethod
    def more_samples(self, num_samples: int) -> Draws:
        """Further designs of the same kind, and what they were made of, as many at most."""

    def further_samples(self) -> Iterator[Draws]:
        """More designs of the last iteration, while candidates are too few, in several lots.

        By default none: what the search has found is what there is to choose from.
        """
        return iter(())

    @property
    @abstractmethod
    def present_threshold(self) -> Tensor:
        """γ of the last design iteration, a scalar in the property's units."""

    @property
    def pool(self) -> Pool | None:
        """The list of designs that is searched; None where designs are made."""
        return None

    @property
    def densities(self) -> tuple[SearchModel, SearchModel] | None:
        """p_θ of the last design iteration and p_0; None for a search without densities."""
        return None

    def log_densities(self, drawn: Tensor) -> dict[str, Tensor]:
        """Named log-densities of draws ``(m, *design_shape)``, ``(m,)`` each; or none."""
        if self.densities is None:
            return {}
        search_model, training_distribution = self.densities
        return {
            "log_prob_search_model": search_model.log_prob(drawn),
            "log_prob_training_distribution": training_distribution.log_prob(drawn),
        }

    def held_out_log_ratios(self) -> Tensor | None:
        """Log p_θ - log p_0 of the held-out designs ``(h,)``, nats; None without densities."""
        if self.densities is None:
            return None
        return log_density_ratios(*self.densities, self.held_out_rows)

    def log_ratios_of(self, data: DesignDataModule, designs: Tensor) -> Tensor | None:
        """Log p_θ - log p_0 of designs ``(m, *design_shape)``, ``(m,)``; None without densities."""
        if self.densities is None:
            return None
        return log_density_ratios(*self.densities, _preimages(data, designs, 2))

    def find_preimages(self, data: DesignDataModule, device: torch.device) -> None:
        """Draw what the rows of the table may have been made of, for their density ratios."""
        self.training_rows, self.held_out_rows = (
            _preimages(data, designs, number).to(device)
            for number, designs in enumerate((data.designs, data.held_out_designs))
        )

    @property
    def finished(self) -> bool:
        """Whether all design iterations are done, or there is nothing to go on from."""
        return self.exhausted or self.num_done >= self.num_iterations

    def on_train_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """A run that was finished before it was resumed stops at once."""
        if self.finished and trainer.ckpt_path is None:
            pl.utilities.rank_zero_warn(
                f"this search has made its {self.num_done} design iterations: for another run "
                f"make another {type(self).__name__}"
            )
        trainer.should_stop = trainer.should_stop or self.finished

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        """Make a design iteration, and announce it."""
        if self.finished:
            trainer.should_stop = True
            return
        iteration = self.iterate(oracle)
        if iteration is None:
            self._end_without_designs()
            trainer.should_stop = True
            return
        iteration.is_best = self.is_best(self._score(trainer, oracle, iteration))
        self.num_done += 1
        if self.exhausted:
            pl.utilities.rank_zero_warn(
                f"the search ends after design iteration {iteration.number}: no sample has a "
                "finite weight. What was found until then is kept"
            )
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

    def _end_without_designs(self) -> None:
        if self.num_done == 0:
            raise DataError(f"{_NONE_FEASIBLE}: check them, or relax them")
        self.exhausted = True
        pl.utilities.rank_zero_warn(
            f"the search ends after design iteration {self.num_done - 1}: {_NONE_FEASIBLE}. What "
            "was found until then is kept"
        )

    def _score(self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration) -> float:
        """What the rule goes by; the callbacks that record it act later."""
        if self.select == "promise":
            return iteration.metrics[SELECTED_BY["promise"]]
        data = design_data(trainer)
        designs = data.held_out_designs.to(oracle.device)
        properties = data.held_out_properties.to(oracle.device)
        prediction = data.label_distribution(oracle.predict(designs)[0])
        log_ratios = self.held_out_log_ratios()
        assert log_ratios is not None
        return weighted_log_likelihood(prediction, properties, log_ratios)

    def is_best(self, score: float) -> bool:
        """Whether the present iteration's score is the greatest so far; remembers it if so."""
        # Checkpoints compare float32 figures: so does this, lest they choose differently.
        rounded = float(np.float32(score))
        if not rounded > self.best_score:
            return False
        self.best_score, self.best_iteration = rounded, self.num_done
        return True

    def state_dict(self) -> dict[str, Any]:
        """How far the search has come."""
        return {
            "num_done": self.num_done,
            "exhausted": self.exhausted,
            "select": self.select,
            "best_score": self.best_score,
            "best_iteration": self.best_iteration,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the last complete design iteration.

        Raises:
            CheckpointError: If another rule chose the best iteration so far.
        """
        if state_dict["select"] != self.select:
            raise CheckpointError(
                f"the checkpoint's best iteration was chosen by {state_dict['select']}: give "
                f"--search.select {state_dict['select']}, or start afresh"
            )
        self.num_done = state_dict["num_done"]
        self.exhausted = state_dict["exhausted"]
        self.best_score = state_dict["best_score"]
        self.best_iteration = state_dict["best_iteration"]


def _preimages(data: DesignDataModule, designs: Tensor, number: int) -> Preimages:
    found = preimages_of(
        designs.cpu(),
        data.cells(designs.cpu()),
        data.space,
        data.designs,
        keyed_generator("preimages", number),
    )
    return found.to(designs.device)


def search_of(trainer: pl.Trainer) -> Search | None:
    """The trainer's search, or None."""
    return callback_of(trainer, Search)  # type: ignore[type-abstract]
