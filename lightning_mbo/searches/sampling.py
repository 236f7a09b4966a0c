"""Search by an estimation-of-distribution algorithm."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_mbo.algorithms import Algorithm
from lightning_mbo.distributed import gather_columns, shard
from lightning_mbo.errors import ConfigurationError, DataError, MBOWarning
from lightning_mbo.importance import (
    KINDS,
    DensityRatio,
    effective_sample_size,
    mixed_with_equal,
    normalized_weights,
)
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, Samples
from lightning_mbo.search_models import (
    DRAWS_PER_SAMPLE,
    CMANormal,
    Draws,
    SearchModel,
    fit_to_designs,
    sample_allowed,
    search_model_for,
)
from lightning_mbo.searches.base import Search
from lightning_mbo.searches.compatibility import check_together

CANDIDATE_QUANTILE = 0.8
"""Candidates are the samples whose oracle mean is at or above this quantile [algorithm 3]."""


class SamplingSearch(Search):
    """Search by samples of a search model, which is refitted to the best of them.

    An iteration samples the search model, asks the oracle, lets the algorithm weigh the samples
    (E-step), and has the search model learn from them (M-step).

    Designs are the nearest that can be made of what the model draws, and only feasible ones are
    kept. The oracle judges the designs; densities, weights and the update are of the draws.
    Conditioned on feasibility densities are greater by a factor that is the same for all draws,
    which normalised weights do not depend on.

    With `smoothing` an update is one to the weighted samples and to the model as it was: of a model
    in the exponential family the maximum a posteriori, with a prior that counts for that share.

    When the weights leave fewer samples than the search model has dimensions, by their effective
    number, the update mixes in the model as it was, by the least share that keeps so many.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithms 1 and 2.

    Attributes:
        algorithm: How samples become weights.
        search_model: p_θ, once it is started.
        sampled_model: The search model that the samples of the last iteration came from.
        training_distribution: p_0.
    """

    candidate_quantile = CANDIDATE_QUANTILE
    baseline_name = "training distribution"
    search_model: SearchModel
    sampled_model: SearchModel
    training_distribution: SearchModel
    ratio: DensityRatio

    def __init__(
        self,
        algorithm: Algorithm,
        search_model: SearchModel | None = None,
        num_samples: int = 10_000,
        smoothing: float = 0.0,
    ) -> None:
        """Set up the search.

        Args:
            algorithm: How samples become weights.
            search_model: p_θ, not yet built; None: what the designs ask for.
            num_samples: Designs drawn in each design iteration, m.
            smoothing: Share of the model before in each update, as of a prior that it is: 0 learns
                from the best samples alone, and 1 would learn nothing.

        Raises:
            ConfigurationError: If a value is out of its range, or the algorithm, the search model
                and the smoothing do not go together.
        """
        super().__init__()
        if num_samples < 2:
            raise ConfigurationError(f"search.num_samples must be at least 2, not {num_samples}")
        if not 0 <= smoothing < 1:
            raise ConfigurationError(f"search.smoothing must lie in [0, 1), not {smoothing}")
        if search_model is None and algorithm.gives_ranks:
            search_model = CMANormal()
        check_together(algorithm, search_model, smoothing)
        self.algorithm = algorithm
        self.num_samples = num_samples
        self.smoothing = smoothing
        # In a tuple: what has not been built is no part of the state.
        self._given = (search_model,)
        self._has_warned = False
        self._has_warned_of_size = False

    def start(self, problem: DesignProblem, device: torch.device | str = "cpu") -> None:
        """Fit the training distribution, and start the search model from it."""
        super().start(problem, device)
        training = problem.training
        self.search_model = search_model_for(problem.space, *self._given)
        self.search_model.stream = problem.stream
        self.search_model.build(problem.space)
        fit_to_designs(self.search_model, training.designs, problem.space)
        self.algorithm.start(training.designs, training.properties)
        self.training_distribution = copy.deepcopy(self.search_model)
        self.search_model.begin_search()
        self.sampled_model = copy.deepcopy(self.search_model)
        self.requires_grad_(False).to(device)
        self.ratio = KINDS[self.ratio_kind](self._as_drawn(problem), device)
        self._sampled_log_ratios: Tensor | None = None

    def advance(self, oracle: Oracle) -> DesignIteration | None:
        """E-step and M-step; without a sample that weighs anything the search is exhausted."""
        draws = self._draw(self.search_model, self.num_samples, "design", self.num_done)
        if len(draws.designs) < 2:
            return None
        if len(draws.designs) < self.num_samples and not self._has_warned:
            self._has_warned = True
            rank_zero_warn(
                f"of {DRAWS_PER_SAMPLE * self.num_samples:,} designs drawn in design iteration "
                f"{self.num_done} only {len(draws.designs):,} meet data.constraints: the search "
                "goes on with these",
                category=MBOWarning,
            )
        samples = self._judged(draws.drawn, draws.designs, oracle)
        self.sampled_model.load_state_dict(self.search_model.state_dict())
        update = self._update(samples, oracle)
        self.exhausted = update is None
        constrained = self._problem.feasible is not None
        rate = {"acceptance_rate": draws.acceptance_rate} if constrained else {}
        return self._record(samples, rate | (update or {}))

    def last_samples(self, oracle: Oracle) -> Tensor:
        """The samples of the last design iteration, drawn again, ``(m, *design_shape)``."""
        draws = self._some(
            self.sampled_model, self.num_samples, "design", max(0, self.num_done - 1)
        )
        return draws.designs

    def more_samples(self, oracle: Oracle, num_samples: int) -> Draws:
        """New samples of the model of the last design iteration."""
        return self._some(self.sampled_model, num_samples, "predict", self.num_done)

    def draws_of_training(self, num_samples: int) -> Draws:
        """New samples of the training distribution, at most."""
        return self._some(self.training_distribution, num_samples, "blind", 0)

    def baseline(self) -> Tensor:
        """Samples of the training distribution, as many as training designs."""
        number = len(self._problem.training.designs)
        draws = self._some(self.training_distribution, number, "baseline", 0)
        return draws.designs

    @property
    def densities(self) -> tuple[SearchModel, SearchModel]:
        """The search model of the last design iteration, and the training distribution."""
        return self.sampled_model, self.training_distribution

    @property
    def threshold(self) -> Tensor:
        """The algorithm's threshold."""
        return self.algorithm.threshold

    def _as_drawn(self, problem: DesignProblem) -> DesignProblem:
        """The problem, of whose designs only such draws are told as the search model makes."""
        if problem.space.amounts is None:
            return problem
        model = copy.deepcopy(self.training_distribution).cpu()
        return replace(
            problem, cells=lambda designs: model.cells(designs, problem.cells_of(designs))
        )

    def _draw(self, model: SearchModel, num_samples: int, purpose: str, index: int) -> Draws:
        """Feasible samples, at most as many as are wanted."""
        problem = self._problem
        generator = problem.stream.generator(purpose, index, device=next(model.buffers()).device)
        return sample_allowed(
            model.sample, num_samples, generator, problem.nearest_allowed, problem.feasible
        )

    def _some(self, model: SearchModel, num_samples: int, purpose: str, index: int) -> Draws:
        draws = self._draw(model, num_samples, purpose, index)
        if len(draws.designs) == 0:
            raise DataError(
                f"of {DRAWS_PER_SAMPLE * num_samples:,} designs drawn from the search model none "
                "meets data.constraints: relax them"
            )
        return draws

    def _update(self, samples: Samples, oracle: Oracle) -> dict[str, float] | None:
        """Update the search model: figures of the update, or None if all weights are zero."""
        if self.search_model.has_nodes:
            drawn = self.search_model.nodes
            nodes = self._judged(drawn, self._problem.nearest_allowed(drawn), oracle)
            feasible = self._problem.is_feasible(nodes.designs)
            return {} if reweighed(self.search_model, self.algorithm, nodes, feasible) else None
        weights = normalized_weights(self.algorithm.log_weights(samples))
        if not weights.any():
            return None
        drawn, weights = self.algorithm.fitting_set(samples, weights)
        size = effective_sample_size(weights).item()
        # As many as make a covariance of full rank.
        fewest = self._problem.space.num_numbers + 1
        if size < fewest and not self._has_warned_of_size:
            self._has_warned_of_size = True
            rank_zero_warn(
                f"design iteration {self.num_done}: the {len(weights):,} samples count for "
                f"{size:.1f} by their weights, fewer than the {fewest} that the search model "
                "needs: it is updated as little as keeps so many. With more search.num_samples it "
                "would go on faster",
                category=MBOWarning,
            )
        # All samples together, weighing the same, stand for the model that they came from.
        smoothed = (1 - self.smoothing) * weights + self.smoothing * weights.mean()
        self.search_model.update(drawn, mixed_with_equal(smoothed, fewest))
        return {"search_effective_sample_size": size}

    def _judged(self, drawn: Tensor, designs: Tensor, oracle: Oracle) -> Samples:
        mine = shard(len(designs))
        prediction = oracle.predict(designs[mine])
        *predicted, log_prob, log_prob_training = gather_columns(
            [
                *prediction.columns,
                self.search_model.log_prob(drawn[mine]),
                self.training_distribution.log_prob(drawn[mine]),
            ],
            len(designs),
        )
        judged = prediction.of_columns(predicted)
        return Samples(designs, judged, drawn, log_prob, log_prob_training)

    def _record(self, samples: Samples, metrics: dict[str, float]) -> DesignIteration:
        score = samples.prediction.mean.nanquantile(CANDIDATE_QUANTILE).item()
        sampled = self._sampled_log_ratios
        if sampled is None:
            sampled = self.ratio.of_training(*self.densities)
        # Before those of the update: the ratio may remember the sampled model's.
        held_out = (
            self.ratio.of_held_out(*self.densities) if self._problem.held_out.any() else sampled
        )
        updated = self.ratio.of_training(self.search_model, self.training_distribution)
        # The next samples come from the model that this update has made.
        self._sampled_log_ratios = updated
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=self.threshold.item(),
            candidate_threshold=score,
            search_model=self.search_model,
            training_distribution=self.training_distribution,
            log_ratios=updated,
            sampled_log_ratios=sampled,
            held_out_log_ratios=held_out,
            metrics={
                "oracle_p80": score,
                "threshold": self.threshold.item(),
                "search_model_entropy": -samples.log_prob.mean().item(),
                "kl_from_training": (samples.log_prob - samples.log_prob_training).mean().item(),
                "ensemble_disagreement": samples.prediction.epistemic_std.mean().item(),
                **self.sampled_model.figures(),
                **metrics,
            },
        )


def reweighed(
    search_model: SearchModel, algorithm: Algorithm, nodes: Samples, feasible: Tensor
) -> bool:
    """E-step and M-step of a search model with nodes.

    Args:
        search_model: p_θ, which is updated.
        algorithm: Which weighs the nodes.
        nodes: What the oracle says of them, and their densities.
        feasible: Which of them meet all constraints, bool, ``(m,)``.

    Returns:
        Whether any node has a weight; if none has, the model is left as it is.
    """
    log_weights = algorithm.log_weights(nodes)
    return search_model.reweigh(log_weights.masked_fill(~feasible, -torch.inf))
