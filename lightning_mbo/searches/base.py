"""What all searches share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_mbo.errors import DataError, MBOWarning
from lightning_mbo.importance import DensityRatio, Kind
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, Prediction
from lightning_mbo.search_models import Draws, SearchModel
from lightning_mbo.tabular.types import Pool

PERCENTILE = 0.8
"""Of the oracle's means, which tells how much a design iteration promises."""

_NONE_FEASIBLE = "next to none of the designs that the search comes to meets data.constraints"


class Search(nn.Module, ABC):
    """A search for better designs by what an oracle says of them, one iteration at a time.

    It needs no trainer: `start` it with a problem, and have it `iterate` whenever an oracle has
    been fitted. All that the next iteration depends on is in its `state_dict`.

    Attributes:
        num_done: Design iterations so far.
        exhausted: Whether there is nothing to go on from.
        num_wanted: How many candidates are expected of it, or None for whatever it finds.
        candidate_quantile: Candidates are the samples whose oracle mean is at or above it.
        baseline_name: What `baseline` gives.
        ratio: log p_θ - log p_0 of rows of the table; None for a search that does not know it.
        ratio_kind: How that is found; set before the search is started.
    """

    num_wanted: int | None = None
    candidate_quantile: float
    baseline_name: str
    ratio_kind: Kind = "exact"

    def __init__(self) -> None:
        """Start with nothing done."""
        super().__init__()
        self.num_done = 0
        self.exhausted = False
        self.ratio: DensityRatio | None = None

    def start(self, problem: DesignProblem, device: torch.device | str = "cpu") -> None:
        """Learn what the search begins with. Called once, before all else.

        Args:
            problem: What is to be designed.
            device: Where the search goes on: the oracle's.
        """
        self._problem = problem

    @abstractmethod
    def advance(self, oracle: Oracle) -> DesignIteration | None:
        """Make the next design iteration, number `num_done`; None where no design is feasible."""

    @abstractmethod
    def last_samples(self, oracle: Oracle) -> Tensor:
        """The samples of the last design iteration again, ``(m, *design_shape)``."""

    @abstractmethod
    def more_samples(self, oracle: Oracle, num_samples: int) -> Draws:
        """Further designs of the same kind, and what they were made of, as many at most."""

    @abstractmethod
    def baseline(self) -> Tensor:
        """What the search is to be better than, designs ``(m, *design_shape)``."""

    @property
    def threshold(self) -> Tensor:
        """γ of the last design iteration, a scalar in the property's units.

        By default the greatest training label.
        """
        return self._problem.training.properties.max()

    def further_samples(self, oracle: Oracle) -> Iterator[Draws]:
        """More designs of the last iteration, while candidates are too few, in several lots.

        By default none: what the search has found is what there is to choose from.
        """
        return iter(())

    def draws_of_training(self, num_samples: int) -> Draws | None:
        """New samples of the training distribution; None of a search without one."""
        return None

    @property
    def pool(self) -> Pool | None:
        """The list of designs that is searched; None where designs are made."""
        return None

    @property
    def densities(self) -> tuple[SearchModel, SearchModel] | None:
        """p_θ of the last design iteration and p_0; None for a search without densities."""
        return None

    def iterate(self, oracle: Oracle) -> DesignIteration | None:
        """Make the next design iteration, with its evidence; None where no design is feasible.

        Raises:
            DataError: If none has been feasible from the beginning.
        """
        iteration = self.advance(oracle)
        if iteration is None:
            self._end_without_designs()
            return None
        iteration.held_out = oracle.predict_unseen(self._problem)
        iteration.metrics |= iteration.samples.prediction.result_metrics() | oracle.figures()
        self.num_done += 1
        if self.exhausted:
            rank_zero_warn(
                f"the search ends after design iteration {iteration.number}: no sample has a "
                "finite weight. What was found until then is kept",
                category=MBOWarning,
            )
        return iteration

    def _figures(
        self, prediction: Prediction, acceptance_rate: float | None = None
    ) -> dict[str, float]:
        """What every design iteration tells of its samples.

        Args:
            prediction: Of the samples.
            acceptance_rate: The share of what was drawn that is feasible; told where not all has to
                be. None: it is no such search.
        """
        figures = {
            "oracle_p80": prediction.mean.nanquantile(PERCENTILE).item(),
            "threshold": self.threshold.item(),
            "ensemble_disagreement": prediction.epistemic_std.mean().item(),
        }
        if acceptance_rate is not None and self._problem.feasible is not None:
            figures["acceptance_rate"] = acceptance_rate
        return figures

    def log_densities(self, drawn: Tensor) -> dict[str, Tensor]:
        """Named log-densities of draws ``(m, *design_shape)``, ``(m,)`` each; or none."""
        if self.densities is None:
            return {}
        search_model, training_distribution = self.densities
        return {
            "log_prob_search_model": search_model.log_prob(drawn),
            "log_prob_training_distribution": training_distribution.log_prob(drawn),
        }

    def get_extra_state(self) -> dict[str, Any]:
        """How far the search has come; subclasses add what is in no buffer."""
        return {"num_done": self.num_done, "exhausted": self.exhausted}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on after the last complete design iteration."""
        self.num_done = state["num_done"]
        self.exhausted = state["exhausted"]

    def _end_without_designs(self) -> None:
        if self.num_done == 0:
            raise DataError(f"{_NONE_FEASIBLE}: check them, or relax them")
        self.exhausted = True
        rank_zero_warn(
            f"the search ends after design iteration {self.num_done - 1}: {_NONE_FEASIBLE}. What "
            "was found until then is kept",
            category=MBOWarning,
        )
