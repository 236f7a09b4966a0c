"""Search by gradient ascent on the oracle."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.algorithms import JudgedDesigns
from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.importance import log_density_ratios
from lightning_mbo.oracles import (
    DifferentiableOracle,
    EnsembleObjective,
    Mean,
    Oracle,
    ascent_path,
)
from lightning_mbo.search_models import Draws, SearchModel, fit_to_particles, search_model_for

from .base import DesignIteration, callback_of, design_data
from .importance_weighting import ImportanceWeighting
from .search import Search

_PERCENTILE = 0.8


class GradientAscent(Search):
    """Climbs the oracle from the best training designs; where they come to are the candidates.

    Acts on `on_oracle_fit_end`, as every `Search`: a design iteration is a segment of the ascent,
    which goes on where the one before ended. Saves where the particles are. The ascent goes
    through the oracle's inputs, in which it is differentiable, and designs are decoded from them:
    the nearest that can be made, and of those the feasible ones.

    Autofocused, the oracle is refitted between two segments, with the weights of a density around
    the decoded particles (`fit_to_particles`); the particles stay where they are.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021, section 4.3; Fannjiang and Listgarten,
    NeurIPS 2020, section 4, for autofocusing beyond searches that have a search model.

    Attributes:
        training_distribution: p_0 of an autofocused search; None otherwise.
        path: The inputs before the last segment and after each of its steps, shape
            ``(steps + 1, m, inputs)``.
    """

    candidate_quantile = 0.0
    path: Tensor

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
        super().__init__()
        if min(num_steps, num_starts, num_iterations) < 1:
            raise ConfigurationError(
                "search.num_steps, num_starts and num_iterations must be at least 1, not "
                f"{num_steps}, {num_starts} and {num_iterations}"
            )
        if not 0 < step_size < float("inf"):
            raise ConfigurationError(f"search.step_size must be positive, not {step_size}")
        self.num_steps = num_steps
        self.step_size = step_size
        self.num_starts = num_starts
        self.objective = Mean() if objective is None else objective
        self.num_iterations = num_iterations
        self.particles: Tensor | None = None
        self.training_distribution: SearchModel | None = None

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Choose where to start, and serve evaluation.

        Raises:
            ConfigurationError: If the oracle has no gradient, or is to be refitted between the
                segments and there is one only.
            DataError: If no training design is feasible.
        """
        if not isinstance(oracle, DifferentiableOracle):
            raise ConfigurationError(
                "search: GradientAscent needs an oracle with a gradient, such as DeepEnsemble, "
                f"RegressionEnsemble or ConservativeObjectiveModel; {type(oracle).__name__} has "
                "none"
            )
        super().setup(trainer, oracle, stage)
        data = design_data(trainer)
        self._oracle = oracle
        self._data = data
        ranking = data.properties.argsort(descending=True, stable=True)
        self._ranking = ranking[data.feasible(data.designs)[ranking]]
        if len(self._ranking) == 0:
            raise DataError(
                "no training design meets data.constraints, and the ascent needs one to start "
                "from: relax them"
            )
        self.num_wanted = min(self.num_starts, len(self._ranking))
        data.test_designs = {
            "search": self.last_samples,
            "starting designs": lambda: self._starts(self.num_starts),
        }
        weighting = callback_of(trainer, ImportanceWeighting)
        if stage == "fit" and weighting is not None and weighting.enabled:
            self._fit_training_distribution(data, trainer.strategy.root_device)

    def iterate(self, oracle: Oracle) -> DesignIteration | None:
        """Climb one segment further."""
        # Particles that a checkpoint holds are the CPU's.
        start = (
            self._encoded(self.num_starts)
            if self.particles is None
            else self.particles.to(oracle.device)
        )
        self.path = torch.stack([start, *self._climb(start, self.num_steps)])
        self.particles = self.path[-1]
        drawn, designs, share = self._feasible(self.particles)
        if len(designs) == 0:
            return None
        samples = JudgedDesigns(designs, *oracle.predict(designs), drawn)
        density = self._density()
        log_ratios = None
        if density is not None and self.training_distribution is not None:
            log_ratios = log_density_ratios(density, self.training_distribution, self.training_rows)
        score = samples.prediction.loc.nanquantile(_PERCENTILE).item()
        threshold = self.present_threshold.item()
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=threshold,
            candidate_threshold=-float("inf"),
            search_model=density,
            training_distribution=self.training_distribution,
            log_ratios=log_ratios,
            metrics={
                "oracle_p80": score,
                "threshold": threshold,
                "ensemble_disagreement": samples.disagreement.mean().item(),
                **({"acceptance_rate": share} if self._data.has_constraints else {}),
            },
        )

    def last_samples(self) -> Tensor:
        """Where the particles are, decoded, ``(m, *design_shape)``; at first, where they start."""
        if self.particles is None:
            return self._starts(self.num_starts)
        return self._feasible(self.particles).designs

    def more_samples(self, num_samples: int) -> Draws:
        """Where as long an ascent leads from the best training designs."""
        start = self._encoded(num_samples)
        return self._feasible([start, *self._climb(start, self.num_done * self.num_steps)][-1])

    def further_samples(self) -> Iterator[Draws]:
        """Where as long an ascent on the present oracle leads from the next best training designs.

        As many at a time as the search has particles, until there is no training design left.
        """
        for rows in self._ranking[self.num_starts :].split(self.num_starts):
            designs = self._data.designs[rows].to(self._oracle.device, torch.float32)
            start = self._oracle.representation.encode(designs)
            yield self._feasible(self._climb(start, self.num_done * self.num_steps)[-1])

    @property
    def present_threshold(self) -> Tensor:
        """The greatest training label."""
        return self._data.properties.max()

    @property
    def densities(self) -> tuple[SearchModel, SearchModel] | None:
        """That around the particles and the training distribution, where it is autofocused."""
        density = self._density()
        if density is None or self.training_distribution is None:
            return None
        return density, self.training_distribution

    def state_dict(self) -> dict[str, Any]:
        """How far the search has come, and where its particles are."""
        return {**super().state_dict(), "particles": self.particles}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where the particles were."""
        super().load_state_dict(state_dict)
        self.particles = state_dict["particles"]

    def _fit_training_distribution(self, data: DesignDataModule, device: torch.device) -> None:
        if self.num_iterations == 1:
            raise ConfigurationError(
                "autofocus refits the oracle between the segments of a gradient ascent, and "
                "search.num_iterations 1 makes one segment only: give more, of fewer "
                "search.num_steps each, or leave autofocus out"
            )
        model = search_model_for(data.space)
        model.build(data.space)
        model.fit(data.designs, torch.ones_like(data.properties))
        self.training_distribution = model.requires_grad_(False).to(device)
        self.find_preimages(data, device)

    def _density(self) -> SearchModel | None:
        """p_θ, fitted afresh to the feasible particles before they are moved, if it is wanted."""
        if self.training_distribution is None:
            return None
        model = copy.deepcopy(self.training_distribution)
        if self.particles is None:
            particles = self._starts(self.num_starts).to(self._oracle.device)
        else:
            particles = self._feasible(self.particles).drawn
        fit_to_particles(
            model, particles, self._data.designs.to(particles.device), self._data.space
        )
        return model

    def _starts(self, number: int) -> Tensor:
        return self._data.designs[self._ranking[:number]]

    def _encoded(self, number: int) -> Tensor:
        designs = self._starts(number).to(self._oracle.device, torch.float32)
        return self._oracle.representation.encode(designs)

    def _feasible(self, inputs: Tensor) -> Draws:
        """What particles ``(m, inputs)`` stand for, and the designs that can be made of it."""
        drawn = self._oracle.representation.decode(inputs.to(self._oracle.device)).double()
        designs = self._data.nearest_allowed(drawn)
        held = self._data.feasible(designs)
        return Draws(drawn[held], designs[held], held.double().mean().item())

    def _climb(self, inputs: Tensor, num_steps: int) -> list[Tensor]:
        oracle = self._oracle
        was_training = oracle.training
        oracle.eval()
        path = ascent_path(
            lambda inputs: self.objective(oracle.input_outputs(inputs)),
            inputs.to(oracle.device),
            num_steps,
            self.step_size,
        )
        steps = list(path)
        oracle.train(was_training)
        return steps
