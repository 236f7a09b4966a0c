"""Search by an estimation-of-distribution algorithm."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.algorithms import CMAES, Algorithm, Samples
from lightning_mbo.data import DesignDataModule
from lightning_mbo.distributed import gather_shards, shard
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.importance import normalized_weights
from lightning_mbo.oracles import Oracle
from lightning_mbo.random import keyed_generator
from lightning_mbo.search_models import CMANormal, SearchModel

from .base import DesignCallback, DesignIteration, announce, design_data

CANDIDATE_QUANTILE = 0.8
"""Candidates are the samples whose oracle mean is at or above this quantile [algorithm 3]."""


class SearchModelUpdate(DesignCallback):
    """One design iteration whenever the oracle has been fitted.

    Acts on `on_oracle_fit_end`: samples the search model, asks the oracle, lets the algorithm
    weigh the samples (E-step), has the search model learn from them (M-step), announces
    `on_search_model_update`, and makes the iteration's metrics available to monitors as
    `design/...`. Stops the trainer after the last iteration. Saves the search model before and
    after the update, the training distribution, and the algorithm.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithms 1 and 2.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        search_model: SearchModel,
        num_samples: int = 10_000,
        num_iterations: int = 20,
    ) -> None:
        """Set up the search.

        Args:
            algorithm: How samples become weights.
            search_model: p_θ; it starts from the training distribution p_0, which is the same
                model fitted to the training designs.
            num_samples: Designs drawn in each design iteration, m.
            num_iterations: Design iterations of the run.

        Raises:
            ConfigurationError: If a count is too small, or the algorithm and the search model do
                not go together.
        """
        if num_samples < 2:
            raise ConfigurationError(f"search.num_samples must be at least 2, not {num_samples}")
        if num_iterations < 1:
            raise ConfigurationError(
                f"search.num_iterations must be at least 1, not {num_iterations}"
            )
        if isinstance(algorithm, CMAES) != isinstance(search_model, CMANormal):
            raise ConfigurationError(
                f"search.algorithm {type(algorithm).__name__} does not go with "
                f"search.search_model {type(search_model).__name__}: CMAES and CMANormal need each "
                "other. Set both, or neither"
            )
        self.algorithm = algorithm
        self.search_model = search_model
        self.num_samples = num_samples
        self.num_iterations = num_iterations
        self.num_done = 0
        self.best_score = -float("inf")
        self.best_iteration = -1
        self._exhausted = False
        self._data: DesignDataModule | None = None

    @property
    def finished(self) -> bool:
        """Whether all design iterations are done, or no sample was worth going on from."""
        return self._exhausted or self.num_done >= self.num_iterations

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Fit the training distribution, start the search model from it, serve evaluation."""
        data = design_data(trainer)
        data.test_designs = [
            self.last_samples,
            lambda: self._draw(self.training_distribution, len(data.designs), "baseline", 0),
        ]
        if data is self._data:  # a later stage of the same run
            return
        self._data = data
        self.search_model.build(data.design_shape)
        self.search_model.fit(data.designs, torch.ones(len(data.designs)))
        self.algorithm.start(data.designs, data.properties)
        self.training_distribution = copy.deepcopy(self.search_model)
        self.search_model.begin_search()
        self.sampled_model = copy.deepcopy(self.search_model)
        for module in self._modules().values():
            module.requires_grad_(False).to(trainer.strategy.root_device)

    def on_train_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """A run that was finished before it was resumed stops at once."""
        trainer.should_stop = trainer.should_stop or self.finished

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        """E-step and M-step."""
        if self.finished:
            trainer.should_stop = True
            return
        samples = self._sample(oracle)
        weights = normalized_weights(self.algorithm.log_weights(samples))
        self.sampled_model.load_state_dict(self.search_model.state_dict())
        self._exhausted = not weights.any()
        if not self._exhausted:
            self.search_model.update(*self.algorithm.fitting_set(samples, weights))
        iteration = self._record(samples)
        self.num_done += 1
        if self._exhausted:
            pl.utilities.rank_zero_warn(
                f"the search ends after design iteration {iteration.number}: no sample has a "
                "finite weight. What was found until then is kept"
            )
        announce(trainer, "on_search_model_update", oracle, iteration)
        for name, value in iteration.metrics.items():
            # For callbacks that monitor; `Trajectory` hands the figures to the loggers.
            oracle.log(f"design/{name}", value, logger=False, sync_dist=True)
        trainer.should_stop = trainer.should_stop or self.finished

    def last_samples(self) -> Tensor:
        """The samples of the last design iteration, drawn again, ``(m, *design_shape)``."""
        return self._draw(self.sampled_model, self.num_samples, "design", max(0, self.num_done - 1))

    def more_samples(self, num_samples: int) -> Tensor:
        """New samples of the model of the last design iteration, ``(m, *design_shape)``."""
        return self._draw(self.sampled_model, num_samples, "predict", self.num_done)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next design iteration depends on."""
        return {
            "num_done": self.num_done,
            "num_samples": self.num_samples,
            "exhausted": self._exhausted,
            "best_score": self.best_score,
            "best_iteration": self.best_iteration,
            **{name: module.state_dict() for name, module in self._modules().items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the last complete design iteration."""
        self.num_done = state_dict["num_done"]
        self._exhausted = state_dict["exhausted"]
        self.best_score = state_dict["best_score"]
        self.best_iteration = state_dict["best_iteration"]
        for name, module in self._modules().items():
            module.load_state_dict(state_dict[name])

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {
            "algorithm": self.algorithm,
            "search_model": self.search_model,
            "sampled_model": self.sampled_model,
            "training_distribution": self.training_distribution,
        }

    def _draw(self, model: SearchModel, num_samples: int, purpose: str, index: int) -> Tensor:
        device = next(model.buffers()).device
        return model.sample(num_samples, keyed_generator(purpose, index, device=device))

    def _sample(self, oracle: Oracle) -> Samples:
        designs = self._draw(self.search_model, self.num_samples, "design", self.num_done)
        mine = designs[shard(self.num_samples)]
        prediction, disagreement = oracle.predict(mine)
        columns = gather_shards(
            torch.stack(
                [
                    prediction.loc,
                    prediction.scale,
                    disagreement,
                    self.search_model.log_prob(mine),
                    self.training_distribution.log_prob(mine),
                ],
                dim=1,
            ),
            self.num_samples,
        )
        mean, std, disagreement, log_prob, log_prob_training = columns.unbind(1)
        return Samples(
            designs,
            Normal(mean, std, validate_args=False),
            disagreement,
            log_prob,
            log_prob_training,
        )

    def _record(self, samples: Samples) -> DesignIteration:
        score = samples.prediction.loc.nanquantile(CANDIDATE_QUANTILE).item()
        # Checkpoints compare float32 figures: so does this, lest they choose differently.
        is_best = float(np.float32(score)) > self.best_score
        if is_best:
            self.best_score, self.best_iteration = float(np.float32(score)), self.num_done
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=self.algorithm.threshold.item(),
            candidate_threshold=score,
            is_best=is_best,
            search_model=self.search_model,
            training_distribution=self.training_distribution,
            metrics={
                "oracle_p80": score,
                "threshold": self.algorithm.threshold.item(),
                "search_model_entropy": -samples.log_prob.mean().item(),
                "kl_from_training": (samples.log_prob - samples.log_prob_training).mean().item(),
                "ensemble_disagreement": samples.disagreement.mean().item(),
            },
        )
