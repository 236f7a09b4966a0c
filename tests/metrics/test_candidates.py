"""Candidate metrics against values by hand."""

from __future__ import annotations

import pytest
import torch
from torchmetrics import Metric

from lightning_mbo.metrics.candidates import (
    CandidateMaximum,
    CandidateMedian,
    PercentChanceOfImprovement,
)

PREDS = torch.tensor([3.0, 10.0, 0.0, 7.0, 9.0, 1.0, 5.0, 8.0, 2.0, 6.0, 4.0])
# The 80th percentile of 0, 1, ..., 10 is 8: the candidates are those with 10, 9 and 8.
TARGET = torch.tensor([99.0, 20.0, 50.0, 98.0, 40.0, 1.0, 2.0, 25.0, 3.0, 4.0, 5.0])
CASES = [
    (CandidateMedian(0.8), 25.0),
    (CandidateMaximum(0.8), 40.0),
    (PercentChanceOfImprovement(24.0, 0.8), 100 * 2 / 3),
    # Not exceeded by one that is equal.
    (PercentChanceOfImprovement(25.0, 0.8), 100 / 3),
    (PercentChanceOfImprovement(40.0, 0.8), 0.0),
    (CandidateMedian(0.0), 20.0),
    (CandidateMaximum(0.0), 99.0),
    (PercentChanceOfImprovement(24.0, 0.0), 100 * 5 / 11),
    (CandidateMaximum(1.0), 20.0),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{type(case[0]).__name__}-{case[0].quantile}")
def case(request: pytest.FixtureRequest) -> tuple[Metric, float]:
    metric, expected = request.param
    return metric.clone(), expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_update(case: tuple[Metric, float], dtype: torch.dtype) -> None:
    metric, expected = case
    metric.update(PREDS.to(dtype), TARGET.to(dtype))
    assert metric.compute().shape == ()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch", [1, 4, 10])
def test_batches_are_one_update(case: tuple[Metric, float], batch: int) -> None:
    metric, expected = case
    for preds, target in zip(PREDS.split(batch), TARGET.split(batch), strict=True):
        metric.update(preds, target)
    assert metric.compute().item() == pytest.approx(expected, rel=1e-6)


def test_reset_forgets(case: tuple[Metric, float]) -> None:
    metric, _ = case
    metric.update(torch.tensor([1e9]), torch.tensor([1e9]))
    metric.reset()
    metric.update(PREDS, TARGET)
    assert metric.compute().item() == pytest.approx(case[1], rel=1e-6)


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    metric = CandidateMedian(0.0)
    metric.update(torch.zeros(4), torch.tensor([1.0, 8.0, 2.0, 4.0]))
    assert metric.compute().item() == 3.0
