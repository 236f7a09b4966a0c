"""What is told of several results."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import norm

from lightning_mbo.advance import Advance
from lightning_mbo.goals import Goal
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction

GOALS = (
    Goal.of_words("yield", "maximize"),
    Goal.of_words("cost", "minimize"),
    Goal.of_words("ee", ">= 80"),
    Goal.of_words("pH", "5 to 6"),
    Goal.of_words("salt", "<= 1"),
)
ROWS = torch.tensor(
    [[10, 5, 90, 5.5, 0.5], [20, 9, 85, 5.2, 0.2], [30, 20, 70, 7, 3]], dtype=torch.float64
)
MEANS = torch.tensor(
    [[15, 4, 82, 5.5, 0.4], [40, 8, 81, 5.9, 0.9], [5, 30, 60, 9, 4]], dtype=torch.float64
)
STDS = torch.tensor([1.0, 0.5, 2.0, 0.2, 0.1], dtype=torch.float64).expand(3, 5)


def predicted() -> PredictionOfResults:
    results = Prediction(MEANS, 2 * STDS, STDS)
    return PredictionOfResults.of(results, Advance.beyond(GOALS, ROWS))


def of_limits() -> torch.Tensor:
    """By scipy: of independent results the product."""
    mean, std = MEANS.numpy(), STDS.numpy()
    ee = norm.sf(80, mean[:, 2], std[:, 2])
    acid = norm.cdf(6, mean[:, 3], std[:, 3]) - norm.cdf(5, mean[:, 3], std[:, 3])
    return torch.from_numpy(ee * acid * norm.cdf(1, mean[:, 4], std[:, 4]))


def test_each_result_has_its_figures_and_bounds_on_the_sides_that_matter() -> None:
    bounds = torch.stack([MEANS - 3, MEANS + 3])
    figures = predicted().result_figures(bounds)
    assert list(figures) == [
        *("yield_mean", "yield_std", "yield_lower_95"),
        *("cost_mean", "cost_std", "cost_upper_95"),
        *("ee_mean", "ee_std", "ee_lower_95"),
        *("pH_mean", "pH_std", "pH_lower_95", "pH_upper_95"),
        *("salt_mean", "salt_std", "salt_upper_95"),
        "probability_of_limits",
    ]
    assert figures["cost_mean"].tolist() == [4, 8, 30]
    assert figures["cost_std"].tolist() == [1, 1, 1]
    assert figures["cost_upper_95"].tolist() == [7, 11, 33]
    assert figures["pH_lower_95"].tolist() == pytest.approx([2.5, 2.9, 6])
    torch.testing.assert_close(figures["probability_of_limits"], of_limits())
    assert not [name for name in predicted().result_figures() if name.endswith("95")]
    assert Prediction(*MEANS.T[:3]).result_figures() == {}


def test_what_samples_come_to() -> None:
    metrics = predicted().result_metrics()
    assert list(metrics) == [
        *("results/yield", "results/yield_p80", "results/cost", "results/cost_p20"),
        *("results/ee", "results/ee_p80", "results/pH", "results/salt", "results/salt_p20"),
        *("limits_met", "beyond_front"),
    ]
    assert metrics["results/yield"] == pytest.approx(20)
    assert metrics["results/yield_p80"] == pytest.approx(15 + 0.6 * 25)
    assert metrics["results/cost_p20"] == pytest.approx(4 + 0.4 * 4)
    assert metrics["limits_met"] == pytest.approx(of_limits().mean().item())
    assert 0 < metrics["beyond_front"] <= metrics["limits_met"]


def test_without_limits_nothing_is_said_of_them() -> None:
    results = Prediction(MEANS[:, :2], STDS[:, :2], STDS[:, :2])
    found = PredictionOfResults.of(results, Advance.beyond(GOALS[:2], ROWS[:, :2]))
    assert "probability_of_limits" not in found.result_figures()
    assert "limits_met" not in found.result_metrics()
    results = Prediction(MEANS[:, 2:], STDS[:, 2:], STDS[:, 2:])
    found = PredictionOfResults.of(results, Advance.beyond(GOALS[2:], ROWS[:, 2:]))
    assert "beyond_front" not in found.result_metrics()
