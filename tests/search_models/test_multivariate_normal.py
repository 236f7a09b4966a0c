"""The multivariate normal search model against scipy and numpy."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import (
    CMANormal,
    GaussianMixture,
    MultivariateNormal,
    SearchModel,
)
from lightning_mbo.search_models.multivariate_normal import shrink_to_full_rank
from lightning_mbo.space import DesignSpace

DIMENSIONS = (1, 2, 60)


def built(d: int) -> MultivariateNormal:
    model = MultivariateNormal()
    model.build(DesignSpace.of_shape(torch.Size([d])))
    return model


def ill_conditioned(d: int) -> np.ndarray:
    """A covariance with eigenvalues from 1e-4 to 24."""
    rotation, _ = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))
    return (rotation * np.geomspace(1e-4, 24.0, d)) @ rotation.T


def with_moments(mean: np.ndarray, covariance: np.ndarray) -> MultivariateNormal:
    model = built(len(mean))
    model.mean.copy_(torch.from_numpy(mean))
    model.covariance.copy_(torch.from_numpy(covariance))
    model.cholesky.copy_(torch.from_numpy(np.linalg.cholesky(covariance)))
    model.fitted.fill_(True)
    return model


def table(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + d)
    root = np.linalg.cholesky(ill_conditioned(d))
    return 3.0 + rng.normal(size=(n, d)) @ root.T, rng.exponential(size=n)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_log_prob(d: int) -> None:
    mean, covariance = np.linspace(-2.0, 1.0, d), ill_conditioned(d)
    expected = scipy.stats.multivariate_normal(mean, covariance)
    # Near the mode and hundreds of nats away from it.
    designs = np.vstack([table(20, d)[0], expected.rvs(20, random_state=0).reshape(20, d)])
    result = with_moments(mean, covariance).log_prob(torch.from_numpy(designs))
    assert result.shape == (40,)
    np.testing.assert_allclose(result.numpy(), expected.logpdf(designs), rtol=1e-9, atol=1e-9)


def test_log_prob_at_the_mode_of_the_standard_normal() -> None:
    result = built(60).log_prob(torch.zeros(1, 60, dtype=torch.float64))
    assert result.item() == pytest.approx(-30 * np.log(2 * np.pi), rel=1e-14)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_fit_is_the_weighted_moments(d: int) -> None:
    designs, weights = table(500, d)
    model = built(d)
    model.fit(torch.from_numpy(designs), torch.from_numpy(weights))
    mean = np.average(designs, axis=0, weights=weights)
    covariance = np.atleast_2d(np.cov(designs.T, aweights=weights, ddof=0))
    np.testing.assert_allclose(model.mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(model.covariance.numpy(), covariance, atol=1e-13)
    root = model.cholesky.numpy()
    np.testing.assert_allclose(root, np.linalg.cholesky(covariance), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e200])
def test_the_scale_of_the_weights_does_not_matter(scale: float) -> None:
    designs, weights = table(100, 3)
    plain, scaled = built(3), built(3)
    plain.fit(torch.from_numpy(designs), torch.from_numpy(weights))
    scaled.fit(torch.from_numpy(designs), torch.from_numpy(weights * scale))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(scaled.state_dict()[name], value, rtol=1e-9, atol=1e-11)


def test_sample_moments() -> None:
    m, d = 100_000, 3
    mean, covariance = np.array([5.0, 0.0, -1.0]), ill_conditioned(d)
    generator = torch.Generator().manual_seed(0)
    samples = with_moments(mean, covariance).sample(m, generator).numpy()
    assert samples.shape == (m, d)
    # Whitened, so that the narrowest direction is tested as sharply as the widest.
    white = np.linalg.solve(np.linalg.cholesky(covariance), (samples - mean).T)
    np.testing.assert_allclose(white.mean(1), 0.0, atol=5 / np.sqrt(m))
    np.testing.assert_allclose(white @ white.T / m, np.eye(d), atol=5 * np.sqrt(2 / m))


def test_samples_are_a_function_of_the_generator() -> None:
    model = with_moments(np.zeros(2), ill_conditioned(2))
    first, again, other = (
        model.sample(4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("sizes", [(50, 50), (1, 99), (30, 0, 70)])
def test_fit_over_shards_is_the_fit_of_the_whole(
    sizes: tuple[int, ...], fit_in_shards: Callable[..., None]
) -> None:
    designs, weights = map(torch.from_numpy, table(100, 4))
    whole = built(4)
    whole.fit(designs, weights)
    models = [built(4) for _ in sizes]
    fit_in_shards(models, designs.split(sizes), weights.split(sizes))
    for model in models:
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-10, atol=1e-12)


def rank_deficient(kind: str) -> tuple[np.ndarray, np.ndarray]:
    designs, weights = table(30, 20)
    if kind == "fewer than dimensions":
        return designs[:5], weights[:5]
    if kind == "a single one":
        return designs[:1], weights[:1]
    if kind == "duplicates":
        return designs[[0] * 30], weights
    if kind == "all weight on one":
        return designs, np.eye(30)[7]
    designs[:, 3] = designs[:, 4]
    return designs, weights


@pytest.mark.parametrize(
    "kind",
    [
        "fewer than dimensions",
        "a single one",
        "duplicates",
        "all weight on one",
        "two equal columns",
    ],
)
def test_lost_rank_is_mended_with_little(kind: str) -> None:
    designs, weights = rank_deficient(kind)
    model = built(20)
    with pytest.warns(UserWarning, match=r"lost rank: a share of \S+ of it was replaced") as caught:
        model.fit(torch.from_numpy(designs), torch.from_numpy(weights))
    named = re.search(r"lost rank: a share of (\S+) of it", str(caught[0].message))
    assert named is not None
    assert 0 < float(named[1]) < 1e-10
    np.linalg.cholesky(model.covariance.numpy())
    centred = designs - np.average(designs, axis=0, weights=weights)
    expected = (weights * centred.T) @ centred / weights.sum()
    np.testing.assert_allclose(model.covariance.numpy(), expected, atol=1e-9)
    samples = model.sample(10, torch.Generator().manual_seed(0))
    assert model.log_prob(samples).isfinite().all()


def test_lost_rank_is_mended_in_the_units_of_the_previous_variances() -> None:
    model = with_moments(np.zeros(2), np.diag([4e6, 1e-6]))
    with pytest.warns(UserWarning, match="lost rank"):
        model.fit(torch.ones(1, 2), torch.ones(1))
    first, second = model.covariance.diagonal().tolist()
    assert first / second == pytest.approx(4e12)


@pytest.mark.parametrize("correlation", [1 + 1e-6, 1.5, 3.0])
@pytest.mark.parametrize("variances", [(1.0, 1.0), (1e4, 1e-2)])
def test_the_share_is_close_to_the_smallest_sufficient(
    correlation: float, variances: tuple[float, float]
) -> None:
    # The scaled matrix has eigenvalues 1 ± c: (1 - s)(1 - c) + s > 0 needs s > (c - 1) / c.
    scale = np.sqrt(variances)
    covariance = np.array([[1.0, correlation], [correlation, 1.0]]) * np.outer(scale, scale)
    mixed, share = shrink_to_full_rank(torch.from_numpy(covariance), torch.tensor(variances))
    sufficient = (correlation - 1) / correlation
    assert sufficient < share < 2.1 * sufficient
    expected = (1 - share) * covariance + share * np.diag(variances)
    np.testing.assert_allclose(mixed.numpy(), expected, rtol=1e-6)
    np.linalg.cholesky(mixed.numpy())


@pytest.mark.parametrize("rank", [4, 6, 7])
def test_scales_that_differ_leave_a_cholesky_factor(rank: int) -> None:
    # The smallest eigenvalue is known to the rounding of the largest only.
    random = np.random.default_rng(rank)
    for _ in range(100):
        points = random.normal(size=(rank, 8)) * 10 ** random.uniform(-2, 2, 8)
        covariance = torch.from_numpy(points.T @ points)
        mixed, _ = shrink_to_full_rank(covariance, torch.from_numpy(10 ** random.uniform(-4, 0, 8)))
        torch.linalg.cholesky(mixed)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_a_full_rank_covariance_is_left_alone(d: int) -> None:
    covariance = torch.from_numpy(ill_conditioned(d))
    result, share = shrink_to_full_rank(covariance, torch.ones(d, dtype=torch.float64))
    assert share == 0.0
    assert result is covariance


def test_state_dict_is_the_whole_state() -> None:
    model, restored = built(3), built(3)
    model.fit(*map(torch.from_numpy, table(50, 3)))
    state = copy.deepcopy(model.state_dict())
    model.fit(*map(torch.from_numpy, table(60, 3)))
    restored.load_state_dict(state)
    expected = built(3)
    expected.fit(*map(torch.from_numpy, table(50, 3)))
    designs = expected.sample(5, torch.Generator().manual_seed(0))
    assert torch.equal(designs, restored.sample(5, torch.Generator().manual_seed(0)))
    assert torch.equal(expected.log_prob(designs), restored.log_prob(designs))


def test_float32_input_is_computed_in_float64() -> None:
    designs, weights = (torch.from_numpy(part).float() for part in table(50, 3))
    single, double = built(3), built(3)
    single.fit(designs, weights)
    double.fit(designs.double(), weights.double())
    assert torch.equal(single.covariance, double.covariance)
    log_prob = single.log_prob(designs)
    assert log_prob.dtype == torch.float64
    assert torch.equal(log_prob, double.log_prob(designs.double()))


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_designs_must_be_numbers(shape: tuple[int, ...]) -> None:
    message = r"numbers alone.*2 letters or categories: leave --search.search_model out"
    with pytest.raises(ConfigurationError, match=message):
        MultivariateNormal().build(DesignSpace(torch.Size(shape), (3, 3)))


def test_a_healthy_fit_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(20).fit(*map(torch.from_numpy, table(30, 20)))


@pytest.mark.parametrize("model", [MultivariateNormal(), GaussianMixture(), CMANormal()])
def test_a_covariance_of_too_many_numbers_is_refused(model: SearchModel) -> None:
    message = (
        "has the covariance of each pair of numbers, and of 5,123 there are too many: leave "
        "--search.search_model out, or give GaussianMixture with a rank"
    )
    with pytest.raises(ConfigurationError, match=message):
        model.build(DesignSpace.of_shape(torch.Size([5123])))


def test_factors_need_no_covariance_of_all_pairs() -> None:
    model = GaussianMixture(1, rank=2)
    model.build(DesignSpace.of_shape(torch.Size([5123])))
    generator = torch.Generator().manual_seed(0)
    designs = torch.randn(40, 5123, generator=generator, dtype=torch.float64)
    model.fit(designs, torch.ones(40, dtype=torch.float64))
    drawn = model.sample(3, generator)
    assert drawn.shape == (3, 5123)
    assert model.log_prob(drawn).isfinite().all()
