"""Figures of a batch with several results, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.goals import parse_goals
from lightning_mbo.metrics.several_results import (
    HypervolumeGained,
    ResultsMetric,
    ShareBeyondFront,
    ShareMeetingLimits,
)

GOALS = parse_goals({"gain": "maximize", "cost": "minimize", "ee": ">= 90"})
REFERENCE = {"gain": 0.0, "cost": 10.0}


def of(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# The third is dominated, and the fourth would be best were its ee not too low.
VISIBLE = of((2, 6, 95), (4, 8, 90), (1, 7, 99), (9, 1, 89))
ADVANCE = Advance.beyond(GOALS, VISIBLE)
BEFORE = 2.0 * 4 + 2 * 2

# Beyond the front in both results, and in one; in one, but much worse than the front in the other;
# short of the limit; equal to a row.
BATCH = of((3, 5, 91), (5, 8.1, 90), (5, 9, 91), (5, 2, 80), (4, 8, 90))
AFTER = 3.0 * 5 + 1 * 2 + 1 * 1.9


def metrics() -> dict[str, ResultsMetric]:
    return {
        "met": ShareMeetingLimits(ADVANCE),
        "beyond": ShareBeyondFront(ADVANCE),
        "relative": HypervolumeGained(ADVANCE, VISIBLE, REFERENCE),
        "of best": HypervolumeGained(ADVANCE, VISIBLE, REFERENCE, best_volume=30.0),
    }


EXPECTED = {
    "met": 4 / 5,
    "beyond": 2 / 5,
    "relative": (AFTER - BEFORE) / BEFORE,
    "of best": (AFTER - BEFORE) / (30 - BEFORE),
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_batch(name: str, batch: int) -> None:
    metric = metrics()[name]
    for part in BATCH.split(batch):
        metric.update(part)
    assert metric.compute().shape == ()
    assert metric.compute().item() == pytest.approx(EXPECTED[name], rel=1e-12)


@pytest.mark.parametrize("name", EXPECTED)
def test_reset_forgets(name: str) -> None:
    metric = metrics()[name]
    metric.update(of((100, -100, 100)))
    metric.reset()
    metric.update(BATCH)
    assert metric.compute().item() == pytest.approx(EXPECTED[name], rel=1e-12)


def test_volumes_are_in_the_users_units() -> None:
    metric = HypervolumeGained(ADVANCE, VISIBLE, REFERENCE)
    assert metric.volume(VISIBLE).item() == pytest.approx(BEFORE)
    assert metric.volume(VISIBLE[3:]).item() == 0.0
    # Worse than the reference in one result is worth nothing.
    assert metric.volume(of((5, 11, 99), (-1, 2, 99))).item() == 0.0


def test_what_changes_nothing_gains_nothing() -> None:
    metric = HypervolumeGained(ADVANCE, VISIBLE, REFERENCE)
    metric.update(VISIBLE[[0, 2, 3]])
    assert metric.compute().item() == 0.0


def test_where_no_row_meets_the_limits_any_design_that_does_gains() -> None:
    visible = VISIBLE[3:].repeat(2, 1) - of((0, 0, 0), (0, 0, 5))
    advance = Advance.beyond(GOALS, visible)
    metric = HypervolumeGained(advance, visible, REFERENCE, best_volume=50.0)
    metric.update(of((2, 6, 95)))
    assert metric.compute().item() == pytest.approx(2 * 4 / 50)
    metric = HypervolumeGained(advance, visible, REFERENCE)
    metric.update(of((2, 6, 95)))
    assert metric.compute().item() == torch.inf


def test_a_single_result_without_limits() -> None:
    goals = parse_goals({"gain": "maximize", "ee": "90 to 95"})
    visible = of((2, 91), (3, 92), (9, 99))
    advance = Advance.beyond(goals, visible)
    metric = HypervolumeGained(advance, visible, {"gain": 1.0})
    beyond = ShareBeyondFront(advance)
    for found in (metric, beyond):
        found.update(of((6, 94), (8, 96)))
    assert metric.compute().item() == pytest.approx(3 / 2)
    assert beyond.compute().item() == 0.5


def test_limits_alone_have_no_front() -> None:
    goals = parse_goals({"pH": "5 to 6"})
    advance = Advance.beyond(goals, of((4,), (5.5,), (7,)))
    met, beyond = ShareMeetingLimits(advance), ShareBeyondFront(advance)
    for metric in (met, beyond):
        metric.update(of((5,), (5.2,), (6,), (6.1,)))
    assert (met.compute().item(), beyond.compute().item()) == (0.75, 0.0)


def test_rows_are_no_state() -> None:
    assert HypervolumeGained(ADVANCE, VISIBLE, REFERENCE).state_dict() == {}
