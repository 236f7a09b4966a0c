"""Whether what was said of a batch came true."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_mbo.advance import Advance
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.goals import parse_goals
from lightning_mbo.metrics.evidence import (
    batch_scores,
    bound_scores,
    limit_scores,
    outlook_scores,
)
from lightning_mbo.problem import DesignProblem


def problem() -> DesignProblem:
    """Labels from 0 to 4."""
    labels = torch.arange(5, dtype=torch.float64)
    return DesignProblem.of_table(labels[:, None], labels)


def of(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_batch() -> None:
    # The best label, 4, is a lucky one: its row is worth 2.5.
    assert batch_scores(of(1, 3, 4, 6), 2.5, problem()) == {
        "batch_median": 3.5,
        "batch_best": 6.0,
        "realised_share": 0.25,
        "realised_share_by_truth": 0.75,
    }


def test_an_outlook() -> None:
    scores = outlook_scores(Outlook(4.0, 0.7, 0.2, 0.9, math.nan, 4.0, 0.7), 0.25)
    assert scores == {
        "predicted_share": 0.7,
        "least_predicted_share": 0.2,
        "greatest_predicted_share": 0.9,
        "brier_score": pytest.approx(0.45**2),
    }


def test_limits() -> None:
    results = torch.tensor([[5.0, 90.0], [9.0, 80.0], [1.0, 95.0]], dtype=torch.float64)
    limited = Advance.beyond(parse_goals({"gain": "maximize", "ee": ">= 90"}), results)
    share = limit_scores(results, limited)["realised_share_meeting_limits"]
    assert share == pytest.approx(2 / 3)
    free = Advance.beyond(parse_goals({"gain": "maximize", "ee": "maximize"}), results)
    assert limit_scores(results, free) == {}


def test_bounds_of_exact_measurements() -> None:
    scores = bound_scores(of(1, 3, 4, 6), of(1, 3.5, 2, -math.inf), 0.0, problem())
    assert scores == {"bound_held": 0.75, "infinite_bounds": 0.25, "bound_distance": 0.0}


def test_bounds_of_noisy_measurements_are_judged_in_expectation() -> None:
    truth, bounds, noise = of(1, 3, 4), of(2, 2.5, -1), 0.8
    scores = bound_scores(truth, bounds, noise, problem())
    generator = torch.Generator().manual_seed(0)
    scatter = noise * torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    simulated = (truth + scatter >= bounds).double().mean().item()
    assert scores["bound_held"] == pytest.approx(simulated, abs=3e-3)
    assert scores["bound_distance"] == 0.5 / 4


def test_of_infinite_bounds_there_is_no_distance() -> None:
    scores = bound_scores(of(1, 2), of(-math.inf, -math.inf), 1.0, problem())
    assert scores == {"bound_held": 1.0, "infinite_bounds": 1.0}
