"""DbAS, RWR, FB, CEM-PI and CMA-ES against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from lightning_mbo.algorithms import CEMPI, CMAES, FB, RWR, Algorithm, DbAS
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.importance import normalized_weights
from lightning_mbo.samples import Prediction, Samples

M, N = 200, 50
RNG = np.random.default_rng(0)
MEANS, STDS = RNG.normal(size=M), RNG.uniform(0.1, 2.0, size=M)
DESIGNS, LABELS = RNG.normal(size=(N, 2)), RNG.normal(size=N)


def samples(means: np.ndarray = MEANS) -> Samples:
    designs = torch.from_numpy(np.stack([means, -means], 1))
    zeros = torch.zeros(len(means), dtype=torch.float64)
    stds = torch.from_numpy(STDS[: len(means)])
    prediction = Prediction(torch.from_numpy(means), stds, zeros)
    return Samples(designs, prediction, designs, zeros, zeros)


def started(algorithm: Algorithm) -> Algorithm:
    algorithm.start(torch.from_numpy(DESIGNS), torch.from_numpy(LABELS))
    return algorithm


def test_dbas_weighs_by_the_probability_of_passing_the_threshold() -> None:
    algorithm = started(DbAS(quantile=0.7))
    threshold = np.quantile(MEANS, 0.7)
    expected = scipy.stats.norm.logsf(threshold, MEANS, STDS)
    np.testing.assert_allclose(algorithm.log_weights(samples()).numpy(), expected, rtol=1e-9)
    assert algorithm.threshold.item() == pytest.approx(threshold)
    algorithm.log_weights(samples(MEANS - 1))
    assert algorithm.threshold.item() == pytest.approx(threshold)


def test_rwr_weighs_by_the_exponential_of_the_mean() -> None:
    weights = normalized_weights(started(RWR(eta=0.5)).log_weights(samples()))
    expected = np.exp(0.5 * MEANS / LABELS.std())
    np.testing.assert_allclose(weights.numpy(), expected / expected.max(), rtol=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(0.01, 0.0), (50.0, 0.0), (1.0, -300.0), (7.0, 40.0)])
def test_rwr_weighs_the_same_in_all_units(scale: float, shift: float) -> None:
    weights = []
    for factor, offset in ((1.0, 0.0), (scale, shift)):
        algorithm = RWR(eta=0.5)
        algorithm.start(torch.from_numpy(DESIGNS), torch.from_numpy(factor * LABELS + offset))
        given = samples(factor * MEANS + offset)
        weights.append(normalized_weights(algorithm.log_weights(given)))
    torch.testing.assert_close(*weights, rtol=1e-9, atol=0)


def test_rwr_goes_on_with_the_labels_that_it_started_from() -> None:
    algorithm, restored = started(RWR(eta=0.5)), RWR(eta=0.5)
    restored.load_state_dict(algorithm.state_dict())
    log_weights = [model.log_weights(samples()) for model in (algorithm, restored)]
    torch.testing.assert_close(*log_weights, rtol=0, atol=0)


def test_cem_pi_keeps_the_most_probable_improvements() -> None:
    algorithm = started(CEMPI(quantile=0.8))
    improvement = scipy.stats.norm.sf(LABELS.max(), MEANS, STDS)
    kept = normalized_weights(algorithm.log_weights(samples())) > 0
    assert kept.sum() == M // 5
    np.testing.assert_array_equal(kept.numpy(), improvement >= np.sort(improvement)[-M // 5])


def test_cma_es_ranks_by_the_probability_of_improvement() -> None:
    weights = normalized_weights(started(CMAES()).log_weights(samples()))
    improvement = scipy.stats.norm.sf(LABELS.max(), MEANS, STDS)
    expected = scipy.stats.rankdata(improvement, method="max") / M
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-12)


def test_cma_es_ranks_where_improvement_is_next_to_impossible() -> None:
    means = np.linspace(-1e6, LABELS.max() - 1e3, M)
    given = samples(means)
    given.prediction.std.fill_(1.0)
    weights = normalized_weights(started(CMAES()).log_weights(given))
    np.testing.assert_allclose(weights.numpy(), np.arange(1, M + 1) / M, rtol=1e-12)


@pytest.mark.parametrize("num_unusable", [1, 50, M])
def test_cma_es_ignores_means_that_are_no_number(num_unusable: int) -> None:
    given = samples(np.linspace(-5.0, 5.0, M))
    given.prediction.std.fill_(1.0)
    given.prediction.mean[:num_unusable] = np.nan
    weights = normalized_weights(started(CMAES()).log_weights(given)).numpy()
    num_ranks = M - num_unusable
    assert (weights[:num_unusable] == 0).all()
    np.testing.assert_allclose(weights[num_unusable:] * num_ranks, np.arange(1, num_ranks + 1))


def test_cma_es_gives_equal_samples_one_rank() -> None:
    given = samples(np.array([1.0, 2.0, 2.0, 3.0]))
    given.prediction.std.fill_(1.0)
    ranks = started(CMAES()).log_weights(given).exp()
    np.testing.assert_allclose(ranks.numpy(), [1, 3, 3, 4])


def test_fb_replaces_the_oldest_of_the_pool() -> None:
    algorithm = started(FB(quantile=0.9))
    given = samples()
    passing = np.quantile(LABELS, 0.9) <= MEANS
    assert 0 < passing.sum() < N
    weights = normalized_weights(algorithm.log_weights(given))
    np.testing.assert_array_equal(weights.numpy(), passing)
    designs, equal = algorithm.fitting_set(given, weights)
    expected = np.concatenate([DESIGNS, given.designs.numpy()[passing]])[-N:]
    np.testing.assert_array_equal(designs.numpy(), expected)
    assert (equal == 1).all()
    # The pool is saved, and the next samples push out its oldest.
    restored = started(FB(quantile=0.9))
    restored.load_state_dict(algorithm.state_dict())
    for pool in (algorithm, restored):
        designs, _ = pool.fitting_set(given, weights)
        twice = np.concatenate([expected, given.designs.numpy()[passing]])[-N:]
        np.testing.assert_array_equal(designs.numpy(), twice)


def test_fb_never_outgrows_its_pool() -> None:
    algorithm = started(FB(quantile=0.0))
    given = samples(np.full(M, 100.0) + np.arange(M))
    designs, _ = algorithm.fitting_set(given, torch.ones(M))
    np.testing.assert_array_equal(designs.numpy(), given.designs[-N:].numpy())


@pytest.mark.parametrize("algorithm", [DbAS, FB, CEMPI])
@pytest.mark.parametrize("quantile", [-0.1, 1.1, float("nan")])
def test_no_quantile(algorithm: type, quantile: float) -> None:
    with pytest.raises(ConfigurationError, match="quantile"):
        algorithm(quantile=quantile)


@pytest.mark.parametrize("eta", [-1.0, float("nan"), float("inf")])
def test_no_eta(eta: float) -> None:
    with pytest.raises(ConfigurationError, match="eta"):
        RWR(eta=eta)
