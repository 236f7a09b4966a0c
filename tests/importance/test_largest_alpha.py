"""The largest α that keeps the effective sample size."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch

from lightning_mbo.importance import largest_alpha

LOG_RATIOS = 5 * np.random.default_rng(0).normal(size=1000)


def size(alpha: float) -> float:
    weights = np.exp(alpha * LOG_RATIOS)
    return weights.sum() ** 2 / (weights**2).sum()


@pytest.mark.parametrize("least", [10, 100, 500, 999])
def test_it_is_the_root(least: float) -> None:
    expected = scipy.optimize.brentq(lambda alpha: size(alpha) - least, 0, 1)
    assert largest_alpha(torch.from_numpy(LOG_RATIOS), least) == pytest.approx(expected, abs=1e-8)


def test_base_weights_count() -> None:
    base = np.random.default_rng(1).gamma(0.5, size=1000)

    def fitted(alpha: float) -> float:
        weights = base * np.exp(alpha * LOG_RATIOS)
        return weights.sum() ** 2 / (weights**2).sum()

    expected = scipy.optimize.brentq(lambda alpha: fitted(alpha) - 100, 0, 1)
    log_ratios = torch.from_numpy(LOG_RATIOS)
    assert largest_alpha(log_ratios, 100, torch.from_numpy(base)) == pytest.approx(expected)
    assert expected < largest_alpha(log_ratios, 100)
    equal = torch.full_like(log_ratios, 1.0)
    assert largest_alpha(log_ratios, 100, equal) == largest_alpha(log_ratios, 100)


def test_weights_that_are_even_enough_stay_as_they_are() -> None:
    assert largest_alpha(torch.from_numpy(LOG_RATIOS / 100), 900) == 1.0


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_what_cannot_be_reached(scale: float) -> None:
    assert largest_alpha(torch.from_numpy(scale * LOG_RATIOS), 1001) == 0.0
