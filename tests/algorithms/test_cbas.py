"""CbAS against an independent computation of its weights."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from lightning_mbo.algorithms import CbAS
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.samples import Prediction, Samples


def samples(means: list[float] | np.ndarray, std: float = 1.0) -> Samples:
    mean = torch.as_tensor(means, dtype=torch.float64)
    m = len(mean)
    return Samples(
        designs=torch.zeros(m, 2, dtype=torch.float64),
        prediction=Prediction(mean, torch.full_like(mean, std), torch.zeros_like(mean)),
        drawn=torch.zeros(m, 2, dtype=torch.float64),
        log_prob=torch.linspace(-3.0, 2.0, m, dtype=torch.float64),
        log_prob_training=torch.linspace(1.0, -400.0, m, dtype=torch.float64),
    )


def expected(given: Samples, threshold: float) -> np.ndarray:
    ratio = given.log_prob_training.numpy() - given.log_prob.numpy()
    mean, std = given.prediction.mean.numpy(), given.prediction.std.numpy()
    return ratio + scipy.stats.norm.logsf(threshold, loc=mean, scale=std)


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("std", [0.1, 1.0, 30.0])
def test_weights(quantile: float, std: float) -> None:
    means = np.random.default_rng(0).normal(50.0, 10.0, size=101)
    given = samples(means, std)
    algorithm = CbAS(quantile)
    result = algorithm.log_weights(given)
    threshold = np.quantile(means, quantile)
    assert algorithm.threshold.item() == pytest.approx(threshold, rel=1e-14)
    np.testing.assert_allclose(result.numpy(), expected(given, threshold), rtol=1e-10)


@pytest.mark.parametrize("deviations", [5.0, 37.1, 1e3, 1e6])
def test_far_tails_stay_finite(deviations: float) -> None:
    # 37.1 standard deviations are a probability of about 1e-301.
    algorithm = CbAS(1.0)
    given = samples([0.0, deviations])
    result = algorithm.log_weights(given)
    assert result.isfinite().all()
    np.testing.assert_allclose(result.numpy(), expected(given, deviations), rtol=1e-12)


def test_the_threshold_never_falls() -> None:
    algorithm = CbAS(0.5)
    assert algorithm.threshold.item() == -np.inf
    thresholds = []
    for means in ([1.0, 2.0, 3.0], [-9.0, -8.0, 7.0], [3.0, 4.0, 5.0]):
        given = samples(means)
        result = algorithm.log_weights(given)
        thresholds.append(algorithm.threshold.item())
        np.testing.assert_allclose(result.numpy(), expected(given, thresholds[-1]), rtol=1e-12)
    assert thresholds == [2.0, 2.0, 4.0]


def test_the_threshold_is_saved() -> None:
    algorithm, resumed = CbAS(0.5), CbAS(0.5)
    algorithm.log_weights(samples([1.0, 2.0, 3.0]))
    resumed.load_state_dict(algorithm.state_dict())
    resumed.log_weights(samples([-1.0, 0.0, 1.0]))
    assert resumed.threshold.item() == 2.0


def test_means_that_are_no_number_are_ignored() -> None:
    algorithm = CbAS(0.5)
    given = samples([np.nan, 1.0, 2.0, np.nan, 3.0])
    result = algorithm.log_weights(given).numpy()
    assert algorithm.threshold.item() == 2.0
    assert np.isnan(result).tolist() == [True, False, False, True, False]
    usable = [1, 2, 4]
    np.testing.assert_allclose(result[usable], expected(given, 2.0)[usable], rtol=1e-12)
    algorithm.log_weights(samples([np.nan, np.nan]))
    assert algorithm.threshold.item() == 2.0


@pytest.mark.parametrize("quantile", [-0.1, 1.1, np.nan])
def test_a_quantile_out_of_range_is_refused(quantile: float) -> None:
    with pytest.raises(ConfigurationError, match="quantile"):
        CbAS(quantile)
