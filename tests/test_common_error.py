"""Errors of several results that go together, against what they were drawn with."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_mbo.common_error import FEWEST_ROWS, CommonError


def residuals(correlations: list[list[float]], number: int = 400, seed: int = 0) -> Tensor:
    drawn = np.random.default_rng(seed).multivariate_normal(
        np.zeros(len(correlations)), correlations, number
    )
    return torch.from_numpy(drawn)


def found(of: CommonError) -> Tensor:
    return torch.outer(of.loadings, of.loadings).fill_diagonal_(1.0)


@pytest.mark.parametrize("correlation", [-0.7, 0.4, 0.8])
def test_a_correlation_is_found(correlation: float) -> None:
    drawn = residuals([[1, correlation], [correlation, 1]], 2000)
    common = CommonError.of(drawn)
    assert found(common)[0, 1] == pytest.approx(correlation, abs=0.05)
    assert common.num_rows.tolist() == [[2000, 2000], [2000, 2000]]
    # One wild residual counts no more than any other.
    drawn[0] = torch.tensor([1e6, -1e6 * np.sign(correlation)])
    assert found(CommonError.of(drawn))[0, 1] == pytest.approx(correlation, abs=0.06)


def test_of_three_results_each_has_its_own() -> None:
    loadings = torch.tensor([0.9, 0.6, -0.7]).double()
    correlations = torch.outer(loadings, loadings).fill_diagonal_(1.0)
    common = CommonError.of(residuals(correlations.tolist(), 4000))
    torch.testing.assert_close(found(common), correlations, atol=0.05, rtol=0)


def test_two_of_three_may_go_together() -> None:
    common = CommonError.of(residuals([[1, 0, 0.6], [0, 1, 0], [0.6, 0, 1]], 1000))
    correlations = found(common)
    assert correlations[0, 2] == pytest.approx(0.6, abs=0.06)
    assert correlations[0, 1] == correlations[1, 2] == 0


def test_chance_is_taken_for_none() -> None:
    independent = [
        CommonError.of(residuals([[1, 0], [0, 1]], 60, seed)).exists for seed in range(200)
    ]
    assert sum(independent) <= 6  # where one in a hundred is expected


def test_estimates_are_shrunk_the_more_the_fewer_the_rows() -> None:
    means = {}
    for number in (25, 800):
        drawn = (residuals([[1, 0.7], [0.7, 1]], number, seed) for seed in range(100))
        means[number] = np.mean([found(CommonError.of(one))[0, 1].item() for one in drawn])
    assert means[25] < means[800] - 0.02
    assert means[800] == pytest.approx(0.7, abs=0.02)


def test_too_few_rows_tell_nothing() -> None:
    drawn = residuals([[1, 0.95], [0.95, 1]], FEWEST_ROWS)
    assert CommonError.of(drawn).exists
    drawn[0, 1] = torch.nan
    common = CommonError.of(drawn)
    assert not common.exists
    assert common.num_rows.tolist() == [[FEWEST_ROWS, FEWEST_ROWS - 1], [FEWEST_ROWS - 1] * 2]


def test_no_correlation_is_complete() -> None:
    drawn = residuals([[1, 0.999], [0.999, 1]])
    assert found(CommonError.of(drawn))[0, 1] == pytest.approx(0.9)


def test_draws_have_the_correlations() -> None:
    common = CommonError(torch.tensor([0.9, -0.5, 0.3]).double(), torch.zeros(3, 3).long())
    generator = torch.Generator().manual_seed(0)
    draws = common.draws(torch.randn(100_000, 3, generator=generator, dtype=torch.float64))
    torch.testing.assert_close(torch.corrcoef(draws.T), found(common), atol=0.02, rtol=0)
    assert draws.std(0).sub(1).abs().max() < 0.01


@pytest.mark.parametrize("loading", [0.0, 0.3, 0.8, 0.95])
def test_nodes_are_of_a_normal_distribution(loading: float) -> None:
    common = CommonError(torch.tensor([loading, loading]).double(), torch.zeros(2, 2).long())
    values, log_weights = common.nodes()
    assert log_weights.exp().sum() == pytest.approx(1)
    assert (log_weights.exp() * values).sum() == pytest.approx(0, abs=1e-12)
    if loading:
        assert (log_weights.exp() * values.square()).sum() == pytest.approx(1)
    # A limit met by one result alone is as likely, whatever it has in common with others.
    means, stds = torch.tensor([[0.7, 0.0]]).double(), torch.tensor([[2.0, 1.0]]).double()
    given = [common.given(value, means, stds) for value in values]
    shares = torch.stack([torch.special.ndtr(m / s)[0, 0] for m, s in given])
    expected = torch.special.ndtr(torch.tensor(0.35)).item()
    assert (log_weights.exp() * shares).sum() == pytest.approx(expected, abs=1e-3)
    assert math.isfinite(log_weights.sum())


def test_figures_tell_all_of_it() -> None:
    common = CommonError.of(residuals([[1, 0.6], [0.6, 1]]))
    figures = common.figures(["yield", "ee"])
    assert list(figures) == ["error_correlation/yield_ee", "error_correlation_rows/yield_ee"]
    again = CommonError.of_figures(figures | {"oracle_p80": 1.0}, ["yield", "ee"])
    assert again is not None
    torch.testing.assert_close(found(again), found(common))
    assert again.num_rows[0, 1] == 400
    assert CommonError.of_figures({"oracle_p80": 1.0}, ["yield", "ee"]) is None
