"""Density ratios by a classifier, against laws that are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.importance import (
    Autofocus,
    ClassifierRatio,
    importance_weights,
    log_density_ratios,
    preimages_of,
)
from lightning_mbo.problem import DesignProblem
from lightning_mbo.search_models import Categorical, MultivariateNormal, SearchModel
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import Cells, DesignSpace


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(mean: Tensor, covariance: Tensor) -> MultivariateNormal:
    model = MultivariateNormal()
    model.build(DesignSpace.of_shape(mean.shape))
    model.mean.copy_(mean)
    model.covariance.copy_(covariance)
    model.cholesky.copy_(torch.linalg.cholesky(model.covariance))
    return model


def fitted(designs: Tensor) -> MultivariateNormal:
    return normal(designs.mean(0), torch.cov(designs.mT, correction=0))


def two_normals(dimension: int, distance: float) -> tuple[SearchModel, SearchModel]:
    """p_θ, so many deviations away and narrower, and p_0, whose numbers are correlated."""
    mixing = torch.randn(dimension, dimension, generator=generator(0), dtype=torch.float64)
    covariance = mixing @ mixing.mT / dimension + 0.05 * torch.eye(dimension)
    shift = torch.linalg.cholesky(covariance).sum(1) * (distance / math.sqrt(dimension))
    return normal(shift, 0.6 * covariance), normal(torch.zeros(dimension), covariance)


def table(designs: Tensor, seed: int = 0) -> DesignProblem:
    return DesignProblem.of_table(designs, designs.flatten(1)[:, 0], seed)


def scaled(log_ratios: Tensor) -> Tensor:
    return log_ratios - log_ratios.logsumexp(0) + math.log(len(log_ratios))


@pytest.mark.parametrize(
    ("num_designs", "dimension", "distance", "correlation", "error"),
    [
        (200, 2, 0.5, 0.93, 0.3),
        (200, 2, 1.0, 0.93, 0.4),
        (200, 6, 1.0, 0.88, 0.6),
        (2000, 2, 0.5, 0.98, 0.15),
        (2000, 2, 2.0, 0.98, 0.4),
        (2000, 6, 1.0, 0.97, 0.25),
        (2000, 6, 2.0, 0.94, 0.4),
        (2000, 20, 1.0, 0.94, 0.6),
    ],
)
def test_two_normals(
    num_designs: int, dimension: int, distance: float, correlation: float, error: float
) -> None:
    """Rank correlation of the log-ratios, and their error where p_θ is."""
    models = two_normals(dimension, distance)
    designs = models[1].sample(num_designs, generator(1))
    found = ClassifierRatio(table(designs)).of_training(*models)
    exact = scaled(models[0].log_prob(designs) - models[1].log_prob(designs))
    assert stats.spearmanr(found, exact)[0] > correlation
    weights = importance_weights(exact, 1.0)
    assert (weights * (found - exact).abs()).mean().item() < error


@pytest.mark.parametrize("kind", ["clusters", "uniform", "skewed"])
def test_a_weighted_mean_is_less_biased_than_by_a_fitted_normal(kind: str) -> None:
    """Of what designs add up to, under p_θ, whose own is known; over ten tables."""
    direction = torch.ones(2, dtype=torch.float64) / math.sqrt(2)
    search_model = normal(0.7 * direction, 0.5 * torch.eye(2))
    errors = []
    for seed in range(10):
        rows = generator(seed)
        designs = torch.rand(300, 2, generator=rows, dtype=torch.float64)
        if kind == "skewed":
            designs = designs**3
        if kind == "clusters":
            noise = torch.randn(300, 2, generator=rows, dtype=torch.float64)
            designs = 3 * designs[torch.arange(300) % 5] + 0.3 * noise
        designs = (designs - designs.mean(0)) / designs.std(0)
        by_normal = search_model.log_prob(designs) - fitted(designs).log_prob(designs)
        by_classifier = ClassifierRatio(table(designs, seed)).of_training(
            search_model, fitted(designs)
        )
        weights = [importance_weights(ratios, 1.0) for ratios in (by_normal, by_classifier)]
        errors.append([(w * (designs @ direction)).mean().item() - 0.7 for w in weights])
    of_normal, of_classifier = np.abs(errors).mean(0)
    assert of_classifier < 0.7 * of_normal
    assert abs(np.mean(errors, axis=0)[1]) < 0.1


def letters_that_follow(number: int) -> Tensor:
    """Sequences of 4 letters of 3, in which the second is the first in three of four."""
    rows = generator(5)
    letters = torch.randint(3, (number, 4), generator=rows)
    copied = torch.rand(number, generator=rows) < 0.75
    letters[copied, 1] = letters[copied, 0]
    return one_hot(letters, 3).double()


def test_sequences_with_letters_that_follow_others() -> None:
    designs = letters_that_follow(2000)
    space = DesignSpace.of_shape(designs.shape[1:])
    search_model = Categorical()
    search_model.build(space)
    shares = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    frequent = one_hot(shares.multinomial(8000, replacement=True, generator=generator(6)), 3)
    search_model.fit(frequent.double().reshape(2000, 4, 3), torch.ones(2000))
    p_0 = Categorical()
    p_0.build(space)
    p_0.fit(designs, torch.ones(2000))
    equal = designs[:, 0].argmax(1) == designs[:, 1].argmax(1)
    law = torch.where(equal, 0.75 + 0.25 / 3, 0.25 / 3).double().log() - 3 * math.log(3)
    exact = scaled(search_model.log_prob(designs) - law)
    found = ClassifierRatio(table(designs)).of_training(search_model, p_0)
    by_fit = scaled(search_model.log_prob(designs) - p_0.log_prob(designs))
    error, error_of_fit = ((ratios - exact).abs().mean() for ratios in (found, by_fit))
    assert error < 0.4 < 0.7 < error_of_fit
    assert stats.spearmanr(found, exact)[0] > 0.93 > 0.9 > stats.spearmanr(by_fit, exact)[0]


def held_out_case(held_out: float = 0.5) -> tuple[DesignProblem, tuple[SearchModel, SearchModel]]:
    models = two_normals(3, 1.0)
    designs = models[1].sample(2000, generator(2))
    return table(designs).holding_out(torch.arange(2000) < 2000 * held_out), models


def test_the_mean_ratio_is_one() -> None:
    """Of the training designs by its scale, and of designs that no fit knows by themselves."""
    problem, models = held_out_case()
    ratio = ClassifierRatio(problem)
    training, held_out = ratio.of_training(*models), ratio.of_held_out(*models)
    assert training.shape == held_out.shape == (1000,)
    assert training.exp().mean().item() == pytest.approx(1.0)
    assert held_out.exp().mean().item() == pytest.approx(1.0, abs=0.1)


def test_it_is_calibrated() -> None:
    """Of designs and samples mixed half and half, the share of samples is what their odds say."""
    problem, models = held_out_case()
    ratio = ClassifierRatio(problem)
    designs = problem.evidence.designs
    samples = models[0].sample(len(designs), generator(3))
    mixed = torch.cat([designs, samples])
    said = ratio.of_designs(mixed, *models).sigmoid()
    is_sample = torch.arange(len(mixed)) >= len(designs)
    bins = (said * 5).long()
    for place in range(5):
        inside = bins == place
        assert inside.sum() > 100
        share = is_sample[inside].double().mean().item()
        assert share == pytest.approx(said[inside].mean().item(), abs=0.06)


def test_a_row_is_weighed_by_a_fit_that_does_not_know_it() -> None:
    """What else is in its place changes nothing but the scale."""
    models = two_normals(2, 1.0)
    designs = models[1].sample(100, generator(1))
    found = ClassifierRatio(table(designs)).of_training(*models)
    changed = designs.clone()
    changed[7] = torch.tensor([30.0, -30.0])
    ratio = ClassifierRatio(table(changed))
    training = ratio.of_training(*models)
    assert ratio._last is not None
    own_fit = ratio._last.classifiers[int(ratio._folds[7])]
    of_the_row = own_fit.log_odds(designs[[7, 8]])[0]
    others = (ratio._folds == ratio._folds[7]) & (designs == changed).all(1)
    scale = (found - training)[others]
    torch.testing.assert_close(scale, scale[:1].expand_as(scale))
    torch.testing.assert_close(of_the_row - ratio._last.log_mean + scale[0], found[7])


def test_it_is_a_function_of_the_search_model() -> None:
    """Whatever it was asked before: so a resumed run goes on with the same bits."""
    problem, models = held_out_case()
    ratio, other = ClassifierRatio(problem), ClassifierRatio(problem)
    first = ratio.of_training(*models), ratio.of_held_out(*models)
    other.of_training(models[1], models[1])
    assert torch.equal(other.of_held_out(*models), first[1])
    assert torch.equal(other.of_training(*models), first[0])
    assert not torch.equal(other.of_training(models[1], models[1]), first[0])
    another = ClassifierRatio(replace(problem, stream=problem.stream.of("another")))
    assert not torch.equal(another.of_training(*models), first[0])


def test_a_population_in_place_of_a_search_model() -> None:
    problem, models = held_out_case(0.1)
    population = models[0].sample(200, generator(4))
    training, held_out = ClassifierRatio(problem).of_population(population)
    exact = models[0].log_prob(problem.designs) - models[1].log_prob(problem.designs)
    assert stats.spearmanr(held_out, exact[:200])[0] > 0.9
    assert stats.spearmanr(training, exact[200:])[0] > 0.9
    for part in ClassifierRatio(problem).of_population(population[:9]):
        assert part.isnan().all()


def test_of_designs_is_that_of_held_out_ones() -> None:
    problem, models = held_out_case(0.1)
    ratio = ClassifierRatio(problem)
    of_designs = ratio.of_designs(problem.evidence.designs, *models)
    assert torch.equal(of_designs, ratio.of_held_out(*models))


def test_without_held_out_designs_the_training_designs_are_judged() -> None:
    problem, models = held_out_case(0.0)
    ratio = ClassifierRatio(problem)
    assert torch.equal(ratio.of_held_out(*models), ratio.of_training(*models))


def test_a_fixed_column_does_not_tell_samples_from_designs() -> None:
    """Nor do bounds: the ratio is that of what draws become, as the exact one is."""
    models = two_normals(2, 1.0)
    drawn = models[1].sample(2000, generator(1))

    def made(bound: float | None) -> Callable[[Tensor], Tensor]:
        def nearest_allowed(designs: Tensor) -> Tensor:
            first = designs[:, :1].clamp(max=bound)
            return torch.cat([first, torch.full_like(first, 0.3)], dim=1)

        return nearest_allowed

    designs = torch.cat([made(0.4)(drawn)[:, :1], drawn[:, 1:]], dim=1)

    def cells(designs: Tensor) -> Cells:
        points = Cells.of_points(designs, DesignSpace(torch.Size([2])))
        upper = torch.where(designs == 0.4, torch.inf, points.upper)
        lower = points.lower.clone()
        lower[:, 1], upper[:, 1] = -torch.inf, torch.inf
        return Cells(lower, upper, points.any_level)

    problem = replace(table(designs), nearest_allowed=made(0.4), cells=cells)
    found = ClassifierRatio(problem).of_training(*models)
    preimages = preimages_of(
        designs, cells(designs), problem.space, models[1].sample(4000, generator(8)), generator(9)
    )
    exact = scaled(log_density_ratios(*models, preimages))
    assert stats.spearmanr(found, exact)[0] > 0.93
    assert (importance_weights(exact, 1.0) * (found - exact).abs()).mean() < 0.25


@pytest.mark.parametrize("num_different", [1, 9])
def test_too_few_designs_are_refused(num_different: int) -> None:
    designs = torch.arange(40.0).double()[:, None] % num_different
    with pytest.raises(ConfigurationError, match=f"10 different .* {num_different}: .* exact"):
        ClassifierRatio(table(designs))


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"autofocus\.ratio .* exact, classifier, .*best"):
        Autofocus(ratio="best")  # type: ignore[arg-type]
