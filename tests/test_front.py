"""Batches that push out a front, against draws and on points made by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.batch import handed_out
from lightning_mbo.common_error import CommonError
from lightning_mbo.designs import euclidean
from lightning_mbo.front import (
    Aims,
    even_aims,
    farthest,
    front_batch,
    log_expected_gain,
    log_reach,
)
from lightning_mbo.goals import parse_goals
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import JudgedDesigns, Prediction

LIMITED = {"a": "maximize", "b": "minimize", "c": "<= 1"}


def said(means: Tensor, std: float, advance: Advance) -> PredictionOfResults:
    stds = torch.full_like(means, std)
    return PredictionOfResults.of(Prediction(means, stds, stds), advance)


def staircase() -> Advance:
    values = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.5], [2.0, 3.0, 1.0]]).double()
    return Advance.beyond(parse_goals(LIMITED), values)


def area(heights: Tensor, worst: Tensor) -> Tensor:
    """Of what a front of two results dominates above the worst, by counting."""
    ordered = heights.clamp(min=worst)[heights[:, 0].argsort(descending=True)]
    total, floor = torch.zeros(()).double(), worst[1]
    for height in ordered:
        total = total + (height[0] - worst[0]) * (height[1] - floor).clamp(min=0)
        floor = torch.maximum(floor, height[1])
    return total


def test_expected_gains_are_those_of_draws() -> None:
    pytest.importorskip("botorch")
    advance = staircase()
    means = torch.tensor([[1.5, 0.5, 0.7], [2.5, 4.0, 1.2], [-1.0, -1.0, 0.0]]).double()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4000, *means.shape, generator=generator, dtype=torch.float64)
    results = means + 0.6 * noise
    before = area(advance.front, advance.worst)
    found = log_expected_gain(said(means, 0.6, advance), advance).exp()
    for number in range(len(means)):
        gains = torch.stack(
            [
                area(torch.cat([advance.front, h[None]]), advance.worst) - before
                for h in advance.heights(results[:, number])
            ]
        )
        meets = (results[:, number, 2] <= 1).double()
        # Results are independent, and so are gains and limits.
        expected = gains.mean() * meets.mean()
        error = gains.std() / 60
        assert abs(found[number] - expected) < 4 * error + 0.02 * expected


@pytest.mark.parametrize("loadings", [[0.9, 0.9, -0.8], [0.9, -0.9, 0.6]])
def test_expected_gains_where_errors_go_together(loadings: list[float]) -> None:
    pytest.importorskip("botorch")
    advance, shares = staircase(), torch.tensor(loadings).double()
    means = torch.tensor([[1.5, 0.5, 0.7], [2.5, 4.0, 1.2]]).double()
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(6000, *means.shape, generator=generator, dtype=torch.float64)
    shared = torch.randn(6000, len(means), 1, generator=generator, dtype=torch.float64)
    results = means + 0.6 * (shares * shared + (1 - shares.square()).sqrt() * own)
    before = area(advance.front, advance.worst)
    stds = torch.full_like(means, 0.6)
    common = CommonError(shares, torch.zeros(3, 3, dtype=torch.long))
    together = PredictionOfResults.of(Prediction(means, stds, stds), advance, common)
    found = log_expected_gain(together, advance).exp()
    independent = log_expected_gain(said(means, 0.6, advance), advance).exp()
    for number in range(len(means)):
        gains = torch.stack(
            [
                area(torch.cat([advance.front, h[None]]), advance.worst) - before
                for h in advance.heights(results[:, number])
            ]
        )
        worth = gains * (results[:, number, 2] <= 1)
        error = 4 * worth.std() / 6000**0.5
        assert abs(found[number] - worth.mean()) < error
        assert abs(independent[number] - worth.mean()) > error


def test_the_front_is_pushed_out_along_all_of_it() -> None:
    pytest.importorskip("botorch")
    values = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 2.0]]).double()
    goals = parse_goals({"a": "maximize", "b": "minimize"})
    advance = Advance.beyond(goals, values)
    # Five pairs of twins along a new front, which lie together in the designs too.
    along = torch.linspace(0, 1, 5).double().repeat_interleave(2)
    means = torch.stack([0.5 + along, along], 1)
    designs = along[:, None] + torch.tensor([0.0, 1e-3] * 5).double()[:, None]
    rows = front_batch(designs, said(means, 1e-3, advance), euclidean, 5)
    assert sorted((rows // 2).tolist()) == [0, 1, 2, 3, 4]


def test_what_is_to_meet_no_limit_is_chosen_last() -> None:
    pytest.importorskip("botorch")
    means = torch.tensor([[9.0, -9.0, 5.0], [2.2, 0.5, 0.5], [0.5, 0.2, 0.5]]).double()
    prediction = said(means, 0.05, staircase())
    designs = torch.arange(3.0).double()[:, None]
    assert front_batch(designs, prediction, euclidean, 3).tolist()[-1] == 0
    judged = JudgedDesigns(designs, prediction, designs)
    assert 0 not in handed_out(judged, -torch.inf, 2, None, euclidean)


def test_each_reach_is_along_a_direction_of_its_own() -> None:
    pytest.importorskip("botorch")
    values = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()
    advance = Advance.beyond(parse_goals({"a": "maximize", "b": "maximize"}), values)
    means = torch.tensor([[3.0, 0.5], [0.5, 3.0]]).double()
    prediction = said(means, 1e-6, advance)
    none = torch.zeros(2).double()
    along_a = torch.tensor([[0.99, 0.14]]).double().expand(2, 2)
    one, other = log_reach(prediction, Aims(along_a, none))
    assert one > other
    one, other = log_reach(prediction, Aims(along_a.flip(1), none))
    assert other > one


def test_an_aim_adds_what_more_data_may_tell() -> None:
    pytest.importorskip("botorch")
    advance = staircase()
    means = torch.tensor([[1.0, 1.0, 0.0]] * 2).double()
    stds = torch.tensor([[0.1] * 3, [0.5] * 3]).double()
    prediction = PredictionOfResults.of(Prediction(means, stds, stds), advance)
    directions = torch.full((2, 2), 0.5**0.5).double()
    expected = log_reach(prediction, Aims(directions, torch.zeros(2).double()))
    lucky = log_reach(prediction, Aims(directions, torch.full((2,), 2.0).double()))
    assert abs(expected[0] - expected[1]) < 0.05  # by the limit alone
    assert (lucky > expected).all()
    assert lucky[1] > lucky[0]


def test_in_each_direction_the_farthest_is_found() -> None:
    pytest.importorskip("botorch")
    prediction = said(
        torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).double(), 0.1, staircase()
    )
    aims = even_aims(20, prediction.advance)
    rows = farthest(prediction, aims)
    for row, direction, deviation in zip(rows, *aims, strict=True):
        reach = log_reach(prediction, Aims(direction.expand(200, 2), deviation.expand(200)))
        assert reach[row] == reach.max()
    assert len(rows.unique()) > 2


def test_directions_are_of_length_one_and_positive() -> None:
    pytest.importorskip("botorch")
    directions, deviations = even_aims(500, staircase())
    assert directions.shape == (500, 2)
    assert (directions > 0).all()
    assert directions.norm(dim=1).sub(1).abs().max() < 0.03
    assert directions.mean(0).sub(2 / torch.pi).abs().max() < 0.05
    assert (deviations >= 0).all()
    assert deviations.mean() == pytest.approx(1, abs=0.05)
