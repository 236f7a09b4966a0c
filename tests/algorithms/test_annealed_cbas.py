"""CbAS on a schedule, and what it makes of a density that is known at all its nodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_mbo.algorithms import AnnealedCbAS, CbAS
from lightning_mbo.algorithms.base import Algorithm
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.samples import Prediction, Samples
from lightning_mbo.search_models import Quadrature
from lightning_mbo.space import DesignSpace


def judged(model: Quadrature, p_0: Quadrature, mean: np.ndarray, std: float) -> Samples:
    nodes = model.nodes
    means = torch.from_numpy(mean)
    return Samples(
        nodes,
        Prediction(means, torch.full_like(means, std), torch.zeros_like(means)),
        nodes,
        model.log_prob(nodes),
        p_0.log_prob(nodes),
    )


def models(num_nodes: int = 50) -> tuple[Quadrature, Quadrature]:
    both = Quadrature(0.0, 10.0, num_nodes), Quadrature(0.0, 10.0, num_nodes)
    for model in both:
        model.build(DesignSpace.of_shape(torch.Size([1])))
        model.fit(torch.tensor([[1.0], [3.0], [5.0]]), torch.ones(3))
    return both


@pytest.mark.parametrize(("quantile", "num_steps"), [(1.0, 4), (0.9, 3), (0.5, 1)])
def test_thresholds(quantile: float, num_steps: int) -> None:
    model, p_0 = models()
    algorithm = AnnealedCbAS(quantile, num_steps)
    rng = np.random.default_rng(0)
    for step in range(1, num_steps + 3):
        means = rng.normal(size=50) - step
        algorithm.log_weights(judged(model, p_0, means, 1.0))
        share = quantile * min(step / num_steps, 1.0)
        assert algorithm.threshold.item() == pytest.approx(np.quantile(means, share))


def test_the_threshold_may_fall() -> None:
    model, p_0 = models()
    algorithm = AnnealedCbAS(num_steps=2)
    thresholds = []
    for means in (np.linspace(3, 4, 50), np.linspace(0, 1, 50)):
        algorithm.log_weights(judged(model, p_0, means, 1.0))
        thresholds.append(algorithm.threshold.item())
    assert thresholds == [3.5, 1.0]


@pytest.mark.parametrize("algorithm", [AnnealedCbAS(num_steps=5), CbAS(0.9)])
@pytest.mark.parametrize("std", [0.5, 0.02])
def test_the_density_is_the_conditional_one(algorithm: Algorithm, std: float) -> None:
    """Whatever came before, p_θ is in proportion to p_0 P(y ≥ γ), however sharp the oracle."""
    model, p_0 = models()
    rng = np.random.default_rng(1)
    grid = model.nodes[:, 0].numpy()
    prior = p_0.log_density.numpy()
    for step in range(6):
        means = np.sin(grid + step) + 0.1 * rng.normal(size=50)
        model.reweigh(algorithm.log_weights(judged(model, p_0, means, std)))
        log_density = prior + stats.norm.logsf(algorithm.threshold.item(), means, std)
        expected = np.exp(log_density - log_density.max())
        expected /= np.trapezoid(expected, grid)
        np.testing.assert_allclose(
            model.log_density.exp().numpy(), expected, rtol=1e-8, atol=1e-250
        )


def test_the_schedule_goes_on() -> None:
    model, p_0 = models()
    means = np.linspace(0, 1, 50)
    straight = AnnealedCbAS(num_steps=10)
    for _ in range(3):
        straight.log_weights(judged(model, p_0, means, 1.0))
    resumed = AnnealedCbAS(num_steps=10)
    resumed.load_state_dict(straight.state_dict())
    straight.log_weights(judged(model, p_0, means, 1.0))
    resumed.log_weights(judged(model, p_0, means, 1.0))
    assert resumed.threshold.item() == straight.threshold.item() == pytest.approx(0.4)


@pytest.mark.parametrize("options", [{"num_steps": 0}, {"quantile": 1.1}])
def test_values_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        AnnealedCbAS(**options)  # type: ignore[arg-type]
