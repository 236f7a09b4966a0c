"""The densities of particles against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from lightning_mbo.search_models import (
    Categorical,
    MultivariateNormal,
    Product,
    SearchModel,
    fit_to_particles,
    search_model_for,
)
from lightning_mbo.space import DesignSpace


def designs_and_particles(num_particles: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn(500 + num_particles, d, generator=generator, dtype=torch.float64)
    scales = torch.logspace(-2, 1, d, dtype=torch.float64)
    particles = 3 + 0.1 * numbers[500:]
    return numbers[:500] * scales, particles * scales


def fitted(particles: torch.Tensor, designs: torch.Tensor) -> SearchModel:
    space = DesignSpace.of_shape(designs.shape[1:])
    model = search_model_for(space)
    model.build(space)
    model.fit(designs, torch.ones(len(designs)))
    fit_to_particles(model, particles, designs, space)
    return model


@pytest.mark.parametrize(("num_particles", "d"), [(1, 3), (7, 20), (128, 60), (900, 2)])
@pytest.mark.filterwarnings("error")
def test_covariance_is_between_the_particles_and_the_datas(num_particles: int, d: int) -> None:
    designs, particles = designs_and_particles(num_particles, d)
    model = fitted(particles, designs)
    assert isinstance(model, MultivariateNormal)
    own = np.cov(particles.numpy().T, bias=True) if num_particles > 1 else np.zeros((d, d))
    prior = np.cov(designs.numpy().T, bias=True)
    expected = (num_particles * own + d * prior) / (num_particles + d)
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(model.mean.numpy(), particles.numpy().mean(0), rtol=1e-9, atol=1e-12)
    error = (model.covariance.numpy() - expected) / np.outer(scale, scale)
    assert np.abs(error).max() < 1e-9


def test_ratios_do_not_depend_on_the_units() -> None:
    designs, particles = designs_and_particles(30, 10)
    mixing = torch.randn(10, 10, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mixing += 5 * torch.eye(10)
    ratios = []
    for matrix in (torch.eye(10, dtype=torch.float64), mixing):
        x, p = designs @ matrix, particles @ matrix
        prior = stats.multivariate_normal(x.numpy().mean(0), np.cov(x.numpy().T, bias=True))
        ratios.append(fitted(p, x).log_prob(x).numpy() - prior.logpdf(x.numpy()))
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=1e-6, atol=1e-6)


def test_letters_are_the_particles_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(4, (300, 5), generator=generator)
    designs = functional.one_hot(tokens, 4).double()
    particles = designs[:6]
    model = fitted(particles, designs)
    assert isinstance(model, Categorical)
    expected = (6 * particles.numpy().mean(0) + 1 / 4) / (6 + 1)
    np.testing.assert_allclose(model.log_probabilities.exp().numpy(), expected, rtol=1e-12)


def test_one_hots_of_a_table_are_mixed_in_the_same_proportion() -> None:
    """Two numbers and a category of three."""
    generator = torch.Generator().manual_seed(4)
    numbers = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    category = functional.one_hot(torch.arange(60) % 3, 3).double()
    designs = torch.cat([numbers, category], dim=1)
    particles = designs[:8] + torch.tensor([5.0, -5.0, 0.0, 0.0, 0.0])
    space = DesignSpace(torch.Size([5]), (3,))
    model = search_model_for(space)
    model.build(space)
    fit_to_particles(model, particles, designs, space)
    assert isinstance(model, Product)
    torch.testing.assert_close(model.numbers.mean, particles[:, :2].mean(0))
    shares = (8 * particles[:, 2:].mean(0) + 2 * category.mean(0)) / (8 + 2)
    size = (8 + 2) ** 2 / (8 + 60 * (2 / 60) ** 2)
    probabilities = model.categories.log_probabilities.exp()  # smoothed by one design
    torch.testing.assert_close(probabilities, (size * shares + 1 / 3) / (size + 1))
