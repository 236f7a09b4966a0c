"""Samples under constraints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.search_models import DRAWS_PER_SAMPLE, MultivariateNormal, sample_allowed
from lightning_mbo.space import DesignSpace

M = 5000


def standard_normal(d: int = 1) -> MultivariateNormal:
    model = MultivariateNormal()
    model.build(DesignSpace.of_shape(torch.Size([d])))
    return model


def unchanged(designs: Tensor) -> Tensor:
    return designs


def above(limit: float) -> object:
    return lambda designs: designs[:, 0] > limit


def drawn(limit: float, num_samples: int = M, seed: int = 0) -> tuple[Tensor, float]:
    generator = torch.Generator().manual_seed(seed)
    model = standard_normal()
    draws = sample_allowed(model.sample, num_samples, generator, unchanged, above(limit))
    assert torch.equal(draws.drawn, draws.designs)
    return draws.designs, draws.acceptance_rate


@pytest.mark.parametrize("feasible", [None, above(-math.inf)])
def test_without_constraints_they_are_the_models_own(feasible: Any) -> None:
    used, generator = (torch.Generator().manual_seed(0) for _ in range(2))
    draws = sample_allowed(standard_normal().sample, M, used, torch.round, feasible)
    assert torch.equal(draws.drawn, standard_normal().sample(M, generator))
    assert torch.equal(draws.designs, draws.drawn.round())
    assert draws.acceptance_rate == 1.0
    # Nothing more was drawn: the generators go on alike.
    assert torch.equal(generator.get_state(), used.get_state())


@pytest.mark.parametrize("limit", [-1.0, 0.5, 1.5])
def test_samples_are_of_the_truncated_distribution(limit: float) -> None:
    samples, rate = drawn(limit)
    assert samples.shape == (M, 1)
    expected = stats.norm.sf(limit)
    assert rate == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / M))
    truncated = stats.truncnorm(limit, np.inf)
    assert stats.kstest(samples[:, 0].numpy(), truncated.cdf).pvalue > 1e-3


def test_the_same_seed_draws_the_same() -> None:
    one, same, other = (drawn(1.0, seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_designs_that_can_be_made_are_what_is_constrained() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn, designs, rate = sample_allowed(
        standard_normal(2).sample, M, generator, torch.round, lambda designs: designs[:, 0] == 1
    )
    assert (designs[:, 0] == 1).all()
    assert torch.equal(designs, drawn.round())
    assert drawn[:, 0].unique().numel() == M
    assert rate == pytest.approx(stats.norm.cdf(1.5) - stats.norm.cdf(0.5), abs=0.02)


def test_draws_are_given_up() -> None:
    # About one in 1,350, and 20,000 are drawn.
    samples, rate = drawn(3.0, num_samples=200)
    assert 2 < len(samples) < 40
    assert rate == len(samples) / (200 * DRAWS_PER_SAMPLE)
    nothing, none = drawn(math.inf, num_samples=10)
    assert nothing.shape == (0, 1)
    assert none == 0.0
