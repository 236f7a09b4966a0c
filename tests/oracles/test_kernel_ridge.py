"""Kernel ridge regression against solutions that are computed by other means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.data import LabelNoise
from lightning_mbo.data.fits import Fits
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import KernelRidge
from lightning_mbo.oracles.folds import balanced_folds
from lightning_mbo.oracles.kernel_ridge import dual_coefficients, rbf_kernel, weighted_error
from lightning_mbo.problem import DesignProblem

Array = NDArray[np.float64]


def table(n: int = 40, d: int = 2, seed: int = 0) -> tuple[Array, Array, Array]:
    """Designs, properties and weights."""
    rng = np.random.default_rng(seed)
    designs = rng.normal(size=(n, d))
    return designs, np.sin(designs).sum(1) + 0.1 * rng.normal(size=n), rng.exponential(size=n)


def fitted(
    designs: Array,
    properties: Array,
    weights: Array,
    seed: int = 0,
    noise: LabelNoise | None = None,
    **options: float,
) -> KernelRidge:
    oracle = KernelRidge(**options)  # type: ignore[arg-type]
    problem = DesignProblem.of_table(torch.from_numpy(designs), torch.from_numpy(properties))
    problem = replace(problem, noise=noise)
    oracle.prepare(problem)
    generator = torch.Generator().manual_seed(seed)
    oracle.solve(problem, torch.from_numpy(weights), generator)
    return oracle


def means(oracle: KernelRidge, designs: Array) -> Array:
    return oracle(torch.from_numpy(designs)).loc.numpy()


def solution(
    designs: Array, properties: Array, weights: Array, at: Array, gamma: float, ridge: float
) -> Array:
    """The mean by weighted least squares on an explicit basis: no dual, no roots of weights."""

    def kernel(left: Array, right: Array) -> Array:
        squares = ((left[:, None] - right[None]) ** 2).reshape(len(left), len(right), -1).sum(-1)
        return np.exp(-gamma * squares)

    # With K = B Bᵀ, the function Σ a_i k(x_i, x) has the norm ‖Bᵀ a‖².
    values, vectors = np.linalg.eigh(kernel(designs, designs))
    kept = values > 1e-13 * values.max()
    basis = vectors[:, kept] * np.sqrt(values[kept])
    rows = np.concatenate([np.sqrt(weights)[:, None] * basis, np.sqrt(ridge) * np.eye(kept.sum())])
    target = np.concatenate([np.sqrt(weights) * properties, np.zeros(kept.sum())])
    primal = np.linalg.lstsq(rows, target, rcond=None)[0]
    return kernel(at, designs) @ (vectors[:, kept] / np.sqrt(values[kept])) @ primal


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3)])
@pytest.mark.parametrize(("gamma", "ridge"), [(1.0, 1.0), (0.3, 0.01)])
def test_mean(shape: tuple[int, ...], gamma: float, ridge: float) -> None:
    designs, properties, weights = table(d=int(np.prod(shape)))
    designs = designs.reshape(-1, *shape)
    at = np.random.default_rng(1).normal(size=(7, *shape))
    oracle = fitted(designs, properties, weights, gamma=gamma, ridge=ridge)
    prediction = oracle(torch.from_numpy(at))
    assert prediction.loc.shape == prediction.scale.shape == (7,)
    assert prediction.loc.dtype == prediction.scale.dtype == torch.float64
    expected = solution(designs, properties, weights, at, gamma, ridge)
    np.testing.assert_allclose(prediction.loc.numpy(), expected, rtol=1e-8, atol=1e-9)
    assert (prediction.scale == prediction.scale[0]).all()
    np.testing.assert_allclose(prediction.variance.numpy(), oracle.variance.item())


def test_errors_of_labels_are_no_part_of_the_variance() -> None:
    rng = np.random.default_rng(0)
    designs, _, weights = table(600)
    errors = np.where(np.arange(600) % 2, 2.0, 0.1)
    truth = np.sin(designs).sum(1)
    labels = truth + rng.normal(size=600) * np.sqrt(0.3**2 + errors**2)
    noise = LabelNoise(torch.from_numpy(errors), torch.zeros(600).double())
    oracle = fitted(designs, labels, weights, noise=noise, gamma=0.3)
    assert oracle.variance.sqrt().item() == pytest.approx(0.3, abs=0.06)
    # The mean is that of the labels' shares at the variance of the round before the last.
    shares = 0.3**2 / (0.3**2 + errors**2)
    at = rng.normal(size=(50, 2))
    expected = solution(designs, labels, weights * shares, at, 0.3, 1.0)
    np.testing.assert_allclose(means(oracle, at), expected, atol=0.05)
    without = fitted(designs, labels, weights, gamma=0.3)
    error, other = (np.mean((means(o, at) - np.sin(at).sum(1)) ** 2) for o in (oracle, without))
    assert error < other / 2
    # No label is so noisy that its fit fails.
    noise = LabelNoise(torch.full((600,), 1e9).double(), noise.scatters)
    assert fitted(designs, labels, weights, noise=noise).variance > 0


def test_the_scatter_of_measurements_is_part_of_the_variance() -> None:
    designs, truth, _ = table(400)
    measured = truth + 0.5 * np.random.default_rng(0).normal(size=(9, 400))
    weights = np.full(400, 9.0)
    noise = LabelNoise(torch.zeros(400).double(), torch.from_numpy(measured.std(0)))
    oracle = fitted(designs, measured.mean(0), weights, noise=noise, gamma=0.3)
    assert oracle.variance.sqrt().item() == pytest.approx(0.5, abs=0.05)
    alone = fitted(designs, measured.mean(0), weights, gamma=0.3)
    np.testing.assert_array_equal(oracle.coefficients, alone.coefficients)
    assert alone.variance.sqrt().item() < 0.3


def test_one_design_in_closed_form() -> None:
    properties = torch.tensor([3.0], dtype=torch.float64)
    weights = torch.tensor([[4.0], [0.0]], dtype=torch.float64)
    kernel = torch.ones(1, 1, dtype=torch.float64)
    result = dual_coefficients(kernel, properties, weights, ridge=2.0)
    # y / (1 + λ/w).
    np.testing.assert_allclose(result.numpy(), [[3.0 / 1.5], [0.0]], rtol=1e-15)


def test_integer_weights_are_repetitions() -> None:
    designs, properties, _ = table()
    times = np.random.default_rng(1).integers(0, 4, size=len(designs))
    weighted = fitted(designs, properties, times.astype(float))
    repeated = fitted(designs.repeat(times, 0), properties.repeat(times), np.ones(times.sum()))
    at = np.random.default_rng(2).normal(size=(9, 2))
    np.testing.assert_allclose(means(weighted, at), means(repeated, at), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_zero", [1, 25, 38])
def test_a_weight_of_zero_leaves_a_design_out(num_zero: int) -> None:
    designs, properties, weights = table()
    weights[:num_zero] = 0.0
    at = np.random.default_rng(2).normal(size=(9, 2))
    oracle = fitted(designs, properties, weights)
    kept = slice(num_zero, None)
    expected = solution(designs[kept], properties[kept], weights[kept], at, 1.0, 1.0)
    np.testing.assert_allclose(means(oracle, at), expected, rtol=1e-8, atol=1e-10)
    assert oracle.variance.isfinite()
    # Nor does it matter what was measured there.
    properties[:num_zero] += 1e3
    again = fitted(designs, properties, weights)
    np.testing.assert_allclose(again.variance.item(), oracle.variance.item(), rtol=1e-9)


@pytest.mark.parametrize("num_folds", [2, 5, 40])
@pytest.mark.parametrize("spread", [0.0, 1.0, 5.0])
def test_variance(num_folds: int, spread: float) -> None:
    designs, properties, _ = table()
    weights = np.exp(spread * np.random.default_rng(3).normal(size=len(designs)))
    oracle = fitted(designs, properties, weights, seed=7, num_folds=num_folds)
    folds = balanced_folds(
        torch.from_numpy(weights), num_folds, torch.Generator().manual_seed(7)
    ).numpy()
    errors = []
    for fold in range(num_folds):
        held_out = folds == fold
        predicted = solution(
            designs[~held_out], properties[~held_out], weights[~held_out], designs[held_out], 1, 1
        )
        squares = (properties[held_out] - predicted) ** 2
        errors.append(np.average(squares, weights=weights[held_out]))
    np.testing.assert_allclose(oracle.variance.item(), np.mean(errors), rtol=1e-8)


def test_the_scale_of_the_held_out_weights_does_not_matter() -> None:
    errors = torch.tensor([[1.0, 3.0, 9.0], [2.0, 5.0, 7.0]])
    weights = torch.tensor([[2.0, 6.0, 0.0], [0.0, 0.0, 1e-30]])
    assert weighted_error(errors, weights).item() == pytest.approx((2.5 + 7.0) / 2)
    assert weighted_error(errors, weights * torch.tensor([[1.0], [0.0]])).item() == 2.5


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_near_designs_are_told_apart(offset: float) -> None:
    designs = torch.tensor([[offset], [offset + 1.0]], dtype=torch.float64).repeat(30, 1)
    kernel = rbf_kernel(designs, designs, 1.0)
    assert kernel[0, 0] == 1.0
    assert kernel[0, 1].item() == pytest.approx(np.exp(-1.0), rel=1e-12)


def test_predict_keeps_double_precision() -> None:
    designs, properties, weights = table()
    oracle = fitted(designs, properties, weights)
    prediction = oracle.predict(torch.from_numpy(designs))
    np.testing.assert_array_equal(prediction.mean.numpy(), means(oracle, designs))
    assert not prediction.epistemic_std.any()


def test_far_from_all_designs_the_mean_is_zero() -> None:
    designs, properties, weights = table()
    oracle = fitted(designs, properties + 100, weights)
    assert means(oracle, np.full((1, 2), 50.0)).tolist() == [0.0]


def test_state_dict_is_the_whole_fit() -> None:
    designs, properties, weights = table()
    oracle = fitted(designs, properties, weights)
    other = fitted(designs[::-1].copy(), properties + 1, np.ones(len(designs)))
    other.load_state_dict(oracle.state_dict())
    at = torch.from_numpy(np.random.default_rng(2).normal(size=(9, 2)))
    assert torch.equal(other(at).loc, oracle(at).loc)
    assert torch.equal(other(at).scale, oracle(at).scale)
    assert [name for name, _ in oracle.named_parameters()] == ["unused"]


def test_gradients_reach_the_designs() -> None:
    designs, properties, weights = table()
    oracle = fitted(designs, properties, weights)

    def mean(at: Tensor) -> Tensor:
        return oracle(at).loc

    at = torch.from_numpy(designs[:3] + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(mean, at)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"ridge": -1.0}, "ridge"),
        ({"ridge": float("nan")}, "ridge"),
        ({"num_folds": 1}, "num_folds must be at least 2"),
    ],
)
def test_values_out_of_range(options: dict[str, float], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        KernelRidge(**options)  # type: ignore[arg-type]


def test_more_folds_than_designs() -> None:
    with pytest.raises(ConfigurationError, match=r"num_folds is 11, more than .* designs: 10"):
        fitted(*table(n=10), num_folds=11)


def test_one_fit_is_made_where_one_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    designs, properties, _ = map(torch.from_numpy, table())
    oracle, fits = KernelRidge(), Fits(DesignProblem.of_table(designs, properties))
    oracle.prepare(fits.problem)
    calls: list[int] = []
    solve = oracle.solve
    monkeypatch.setattr(oracle, "solve", lambda *args: (calls.append(fits.num_fits), solve(*args)))
    oracle.fit(fits)
    assert calls == []
    fits.begin()
    oracle.fit(fits)
    oracle.fit(fits)
    assert calls == [1]
    assert oracle.validation_losses.isfinite().all()
