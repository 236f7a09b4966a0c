"""Autofocusing's weights, and when the oracle is refitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor

from lightning_mbo.data.fits import Fits
from lightning_mbo.errors import ConfigurationError
from tests.callbacks.quadratic import (
    NUM_DESIGNS,
    Quadratic,
    Recorder,
    callbacks,
    ensemble,
    equal_states,
    run,
)

weighting_with = callbacks.ImportanceWeighting


def expected_weights(
    recorder: Recorder, t: int, data: Quadratic, alpha: float, self_normalize: bool
) -> NDArray[np.float64]:
    """(p_θ / p_0)^α on the training designs, by scipy's densities."""
    designs = data.designs.numpy()
    model = recorder.search_models[t]
    log_ratios = stats.multivariate_normal(model.mean.numpy(), model.covariance.numpy()).logpdf(
        designs
    ) - stats.multivariate_normal(designs.mean(0), np.cov(designs.T, bias=True)).logpdf(designs)
    weights = np.exp(log_ratios) ** alpha
    return weights / weights.mean() if self_normalize else weights


@pytest.mark.parametrize("self_normalize", [True, False])
@pytest.mark.parametrize("alpha", [0.2, 0.7])
def test_weights_of_a_run(alpha: float, self_normalize: bool, tmp_path: Path) -> None:
    weighting = weighting_with(alpha, self_normalize, min_effective_sample_size=0)
    trainer, recorder = run(tmp_path, weighting=weighting)
    for t, iteration in enumerate(recorder.iterations):
        weights = expected_weights(recorder, t, trainer.datamodule, alpha, self_normalize)
        np.testing.assert_allclose(recorder.weights[t].numpy(), weights, rtol=1e-9)
        n_e = weights.sum() ** 2 / (weights**2).sum()
        assert iteration.metrics["effective_sample_size"] == pytest.approx(n_e, rel=1e-9)
        assert iteration.metrics["oracle_refitted"] == 1
        assert 1 < n_e < NUM_DESIGNS - 0.1
    # The first fit, and one asked for in each iteration.
    assert recorder.fits == [2, 3, 4]
    states = zip(recorder.oracles, recorder.oracles[1:], strict=False)
    assert not any(equal_states(one, other) for one, other in states)


def test_the_fit_sees_the_weights(tmp_path: Path) -> None:
    class Seen(callbacks.DesignCallback):
        def __init__(self) -> None:
            self.batches: dict[int, Any] = {}

        def on_validation_batch_start(self, trainer, oracle, batch, *args) -> None:
            self.batches[trainer.datamodule.fits.num_fits] = batch

    seen = Seen()
    trainer, recorder = run(tmp_path, seen)
    assert (seen.batches[1].weights == 1).all()
    designs = trainer.datamodule.designs.float()
    for fit, batch in seen.batches.items():
        if fit > 1:
            # Each point is found in the table, and has its own weight.
            rows = torch.cdist(batch.designs, designs.expand(3, -1, -1)).argmin(-1)
            torch.testing.assert_close(batch.weights, recorder.weights[fit - 2].float()[rows])
    assert set(seen.batches) == {1, 2, 3}


@pytest.mark.parametrize("self_normalize", [True, False])
def test_alpha_0_is_the_control(self_normalize: bool, tmp_path: Path) -> None:
    _, recorder = run(tmp_path, weighting=weighting_with(0.0, self_normalize))
    assert recorder.fits == [2, 3, 4]
    for weights, iteration in zip(recorder.weights, recorder.iterations, strict=True):
        assert weights.tolist() == [1.0] * NUM_DESIGNS
        assert iteration.metrics["effective_sample_size"] == NUM_DESIGNS
        assert iteration.metrics["oracle_refitted"] == 1
    assert not equal_states(recorder.oracles[0], recorder.oracles[1])


def test_off_leaves_the_oracle_alone(tmp_path: Path) -> None:
    oracle = ensemble()
    weighting = weighting_with(0.2, enabled=False)
    trainer, recorder = run(tmp_path, oracle=oracle, weighting=weighting, num_iterations=4)
    assert recorder.fits == [1, 1, 1, 1]
    assert all(equal_states(state, recorder.oracles[0]) for state in recorder.oracles)
    assert equal_states(oracle.state_dict(), recorder.oracles[0])
    assert all((weights == 1).all() for weights in recorder.weights)
    assert all(iteration.metrics["oracle_refitted"] == 0 for iteration in recorder.iterations)
    # How far the search has gone is told all the same.
    weights = expected_weights(recorder, 3, trainer.datamodule, 0.2, True)
    n_e = weights.sum() ** 2 / (weights**2).sum()
    recorded = recorder.iterations[3].metrics["effective_sample_size"]
    assert recorded == pytest.approx(n_e, rel=1e-9)


@pytest.fixture
def data() -> Quadratic:
    problem = Quadratic()
    problem.setup("fit")
    problem.fits.end()
    return problem


def announce(weighting: Any, data: Quadratic, log_ratios: Tensor, number: int = 0) -> dict:
    iteration = SimpleNamespace(number=number, log_ratios=log_ratios.double(), metrics={})
    trainer, oracle = SimpleNamespace(datamodule=data), SimpleNamespace(device="cpu")
    weighting.on_search_model_update(trainer, oracle, iteration)
    return iteration.metrics


def half(low: float) -> Tensor:
    """Log-ratios of which 15 are zero and 45 are low."""
    return torch.where(torch.arange(NUM_DESIGNS) < 15, 0.0, low)


@pytest.mark.parametrize(
    ("floor", "refitted"), [(0.0, True), (0.24, True), (0.25, True), (0.26, False), (1.0, False)]
)
def test_floor(floor: float, refitted: bool, data: Quadratic) -> None:
    # 15 of 60 designs share all the weight: n_e is 15, a share of 0.25.
    weighting = weighting_with(1.0, min_effective_sample_size=floor)
    if refitted:
        metrics = announce(weighting, data, half(-1000.0))
    else:
        with pytest.warns(UserWarning, match=r"iteration 7: .* count for 15 of 60, less than auto"):
            metrics = announce(weighting, data, half(-1000.0), number=7)
    assert metrics == {"effective_sample_size": 15.0, "oracle_refitted": float(refitted)}
    assert data.fits.fitting is refitted
    assert data.fits.num_fits == 1 + refitted
    expected = [4.0] * 15 + [0.0] * 45 if refitted else [1.0] * 60
    assert data.weights.tolist() == expected


def test_below_the_floor_the_run_goes_on_with_its_oracle(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="The oracle is left as it is"):
        _, recorder = run(tmp_path, weighting=weighting_with(0.2, min_effective_sample_size=1.0))
    assert recorder.fits == [1, 1, 1]
    assert [iteration.number for iteration in recorder.iterations] == [0, 1, 2]
    assert equal_states(recorder.oracles[0], recorder.oracles[2])


def test_a_later_iteration_refits_again(data: Quadratic) -> None:
    weighting = weighting_with(1.0, min_effective_sample_size=0.5)
    with pytest.warns(UserWarning, match="left as it is"):
        announce(weighting, data, half(-1000.0))
    announce(weighting, data, half(-0.1), number=1)
    assert data.fits.num_fits == 2
    assert data.weights.sum().item() == pytest.approx(NUM_DESIGNS)


@pytest.mark.parametrize("low", [-torch.inf, torch.nan, torch.inf])
def test_no_finite_weight(low: float, data: Quadratic) -> None:
    with pytest.warns(UserWarning, match="iteration 3: no training design has a finite weight"):
        metrics = announce(weighting_with(0.2), data, torch.full((NUM_DESIGNS,), low), number=3)
    assert metrics == {"effective_sample_size": 0.0, "oracle_refitted": 0.0}
    assert not data.fits.fitting
    assert (data.weights == 1).all()


@pytest.mark.parametrize("low", [-torch.inf, torch.nan])
def test_designs_without_a_density_weigh_nothing(low: float, data: Quadratic) -> None:
    metrics = announce(weighting_with(0.2), data, half(low))
    assert metrics["effective_sample_size"] == 15
    assert data.weights.tolist() == [4.0] * 15 + [0.0] * 45


def test_off_and_without_a_finite_weight_says_nothing(data: Quadratic) -> None:
    metrics = announce(weighting_with(enabled=False), data, torch.full((NUM_DESIGNS,), -torch.inf))
    assert metrics == {"effective_sample_size": 0.0, "oracle_refitted": 0.0}


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_auto_keeps_the_effective_sample_size(share: float, data: Quadratic) -> None:
    def n_e(alpha: float) -> float:
        low = np.exp(-5 * alpha)
        return (15 + 45 * low) ** 2 / (15 + 45 * low**2)

    alpha = optimize.brentq(lambda a: n_e(a) - share * NUM_DESIGNS, 0, 1)
    metrics = announce(weighting_with("auto", min_effective_sample_size=share), data, half(-5.0))
    expected = {"effective_sample_size": share * NUM_DESIGNS, "oracle_refitted": 1.0}
    assert metrics == pytest.approx(expected | {"alpha": alpha}, rel=1e-6)
    weights = np.exp(-5 * alpha * (np.arange(NUM_DESIGNS) >= 15))
    np.testing.assert_allclose(data.weights.numpy(), weights / weights.mean(), rtol=1e-6)


def weigh_anew(data: Quadratic, base_weights: torch.Tensor) -> None:
    data.fits = Fits(replace(data.problem.training, base_weights=base_weights))


@pytest.mark.parametrize("alpha", ["auto", 0.3])
def test_n_e_is_that_of_what_is_fitted(alpha: Any, data: Quadratic) -> None:
    base = torch.from_numpy(np.random.default_rng(0).gamma(0.5, size=NUM_DESIGNS))
    weigh_anew(data, base / base.mean())
    weighting = weighting_with(alpha, min_effective_sample_size=0.75)
    metrics = announce(weighting, data, half(-5.0))
    weights = data.weights.numpy()
    n_e = weights.sum() ** 2 / (weights**2).sum()
    assert metrics["effective_sample_size"] == pytest.approx(n_e)
    if alpha == "auto":
        total = (base.sum() ** 2 / (base**2).sum()).item()
        assert total < NUM_DESIGNS / 2
        assert n_e == pytest.approx(0.75 * total, rel=1e-6)
    np.testing.assert_allclose(
        weights[0] / weights[20],
        base[0] / base[20] * np.exp(5 * metrics.get("alpha", alpha)),
    )


def test_the_floor_is_a_share_of_what_the_designs_count_for(data: Quadratic) -> None:
    # All but 20 designs count for next to nothing, 15 of them where the search is.
    weigh_anew(data, torch.where(torch.arange(NUM_DESIGNS) < 20, 3.0, 1e-12).double())
    weighting = weighting_with(1.0, min_effective_sample_size=0.7)
    assert announce(weighting, data, half(-1000.0))["oracle_refitted"] == 1
    weighting = weighting_with(1.0, min_effective_sample_size=0.8)
    with pytest.warns(UserWarning, match="count for 15 of 20, less than"):
        announce(weighting, data, half(-1000.0))


def test_auto_goes_no_further_than_1(data: Quadratic) -> None:
    metrics = announce(weighting_with("auto"), data, half(-0.1))
    assert metrics["alpha"] == 1
    assert metrics["oracle_refitted"] == 1
    assert metrics["effective_sample_size"] > 0.25 * NUM_DESIGNS


@pytest.mark.parametrize(
    ("options", "enabled", "alpha"),
    [
        ({}, True, "auto"),
        ({"enabled": None}, False, "auto"),
        ({"enabled": None, "alpha": 0.2}, True, 0.2),
        ({"enabled": None, "alpha": 0.0}, True, 0.0),
        ({"enabled": None, "alpha": 1.0}, True, 1.0),
        ({"enabled": None, "alpha": "auto"}, True, "auto"),
        ({"enabled": False, "alpha": 0.5}, False, 0.5),
        ({"enabled": True}, True, "auto"),
    ],
)
def test_on_or_off(options: dict[str, Any], enabled: bool, alpha: float | str) -> None:
    weighting = weighting_with(**options)
    assert weighting.rule.enabled is enabled
    assert weighting.rule.alpha == alpha


@pytest.mark.parametrize(
    "options",
    [{"alpha": -0.1}, {"alpha": 1.1}, {"alpha": float("nan")}, {"min_effective_sample_size": 2}],
)
def test_refused_options(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"autofocus.{next(iter(options))} "):
        weighting_with(**options)
