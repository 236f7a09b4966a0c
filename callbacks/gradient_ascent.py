"""Search by gradient ascent on the oracle."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.algorithms import JudgedDesigns
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import (
    DifferentiableOracle,
    EnsembleObjective,
    Mean,
    Oracle,
    ascent_path,
)

from .base import DesignIteration, design_data
from .search import Search

_PERCENTILE = 0.8


class GradientAscent(Search):
    """Climbs the oracle from the best training designs; where they come to are the candidates.

    Acts on `on_oracle_fit_end`, as every `Search`: a design iteration is a segment of the ascent,
    which goes on where the one before ended. Saves where the particles are. The ascent goes
    through the oracle's inputs, in which it is differentiable, and designs are decoded from them.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021, section 4.3.

    Attributes:
        path: The inputs before the last segment and after each of its steps, shape
            ``(steps + 1, m, inputs)``.
    """

    candidate_quantile = 0.0
    has_densities = False
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
            num_starts: How many of the best training designs to start from, m.
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

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Choose where to start, and serve evaluation.

        Raises:
            ConfigurationError: If the oracle has no gradient.
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
        self._designs = data.designs
        self._ranking = data.properties.argsort(descending=True, stable=True)
        self._best_label = data.properties.max()
        data.test_designs = {
            "search": self.last_samples,
            "starting designs": lambda: self._starts(self.num_starts),
        }

    def iterate(self, oracle: Oracle) -> DesignIteration:
        """Climb one segment further."""
        start = self._encoded(self.num_starts) if self.particles is None else self.particles
        self.path = torch.stack([start, *self._climb(start, self.num_steps)])
        self.particles = self.path[-1]
        designs = self.last_samples()
        samples = JudgedDesigns(designs, *oracle.predict(designs))
        score = samples.prediction.loc.nanquantile(_PERCENTILE).item()
        threshold = self.present_threshold.item()
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=threshold,
            candidate_threshold=-float("inf"),
            metrics={
                "oracle_p80": score,
                "threshold": threshold,
                "ensemble_disagreement": samples.disagreement.mean().item(),
            },
        )

    def last_samples(self) -> Tensor:
        """Where the particles are, decoded, ``(m, *design_shape)``; at first, where they start."""
        if self.particles is None:
            return self._starts(self.num_starts)
        return self._oracle.representation.decode(self.particles.to(self._oracle.device)).double()

    def more_samples(self, num_samples: int) -> Tensor:
        """Where as long an ascent leads from the best training designs, ``(m, *design_shape)``."""
        start = self._encoded(num_samples)
        end = [start, *self._climb(start, self.num_done * self.num_steps)][-1]
        return self._oracle.representation.decode(end).double()

    @property
    def present_threshold(self) -> Tensor:
        """The greatest training label."""
        return self._best_label

    def state_dict(self) -> dict[str, Any]:
        """How far the search has come, and where its particles are."""
        return {**super().state_dict(), "particles": self.particles}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where the particles were."""
        super().load_state_dict(state_dict)
        self.particles = state_dict["particles"]

    def _starts(self, number: int) -> Tensor:
        return self._designs[self._ranking[:number]]

    def _encoded(self, number: int) -> Tensor:
        designs = self._starts(number).to(self._oracle.device, torch.float32)
        return self._oracle.representation.encode(designs)

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
