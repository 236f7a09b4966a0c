"""An oracle for each of several results."""

from __future__ import annotations

import copy
from dataclasses import astuple
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lightning_mbo.advance import Advance
from lightning_mbo.common_error import CommonError
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.goals import Goal
from lightning_mbo.oracles.base import Oracle
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction
from lightning_mbo.space import DesignSpace


class ResultOracles(ClosedFormOracle):
    """Of several results each has an oracle of its own; what they say makes one prediction.

    Rows that lack some of the results teach the oracles of the others. Importance weights are the
    same for all results; rows that are not in the problem, as they lack one, keep their own. What
    the errors have in common is estimated from left-out rows, where the oracles cross-validate.

    Attributes:
        fitted: An oracle for each result.
    """

    loss: Tensor
    scales: Tensor
    front: Tensor
    worst: Tensor
    cells: Tensor
    loadings: Tensor
    num_compared: Tensor

    def __init__(self, oracle: ClosedFormOracle) -> None:
        """Choose the oracles.

        Args:
            oracle: What each result has one of, not fitted.
        """
        super().__init__()
        # In a tuple: no module of this one, and copies are fitted.
        self._kinds = (oracle,)
        self._goals: tuple[Goal, ...] = ()
        self.double()

    @property
    def oracle(self) -> ClosedFormOracle:
        """What each result has one of, not fitted."""
        return self._kinds[0]

    @property
    def of_results(self) -> list[ClosedFormOracle]:
        """Those that are fitted, one a result."""
        return cast(list[ClosedFormOracle], list(self.fitted))

    @property
    def advance(self) -> Advance:
        """How far results lie beyond the best training rows."""
        return Advance(self._goals, self.scales, self.front, self.worst, self.cells)

    @property
    def common_error(self) -> CommonError:
        """What the errors of the results have in common."""
        return CommonError(self.loadings, self.num_compared)

    def prepare(self, problem: DesignProblem) -> None:
        """Note the goals, and build.

        Raises:
            ConfigurationError: If the problem has one property.
        """
        if problem.results is None:
            raise ConfigurationError("ResultOracles need several results: give data.targets")
        if not self._goals:
            self._goals = problem.results.advance.goals
        super().prepare(problem)

    def build(self, space: DesignSpace) -> None:
        """Build one for each result."""
        self.fitted = nn.ModuleList(copy.deepcopy(self.oracle) for _ in self._goals)
        for oracle in self.of_results:
            oracle.stream = self.stream
            oracle.build(space)

    def start(self, problem: DesignProblem) -> None:
        """Have the oracles start, and note the best rows."""
        assert problem.results is not None
        for number, oracle in enumerate(self.of_results):
            oracle.start(problem.of_result(number))
        self.register_buffer("loss", self.property_mean.new_zeros(()))
        for name in ("scales", "front", "worst", "cells"):
            self.register_buffer(name, getattr(problem.results.advance, name).to(self.loss))
        independent = CommonError.none(self.scales, len(self._goals))
        self.register_buffer("loadings", independent.loadings)
        self.register_buffer("num_compared", independent.num_rows)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the goals too."""
        super().on_save_checkpoint(checkpoint)
        if "oracle" in checkpoint:
            checkpoint["oracle"]["goals"] = [list(astuple(goal)) for goal in self._goals]

    def _build_as_saved(self, saved: dict[str, Any], state: dict[str, Tensor]) -> None:
        self._goals = tuple(Goal(*goal) for goal in saved["goals"])
        super()._build_as_saved(saved, state)

    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """Fit each to its result."""
        for number, oracle in enumerate(self.of_results):
            own = problem.of_result(number)
            further = own.base_weights[len(weights) :].to(weights)
            oracle.solve(own, torch.cat([weights, further]), generator)
        losses = [oracle.validation_loss().to(self.loss) for oracle in self.of_results]
        self.loss = torch.stack(losses).sum()
        residuals = self._residuals(problem)
        if residuals is not None:
            self.loadings, self.num_compared = CommonError.of(residuals.to(self.loss))

    def validation_loss(self) -> Tensor:
        """The sum of the results'."""
        return self.loss

    def refitted(self, problem: DesignProblem, generator: torch.Generator) -> Self:
        """One more of its kind, each result's refitted in its own way.

        That their errors have as much in common as those of this one is taken over.
        """
        other = self._blank()
        other.prepare(problem)
        other.loadings, other.num_compared = self.common_error
        for number, oracle in enumerate(self.of_results):
            other.fitted[number] = oracle.refitted(problem.of_result(number), generator)
        return other

    def member_outputs(self, designs: Tensor) -> Normal:
        """The advance's mean and deviation, batch shape ``(1, b)``."""
        prediction = self.predict(designs)
        return Normal(prediction.mean[None], prediction.std[None], validate_args=False)

    @torch.no_grad()
    def predict(self, designs: Tensor) -> PredictionOfResults:
        """Judge many designs ``(m, *design_shape)``."""
        return self._together([oracle.predict(designs) for oracle in self.of_results])

    def predict_unseen(self, problem: DesignProblem) -> Prediction | None:
        """Of the held-out rows, or of all, by fits without each."""
        said = []
        for number, oracle in enumerate(self.of_results):
            prediction = oracle.predict_unseen(problem.of_result(number))
            if prediction is None:
                return None
            said.append(prediction[: len(problem.judged.designs)])
        return self._together(said)

    def figures(self) -> dict[str, float]:
        """Those of each result's oracle, with its name before them, and how errors go together."""
        of_each = {
            f"{goal.name}_{figure}": value
            for goal, oracle in zip(self._goals, self.of_results, strict=True)
            for figure, value in oracle.figures().items()
        }
        return of_each | self.common_error.figures([goal.name for goal in self._goals])

    def _residuals(self, problem: DesignProblem) -> Tensor | None:
        """How far labels lie from what fits without them say, in its deviations, ``(n + p, q)``.

        NaN where one is missing. None of oracles that do not cross-validate.
        """
        assert problem.results is not None
        known = torch.cat([problem.results.values, problem.results.further.values]).isfinite()
        residuals = torch.full_like(known, torch.nan, dtype=torch.float64)
        for number, oracle in enumerate(self.of_results):
            own = problem.of_result(number)
            said = oracle.predict_unseen(own)
            if said is None:
                return None
            said = own.label_prediction(said.to("cpu"))
            residuals[known[:, number], number] = (own.properties - said.mean) / said.std
        return residuals

    def _together(self, said: list[Prediction]) -> PredictionOfResults:
        columns = zip(*(prediction.columns for prediction in said), strict=True)
        results = said[0].of_columns([torch.stack(column, 1) for column in columns])
        return PredictionOfResults.of(results, self.advance, self.common_error)


def for_results(oracle: Oracle, several: bool) -> Oracle:
    """An oracle for each result, where there are several and it is fitted in one call.

    Others learn their advance, as any property.
    """
    if not several or not isinstance(oracle, ClosedFormOracle) or isinstance(oracle, ResultOracles):
        return oracle
    return ResultOracles(oracle)
