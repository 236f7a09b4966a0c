"""Gradient ascent against closed forms, and what it leaves behind."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import (
    ConservativeObjectiveModel,
    DeepEnsemble,
    DifferentiableOracle,
    LowerConfidenceBound,
    Mean,
    Minimum,
    RegressionEnsemble,
    ascend,
    ascent_path,
)
from lightning_mbo.space import DesignSpace

CENTRE = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def bowl(inputs: Tensor) -> Tensor:
    return -(inputs - CENTRE).square().sum(-1)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
@pytest.mark.parametrize("num_steps", [0, 1, 5])
def test_on_a_quadratic(num_steps: int, shape: tuple[int, ...]) -> None:
    start = torch.randn(*shape, dtype=torch.float64)
    end = ascend(bowl, start, num_steps, step_size=0.05)
    # x - c shrinks by 1 - 2 s √d in every step.
    shrunk = (1 - 2 * 0.05 * math.sqrt(3)) ** num_steps
    torch.testing.assert_close(end, CENTRE + shrunk * (start - CENTRE))
    assert not end.requires_grad


def test_every_step_is_kept_apart() -> None:
    start = torch.randn(4, 3, dtype=torch.float64)
    kept = start.clone()
    path = list(ascent_path(bowl, start, 3, step_size=0.1))
    factor = 1 - 0.2 * math.sqrt(3)
    for step, place in enumerate(path):
        torch.testing.assert_close(place, CENTRE + factor ** (step + 1) * (start - CENTRE))
        assert place.grad_fn is None
        assert not place.requires_grad
    assert torch.equal(start, kept)
    assert not start.requires_grad


def test_works_where_gradients_are_off() -> None:
    start = torch.randn(4, 3, dtype=torch.float64)
    expected = ascend(bowl, start, 3, 0.1)
    with torch.no_grad():
        assert torch.equal(ascend(bowl, start, 3, 0.1), expected)
    with torch.inference_mode():
        assert torch.equal(ascend(bowl, start.clone(), 3, 0.1), expected)


class Counting(torch.autograd.Function):
    """The identity, which counts how many of its graphs are alive."""

    alive = most = 0

    @staticmethod
    def forward(ctx, inputs: Tensor) -> Tensor:
        ctx.token = Token()
        return inputs.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


class Token:
    def __init__(self) -> None:
        Counting.alive += 1
        Counting.most = max(Counting.most, Counting.alive)

    def __del__(self) -> None:
        Counting.alive -= 1


def test_one_graph_at_a_time() -> None:
    Counting.alive = Counting.most = 0
    ascend(lambda x: bowl(Counting.apply(x)), torch.randn(4, 3, dtype=torch.float64), 20, 0.01)
    assert Counting.most <= 2
    assert Counting.alive == 0


@pytest.mark.parametrize("kind", [DeepEnsemble, RegressionEnsemble, ConservativeObjectiveModel])
@pytest.mark.parametrize(
    "objective", [Mean(), Minimum(), LowerConfidenceBound(0.7)], ids=lambda o: type(o).__name__
)
def test_a_step_is_the_finite_difference(kind: type[DifferentiableOracle], objective) -> None:
    oracle = kind(3, (8, 8))
    oracle.build(DesignSpace.of_shape(torch.Size([3])))
    start = torch.randn(5, 3)
    (end,) = ascent_path(lambda x: objective(oracle.input_outputs(x)), start, 1, 1.0)
    step = (end - start).double() / math.sqrt(3)

    def value(inputs: Tensor) -> Tensor:
        # The network in float64, for differences of nearby values.
        return objective(Normal(double.network(inputs)[..., 0], torch.tensor(1.0)))

    double = oracle.double()
    width = 1e-6
    for j in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[j] = width
        with torch.no_grad():
            slope = (value(start.double() + shift) - value(start.double() - shift)) / (2 * width)
        torch.testing.assert_close(step[:, j], slope, rtol=1e-3, atol=1e-4)


def test_parameters_get_no_gradient() -> None:
    oracle = RegressionEnsemble(2, (4,))
    oracle.build(DesignSpace.of_shape(torch.Size([3])))
    ascend(oracle.values, torch.randn(2, 6, 3), 3, 0.1)
    assert all(parameter.grad is None for parameter in oracle.parameters())


def members(*means: list[float]) -> Normal:
    loc = torch.tensor(means)
    return Normal(loc, torch.ones_like(loc))


def test_objectives() -> None:
    views = members([1.0, 2.0], [3.0, -1.0], [8.0, -1.0])
    assert Mean()(views).tolist() == [4.0, 0.0]
    assert Minimum()(views).tolist() == [1.0, -1.0]
    expected = [4 - 2 * math.sqrt(26 / 3), -2 * math.sqrt(2)]
    assert LowerConfidenceBound(2.0)(views).tolist() == pytest.approx(expected)


def test_the_bound_has_a_gradient_where_members_agree() -> None:
    loc = torch.zeros(3, 2, requires_grad=True)
    LowerConfidenceBound()(Normal(loc, torch.ones(3, 2))).sum().backward()
    torch.testing.assert_close(loc.grad, torch.full((3, 2), 1 / 3))


def test_a_bound_above_the_mean_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="kappa"):
        LowerConfidenceBound(-1.0)
