"""Search by gradient ascent on the oracle."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.importance import KINDS, ClassifierRatio
from lightning_mbo.importance.classifier_ratio import FEWEST
from lightning_mbo.oracles import (
    DifferentiableOracle,
    EnsembleObjective,
    Mean,
    Oracle,
    ascent_path,
)
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, JudgedDesigns
from lightning_mbo.search_models import (
    Draws,
    SearchModel,
    fit_to_designs,
    fit_to_particles,
    search_model_for,
)
from lightning_mbo.searches.base import Search

_FURTHER_STARTS = 128
"""At least so many go on together, where candidates are too few."""


class AscentSearch(Search):
    """Climbs the oracle from the best training designs; where they come to are the candidates.

    A design iteration is a segment of the ascent, which goes on where the one before ended. The
    ascent goes through the oracle's inputs, in which it is differentiable, and designs are decoded
    from them: the nearest that can be made. A particle that ends where nothing feasible can be
    made is put back to where it last could be.

    With ratios, an oracle can be refitted between two segments with the weights of a density
    around the decoded particles (`fit_to_particles`), or of a classifier of them and the training
    designs; the particles stay where they are.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021, section 4.3; Fannjiang and Listgarten,
    NeurIPS 2020, section 4, for autofocusing beyond searches that have a search model.

    Attributes:
        with_densities: Whether it is to have ratios, by `ratio_kind`; set before it is started.
        particles: Where the last segment has left them, ``(m, inputs)``; None before the first.
    """

    candidate_quantile = 0.0
    baseline_name = "starting designs"

    def __init__(
        self,
        num_steps: int = 50,
        step_size: float = 0.05,
        num_starts: int = 128,
        objective: EnsembleObjective | None = None,
    ) -> None:
        """Set up the ascent.

        Args:
            num_steps: Steps of a design iteration, T.
            step_size: s; a step is s √(number of inputs) times the gradient of the standardised
                property.
            num_starts: How many of the best training designs to start from, m; and how many
                candidates are wanted, if the table has so many.
            objective: What to climb; default: the members' mean.

        Raises:
            ConfigurationError: If the step size is not positive.
        """
        super().__init__()
        if not 0 < step_size < float("inf"):
            raise ConfigurationError(f"search.step_size must be positive, not {step_size}")
        self.num_steps = num_steps
        self.step_size = step_size
        self.num_starts = num_starts
        self.objective = Mean() if objective is None else objective
        self.with_densities = False
        self.particles: Tensor | None = None
        # In tuples: both follow from the problem and the particles, and are no part of the state.
        self._training_distribution: tuple[SearchModel, ...] = ()
        self._densities: tuple[SearchModel, SearchModel] | None = None

    def start(self, problem: DesignProblem, device: torch.device | str = "cpu") -> None:
        """Choose where to start.

        Raises:
            DataError: If no training design is feasible.
            ConfigurationError: If the particles are too few for a classifier.
        """
        super().start(problem, device)
        training = problem.training
        ranking = training.properties.argsort(descending=True, stable=True)
        self._ranking = ranking[problem.is_feasible(training.designs)[ranking]]
        if len(self._ranking) == 0:
            raise DataError(
                "no training design meets data.constraints, and the ascent needs one to start "
                "from: relax them"
            )
        self.num_wanted = min(self.num_starts, len(self._ranking))
        if not self.with_densities:
            return
        self.ratio = KINDS[self.ratio_kind](problem, device)
        if not isinstance(self.ratio, ClassifierRatio):
            # The prior of its shape, the training designs moved, has no zeros.
            model = search_model_for(replace(problem.space, amounts=None))
            model.stream = problem.stream
            model.build(problem.space)
            fit_to_designs(model, training.designs, problem.space)
            self._training_distribution = (model.requires_grad_(False).to(device),)
        elif self.num_wanted < FEWEST:
            raise ConfigurationError(
                f"autofocus.ratio classifier needs {FEWEST} particles, and the ascent has "
                f"{self.num_wanted}: give more --search.num_starts, or --autofocus.ratio exact"
            )

    def advance(self, oracle: Oracle) -> DesignIteration | None:
        """Climb one segment further."""
        oracle = climbable(oracle)
        # Particles that a checkpoint holds are the CPU's.
        start = (
            self._encoded(oracle, self.num_starts)
            if self.particles is None
            else self.particles.to(oracle.device)
        )
        path = torch.stack([start, *self._climb(oracle, start, self.num_steps, adapting=True)])
        self.particles, (drawn, designs, share) = self._ended(oracle, path)
        if len(designs) == 0:
            return None
        samples = JudgedDesigns(designs, oracle.predict(designs), drawn)
        self._densities = self._fitted_densities(drawn)
        density, training_distribution = self._densities or (None, None)
        log_ratios, held_out_log_ratios = self._log_ratios(designs)
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=self.threshold.item(),
            candidate_threshold=-float("inf"),
            search_model=density,
            training_distribution=training_distribution,
            log_ratios=log_ratios,
            sampled_log_ratios=log_ratios,
            held_out_log_ratios=held_out_log_ratios,
            path=path,
            metrics=self._figures(samples.prediction, share),
        )

    def last_samples(self, oracle: Oracle) -> Tensor:
        """Where the particles are, decoded, ``(m, *design_shape)``; at first, where they start."""
        if self.particles is None:
            return self._starts(self.num_starts)
        return self._feasible(climbable(oracle), self.particles).designs

    def more_samples(self, oracle: Oracle, num_samples: int) -> Draws:
        """Where as long an ascent leads from the best training designs."""
        oracle = climbable(oracle)
        start = self._encoded(oracle, num_samples)
        path = [start, *self._climb(oracle, start, self.num_done * self.num_steps)]
        return self._ended(oracle, path)[1]

    def further_samples(self, oracle: Oracle) -> Iterator[Draws]:
        """Where as long an ascent on the present oracle leads from the next best training designs.

        Many at a time, until there is no training design left.
        """
        oracle = climbable(oracle)
        for rows in self._ranking[self.num_starts :].split(max(self.num_starts, _FURTHER_STARTS)):
            designs = self._problem.training.designs[rows].to(oracle.device, torch.float32)
            start = oracle.representation.encode(designs)
            path = [start, *self._climb(oracle, start, self.num_done * self.num_steps)]
            yield self._ended(oracle, path)[1]

    def baseline(self) -> Tensor:
        """The designs that it starts from."""
        return self._starts(self.num_starts)

    @property
    def densities(self) -> tuple[SearchModel, SearchModel] | None:
        """That around the particles and the training distribution, where it has densities."""
        return self._densities

    def get_extra_state(self) -> dict[str, Any]:
        """How far the search has come, and where its particles are."""
        return {**super().get_extra_state(), "particles": self.particles}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on from where the particles were."""
        super().set_extra_state(state)
        self.particles = state["particles"]

    def _fitted_densities(self, particles: Tensor) -> tuple[SearchModel, SearchModel] | None:
        """p_θ, fitted afresh to feasible particles, and p_0, if they are wanted."""
        if not self._training_distribution:
            return None
        training_distribution = self._training_distribution[0]
        model = copy.deepcopy(training_distribution)
        designs = self._problem.training.designs.to(particles.device)
        fit_to_particles(model, particles, designs, self._problem.space)
        return model, training_distribution

    def _log_ratios(self, designs: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Of the training and of the judged designs, p_θ being that of feasible designs."""
        if isinstance(self.ratio, ClassifierRatio):
            return self.ratio.of_population(designs)
        if self._densities is None or self.ratio is None:
            return None, None
        log_ratios = self.ratio.of_training(*self._densities)
        if not self._problem.held_out.any():
            return log_ratios, log_ratios
        return log_ratios, self.ratio.of_held_out(*self._densities)

    def _starts(self, number: int) -> Tensor:
        return self._problem.training.designs[self._ranking[:number]]

    def _encoded(self, oracle: DifferentiableOracle, number: int) -> Tensor:
        designs = self._starts(number).to(oracle.device, torch.float32)
        return oracle.representation.encode(designs)

    def _ended(
        self, oracle: DifferentiableOracle, path: Sequence[Tensor] | Tensor
    ) -> tuple[Tensor, Draws]:
        """Where a path leaves its particles, and what can be made of it."""
        ends, share = self._last_feasible(oracle, path)
        return ends, self._feasible(oracle, ends)._replace(acceptance_rate=share)

    def _last_feasible(
        self, oracle: DifferentiableOracle, path: Sequence[Tensor] | Tensor
    ) -> tuple[Tensor, float]:
        """Where particles are at the end, or were when they last stood for what can be made.

        Args:
            oracle: Which knows what they stand for.
            path: The particles ``(m, inputs)`` before and after each step.

        Returns:
            Shape ``(m, inputs)``; and the share of those that could be made at the end.
        """
        ends = path[-1].clone()
        share, lost = 1.0, torch.arange(len(ends), device=ends.device)
        for places in reversed(path):
            ends[lost] = places[lost]
            *_, held = self._made(oracle, places[lost])
            if len(lost) == len(ends):
                share = held.double().mean().item()
            lost = lost[~held]
            if len(lost) == 0:
                break
        return ends, share

    def _made(self, oracle: DifferentiableOracle, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What particles ``(m, inputs)`` stand for, the nearest designs, and which are feasible."""
        drawn = oracle.representation.decode(inputs.to(oracle.device)).double()
        designs = self._problem.nearest_allowed(drawn)
        return drawn, designs, self._problem.is_feasible(designs)

    def _feasible(self, oracle: DifferentiableOracle, inputs: Tensor) -> Draws:
        """What particles ``(m, inputs)`` stand for, and the designs that can be made of it."""
        drawn, designs, held = self._made(oracle, inputs)
        return Draws(drawn[held], designs[held], held.double().mean().item())

    def _climb(
        self,
        oracle: DifferentiableOracle,
        inputs: Tensor,
        num_steps: int,
        *,
        adapting: bool = False,
    ) -> list[Tensor]:
        """The particles after each step; the oracle may learn from them, or stays as it is."""
        was_training = oracle.training
        oracle.eval()
        if adapting:
            oracle.adapt(inputs.to(oracle.device), self._problem.training)
        path = ascent_path(
            lambda inputs: self.objective(oracle.input_outputs(inputs)),
            inputs.to(oracle.device),
            num_steps,
            self.step_size,
        )
        steps = []
        for place in path:
            steps.append(place)
            if adapting:
                oracle.adapt(place, self._problem.training)
        oracle.train(was_training)
        return steps


def climbable(oracle: object) -> DifferentiableOracle:
    """An oracle that has a gradient.

    Raises:
        ConfigurationError: If it has none.
    """
    if not isinstance(oracle, DifferentiableOracle):
        raise ConfigurationError(
            "search: GradientAscent needs an oracle with a gradient, such as DeepEnsemble, "
            f"RegressionEnsemble or ConservativeObjectiveModel; {type(oracle).__name__} has none"
        )
    return oracle
