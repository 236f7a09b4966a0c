"""Density ratios p_θ/p_0 of rows of the table, by a classifier of samples and training designs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.distributed import from_rank_zero
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.importance.classifier import NUM_FOLDS
from lightning_mbo.importance.ratios import DensityRatio
from lightning_mbo.importance.telescope import Lot, Odds, told_apart
from lightning_mbo.oracles.folds import balanced_folds
from lightning_mbo.problem import DesignProblem
from lightning_mbo.search_models import SearchModel

FEWEST = 2 * NUM_FOLDS
"""So many different designs, and so many samples, make a classifier."""
_FEWEST_SAMPLES, _MOST_SAMPLES = 1000, 5000


class _Estimate(NamedTuple):
    """What one lot of samples ``(m, *design_shape)`` has come to.

    `log_mean` is the logarithm of the mean ratio of the training designs, which is taken off
    `training`, their log-ratios ``(n,)``.
    """

    samples: Tensor
    classifiers: Sequence[Odds]
    training: Tensor
    log_mean: Tensor

    def of_others(self, designs: Tensor) -> Tensor:
        """Log-ratios of designs ``(m, *design_shape)`` that no classifier knows, ``(m,)``."""
        log_odds = [classifier.log_odds(designs) for classifier in self.classifiers]
        return torch.stack(log_odds).mean(0) - self.log_mean


class ClassifierRatio(DensityRatio):
    """By a classifier that tells samples of p_θ from the training designs themselves.

    A p_0 that was fitted to the designs is not their law: where they lie in clusters, weights by
    the ratio to it leave the clusters standing. The odds of a classifier are the ratio to the
    designs' own law. It is cross-fitted, so that no row is weighed by a fit that knows the row, and
    scaled to a mean ratio of one over the training designs. It needs no density of p_θ. Where p_θ
    is far from the designs, several classifiers of waypoints between them may take its place.

    All draws are a function of the run's seed alone, so that ratios are one of the search model.

    References: Sugiyama, Suzuki and Kanamori, "Density ratio estimation in machine learning", 2012,
    chapter 4; Grover et al., "Bias correction of learned generative models using likelihood-free
    importance weighting", NeurIPS 2019.
    """

    def __init__(self, problem: DesignProblem, device: torch.device | str = "cpu") -> None:
        """Share the training designs out among the folds.

        Args:
            problem: Whose rows.
            device: Of the search models.

        Raises:
            ConfigurationError: If there are too few.
        """
        self._problem = problem
        num_things = int(problem.training.things.max()) + 1
        if num_things < FEWEST:
            raise ConfigurationError(
                f"autofocus.ratio classifier needs {FEWEST} different training designs, and there "
                f"are {num_things}: give --autofocus.ratio exact"
            )
        # Rows that are equal are draws of their own: a law without all of them is another one.
        self._folds = self._random_folds(len(problem.training.designs), 0).to(device)
        # As what is made of samples: in a fixed column all are alike.
        self._training, self._held_out = (
            problem.nearest_allowed(part.designs.to(device))
            for part in (problem.training, problem.evidence)
        )
        self._last: _Estimate | None = None

    def of_training(self, search_model: SearchModel, training_distribution: SearchModel) -> Tensor:
        """Of the problem's training designs, shape ``(n,)``."""
        return self.of_population(self._sampled(search_model))[0]

    def of_held_out(self, search_model: SearchModel, training_distribution: SearchModel) -> Tensor:
        """Of the problem's judged designs, shape ``(h,)``."""
        return self.of_population(self._sampled(search_model))[1]

    def of_designs(
        self, designs: Tensor, search_model: SearchModel, training_distribution: SearchModel
    ) -> Tensor:
        """Of designs ``(m, *design_shape)`` that nobody has drawn, shape ``(m,)``."""
        estimate = self._estimate(self._sampled(search_model))
        return from_rank_zero(estimate.of_others(self._problem.nearest_allowed(designs)))

    def of_population(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Of the training and of the judged designs, where p_θ is known by samples alone.

        Args:
            samples: Designs, shape ``(m, *design_shape)``.

        Returns:
            Shapes ``(n,)`` and ``(h,)``; NaN where there are fewer samples than `FEWEST`.
        """
        held_out = self._problem.held_out.any()
        if len(samples) < FEWEST:
            training = torch.full_like(self._training.flatten(1)[:, 0], torch.nan)
            judged = torch.full_like(self._held_out.flatten(1)[:, 0], torch.nan)
        else:
            estimate = self._estimate(samples)
            training = estimate.training
            judged = estimate.of_others(self._held_out)
        training = from_rank_zero(training)
        return training, from_rank_zero(judged) if held_out else training

    def _sampled(self, search_model: SearchModel) -> Tensor:
        """Designs made of draws of p_θ, whether or not they are feasible, as densities are."""
        number = min(max(len(self._training), _FEWEST_SAMPLES), _MOST_SAMPLES)
        generator = self._problem.stream.generator("ratio", device=self._training.device)
        return self._problem.nearest_allowed(search_model.sample(number, generator))

    def _estimate(self, samples: Tensor) -> _Estimate:
        if self._last is None or not torch.equal(self._last.samples, samples):
            self._last = self._new_estimate(samples)
        return self._last

    def _new_estimate(self, samples: Tensor) -> _Estimate:
        sample_folds = self._random_folds(len(samples), 1).to(samples.device)
        designs = Lot(self._training, self._folds)
        pairs = self._problem.stream.generator("ratio pairs")
        classifiers = told_apart(designs, Lot(samples, sample_folds), self._problem, pairs)
        training = designs.log_odds(classifiers)
        log_mean = training.logsumexp(0) - math.log(len(training))
        return _Estimate(samples, classifiers, training - log_mean, log_mean)

    def _random_folds(self, number: int, index: int) -> Tensor:
        generator = self._problem.stream.generator("ratio folds", index)
        return balanced_folds(torch.ones(number, device="cpu"), NUM_FOLDS, generator)
