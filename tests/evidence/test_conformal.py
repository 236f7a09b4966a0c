"""Conformal intervals, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.evidence.conformal import (
    conformal_quantile,
    normal_coverage,
    normal_quantile,
    normalized_residuals,
)

INF = float("inf")


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_residuals_are_in_standard_deviations() -> None:
    prediction = Normal(of(1.0, 2.0, 3.0), of(1.0, 0.5, 4.0))
    residuals = normalized_residuals(prediction, of(2.0, 1.0, 3.0))
    assert residuals.tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("number", "confidence", "expected"),
    [
        (9, 0.9, 9.0),  # the 9th of 9: ⌈0.9 · 10⌉
        (8, 0.9, INF),  # ⌈0.9 · 9⌉ = 9 of 8
        (19, 0.9, 18.0),
        (99, 0.9, 90.0),
        (3, 0.5, 2.0),
        (4, 0.5, 3.0),
    ],
)
def test_quantile(number: int, confidence: float, expected: float) -> None:
    shuffled = torch.randperm(number).double() + 1
    assert conformal_quantile(shuffled, confidence).item() == expected


def test_the_oracles_own_coverage_is_counted() -> None:
    residuals = torch.randn(2000).double().abs()
    expected = np.mean(residuals.numpy() <= stats.norm.ppf(0.95))
    assert normal_coverage(residuals) == pytest.approx(expected, abs=1e-12)
    assert normal_coverage(of(1.644, 1.646, 0.0, 9.0)) == 0.5


def test_normal_quantile() -> None:
    assert normal_quantile() == pytest.approx(stats.norm.ppf(0.95), rel=1e-12)
    assert normal_quantile(0.5) == pytest.approx(stats.norm.ppf(0.75), rel=1e-12)
