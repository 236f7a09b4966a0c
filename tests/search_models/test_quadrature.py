"""A density on a grid: what it integrates to, how it is updated, and what is drawn from it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import Quadrature
from lightning_mbo.space import DesignSpace

LOWER, UPPER, NUM_NODES = -1.0, 5.0, 31
GRID = np.linspace(LOWER, UPPER, NUM_NODES)


def built(num_nodes: int = NUM_NODES) -> Quadrature:
    model = Quadrature(LOWER, UPPER, num_nodes)
    model.build(DesignSpace.of_shape(torch.Size([1])))
    return model


def uneven(scale: float = 3.0) -> Quadrature:
    model = built()
    model.reweigh(torch.from_numpy(scale * np.random.default_rng(0).normal(size=NUM_NODES)))
    return model


def density(model: Quadrature, x: np.ndarray) -> np.ndarray:
    return model.log_prob(torch.from_numpy(x)[:, None]).exp().numpy()


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_integrates_to_one(scale: float) -> None:
    model = uneven(scale)
    fine = np.linspace(LOWER, UPPER, 10 * (NUM_NODES - 1) + 1)
    assert np.trapezoid(density(model, fine), fine) == pytest.approx(1.0, abs=1e-12)


def test_nodes() -> None:
    model = uneven()
    assert model.nodes.shape == (NUM_NODES, 1)
    np.testing.assert_allclose(model.nodes[:, 0].numpy(), GRID, rtol=0, atol=1e-15)
    np.testing.assert_allclose(
        model.log_prob(model.nodes).numpy(), model.log_density.numpy(), rtol=1e-14
    )


def test_between_and_beyond_the_nodes() -> None:
    model = uneven()
    x = np.random.default_rng(1).uniform(LOWER - 2, UPPER + 2, size=500)
    expected = np.interp(x, GRID, model.log_density.exp().numpy())
    np.testing.assert_allclose(density(model, x), expected, rtol=1e-10)


def test_fit_is_the_maximum_likelihood_normal() -> None:
    rng = np.random.default_rng(2)
    designs, weights = rng.normal(1.5, 1.0, size=200), rng.exponential(size=200)
    model = built()
    model.fit(torch.from_numpy(designs)[:, None], torch.from_numpy(weights))
    mean = np.average(designs, weights=weights)
    std = np.sqrt(np.average((designs - mean) ** 2, weights=weights))
    normal = stats.norm.pdf(GRID, mean, std)
    expected = normal / np.trapezoid(normal, GRID)
    np.testing.assert_allclose(density(model, GRID), expected, rtol=1e-10)
    # Little of it lies beyond the ends.
    np.testing.assert_allclose(density(model, GRID), normal, rtol=0.02)


def test_reweighing_multiplies() -> None:
    model = uneven()
    before = density(model, GRID)
    log_weights = np.random.default_rng(3).normal(size=NUM_NODES)
    assert model.reweigh(torch.from_numpy(log_weights) + 1e4)
    product = before * np.exp(log_weights)
    np.testing.assert_allclose(
        density(model, GRID), product / np.trapezoid(product, GRID), rtol=1e-9
    )


def test_weights_of_zero_leave_finite_densities() -> None:
    model = uneven()
    before = density(model, GRID)
    log_weights = torch.zeros(NUM_NODES, dtype=torch.float64)
    log_weights[:10], log_weights[10], log_weights[11] = -torch.inf, torch.nan, torch.inf
    assert model.reweigh(log_weights)
    assert model.log_density.isfinite().all()
    assert (density(model, GRID[:12]) < 1e-250).all()
    expected = before[12:] / np.trapezoid(np.r_[0.0, before[12:]], GRID[11:])
    np.testing.assert_allclose(density(model, GRID[12:]), expected, rtol=1e-9)


def test_without_usable_weights_nothing_changes() -> None:
    model = uneven()
    before = model.log_density.clone()
    assert not model.reweigh(torch.full((NUM_NODES,), -torch.inf, dtype=torch.float64))
    assert torch.equal(model.log_density, before)


def test_what_was_lost_comes_back() -> None:
    """The way back from a density that has all but vanished is as exact as any other."""
    target = torch.from_numpy(np.random.default_rng(4).normal(size=NUM_NODES))
    model = built()
    model.reweigh(-1e5 * (model.nodes[:, 0] - 2).square())
    model.reweigh(target - model.log_prob(model.nodes))
    expected = np.exp(target.numpy())
    expected /= np.trapezoid(expected, GRID)
    np.testing.assert_allclose(density(model, GRID), expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_samples_have_the_density(scale: float) -> None:
    model = uneven(scale)
    samples = model.sample(20_000, torch.Generator().manual_seed(0))
    assert samples.shape == (20_000, 1)
    fine = np.linspace(LOWER, UPPER, 3001)
    cumulated = integrate.cumulative_trapezoid(density(model, fine), fine, initial=0)
    test = stats.kstest(samples[:, 0].numpy(), lambda x: np.interp(x, fine, cumulated))
    assert test.pvalue > 0.01


def test_samples_stay_inside() -> None:
    model = built(num_nodes=2)
    samples = model.sample(5_000, torch.Generator().manual_seed(0)).numpy()
    assert samples.min() >= LOWER
    assert samples.max() <= UPPER
    assert stats.kstest(samples[:, 0], stats.uniform(LOWER, UPPER - LOWER).cdf).pvalue > 0.01


def test_expectation() -> None:
    model = built(601)
    model.fit(torch.tensor([[1.0], [3.0]]), torch.ones(2))
    x = model.nodes[:, 0]
    # Of the normal of mean 2 and variance 1, cut off at 3 standard deviations.
    cut = stats.truncnorm(-3, 3, loc=2, scale=1)
    assert model.expectation(x).item() == pytest.approx(2.0, abs=1e-12)
    assert model.expectation(x.square()).item() == pytest.approx(cut.moment(2), rel=1e-4)
    by_simpson = integrate.simpson((model.log_density.exp() * x.cos()).numpy(), x=x.numpy())
    assert model.expectation(x.cos()).item() == pytest.approx(by_simpson, rel=1e-6)


def test_copies_are_independent() -> None:
    model = uneven()
    other = copy.deepcopy(model)
    before = other.log_density.clone()
    model.reweigh(model.nodes[:, 0])
    assert torch.equal(other.log_density, before)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ((1.0, 1.0), "lower must be less than upper"),
        ((0.0, float("inf")), "both finite"),
        ((float("nan"), 1.0), "lower"),
        ((0.0, 1.0, 1), "num_nodes must be at least 2"),
    ],
)
def test_no_grid(options: tuple[float, ...], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        Quadrature(*options)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2,), (1, 1)])
def test_designs_of_more_than_one_number_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"one number.*leave --search.search_model"):
        Quadrature(0, 1).build(DesignSpace.of_shape(torch.Size(shape)))


def test_designs_elsewhere_are_refused() -> None:
    designs = torch.tensor([[-1.5], [7.0], [2.0]])
    with pytest.raises(ConfigurationError, match=r"lower and upper, -1 and 5"):
        built().fit(designs, torch.tensor([1.0, 1.0, 0.0]))
