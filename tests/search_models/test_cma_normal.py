"""The search model of CMA-ES against cma's own loop, and its density against scipy's."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cma
import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import CMANormal, MultivariateNormal
from lightning_mbo.space import DesignSpace

Array = NDArray[np.float64]


def normals(seed: int, t: int, m: int, d: int) -> torch.Tensor:
    """The numbers that `CMANormal.sample` draws from `generator(seed, t)`."""
    return torch.randn(m, d, generator=generator(seed, t), dtype=torch.float64)


def generator(seed: int, t: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * seed + t)


def begun(mean: Array, variances: Array, step_size: float) -> CMANormal:
    """A model that begins at a mean and variances, fitted to designs that have them."""
    model = CMANormal(step_size)
    model.build(DesignSpace.of_shape(torch.Size([len(mean)])))
    offsets = np.diag(np.sqrt(len(mean) * variances))
    designs = torch.from_numpy(mean + np.vstack([offsets, -offsets]))
    model.fit(designs, torch.ones(len(designs)))
    model.begin_search()
    return model


def quadratic(d: int) -> Callable[[Array], Array]:
    """Rotated, with curvatures from 1 to 1000."""
    rotation, _ = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))
    root = rotation * np.sqrt(np.geomspace(1.0, 1e3, d))
    return lambda designs: -((designs @ root) ** 2).sum(1)


def advanced(d: int = 4, m: int = 30, num_updates: int = 10, seed: int = 0) -> CMANormal:
    model = begun(np.ones(d), np.linspace(1.0, 3.0, d), 0.3)
    advance(model, m, range(num_updates), seed)
    return model


def advance(model: CMANormal, m: int, iterations: range, seed: int = 0) -> None:
    for t in iterations:
        designs = model.sample(m, generator(seed, t))
        heights = torch.from_numpy(quadratic(designs.shape[1])(designs.numpy()))
        model.update(designs, heights.exp())


def own_strategy(d: int, m: int, step_size: float, seed: int, **options: Any) -> Any:
    """cma's own strategy, which draws the same normal numbers."""
    iterations = iter(range(1000))
    return cma.CMAEvolutionStrategy(
        np.ones(d),
        step_size,
        {
            "popsize": m,
            "verbose": -9,
            "seed": np.nan,
            "randn": lambda m, d: normals(seed, next(iterations), m, d).numpy(),
            **options,
        },
    )


def begun_as(strategy: Any) -> CMANormal:
    model = begun(strategy.mean, np.ones(len(strategy.mean)), strategy.sigma)
    # cma begins with variances that differ a little, to have no equal eigenvalues.
    for buffer, value in (
        (model.mean, strategy.mean),
        (model.covariance, strategy.sm.C),
        (model.basis, strategy.sm.B),
        (model.scales, strategy.sm.D),
    ):
        buffer.copy_(torch.from_numpy(value))
    return model


@pytest.mark.parametrize(
    ("d", "m", "num_updates"), [(1, 8, 20), (2, 6, 60), (5, 40, 60), (10, 10, 100), (20, 400, 40)]
)
def test_agrees_with_the_loop_of_cma_on_a_quadratic(d: int, m: int, num_updates: int) -> None:
    height = quadratic(d)
    own = own_strategy(d, m, 0.3, seed=d)
    model = begun_as(own)
    initial = height(np.ones((1, d)))
    for t in range(num_updates):
        expected = np.array(own.ask())
        designs = model.sample(m, generator(d, t))
        np.testing.assert_allclose(designs.numpy(), expected, rtol=0, atol=1e-10 * own.sigma)
        own.tell(expected, -height(expected))
        # Ranks, as the algorithm gives them.
        ranks = torch.from_numpy(scipy.stats.rankdata(height(designs.numpy())))
        model.update(designs, ranks)
        np.testing.assert_allclose(model.mean.numpy(), own.mean, rtol=0, atol=1e-10 * own.sigma)
        assert model.step_size.item() == pytest.approx(own.sigma, rel=1e-11)
        scale = np.abs(own.sm.C).max()
        np.testing.assert_allclose(model.covariance.numpy(), own.sm.C, rtol=0, atol=1e-11 * scale)
    assert height(own.mean[None]) > 1e-2 * initial


def test_agrees_with_cma_s_step_size_rule_in_any_dimension() -> None:
    # cma itself would take another rule from 300 dimensions on.
    d, m = 300, 10
    rule = cma.sigma_adaptation.CMAAdaptSigmaCSA
    own = own_strategy(d, m, 0.3, seed=1, AdaptSigma=rule, updatecovwait=0)
    model = begun_as(own)
    for t in range(3):
        designs = model.sample(m, generator(1, t))
        heights = designs[:, 0]
        own.ask()
        own.tell(designs.numpy(), -heights.numpy())
        model.update(designs, heights)
    assert model.step_size.item() == pytest.approx(own.sigma, rel=1e-12)
    np.testing.assert_allclose(model.mean.numpy(), own.mean, rtol=1e-12)


@pytest.mark.parametrize("num_updates", [0, 1, 25])
@pytest.mark.parametrize("d", [1, 2, 6])
def test_log_prob(d: int, num_updates: int) -> None:
    model = advanced(d, num_updates=num_updates)
    covariance = model.step_size.item() ** 2 * model.covariance.numpy()
    expected = scipy.stats.multivariate_normal(model.mean.numpy(), covariance)
    near = model.sample(20, generator(7, 0)).numpy()
    far = near + 30 * np.sqrt(covariance.max())
    for designs in (near, far):
        result = model.log_prob(torch.from_numpy(designs)).numpy()
        np.testing.assert_allclose(result, expected.logpdf(designs), rtol=1e-9)


@pytest.mark.parametrize("num_updates", [0, 10])
def test_sample_moments(num_updates: int) -> None:
    m, d = 100_000, 4
    model = advanced(d, num_updates=num_updates)
    samples = model.sample(m, generator(5, 0)).numpy()
    root = model.step_size.item() * np.linalg.cholesky(model.covariance.numpy())
    white = np.linalg.solve(root, (samples - model.mean.numpy()).T)
    np.testing.assert_allclose(white.mean(1), 0.0, atol=5 / np.sqrt(m))
    np.testing.assert_allclose(white @ white.T / m, np.eye(d), atol=5 * np.sqrt(2 / m))


def test_the_search_begins_at_the_fit_with_the_initial_step_size() -> None:
    rng = np.random.default_rng(0)
    designs = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3))
    weights = rng.exponential(size=200)
    mean = np.average(designs, axis=0, weights=weights)
    covariance = np.cov(designs.T, aweights=weights, ddof=0)
    model = CMANormal()
    model.build(DesignSpace.of_shape(torch.Size([3])))
    model.fit(torch.from_numpy(designs), torch.from_numpy(weights))
    for step_size in (1.0, 0.01):
        np.testing.assert_allclose(
            model.log_prob(torch.from_numpy(designs)).numpy(),
            scipy.stats.multivariate_normal(mean, step_size**2 * covariance).logpdf(designs),
            rtol=1e-9,
        )
        model.begin_search()


def test_a_fit_forgets_the_search() -> None:
    designs = torch.randn(50, 4, generator=generator(0, 0), dtype=torch.float64)
    weights = torch.ones(50)
    model, fresh = advanced(), CMANormal(0.3)
    fresh.build(DesignSpace.of_shape(torch.Size([4])))
    for each in (model, fresh):
        each.fit(designs, weights)
        each.begin_search()
        advance(each, 30, range(3))
    for name, value in fresh.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_only_the_order_of_the_weights_matters() -> None:
    model = advanced()
    designs = model.sample(30, generator(1, 0))
    weights = torch.rand(30, generator=generator(2, 0), dtype=torch.float64)
    results = []
    for transformed in (weights, 1e-9 * weights, weights.exp(), weights.argsort().argsort()):
        other = copy.deepcopy(model)
        other.update(designs, transformed)
        results.append(other.state_dict())
    for result in results[1:]:
        assert all(torch.equal(result[name], value) for name, value in results[0].items())
    assert not torch.equal(results[0]["mean"], model.mean)


def test_an_update_leaves_its_arguments_alone() -> None:
    model = advanced()
    designs, weights = model.sample(30, generator(1, 0)), torch.arange(30.0)
    given = designs.clone(), weights.clone()
    storage = {name: value.data_ptr() for name, value in model.state_dict().items()}
    model.update(designs, weights)
    assert torch.equal(designs, given[0])
    assert torch.equal(weights, given[1])
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == storage


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_goes_on_from_its_state_to_the_bit(stop: int) -> None:
    straight = advanced(num_updates=15)
    file = io.BytesIO()
    torch.save(advanced(num_updates=stop).state_dict(), file)
    file.seek(0)
    resumed = begun(np.zeros(4), np.ones(4), 0.3)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    advance(resumed, 30, range(stop, 15))
    for name, value in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def assert_sound(model: CMANormal) -> None:
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert (model.scales > 0).all()
    assert model.log_prob(model.sample(5, generator(9, 0))).isfinite().all()


@pytest.mark.parametrize("m", [2, 3, 4, 5, 100])
def test_samples_that_are_all_alike_do_no_harm(m: int) -> None:
    model = begun(np.ones(3), np.ones(3), 0.01)
    for t in range(50):
        model.update(model.sample(m, generator(m, t)), torch.ones(m))
    assert_sound(model)


@pytest.mark.parametrize("step_size", [1e-170, 1e-17, 1e160])
def test_stays_where_float64_ends(step_size: float) -> None:
    model = advanced(d=2)
    model.mean.fill_(1.0)
    model.step_size.fill_(step_size)
    before = copy.deepcopy(model.state_dict())
    designs = model.sample(2000, generator(0, 0))
    with pytest.warns(UserWarning, match="it stays as it is"):
        model.update(designs, designs[:, 0])
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("num_designs", [1, 3])
def test_begins_with_fewer_designs_than_dimensions(num_designs: int) -> None:
    designs = torch.randn(num_designs, 5, generator=generator(0, 0), dtype=torch.float64)
    model = CMANormal()
    model.build(DesignSpace.of_shape(torch.Size([5])))
    with pytest.warns(UserWarning, match="lost rank"):
        model.fit(designs, torch.ones(num_designs))
    model.begin_search()
    advance(model, 50, range(20))
    assert_sound(model)


def test_begins_with_columns_of_scales_far_apart() -> None:
    column = torch.randn(50, 1, generator=generator(0, 0), dtype=torch.float64)
    model = CMANormal()
    model.build(DesignSpace.of_shape(torch.Size([2])))
    with pytest.warns(UserWarning, match="lost rank"):
        model.fit(torch.cat([1e6 * column, 1e-6 * column], 1), torch.ones(50))
    assert_sound(model)


def test_the_training_distribution_is_that_of_a_multivariate_normal() -> None:
    designs = torch.randn(100, 4, generator=generator(0, 0), dtype=torch.float64)
    models = CMANormal(), MultivariateNormal()
    for model in models:
        model.build(DesignSpace.of_shape(torch.Size([4])))
        model.fit(designs, torch.ones(100))
    torch.testing.assert_close(models[0].log_prob(designs), models[1].log_prob(designs))


def test_cma_is_quiet_and_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advanced(num_updates=3)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step_size", [0.0, -1.0, np.nan, np.inf])
def test_refused_step_sizes(step_size: float) -> None:
    with pytest.raises(ConfigurationError, match="initial_step_size must be positive"):
        CMANormal(step_size)


@pytest.mark.parametrize("groups", [(3,), (3, 2)])
def test_designs_must_be_numbers(groups: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"\(5,\).*another --search.algorithm than CMAES"):
        CMANormal().build(DesignSpace(torch.Size([5]), groups))
