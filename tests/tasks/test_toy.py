"""The one-dimensional example."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tasks import KnownProblem, Toy


def problem(**options: Any) -> KnownProblem:
    return Toy(**options).problem(torch.Generator().manual_seed(0))


def two_bumps(x: np.ndarray) -> np.ndarray:
    return stats.norm.pdf(x, 5, 1) + stats.norm.pdf(x, 7, 0.5)


def test_ground_truth() -> None:
    x = np.linspace(-2, 12, 1401)
    values = problem().ground_truth(torch.from_numpy(x)[:, None]).numpy()
    np.testing.assert_allclose(values, two_bumps(x), rtol=1e-12)
    assert x[values.argmax()] == pytest.approx(7, abs=0.05)


def test_designs_and_labels() -> None:
    data = problem(num_designs=20_000, design_mean=2.0, design_std=1.5, noise_std=0.3)
    designs = data.designs[:, 0].numpy()
    assert data.space.shape == (1,)
    assert stats.kstest(designs, stats.norm(2.0, 1.5).cdf).pvalue > 0.01
    noise = data.properties.numpy() - two_bumps(designs)
    assert stats.kstest(noise, stats.norm(0, 0.3).cdf).pvalue > 0.01
    assert abs(stats.pearsonr(designs, noise).statistic) < 0.03


def test_the_setting_of_the_first_figure() -> None:
    task, data = Toy(), problem()
    assert (task.design_mean, task.design_std, task.noise_std) == (3.0, 1.6, 0.04)
    assert data.designs.shape == (100, 1)
    noise = data.properties.numpy() - two_bumps(data.designs[:, 0].numpy())
    assert noise.std() == pytest.approx(0.04, rel=0.3)


def test_more_noise_is_the_same_data() -> None:
    """Cells of a grid over the noise and the spread are paired by their seeds."""
    one, other = problem(noise_std=0.1), problem(noise_std=0.2)
    assert torch.equal(one.designs, other.designs)
    truth = two_bumps(one.designs[:, 0].numpy())
    noise = [data.properties.numpy() - truth for data in (one, other)]
    np.testing.assert_allclose(noise[1], 2 * noise[0], rtol=1e-9)


def test_users_units() -> None:
    table = problem().codec.to_user_units(torch.tensor([[1.5], [7.0]]))
    assert table.to_dict("list") == {"x": [1.5, 7.0]}


@pytest.mark.parametrize(
    "options", [{"design_std": 0.0}, {"design_std": float("inf")}, {"noise_std": -0.1}]
)
def test_values_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"data.{next(iter(options))}"):
        Toy(**options)  # type: ignore[arg-type]
