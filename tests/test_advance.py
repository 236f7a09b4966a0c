"""How far results go beyond the best rows, against definitions and draws."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import multivariate_normal, norm
from torch import Tensor

from lightning_mbo.advance import Advance, _log_sum_of_boxes, log_between
from lightning_mbo.common_error import CommonError
from lightning_mbo.goals import parse_goals

GOALS = {
    "one": {"a": "maximize", "b": ">= 0.5"},
    "two": {"a": "maximize", "b": "minimize"},
    "two and limits": {"a": "maximize", "b": "minimize", "c": ">= 0.5", "d": "near 0.2 +- 0.3"},
    "three": {"a": "maximize", "b": "minimize", "c": "maximize"},
    "limits": {"a": "<= 0.4", "b": "-1 to 1"},
    "none meets": {"a": "maximize", "b": "minimize", "c": ">= 50"},
}


def rows(num_results: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(200, num_results, generator=generator, dtype=torch.float64)


@pytest.fixture(params=GOALS, ids=str)
def advance(request: pytest.FixtureRequest) -> Advance:
    goals = parse_goals(GOALS[request.param])
    return Advance.beyond(goals, rows(len(goals)))


def predicted(advance: Advance) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    means, stds = torch.rand(2, 30, len(advance.goals), generator=generator, dtype=torch.float64)
    return 3 * means - 1, stds + 0.1


def test_on_the_front_it_is_zero_and_below_negative() -> None:
    advance = Advance.beyond(parse_goals(GOALS["two"]), rows(2))
    found = advance.of(rows(2))
    heights = rows(2) * torch.tensor([1.0, -1.0])
    dominated = torch.stack(
        [((heights >= row).all(1) & (heights > row).any(1)).any() for row in heights]
    )
    assert torch.equal(found.abs() < 1e-12, ~dominated)
    assert (found[dominated] < 0).all()


def test_it_is_how_far_the_front_could_move_and_not_dominate() -> None:
    advance = Advance.beyond(parse_goals(GOALS["three"]), rows(3))
    results = torch.tensor([[2.5, -2.0, 1.5], [0.3, 0.2, 0.1]]).double()
    for found, height in zip(advance.of(results), advance.heights(results), strict=True):

        def dominated(by: float, height: Tensor = height) -> bool:
            return bool((advance.front + by >= height).all(1).any())

        assert not dominated(found - 1e-9)
        assert dominated(found + 1e-9)


def test_a_limit_that_is_not_met_counts_by_what_is_short() -> None:
    values = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 4.0], [3.0, 4.0]]).double()
    advance = Advance.beyond(parse_goals({"a": "maximize", "b": ">= 4"}), values)
    assert advance.scales.tolist() == pytest.approx([math.sqrt(1.25), 2.0])
    found = advance.of(torch.tensor([[9.0, 3.0], [3.0, 5.0], [9.0, 5.0], [1.0, 3.9]]).double())
    of_a = 1 / math.sqrt(1.25)
    assert found.tolist() == pytest.approx([-0.5, 0.0, 6 * of_a, -2 * of_a])


def test_where_limits_are_all_that_is_wanted_it_ends_at_zero() -> None:
    advance = Advance.beyond(parse_goals(GOALS["limits"]), rows(2))
    found = advance.of(rows(2))
    meets = (rows(2)[:, 0] <= 0.4) & (rows(2)[:, 1].abs() <= 1)
    assert torch.equal(found == 0, meets)
    assert (found[~meets] < 0).all()


def test_where_no_row_meets_the_limits_these_come_first() -> None:
    advance = Advance.beyond(parse_goals(GOALS["none meets"]), rows(3))
    found = advance.of(rows(3))
    assert (found < 0).all()
    assert found.argmax() == rows(3)[:, 2].argmax()


def test_much_worse_than_all_the_front_in_one_result_is_no_advance() -> None:
    values = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.2, 0.2]]).double()
    advance = Advance.beyond(parse_goals({"a": "maximize", "b": "maximize"}), values)
    far, near = advance.of(torch.tensor([[1.2, -9.0], [1.2, 0.0]]).double())
    assert far < 0 < near


@pytest.mark.parametrize("threshold", [-1.0, -0.3, 0.0, 0.4])
def test_probabilities_are_those_of_draws(advance: Advance, threshold: float) -> None:
    means, stds = predicted(advance)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(20_000, *means.shape, generator=generator, dtype=torch.float64)
    drawn = (advance.of(means + stds * noise) >= threshold).double().mean(0)
    found = advance.log_probability(means, stds, threshold).exp()
    assert (found - drawn).abs().max() < 4 * math.sqrt(0.25 / 20_000)


def test_moments_are_those_of_draws(advance: Advance) -> None:
    means, stds = predicted(advance)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(20_000, *means.shape, generator=generator, dtype=torch.float64)
    drawn = advance.of(means + stds * noise)
    mean, std = advance.moments(means, stds)
    assert ((mean - drawn.mean(0)).abs() < 0.15 * drawn.std(0)).all()
    assert (std / drawn.std(0)).sub(1).abs().max() < 0.3


LOADINGS = [0.9, -0.7, 0.5, 0.8]


def common(advance: Advance, *loadings: float) -> CommonError:
    """With these, or those of as many results."""
    some = torch.tensor(loadings or LOADINGS[: len(advance.goals)]).double()
    return CommonError(some, torch.zeros(len(some), len(some), dtype=torch.long))


def drawn_together(advance: Advance) -> Tensor:
    """The advance of results whose errors have something in common, by draws, ``(s, m)``."""
    means, stds = predicted(advance)
    loadings = torch.tensor(LOADINGS[: len(advance.goals)]).double()
    generator = torch.Generator().manual_seed(2)
    own = torch.randn(40_000, *means.shape, generator=generator, dtype=torch.float64)
    shared = torch.randn(40_000, len(means), 1, generator=generator, dtype=torch.float64)
    noise = loadings * shared + (1 - loadings.square()).sqrt() * own
    return advance.of(means + stds * noise)


@pytest.mark.parametrize("threshold", [-0.3, 0.0, 0.4])
def test_probabilities_where_errors_go_together(advance: Advance, threshold: float) -> None:
    expected = (drawn_together(advance) >= threshold).double().mean(0)
    said = predicted(advance)
    found = advance.log_probability(*said, threshold, common(advance)).exp()
    assert (found - expected).abs().max() < 4 * math.sqrt(0.25 / 40_000)
    if expected.any():
        independent = advance.log_probability(*said, threshold).exp()
        assert (independent - expected).abs().mean() > 2 * (found - expected).abs().mean()


def test_moments_where_errors_go_together(advance: Advance) -> None:
    drawn = drawn_together(advance)
    mean, std = advance.moments(*predicted(advance), common(advance))
    assert ((mean - drawn.mean(0)).abs() < 0.15 * drawn.std(0)).all()
    assert (std - drawn.std(0)).abs().max() < 0.1


@pytest.mark.parametrize("correlation", [-0.9, -0.6, 0.3, 0.8])
def test_two_results_within_limits_are_as_scipy_has_them(correlation: float) -> None:
    advance = Advance.beyond(parse_goals({"a": "<= 0", "b": "<= 0"}), rows(2))
    generator = torch.Generator().manual_seed(0)
    means = 4 * torch.rand(60, 2, generator=generator, dtype=torch.float64) - 1.5
    together = common(advance, abs(correlation) ** 0.5, correlation / abs(correlation) ** 0.5)
    found = advance.log_probability_of_limits(means, torch.ones_like(means), together)
    both = multivariate_normal([0, 0], [[1, correlation], [correlation, 1]])
    expected = torch.from_numpy(both.cdf(-means.numpy()))
    assert (found.exp() - expected).abs().max() < 1e-3
    some = expected > 1e-5
    assert (found[some] - expected[some].log()).abs().max() < 0.1


def test_without_anything_in_common_nothing_changes(advance: Advance) -> None:
    none = CommonError.none(advance.scales, len(advance.goals))
    for threshold in (-1.0, 0.0, 0.3):
        one, other = (
            advance.log_probability(*predicted(advance), threshold, of) for of in (None, none)
        )
        assert torch.equal(one, other)
    for one, other in zip(
        advance.moments(*predicted(advance)),
        advance.moments(*predicted(advance), none),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_anything_exceeds_minus_infinity(advance: Advance) -> None:
    assert not advance.log_probability(*predicted(advance), -math.inf).any()
    assert not advance.log_probability(*predicted(advance), -math.inf, common(advance)).any()


def test_probabilities_are_told_apart_far_below_the_front() -> None:
    advance = Advance.beyond(parse_goals(GOALS["two"]), rows(2))
    means = torch.tensor([[-60.0, 60.0], [-61.0, 61.0]]).double()
    near, far = advance.log_probability(means, torch.ones(2, 2).double(), 0.0)
    assert -torch.inf < far < near < -1000
    together = common(advance, 0.8, 0.8)
    near, far = advance.log_probability(means, torch.ones(2, 2).double(), 0.0, together)
    assert -torch.inf < far < near < -1000


def test_a_box_far_below_has_its_probability_to_many_digits() -> None:
    """Nine standard deviations away: there 1 + erf has one digit left."""
    one = torch.zeros(1, 1, dtype=torch.float64)
    found = [
        _log_sum_of_boxes(one + lower, one + upper, one, one + 1).item()
        for lower, upper in ((9.0, 10.0), (-10.0, -9.0), (8.0, math.inf))
    ]
    expected = [norm.logsf(9) + math.log1p(-math.exp(norm.logsf(10) - norm.logsf(9)))] * 2
    assert found == pytest.approx([*expected, norm.logsf(8)], rel=1e-12)


def test_logarithms_are_taken_where_probabilities_end() -> None:
    advance = Advance.beyond(parse_goals(GOALS["two"]), rows(2))
    means = torch.linspace(-10, -60, 501).double()[:, None] * torch.tensor([1.0, -1.0]).double()
    found = advance.log_probability(means, torch.ones_like(means), 0.0)
    assert found[0] > -600 > found[-1]
    second = found.diff().diff()
    assert second.max() < 0
    assert second.abs().max() < 1.1 * second.abs().min() + 0.01


def test_further_rows_take_away_what_they_dominate() -> None:
    advance = Advance.beyond(parse_goals(GOALS["two"]), rows(2))
    results = torch.tensor([[3.0, -4.0]]).double()
    assert advance.of(results) > 0
    later = advance.with_rows(advance.heights(results))
    assert later.of(results) == 0
    assert len(later.front) == 1


def test_log_between() -> None:
    lower = torch.tensor([30.0, -40.0, -1.0, 2.0, 1.0, -torch.inf]).double()
    upper = torch.tensor([31.0, -39.0, torch.inf, 2.0, 0.0, torch.inf]).double()
    found = log_between(lower, upper).tolist()
    expected = [-454.3212439955, -765.0831580, math.log(0.8413447460685429)]
    assert found == pytest.approx([*expected, -math.inf, -math.inf, 0.0], rel=1e-6)
