"""What every algorithm promises."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightning_mbo import algorithms
from lightning_mbo.algorithms import (
    CEMPI,
    CMAES,
    FB,
    RWR,
    Algorithm,
    AnnealedCbAS,
    CbAS,
    DbAS,
)
from lightning_mbo.importance import normalized_weights
from lightning_mbo.samples import Prediction, Samples

CASES: dict[str, Callable[[], Algorithm]] = {
    "CEMPI": CEMPI,
    "CMAES": CMAES,
    "FB": lambda: FB(0.8),
    "RWR": RWR,
    "AnnealedCbAS": lambda: AnnealedCbAS(0.9, num_steps=4),
    "CbAS": CbAS,
    "DbAS": DbAS,
}
M, N = 50, 30


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


DESIGNS, LABELS = normal(1, N, 2), normal(2, N)


def samples(seed: int = 0) -> Samples:
    """Of which all are made of a draw that is not the design itself."""
    drawn, std = normal(seed, M, 2), 0.1 + normal(seed + 1, M).abs()
    prediction = Prediction(normal(seed + 2, M), std, std / 2)
    return Samples(drawn.round(), prediction, drawn, normal(seed + 3, M), normal(seed + 4, M))


def of_rows(given: Samples, rows: Tensor) -> Samples:
    return Samples(
        given.designs[rows],
        given.prediction[rows],
        given.drawn[rows],
        given.log_prob[rows],
        given.log_prob_training[rows],
    )


def with_means(given: Samples, means: Tensor) -> Samples:
    return replace(given, prediction=replace(given.prediction, mean=means))


@pytest.fixture(params=CASES)
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    """One that has been started."""
    made = CASES[request.param]()
    made.start(DESIGNS, LABELS)
    return made


def step(algorithm: Algorithm, given: Samples) -> list[Tensor]:
    """All that an iteration makes of samples."""
    log_weights = algorithm.log_weights(given)
    fitting = algorithm.fitting_set(given, normalized_weights(log_weights))
    return [log_weights, *(tensor.clone() for tensor in fitting), algorithm.threshold.clone()]


def test_every_algorithm_is_here() -> None:
    assert set(CASES) == set(algorithms.__all__) - {"Algorithm"}


def test_weights_and_what_is_fitted(algorithm: Algorithm) -> None:
    given = samples()
    log_weights, fitted, weights, threshold = step(algorithm, given)
    assert log_weights.shape == (M,)
    assert log_weights.dtype == torch.float64
    assert not (log_weights.isnan() | log_weights.isposinf()).any()
    assert log_weights.isfinite().any()
    assert fitted.shape == (len(weights), 2)
    assert (weights >= 0).all()
    assert weights.any()
    assert threshold.shape == ()
    assert threshold.isfinite()
    if not algorithm.collects_samples:
        assert torch.equal(fitted, given.drawn)


def test_the_order_of_samples_does_not_matter(algorithm: Algorithm) -> None:
    order = torch.randperm(M, generator=torch.Generator().manual_seed(0))
    other = copy.deepcopy(algorithm)
    log_weights = algorithm.log_weights(samples())
    permuted = other.log_weights(of_rows(samples(), order))
    torch.testing.assert_close(permuted, log_weights[order], rtol=1e-12, atol=1e-12)
    assert other.threshold == algorithm.threshold


def test_a_mean_that_is_no_number_weighs_nothing_and_changes_no_other_weight(
    algorithm: Algorithm,
) -> None:
    keep = torch.arange(M) % 5 > 0
    means = torch.where(keep, samples().prediction.mean, torch.nan)
    other = copy.deepcopy(algorithm)
    with_nan = normalized_weights(algorithm.log_weights(with_means(samples(), means)))
    without = normalized_weights(other.log_weights(of_rows(samples(), keep)))
    assert (with_nan[~keep] == 0).all()
    torch.testing.assert_close(with_nan[keep], without, rtol=1e-12, atol=0)
    assert algorithm.threshold == other.threshold


def test_without_a_number_nothing_weighs_anything(algorithm: Algorithm) -> None:
    nothing = with_means(samples(), torch.full((M,), torch.nan, dtype=torch.float64))
    assert not normalized_weights(algorithm.log_weights(nothing)).any()


@pytest.mark.parametrize("level", [-1e6, 1e6])
def test_weights_are_finite_far_from_the_threshold(algorithm: Algorithm, level: float) -> None:
    algorithm.log_weights(samples())
    far = with_means(samples(5), samples(5).prediction.mean + level)
    log_weights = algorithm.log_weights(far)
    assert not (log_weights.isnan() | log_weights.isposinf()).any()
    # FB takes none of samples that all miss its threshold.
    assert log_weights.isfinite().any() or (isinstance(algorithm, FB) and level < 0)


def test_a_restored_one_goes_on_bit_for_bit(
    algorithm: Algorithm, request: pytest.FixtureRequest
) -> None:
    for seed in (10, 20):
        step(algorithm, samples(seed))
    file = io.BytesIO()
    torch.save(algorithm.state_dict(), file)
    file.seek(0)
    restored = CASES[request.node.callspec.params["algorithm"]]()
    restored.start(DESIGNS, LABELS)
    restored.load_state_dict(torch.load(file, weights_only=True))
    for seed in (30, 40):
        one, other = step(algorithm, samples(seed)), step(restored, samples(seed))
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    states = algorithm.state_dict(), restored.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
