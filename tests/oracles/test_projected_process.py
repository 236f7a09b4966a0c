"""A Gaussian process through inducing designs, against dense formulas and against the exact one."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.oracles import GaussianProcess
from lightning_mbo.oracles.gaussian_posterior import condition, left_out, posterior
from lightning_mbo.oracles.projected_process import (
    Inducing,
    inducing_designs,
    project,
    projected_left_out,
    projected_posterior,
)
from lightning_mbo.problem import DesignProblem

Array = NDArray[np.float64]


class Rows(NamedTuple):
    """Covariances of 40 designs and 6 new ones; labels, weights / noise of the 40, a few zero."""

    covariance: Array
    labels: Array
    precisions: Array

    @property
    def among(self) -> Tensor:
        return torch.from_numpy(self.covariance[:40, :40])

    @property
    def given(self) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.labels), torch.from_numpy(self.precisions)

    @property
    def new(self) -> Array:
        return self.covariance[40:, :40]


@pytest.fixture
def rows() -> Rows:
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(46, 3))
    covariance = 2 * np.exp(-np.square(points[:, None] - points).sum(-1)) + 0.01 * np.eye(46)
    precisions = rng.exponential(size=40) * 20
    precisions[[3, 17, 20]] = 0
    return Rows(covariance, rng.normal(size=40), precisions)


def drawn(
    covariance: Tensor, precisions: Tensor, number: int, seed: int = 0, rounded: float = 0.0
) -> Inducing:
    generator = torch.Generator().manual_seed(seed)
    return inducing_designs(
        lambda some, others: covariance[some[:, None], others],
        covariance.diagonal() + rounded,
        precisions,
        number,
        generator,
    )


@pytest.mark.parametrize("number", [1, 7, 37])
def test_features(rows: Rows, number: int) -> None:
    covariance = rows.among.numpy()
    found = drawn(rows.among, rows.given[1], number)
    chosen = found.rows.numpy()
    assert len(set(chosen)) == number
    assert (rows.precisions[chosen] > 0).all()
    cross, inner = covariance[:, chosen], covariance[np.ix_(chosen, chosen)]
    projected = cross @ np.linalg.solve(inner, cross.T)
    np.testing.assert_allclose(found.features @ found.features.mT, projected, atol=1e-10)
    np.testing.assert_allclose(found.left, np.diag(covariance - projected), atol=1e-10)
    np.testing.assert_allclose(
        found.features[found.rows].tril(), np.linalg.cholesky(inner), atol=1e-10
    )


def test_inducing_designs_are_drawn_by_what_is_left_of_them() -> None:
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(4, 4))
    covariance, precisions = factor @ factor.T, np.array([1.0, 2.0, 0.0, 0.5])

    def shares(known: list[int]) -> Array:
        cross = covariance[:, known]
        explained = cross @ np.linalg.pinv(covariance[np.ix_(known, known)]) @ cross.T
        left = precisions * np.diag(covariance - explained)
        left[known] = 0
        return left / left.sum()

    expected = {
        (i, j): shares([])[i] * shares([i])[j] for i, j in itertools.permutations((0, 1, 3), 2)
    }
    given = torch.from_numpy(covariance), torch.from_numpy(precisions)
    runs = [tuple(drawn(*given, 2, seed).rows.tolist()) for seed in range(500)]
    for pair, chance in expected.items():
        error = np.sqrt(chance * (1 - chance) / len(runs))
        assert abs(runs.count(pair) / len(runs) - chance) < 4 * error
    assert set(runs) <= set(expected)


def test_no_more_are_drawn_than_tell_anything() -> None:
    points = torch.linspace(0, 1, 5).double().repeat(30)
    covariance = (-(points[:, None] - points).square()).exp()
    found = drawn(covariance, torch.ones(150).double(), 100)
    assert points[found.rows].unique().tolist() == points[:5].tolist()
    assert len(found.rows) == 5
    assert not found.left.any()
    # Nor where a variance is rounded otherwise than the covariances.
    assert len(drawn(covariance, torch.ones(150).double(), 100, rounded=1e-9).rows) == 5
    # Some, also where labels tell nothing.
    assert len(drawn(covariance, torch.full((150,), 1e-12).double(), 100).rows) > 0


@pytest.mark.parametrize("number", [1, 7, 37])
def test_posterior(rows: Rows, number: int) -> None:
    inducing = drawn(rows.among, rows.given[1], number)
    found = project(inducing, *rows.given)
    chosen, some = inducing.rows.numpy(), rows.precisions > 0
    inner = np.linalg.inv(rows.covariance[np.ix_(chosen, chosen)])
    of_labels = rows.covariance[:40][some][:, chosen]
    labelled = of_labels @ inner @ of_labels.T + np.diag(1 / rows.precisions[some])
    cross = rows.new[:, chosen]
    told = np.linalg.solve(labelled, of_labels @ inner @ cross.T).T
    variances = np.diag(rows.covariance)[40:].copy()
    mean, variance = projected_posterior(found, *map(torch.from_numpy, (cross, variances)))
    np.testing.assert_allclose(mean, told @ rows.labels[some], atol=1e-9)
    expected = variances - np.diag(told @ of_labels @ inner @ cross.T)
    np.testing.assert_allclose(variance, expected, atol=1e-9)


def test_through_all_designs_it_is_the_exact_process(rows: Rows) -> None:
    labels, precisions = rows.given
    exact = condition(rows.among, labels, precisions)
    inducing = drawn(rows.among, precisions.clamp(min=1e-3), 40)
    found = project(inducing, labels, precisions)
    variances = torch.from_numpy(rows.covariance).diagonal()[40:]
    cross = torch.from_numpy(rows.new)
    expected = posterior(exact, cross, variances)
    for value, other in zip(
        projected_posterior(found, cross[:, inducing.rows], variances), expected, strict=True
    ):
        torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-9)
    some = precisions > 0
    left = projected_left_out(found, inducing, labels, precisions)
    for value, other in zip(left, left_out(exact, labels), strict=True):
        torch.testing.assert_close(value[some], other[some], rtol=1e-9, atol=1e-9)


def test_left_out(rows: Rows) -> None:
    labels, precisions = rows.given
    inducing = drawn(rows.among, precisions, 8)
    means, variances = projected_left_out(
        project(inducing, labels, precisions), inducing, labels, precisions
    )
    cross, prior = rows.among[:, inducing.rows], rows.among.diagonal()
    for i in range(40):
        others = precisions.clone()
        others[i] = 0
        given = project(inducing, labels, others)
        mean, variance = projected_posterior(given, cross[[i]], prior[[i]])
        torch.testing.assert_close(means[[i]], mean, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(variances[[i]], variance, rtol=1e-9, atol=1e-9)


def smooth_problem(n: int, noise: float = 0.1) -> DesignProblem:
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(n, 5)) * 10
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] / 30 - np.square(x[:, 3] - 4) / 20
    return DesignProblem.of_table(
        torch.from_numpy(x), torch.from_numpy(y + noise * rng.normal(size=n))
    )


def fitted(
    problem: DesignProblem, num_inducing: int, weights: Tensor | None = None
) -> GaussianProcess:
    oracle = GaussianProcess(num_inducing=num_inducing)
    oracle.prepare(problem)
    oracle.solve(
        problem,
        problem.base_weights if weights is None else weights,
        torch.Generator().manual_seed(0),
    )
    return oracle


def test_it_is_near_the_exact_process_and_less_sure_of_nothing() -> None:
    problem = smooth_problem(240)
    unseen = torch.from_numpy(np.random.default_rng(1).uniform(size=(200, 5)) * 10)
    exact, near = (fitted(problem, number) for number in (240, 160))
    assert torch.equal(exact.hyper_parameters, near.hyper_parameters)
    assert near.designs.shape == (160, 5)
    expected, found = exact.predict(unseen), near.predict(unseen)
    apart = (found.mean - expected.mean).abs() / expected.epistemic_std
    assert apart.max() < 0.5
    ratios = found.epistemic_std / expected.epistemic_std
    assert ratios.min() > 0.95
    assert ratios.median() < 1.05
    assert ratios.max() < 1.3
    # What little is told of too few is not told of too surely.
    few = fitted(problem, 20).predict(unseen)
    assert (few.epistemic_std > 0.95 * expected.epistemic_std).all()
    assert near.validation_loss().item() == pytest.approx(exact.validation_loss().item(), abs=0.02)


def test_designs_that_are_there_twice_need_no_more_inducing_ones() -> None:
    once = smooth_problem(30)
    problem = once.of_rows(torch.arange(60) % 30)
    exact, found = fitted(problem, 60), fitted(problem, 59)
    assert len(found.designs) == 30
    expected, prediction = exact.predict(once.designs), found.predict(once.designs)
    torch.testing.assert_close(prediction.mean, expected.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(prediction.epistemic_std, expected.epistemic_std, rtol=1e-4, atol=0)
    assert found.validation_loss().item() == pytest.approx(exact.validation_loss().item())


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_variances_of_designs_that_are_next_to_each_other(noise: float) -> None:
    problem = smooth_problem(60, noise)
    near = problem.designs[torch.arange(120) % 60]
    near = near + 1e-7 * torch.rand(near.shape, generator=torch.Generator().manual_seed(0))
    both = DesignProblem.of_table(near.double(), problem.properties.repeat(2))
    oracle = fitted(both, 100)
    prediction = oracle.predict(torch.cat([near, problem.designs]).double())
    assert prediction.mean.isfinite().all()
    assert (prediction.epistemic_std >= 0).all()
    assert (prediction.std > 0).all()
    assert oracle.validation_loss().isfinite()


@pytest.mark.parametrize("spread", [5.0, 300.0])
def test_weights(spread: float) -> None:
    problem = smooth_problem(90)
    weights = (spread * torch.from_numpy(np.random.default_rng(0).normal(size=90))).exp()
    weights[::3] = 0
    expected = fitted(problem, 40, weights).predict(problem.designs)
    assert expected.mean.isfinite().all()
    assert (expected.std > 0).all()
    # The label of a row of no weight moves nothing.
    problem.properties[0] = 1e6
    oracle = fitted(problem, 40, weights)
    assert oracle.validation_loss().isfinite()
    torch.testing.assert_close(
        oracle.predict(problem.designs).mean, expected.mean, rtol=1e-6, atol=1e-6
    )


def test_gradients_reach_the_designs() -> None:
    problem = smooth_problem(60)
    oracle = fitted(problem, 25)
    at = (problem.designs[:4] + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: oracle(x).loc, at)
    assert torch.autograd.gradcheck(lambda x: oracle(x).scale, at)
    at = oracle.designs[:4].clone() * 10
    (gradient,) = torch.autograd.grad(oracle(at.requires_grad_()).loc.sum(), at)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_a_state_is_the_whole_fit_whatever_was_there_before() -> None:
    problem = smooth_problem(60)
    oracle = fitted(problem, 25)
    expected = oracle.predict(problem.designs)
    started = GaussianProcess(num_inducing=25)
    started.prepare(problem)
    assert not started.predict(problem.designs).mean.sub(problem.properties.mean()).abs().any()
    exact = fitted(problem.of_rows(torch.arange(20)), 25)
    for other in (started, exact):
        with other.in_state(oracle.state_dict()):
            found = other.predict(problem.designs)
        assert torch.equal(found.mean, expected.mean)
        assert torch.equal(found.std, expected.std)
    # A fit to fewer rows is exact, also after one that was not.
    alone = problem.of_rows(torch.arange(20))
    oracle.solve(alone, alone.base_weights, torch.Generator().manual_seed(0))
    assert len(oracle.basis) == 0
    assert len(oracle.coefficients) == 20
    assert oracle.predict(alone.designs).mean.isfinite().all()
