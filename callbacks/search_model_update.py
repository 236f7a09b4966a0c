"""Search by an estimation-of-distribution algorithm."""

from __future__ import annotations

import copy
from typing import Any, Literal

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
from lightning_mbo.search_models import CMANormal, Quadrature, SearchModel

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

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithms 1 and 2.
    """

    candidate_quantile = CANDIDATE_QUANTILE
    has_densities = True

    def __init__(
        self,
        algorithm: Algorithm,
        search_model: SearchModel,
        num_samples: int = 10_000,
        num_iterations: int = 20,
        select: Literal["promise", "held_out_likelihood"] = "promise",
    ) -> None:
        """Set up the search.

        Args:
            algorithm: How samples become weights.
            search_model: p_θ; it starts from the training distribution p_0, which is the same
                model fitted to the training designs.
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
        _check_together(algorithm, search_model)
        self.algorithm = algorithm
        self.search_model = search_model
        self.num_samples = num_samples
        self.num_iterations = num_iterations
        self._data: DesignDataModule | None = None

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Fit the training distribution, start the search model from it, serve evaluation."""
        super().setup(trainer, oracle, stage)
        data = design_data(trainer)
        data.test_designs = {
            "search": self.last_samples,
            "training distribution": lambda: self._draw(
                self.training_distribution, len(data.designs), "baseline", 0
            ),
        }
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

    def iterate(self, oracle: Oracle) -> DesignIteration:
        """E-step and M-step; without a sample that weighs anything the search is exhausted."""
        designs = self._draw(self.search_model, self.num_samples, "design", self.num_done)
        samples = self._judged(designs, oracle)
        self.sampled_model.load_state_dict(self.search_model.state_dict())
        self.exhausted = not self._update(samples, oracle)
        return self._record(samples)

    def last_samples(self) -> Tensor:
        """The samples of the last design iteration, drawn again, ``(m, *design_shape)``."""
        return self._draw(self.sampled_model, self.num_samples, "design", max(0, self.num_done - 1))

    def more_samples(self, num_samples: int) -> Tensor:
        """New samples of the model of the last design iteration, ``(m, *design_shape)``."""
        return self._draw(self.sampled_model, num_samples, "predict", self.num_done)

    @property
    def present_threshold(self) -> Tensor:
        """The algorithm's threshold."""
        return self.algorithm.threshold

    def log_densities(self, designs: Tensor) -> dict[str, Tensor]:
        """Under the search model of the last design iteration and the training distribution."""
        return {
            "log_prob_search_model": self.sampled_model.log_prob(designs),
            "log_prob_training_distribution": self.training_distribution.log_prob(designs),
        }

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

    def _update(self, samples: Samples, oracle: Oracle) -> bool:
        """Update the search model, where a weight is not zero; whether there is one."""
        if isinstance(self.search_model, Quadrature):
            nodes = self._judged(self.search_model.nodes, oracle)
            return self.search_model.reweigh(self.algorithm.log_weights(nodes))
        weights = normalized_weights(self.algorithm.log_weights(samples))
        if not weights.any():
            return False
        self.search_model.update(*self.algorithm.fitting_set(samples, weights))
        return True

    def _judged(self, designs: Tensor, oracle: Oracle) -> Samples:
        mine = designs[shard(len(designs))]
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
            len(designs),
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
        return DesignIteration(
            number=self.num_done,
            samples=samples,
            threshold=self.algorithm.threshold.item(),
            candidate_threshold=score,
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
