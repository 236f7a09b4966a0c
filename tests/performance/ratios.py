"""What weights by a classifier are worth against those by a fitted normal.

    python tests/performance/ratios.py

prints the figures of `lightning_mbo/importance/README.md`: errors of a weighted mean, and rank
correlations of log-ratios with the true ones.
"""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.importance import ClassifierRatio, importance_weights
from lightning_mbo.problem import DesignProblem
from lightning_mbo.search_models import MultivariateNormal
from lightning_mbo.space import DesignSpace

NUM_TABLES, NUM_ROWS = 10, 1000


def normal(mean: Tensor, covariance: Tensor) -> MultivariateNormal:
    model = MultivariateNormal()
    model.build(DesignSpace.of_shape(mean.shape))
    model.mean.copy_(mean)
    model.covariance.copy_(covariance)
    model.cholesky.copy_(torch.linalg.cholesky(covariance))
    return model


def fitted(designs: Tensor) -> MultivariateNormal:
    return normal(designs.mean(0), torch.cov(designs.mT, correction=0))


def rows_of(kind: str, dimension: int, generator: torch.Generator) -> Tensor:
    def drawn(number: int) -> Tensor:
        return torch.randn(number, dimension, generator=generator, dtype=torch.float64)

    if kind == "five clusters":
        centers = drawn(5)
        designs = centers[torch.randint(5, (NUM_ROWS,), generator=generator)]
        designs = designs + 0.3 * drawn(NUM_ROWS)
    else:
        designs = torch.rand(NUM_ROWS, dimension, generator=generator, dtype=torch.float64)
        designs = designs**3 if kind == "skewed" else designs
    return (designs - designs.mean(0)) / designs.std(0)


def errors(kind: str, dimension: int) -> tuple[float, float]:
    """Of the mean of the designs along the diagonal, by the fitted normal and the classifier."""
    direction = torch.ones(dimension, dtype=torch.float64) / math.sqrt(dimension)
    search_model = normal(0.7 * direction, 0.5 * torch.eye(dimension, dtype=torch.float64))
    found = []
    for seed in range(NUM_TABLES):
        designs = rows_of(kind, dimension, torch.Generator().manual_seed(seed))
        p_0 = fitted(designs)
        problem = DesignProblem.of_table(designs, designs @ direction, seed)
        ratios = (
            search_model.log_prob(designs) - p_0.log_prob(designs),
            ClassifierRatio(problem).of_training(search_model, p_0),
        )
        means = [importance_weights(of, 1.0) @ (designs @ direction) / NUM_ROWS for of in ratios]
        found.append(torch.stack(means) - 0.7)
    of_normal, of_classifier = torch.stack(found).abs().mean(0).tolist()
    return of_normal, of_classifier


def correlations(dimension: int, distance: float) -> tuple[float, float]:
    """With the true log-ratios of two normals, by the fitted normal and the classifier."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)
    covariance = mixing @ mixing.mT / dimension + 0.05 * torch.eye(dimension)
    shift = torch.linalg.cholesky(covariance).sum(1) * (distance / math.sqrt(dimension))
    search_model = normal(shift, 0.6 * covariance)
    p_0 = normal(torch.zeros_like(shift), covariance)
    designs = p_0.sample(2000, generator)
    exact = search_model.log_prob(designs) - p_0.log_prob(designs)
    problem = DesignProblem.of_table(designs, designs[:, 0], 1)
    ratios = (
        search_model.log_prob(designs) - fitted(designs).log_prob(designs),
        ClassifierRatio(problem).of_training(search_model, p_0),
    )
    of_normal, of_classifier = (float(stats.spearmanr(of, exact)[0]) for of in ratios)
    return of_normal, of_classifier


if __name__ == "__main__":
    for kind in ("five clusters", "uniform", "skewed"):
        for dimension in (2, 6):
            print(kind, dimension, *(f"{error:.2f}" for error in errors(kind, dimension)))
    for dimension, distance in ((6, 1.0), (6, 2.0), (6, 4.0), (60, 1.0)):
        print(dimension, distance, *(f"{rho:.2f}" for rho in correlations(dimension, distance)))
