"""The paraboloid, known far from its top only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tasks import KnownProblem, Quadratic


def problem(num_designs: int = 20_000) -> KnownProblem:
    return Quadratic(num_designs).problem(torch.Generator().manual_seed(0))


def test_designs_are_uniform_on_a_quarter_of_a_ring() -> None:
    data = problem()
    points = data.codec.to_user_units(data.designs)
    assert points.shape == (20_000, 2)
    radii, angles = np.hypot(points["x1"], points["x2"]), np.arctan2(points["x2"], points["x1"])
    # The share of the ring's area within a radius.
    assert stats.kstest((radii**2 - 1) / 3, "uniform").pvalue > 0.01
    assert stats.kstest(angles / (np.pi / 2), "uniform").pvalue > 0.01
    assert abs(stats.spearmanr(radii, angles).statistic) < 0.03


def test_properties_are_the_ground_truth() -> None:
    data = problem()
    points = data.codec.to_user_units(data.designs)
    expected = -(points["x1"] ** 2) - points["x2"] ** 2
    np.testing.assert_allclose(data.properties.numpy(), expected, rtol=1e-12)
    assert torch.equal(data.ground_truth(data.designs), data.properties)
    assert data.properties.max() < -1


def test_designs_are_standardised() -> None:
    data = problem(100)
    np.testing.assert_allclose(data.designs.mean(0).numpy(), 0.0, atol=1e-12)
    np.testing.assert_allclose(data.designs.std(0, correction=0).numpy(), 1.0, rtol=1e-12)
    assert data.designs.dtype == data.properties.dtype == torch.float64


def test_the_top_is_far_from_all_designs() -> None:
    data = problem()
    points = data.codec.to_user_units(data.designs)
    origin, unit = (data.codec.to_user_units(v * torch.ones(1, 2).double()) for v in (0.0, 1.0))
    top = -origin.to_numpy() / (unit.to_numpy() - origin.to_numpy())
    assert data.ground_truth(torch.from_numpy(top)).item() == pytest.approx(0.0, abs=1e-24)
    assert data.property_range == (-4.0, 0.0)
    # Each coordinate is at its best somewhere, their sum nowhere near.
    assert (points.min() < 1e-3).all()
    assert points.sum(axis=1).min() >= 1.0


@pytest.mark.parametrize("num_designs", [0, -3])
def test_refused_numbers(num_designs: int) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.num_designs must be at least 1"):
        Quadratic(num_designs)
