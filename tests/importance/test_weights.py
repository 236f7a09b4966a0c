"""Importance weights against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import torch

from lightning_mbo.importance import (
    effective_sample_size,
    importance_weights,
    mixed_with_equal,
    normalized_weights,
)

DTYPES = [torch.float32, torch.float64]
RTOL = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_self_normalised_weights(alpha: float, dtype: torch.dtype) -> None:
    log_ratios = np.random.default_rng(0).normal(0.0, 3.0, size=50)
    result = importance_weights(torch.tensor(log_ratios, dtype=dtype), alpha)
    expected = np.exp(log_ratios) ** alpha
    np.testing.assert_allclose(result.numpy(), expected / expected.mean(), rtol=RTOL[dtype])
    assert result.dtype == dtype
    assert result.mean().item() == pytest.approx(1.0, rel=RTOL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_weights_that_are_not_normalised_are_the_powers(alpha: float, dtype: torch.dtype) -> None:
    log_ratios = torch.tensor([-5.0, 0.0, 3.0], dtype=dtype)
    result = importance_weights(log_ratios, alpha, self_normalize=False)
    expected = [np.exp(-5.0) ** alpha, 1.0, np.exp(3.0) ** alpha]
    np.testing.assert_allclose(result.numpy(), expected, rtol=RTOL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [0.2, 1.0])
@pytest.mark.parametrize("offset", [-1e4, 0.0, 1e4])
def test_huge_ratios_do_not_overflow(alpha: float, offset: float, dtype: torch.dtype) -> None:
    log_ratios = np.array([-2.0, 0.0, 4.0]) + offset
    result = importance_weights(torch.tensor(log_ratios, dtype=dtype), alpha)
    log_mean = scipy.special.logsumexp(alpha * log_ratios) - np.log(3)
    # The ratios themselves are only as exact as the type holds 1e4.
    rtol = 1e-2 if dtype == torch.float32 else 1e-10
    np.testing.assert_allclose(result.numpy(), np.exp(alpha * log_ratios - log_mean), rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wide_spread_leaves_the_largest(dtype: torch.dtype) -> None:
    log_ratios = torch.tensor([-1e4, 1e4, 0.0], dtype=dtype)
    assert importance_weights(log_ratios, 1.0).tolist() == [0.0, 3.0, 0.0]
    raw = importance_weights(log_ratios, 1.0, self_normalize=False)
    assert raw.isfinite().all()
    assert raw.sum().isfinite()
    assert raw.argmax() == 1
    assert raw[[0, 2]].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("self_normalize", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_entries_that_are_not_finite_weigh_nothing(alpha: float, self_normalize: bool) -> None:
    log_ratios = torch.tensor([np.nan, 0.0, np.inf, -np.inf, 0.0], dtype=torch.float64)
    result = importance_weights(log_ratios, alpha, self_normalize)
    share = 2.5 if self_normalize else 1.0
    assert result.tolist() == [0.0, share, 0.0, 0.0, share]


@pytest.mark.parametrize("self_normalize", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_finite_gives_zeros(dtype: torch.dtype, self_normalize: bool) -> None:
    log_ratios = torch.tensor([np.nan, np.inf, -np.inf], dtype=dtype)
    result = importance_weights(log_ratios, 1.0, self_normalize)
    assert result.tolist() == [0.0, 0.0, 0.0]
    assert result.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.3] * 8, 8.0),
        ([0.0, 5.0, 0.0], 1.0),
        ([0.0, 0.0], 0.0),
        ([2.0, 0.0, 2.0, 0.0], 2.0),
        # (1 + 2 + 3)² / (1 + 4 + 9)
        ([1.0, 2.0, 3.0], 36 / 14),
        # Squares of these over- or underflow in float32.
        ([1e30] * 4, 4.0),
        ([1e-30] * 4, 4.0),
    ],
)
def test_effective_sample_size(weights: list[float], expected: float, dtype: torch.dtype) -> None:
    result = effective_sample_size(torch.tensor(weights, dtype=dtype))
    assert result.shape == ()
    assert result.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [-1e4, 0.0, 1e4])
def test_normalized_weights_drop_the_negligible(offset: float, dtype: torch.dtype) -> None:
    relative = np.log([1.0, 0.5, 2e-8, 0.5e-8])
    log_weights = torch.tensor(relative + offset, dtype=dtype)
    result = normalized_weights(log_weights)
    rtol = 1e-2 if dtype == torch.float32 else 1e-10
    np.testing.assert_allclose(result.numpy(), [1.0, 0.5, 2e-8, 0.0], rtol=rtol)
    assert result.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_normalized_weights_drop_what_is_not_finite(dtype: torch.dtype) -> None:
    log_weights = torch.tensor([np.nan, 0.0, -np.inf, 0.0], dtype=dtype)
    assert normalized_weights(log_weights).tolist() == [0.0, 1.0, 0.0, 1.0]
    unusable = torch.tensor([np.nan, -np.inf], dtype=dtype)
    assert normalized_weights(unusable).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("least", [3.0, 20.0, 150.0])
def test_mixed_with_equal_keeps_an_effective_sample_size(least: float, dtype: torch.dtype) -> None:
    weights = torch.tensor(np.random.default_rng(0).exponential(size=200) ** 9, dtype=dtype)
    assert effective_sample_size(weights) < 3
    mixed = mixed_with_equal(weights, least)
    assert effective_sample_size(mixed).item() == pytest.approx(least, rel=1e-3)
    # What was added is the same for all, and nothing has lost its place.
    slope = (mixed.max() - mixed.min()) / (weights.max() - weights.min())
    torch.testing.assert_close(mixed - slope * weights, mixed.min().expand(200), rtol=1e-3, atol=0)
    assert 0 < slope < 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_enough_or_out_of_reach_is_left_alone(dtype: torch.dtype) -> None:
    weights = torch.tensor([1.0, 0.5, 0.0], dtype=dtype)
    assert mixed_with_equal(weights, 1.5) is weights
    assert mixed_with_equal(weights, 3.0) is weights
