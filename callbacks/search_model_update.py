"""Search by an estimation-of-distribution algorithm."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.algorithms import CMAES, Algorithm, Samples
from lightning_mbo.data import DesignDataModule
from lightning_mbo.distributed import gather_shards, shard
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.importance import (
    effective_sample_size,
    log_density_ratios,
    mixed_with_equal,
    normalized_weights,
)
from lightning_mbo.oracles import Oracle
from lightning_mbo.random import keyed_generator
from lightning_mbo.search_models import (
    DRAWS_PER_SAMPLE,
    CMANormal,
    Draws,
    Quadrature,
    SearchModel,
    sample_allowed,
    search_model_for,
)

from .base import DesignIteration, design_data
from .search import Search

CANDIDATE_QUANTILE = 0.8
"""Candidates are the samples whose oracle mean is at or above this quantile [algorithm 3]."""


class SearchModelUpdate(Search):
    """Search by samples of a search model, which is refitted to the best of them.

    Acts on `on_oracle_fit_end`, as every `Search`: samples the search model, asks the oracle, lets
    the algorithm weigh the samples (E-step), and has the search model learn from them (M-step).
    Saves the search model before and after the update, the training distribution, and the
    algorithm.

    Designs are the nearest that can be made of what the model draws, and only feasible ones are
    kept. The oracle judges the designs; densities, weights and the update are of the draws.
    Conditioned on feasibility densities are greater by a factor that is the same for all draws,
    which normalised weights do not depend on.

    When the weights leave fewer samples than the search model has dimensions, by their effective
    number, the update mixes in the model as it was, by the least share that keeps so many.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithms 1 and 2.
    """

    candidate_quantile = CANDIDATE_QUANTILE
    search_model: SearchModel

    def __init__(
        self,
        algorithm: Algorithm,
        search_model: SearchModel | None = None,
        num_samples: int = 10_000,
        num_iterations: int = 20,
        select: Literal["promise", "held_out_likelihood"] = "promise",
    ) -> None:
        """Set up the search.

        Args:
            algorithm: How samples become weights.
            search_model: p_θ; it starts from the training distribution p_0, which is the same
                model fitted to the training designs. By default what the designs ask for: of
                numbers `MultivariateNormal` (`CMANormal` for CMAES), of letters or categories
                `Categorical`, of both `Product`, which a model of one of the two becomes a part of.
            num_samples: Designs drawn in each design iteration, m.
            num_iterations: Design iterations of the run.
            select: Which iteration the candidates are of: the one of the greatest `promise`, the
                80th percentile of the oracle's means, or of the greatest `held_out_likelihood`,
                weighted as often as the search finds the held-out designs.

        Raises:
            ConfigurationError: If a count is too small, or the algorithm and the search model do
                not go together.
        """
        super().__init__(select)
        if num_samples < 2:
            raise ConfigurationError(f"search.num_samples must be at least 2, not {num_samples}")
        if num_iterations < 1:
            raise ConfigurationError(
                f"search.num_iterations must be at least 1, not {num_iterations}"
            )
        if search_model is None and isinstance(algorithm, CMAES):
            search_model = CMANormal()
        if search_model is not None:
            _check_together(algorithm, search_model)
        self.algorithm = algorithm
        self.given_search_model = search_model
        self.num_samples = num_samples
        self.num_iterations = num_iterations
        self._data: DesignDataModule | None = None
        self._has_warned = False
        self._has_warned_of_size = False

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Fit the training distribution, start the search model from it, serve evaluation."""
        super().setup(trainer, oracle, stage)
        data = design_data(trainer)
        data.test_designs = {
            "search": self.last_samples,
            "training distribution": lambda: (
                self._some(self.training_distribution, len(data.designs), "baseline", 0).designs
            ),
        }
        if data is self._data:  # a later stage of the same run
            return
        self._data = data
        self.search_model = search_model_for(data.space, self.given_search_model)
        self.search_model.build(data.space)
        self.search_model.fit(data.designs, torch.ones_like(data.properties))
        self.algorithm.start(data.designs, data.properties)
        self.training_distribution = copy.deepcopy(self.search_model)
        self.search_model.begin_search()
        self.sampled_model = copy.deepcopy(self.search_model)
        for module in self._modules().values():
            module.requires_grad_(False).to(trainer.strategy.root_device)
        self.find_preimages(data, trainer.strategy.root_device)

    def iterate(self, oracle: Oracle) -> DesignIteration | None:
        """E-step and M-step; without a sample that weighs anything the search is exhausted."""
        draws = self._draw(self.search_model, self.num_samples, "design", self.num_done)
        if len(draws.designs) < 2:
            return None
        if len(draws.designs) < self.num_samples and not self._has_warned:
            self._has_warned = True
            rank_zero_warn(
                f"of {DRAWS_PER_SAMPLE * self.num_samples:,} designs drawn in design iteration "
                f"{self.num_done} only {len(draws.designs):,} meet data.constraints: the search "
                "goes on with these"
            )
        samples = self._judged(draws.drawn, draws.designs, oracle)
        self.sampled_model.load_state_dict(self.search_model.state_dict())
        update = self._update(samples, oracle)
        self.exhausted = update is None
        rate = {"acceptance_rate": draws.acceptance_rate} if self._problem.has_constraints else {}
        return self._record(samples, rate | (update or {}))

    def last_samples(self) -> Tensor:
        """The samples of the last design iteration, drawn again, ``(m, *design_shape)``."""
        draws = self._some(
            self.sampled_model, self.num_samples, "design", max(0, self.num_done - 1)
        )
        return draws.designs

    def more_samples(self, num_samples: int) -> Draws:
        """New samples of the model of the last design iteration."""
        return self._some(self.sampled_model, num_samples, "predict", self.num_done)

    @property
    def densities(self) -> tuple[SearchModel, SearchModel]:
        """The search model of the last design iteration, and the training distribution."""
        return self.sampled_model, self.training_distribution

    @property
    def present_threshold(self) -> Tensor:
        """The algorithm's threshold."""
        return self.algorithm.threshold

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next design iteration depends on."""
        return {
            **super().state_dict(),
            "num_samples": self.num_samples,
            **{name: module.state_dict() for name, module in self._modules().items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the last complete design iteration."""
        super().load_state_dict(state_dict)
        for name, module in self._modules().items():
            module.load_state_dict(state_dict[name])

    @property
    def _problem(self) -> DesignDataModule:
        assert self._data is not None
        return self._data

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {
            "algorithm": self.algorithm,
            "search_model": self.search_model,
            "sampled_model": self.sampled_model,
            "training_distribution": self.training_distribution,
        }

    def _draw(self, model: SearchModel, num_samples: int, purpose: str, index: int) -> Draws:
        """Feasible samples, at most as many as are wanted."""
        data = self._problem
        generator = keyed_generator(purpose, index, device=next(model.buffers()).device)
        feasible = data.feasible if data.has_constraints else None
        return sample_allowed(model, num_samples, generator, data.nearest_allowed, feasible)

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
        if isinstance(self.search_model, Quadrature):
            drawn = self.search_model.nodes
            nodes = self._judged(drawn, self._problem.nearest_allowed(drawn), oracle)
            log_weights = self.algorithm.log_weights(nodes)
            infeasible = ~self._problem.feasible(nodes.designs)
            log_weights = log_weights.masked_fill(infeasible, -torch.inf)
            return {} if self.search_model.reweigh(log_weights) else None
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
                "would go on faster"
            )
        self.search_model.update(drawn, mixed_with_equal(weights, fewest))
        return {"search_effective_sample_size": size}

    def _judged(self, drawn: Tensor, designs: Tensor, oracle: Oracle) -> Samples:
        mine = shard(len(designs))
        prediction, disagreement = oracle.predict(designs[mine])
        columns = gather_shards(
            torch.stack(
                [
                    prediction.loc,
                    prediction.scale,
                    disagreement,
                    self.search_model.log_prob(drawn[mine]),
                    self.training_distribution.log_prob(drawn[mine]),
                ],
                dim=1,
            ),
            len(designs),
        )
        mean, std, disagreement, log_prob, log_prob_training = columns.unbind(1)
        return Samples(
            designs,
            Normal(mean, std, validate_args=False),
            disagreement,
            drawn,
            log_prob,
            log_prob_training,
        )

    def _record(self, samples: Samples, metrics: dict[str, float]) -> DesignIteration:
        score = samples.prediction.loc.nanquantile(CANDIDATE_QUANTILE).item()
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=self.algorithm.threshold.item(),
            candidate_threshold=score,
            search_model=self.search_model,
            training_distribution=self.training_distribution,
            log_ratios=log_density_ratios(
                self.search_model, self.training_distribution, self.training_rows
            ),
            metrics={
                "oracle_p80": score,
                "threshold": self.algorithm.threshold.item(),
                "search_model_entropy": -samples.log_prob.mean().item(),
                "kl_from_training": (samples.log_prob - samples.log_prob_training).mean().item(),
                "ensemble_disagreement": samples.disagreement.mean().item(),
                **metrics,
            },
        )


def _check_together(algorithm: Algorithm, search_model: SearchModel) -> None:
    names = type(algorithm).__name__, type(search_model).__name__
    if isinstance(algorithm, CMAES) != isinstance(search_model, CMANormal):
        raise ConfigurationError(
            f"search.algorithm {names[0]} does not go with search.search_model {names[1]}: CMAES "
            "and CMANormal need each other. Set both, or neither"
        )
    # An algorithm that says what the model is fitted to needs samples, and nodes are none.
    keeps_samples = type(algorithm).fitting_set is not Algorithm.fitting_set
    if keeps_samples and isinstance(search_model, Quadrature):
        raise ConfigurationError(
            f"search.algorithm {names[0]} collects samples, of which Quadrature makes none: give "
            "--search.search_model MultivariateNormal"
        )
