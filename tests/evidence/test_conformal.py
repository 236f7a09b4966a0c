"""Conformal intervals, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.evidence.conformal import (
    as_promising,
    conformal_quantile,
    normal_coverage,
    normal_quantile,
    normalized_residuals,
    shifted_quantiles,
)

INF = float("inf")


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_residuals_are_in_standard_deviations() -> None:
    prediction = Normal(of(1.0, 2.0, 3.0), of(1.0, 0.5, 4.0))
    residuals = normalized_residuals(prediction, of(2.0, 1.0, 3.0))
    assert residuals.tolist() == [1.0, 2.0, 0.0]


def test_the_choice_is_passed_by_what_is_as_good_as_its_worst() -> None:
    means = of(1.0, 2.0, 3.0, float("nan"))
    assert as_promising(means, of(5.0, 2.0)).tolist() == [False, True, True, False]
    assert as_promising(means, of(3.5)).tolist() == [False] * 4
    assert as_promising(means, of()).tolist() == [False] * 4


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


def by_definition(residuals: Tensor, ratios: Tensor, new: float, confidence: float) -> float:
    """The quantile of Σ p_i δ(residual_i) + p_new δ(∞), by a loop."""
    total, mass = ratios.sum().item() + new, 0.0
    for residual, ratio in sorted(zip(residuals.tolist(), ratios.tolist(), strict=True)):
        mass += ratio / total
        if mass >= confidence:
            return residual
    return INF


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9])
def test_shifted_quantiles_are_the_definition(confidence: float) -> None:
    residuals, ratios = torch.rand(40).double(), (3 * torch.randn(40)).double().exp()
    new = torch.linspace(-8, 8, 30, dtype=torch.float64)
    expected = [by_definition(residuals, ratios, r.exp().item(), confidence) for r in new]
    found = shifted_quantiles(residuals, ratios.log(), new, confidence)
    assert found.tolist() == expected
    assert found[-1] == INF > found[0]


def test_without_a_shift_the_quantile_is_the_usual_one() -> None:
    for number in (5, 8, 9, 19, 40):
        residuals = torch.rand(number).double()
        shifted = shifted_quantiles(residuals, torch.zeros(number).double(), of(0.0), 0.8)
        assert shifted.item() == conformal_quantile(residuals, 0.8).item()


@pytest.mark.parametrize("offset", [-2000.0, 2000.0])
def test_only_differences_of_log_ratios_count(offset: float) -> None:
    residuals, log_ratios = of(3, 1, 2), of(0.0, -0.5, 1.0)
    found = shifted_quantiles(residuals, log_ratios + offset, of(0.1, -3.0) + offset, 0.7)
    assert torch.equal(found, shifted_quantiles(residuals, log_ratios, of(0.1, -3.0), 0.7))


def test_far_designs_are_promised_nothing() -> None:
    residuals = of(1, 2, 3)
    assert shifted_quantiles(residuals, of(0, 0, 0), of(5000.0, 3.0)).tolist() == [INF, INF]
    # A held-out design that the search never finds does not count.
    assert shifted_quantiles(of(1, 9), of(0, -INF), of(-9.0)).item() == 1.0
    assert shifted_quantiles(of(1, 9), of(-INF, -INF), of(0.0)).item() == INF


def test_shifted_intervals_hold_under_the_shift() -> None:
    # x ~ N(0, 1), new x ~ N(1, 1), and the noise grows with x: unweighted intervals are too narrow.
    covered = {"shifted": 0.0, "plain": 0.0}
    trials, number = 200, 200
    for _ in range(trials):
        x, new = torch.randn(number).double(), torch.randn(20).double() + 1
        noise, new_noise = (torch.randn(len(v)).double() * v.exp() for v in (x, new))
        residuals = noise.abs()
        quantiles = shifted_quantiles(residuals, x - 0.5, new - 0.5)
        covered["shifted"] += (new_noise.abs() <= quantiles).double().mean().item() / trials
        plain = conformal_quantile(residuals)
        covered["plain"] += (new_noise.abs() <= plain).double().mean().item() / trials
    assert covered["shifted"] >= 0.89
    assert covered["plain"] < 0.8


def test_the_oracles_own_coverage_is_counted() -> None:
    residuals = torch.randn(2000).double().abs()
    expected = np.mean(residuals.numpy() <= stats.norm.ppf(0.95))
    assert normal_coverage(residuals) == pytest.approx(expected, abs=1e-12)
    assert normal_coverage(of(1.644, 1.646, 0.0, 9.0)) == 0.5


def test_normal_quantile() -> None:
    assert normal_quantile() == pytest.approx(stats.norm.ppf(0.95), rel=1e-12)
    assert normal_quantile(0.5) == pytest.approx(stats.norm.ppf(0.75), rel=1e-12)
