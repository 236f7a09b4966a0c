"""The derivatives of a covariance, in closed form, against autograd."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.oracles import GaussianProcess
from lightning_mbo.oracles.covariance import Covariance
from lightning_mbo.oracles.gaussian_process import log_prior_of_noise
from lightning_mbo.oracles.measurements import Labelled, as_measurements
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace

_NUM_DESIGNS = 40

SPACES = {
    "one number": DesignSpace(torch.Size([1])),
    "numbers": DesignSpace(torch.Size([3])),
    "categories": DesignSpace(torch.Size([7]), (3, 4)),
    "mixed": DesignSpace(torch.Size([7]), (2, 3)),
    "descriptors": DesignSpace(
        torch.Size([7]), (2, 3), (((0.0, 1.0), (0.5, 0.2)), ((0.1,), (0.9,), (0.4,)))
    ),
    "sequences": DesignSpace(torch.Size([4, 3]), (3, 3, 3, 3)),
}


def designs_of(space: DesignSpace) -> Tensor:
    """Some of them twice."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.rand(_NUM_DESIGNS, space.num_numbers, generator=generator).double()
    one_hots = [
        torch.eye(size).double()[torch.randint(size, (_NUM_DESIGNS,), generator=generator)]
        for size in space.groups
    ]
    designs = space.join(numbers, one_hots)
    designs[-5:] = designs[:5]
    return designs


def parameters_of(covariance: Covariance, kind: str) -> Tensor:
    """Likely ones, and the least and greatest that a search may come to."""
    limits = covariance.limits()
    ends = {"lower": limits.lower, "upper": limits.upper, "start": limits.starts[-1]}
    if kind in ends:
        return torch.from_numpy(ends[kind])
    generator = torch.Generator().manual_seed(1)
    return torch.randn(covariance.num_parameters, generator=generator).double()


@pytest.mark.parametrize("at", ["random", "start", "lower", "upper"])
@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("pairs_at_once", [1, 7 * _NUM_DESIGNS, 100_000])
def test_pull_back(kind: str, at: str, pairs_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_mbo.oracles.covariance._PAIRS_AT_ONCE", pairs_at_once)
    space = SPACES[kind]
    covariance, designs = Covariance(space), space.describe(designs_of(space)).flatten(1)
    parameters = parameters_of(covariance, at).requires_grad_()
    generator = torch.Generator().manual_seed(2)
    by_matrix = torch.randn(_NUM_DESIGNS, _NUM_DESIGNS, generator=generator).double()
    by_matrix = by_matrix + by_matrix.T
    whole = covariance(parameters, designs, designs)
    (expected,) = torch.autograd.grad((by_matrix * whole).sum(), parameters)
    with torch.no_grad():
        matrix = covariance.matrix(parameters, designs)
        found = covariance.pull_back(parameters, designs, by_matrix)
    torch.testing.assert_close(matrix, whole.detach(), rtol=1e-12, atol=1e-12)
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-11 * scale)


@pytest.mark.parametrize("kind", SPACES)
def test_log_prior(kind: str) -> None:
    covariance = Covariance(SPACES[kind])
    parameters = parameters_of(covariance, "random").requires_grad_()
    value, found = covariance.log_prior(parameters)
    (expected,) = torch.autograd.grad(value, parameters)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-12)


def dense_log_posterior(covariance: Covariance, parameters: Tensor, rows: Labelled) -> Tensor:
    """Of weights that may be zero, by a determinant and an inverse that autograd goes through."""
    noise = parameters[-1].exp() + rows.errors.square()
    roots = rows.weights.sqrt() / noise.sqrt()
    whole = covariance(parameters[:-1], rows.designs, rows.designs)
    system = roots[:, None] * whole * roots + torch.eye(len(roots)).double()
    targets = roots * rows.labels
    fit = -targets @ torch.linalg.inv(system) @ targets / 2 - torch.logdet(system) / 2
    misses = (rows.weights * (noise.log() + rows.scatters.square() / noise)).sum() / 2
    priors = covariance.log_prior(parameters[:-1])[0] + log_prior_of_noise(parameters[-1])[0]
    return fit - misses + priors


@pytest.mark.parametrize("kind", SPACES)
def test_derivatives_of_the_log_posterior(kind: str) -> None:
    designs = designs_of(SPACES[kind])
    labels = designs.flatten(1).cumsum(1).sin().sum(1)
    even = torch.linspace(0, 0.5, _NUM_DESIGNS).double()
    problem = replace(
        DesignProblem.of_table(designs, labels),
        space=SPACES[kind],
        noise=LabelNoise(even, even.flip(0)),
    )
    weights = 4 * even
    weights[::7] = 0
    oracle = GaussianProcess()
    oracle.prepare(problem)
    rows = oracle._labelled(problem, as_measurements(weights, problem.base_weights))
    covariance = Covariance(SPACES[kind])
    for noise in (-6.0, -1.0):
        parameters = torch.cat([parameters_of(covariance, "random"), torch.tensor([noise])])
        parameters = parameters.double().requires_grad_()
        dense = dense_log_posterior(covariance, parameters, rows)
        (expected,) = torch.autograd.grad(dense, parameters)
        value, found = oracle.log_posterior(parameters.detach(), rows)
        torch.testing.assert_close(value, dense.detach(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
