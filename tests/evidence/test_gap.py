"""The oracle gap: what it is said to be, and what it is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_mbo.algorithms import CbAS
from lightning_mbo.evidence.gap import Gap, gap_figures, gap_of
from lightning_mbo.evidence.halves import HalfFits, half_fits
from lightning_mbo.importance import Autofocus
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.oracles import DeepEnsemble, GaussianProcess
from lightning_mbo.oracles.convergence import Convergence
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, Prediction
from lightning_mbo.searches import SamplingSearch
from lightning_mbo.searches.run import design

NAMES = {"oracle_gap", "oracle_gap_bound", "oracle_bias", "oracle_bias_bound"}


def of(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def said(*means: float) -> Prediction:
    """With deviations of 0.6 around the mean, and of 0.8 of it."""
    return Prediction(of(*means), of(*[1.0] * len(means)), of(*[0.8] * len(means)))


def height(designs: torch.Tensor) -> torch.Tensor:
    return torch.sin(designs[:, 0]) - (designs[:, 1:] - 1).square().sum(1)


def table(num: int, noise: float, seed: int) -> tuple[DesignProblem, float]:
    """Random designs, and the standard deviation of their labels' noise."""
    generator = torch.Generator().manual_seed(seed)
    designs = torch.randn(num, 3, generator=generator, dtype=torch.float64)
    std = noise * height(designs).std().item()
    errors = torch.randn(num, generator=generator, dtype=torch.float64)
    return DesignProblem.of_table(designs, height(designs) + std * errors, seed), std


def true_gap(iteration: DesignIteration, std: float) -> float:
    samples, threshold = iteration.samples, iteration.threshold
    true = stats.norm.sf((threshold - height(samples.designs).numpy()) / std)
    prediction = samples.prediction
    mine = stats.norm.sf((threshold - prediction.mean.numpy()) / prediction.std.numpy())
    return float(np.abs(true - mine).mean())


def runs(num: int, noise: float, seeds: range, **options: Any) -> list[tuple[float, ...]]:
    """True gap, estimate, bound; bias and its bound; of the iterations of several runs."""
    found = []
    for seed in seeds:
        problem, std = table(num, noise, seed)
        oracle, fits = GaussianProcess(), HalfFits()
        search = SamplingSearch(CbAS(), num_samples=300)
        for iteration in design(problem, oracle, search, 4, **options):
            told = gap_of(problem, iteration, fits.of(oracle, problem))
            off = iteration.samples.prediction.mean - height(iteration.samples.designs)
            found.append((true_gap(iteration, std), told[0], told[1], off.mean().item(), told[3]))
    return found


def test_by_halves() -> None:
    prediction, halves = (
        said(1.0, 3.0),
        [said(0.0, 3.5), said(2.0, 4.0), said(2.5, 3.0), said(1, 2)],
    )
    found = Gap.of_halves(prediction, halves, threshold=2.0)
    differences = np.array([[-1.0, 0.5], [1.0, 1.0], [1.5, 0.0], [0.0, -1.0]])
    spread = np.sqrt((differences**2).mean(0))
    expected = stats.norm.sf(2.0 - np.array([1.0, 3.0]))

    def gap(shift: Any) -> float:
        true = stats.norm.sf((2.0 - np.array([1.0, 3.0]) - shift) / 0.6)
        return float(np.abs(true - expected).mean())

    # Student's distribution with two degrees of freedom, one a split, as tables have it.
    assert found.gap == pytest.approx(max(gap(spread), gap(-spread)))
    farthest = 2.919986 * np.maximum(spread, 0.8)
    assert found.gap_bound == pytest.approx(max(gap(farthest), gap(-farthest)))
    assert found.bias == pytest.approx(differences.mean())
    assert found.bias_bound == pytest.approx(differences.mean() + 2.919986 * spread.mean())
    assert math.isnan(found.divergence)


def test_by_unseen_labels() -> None:
    prediction = said(0.0, 1.0, 2.0, 5.0)
    labels, log_ratios = of(1.5, 0.0, 3.0, 0.0), of(0.0, 0.0, math.log(2), -math.inf)
    found = Gap.of_unseen(prediction, labels, log_ratios, threshold=1.0)
    weights, mine = np.array([0.25, 0.25, 0.5]), stats.norm.cdf([-1.0, 0.0, 1.0])
    off = np.array([1.0, 0.0, 1.0]) - mine
    number = 1 / (weights**2).sum()
    assert found.gap == pytest.approx(abs(weights @ off))
    chance = np.sqrt(np.log(10) / (2 * number))
    assert found.gap_bound == pytest.approx(min(1.0, weights @ np.abs(off) + chance))
    residuals = np.array([-1.5, 1.0, -1.0])
    bias = weights @ residuals
    error = np.sqrt(weights @ (residuals - bias) ** 2 / number)
    assert found.bias == pytest.approx(bias)
    assert found.bias_bound == pytest.approx(bias + stats.t.ppf(0.95, number) * error)
    assert all(map(math.isnan, Gap.of_unseen(prediction, labels, log_ratios * math.inf, 1.0)))


def test_many_unseen_labels_are_on_both_sides_of_the_gap() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(20_000, generator=generator, dtype=torch.float64)
    true = means + torch.randn(20_000, generator=generator, dtype=torch.float64)
    labels = true + 0.5 * torch.randn(20_000, generator=generator, dtype=torch.float64)
    prediction = Prediction(means, torch.ones_like(means), 0 * means)
    gap = np.abs(stats.norm.cdf((true - 0.7) / 0.5) - stats.norm.cdf(means - 0.7)).mean()
    found = Gap.of_unseen(prediction, labels, torch.zeros_like(means), 0.7)
    assert found.gap < gap < found.gap_bound < 0.5


def test_proposition_1_where_the_errors_are_known() -> None:
    prediction, halves = said(1.0, 3.0), [said(0.0, 3.5), said(2.0, 4.0)]
    found = Gap.of_halves(prediction, halves, 2.0, error=0.5)
    off, variance = np.array([1.0, (0.25 + 1) / 2]), 1.25
    nats = np.log(np.sqrt(variance) / 0.5) + (0.25 + off) / (2 * variance) - 0.5
    assert found.proposition_1 == pytest.approx(np.sqrt(nats.mean() / 2))
    # By labels: what they are less likely than they would be by their own errors.
    errors = of(0.5, 0.5)
    unseen = Gap.of_unseen(prediction, of(1.5, 2.0), of(0.0, 0.0), 2.0, errors)
    losses = -stats.norm.logpdf([0.5, 1.0]) - stats.norm(scale=0.5).entropy()
    assert unseen.proposition_1 == pytest.approx(np.sqrt(losses.mean() / 2))


@pytest.mark.parametrize(("num", "noise"), [(30, 0.1), (30, 1.0), (80, 0.5)])
def test_the_bound_holds_and_says_something(num: int, noise: float) -> None:
    gaps, _, bounds, biases, most = np.array(runs(num, noise, range(6))).T
    assert (gaps <= bounds).mean() >= 0.9
    assert (biases <= most).mean() >= 0.9
    # A bound that were the greatest that can be would be about 0.8.
    assert bounds.mean() < 0.75
    assert bounds.max() < 0.9


def test_the_estimate_follows_the_gap() -> None:
    by_table = [
        np.array(runs(num, noise, range(2))).mean(0)
        for num, noise in ((20, 0.3), (20, 1.0), (60, 0.3), (60, 1.0), (200, 1.0))
    ]
    gaps, estimates, *_ = np.array(by_table).T
    assert stats.spearmanr(gaps, estimates).statistic > 0.6
    assert (estimates / gaps > 0.4).all()
    assert (estimates / gaps < 2.5).all()


def test_the_bound_holds_where_the_oracle_follows_the_search() -> None:
    found = np.array(runs(40, 1.0, range(6), autofocus=Autofocus()))
    assert (found[:, 0] <= found[:, 2]).mean() >= 0.9


def test_halves_are_fitted_once() -> None:
    problem, _ = table(40, 1.0, 0)
    oracle, fits = GaussianProcess(), HalfFits()
    search = SamplingSearch(CbAS(), num_samples=200)
    run = design(problem, oracle, search, 3, autofocus=Autofocus())
    next(run)
    first = fits.of(oracle, problem)
    *_, last = run
    assert fits.of(oracle, problem) is first
    # Nor do they depend on where the search has been: a resumed run has the same.
    again = gap_figures(problem, last, half_fits(oracle, problem))
    assert again == gap_figures(problem, last, first)
    assert again.keys() == NAMES


def test_what_is_not_known_is_not_said() -> None:
    problem, _ = table(60, 0.5, 0)
    oracle = DeepEnsemble(hidden_sizes=(8,))
    convergence = Convergence(max_epochs=3)
    search = SamplingSearch(CbAS(), num_samples=100)
    (iteration,) = design(problem, oracle, search, 1, convergence=convergence)
    assert gap_figures(problem, iteration, half_fits(oracle, problem)) == {}
    split = problem.holding_out(torch.arange(60) % 3 == 0)
    oracle, search = DeepEnsemble(hidden_sizes=(8,)), SamplingSearch(CbAS(), num_samples=100)
    (iteration,) = design(split, oracle, search, 1, convergence=convergence)
    figures = gap_figures(split, iteration, half_fits(oracle, split))
    assert figures.keys() == NAMES
    assert 0 <= figures["oracle_gap"] <= figures["oracle_gap_bound"] <= 1


def test_proposition_1_is_told_of_tables_with_errors() -> None:
    problem, std = table(40, 0.5, 0)
    errors = torch.full_like(problem.properties, std)
    known = replace(problem, noise=LabelNoise(errors, 0 * errors))
    oracle = GaussianProcess()
    (iteration,) = design(known, oracle, SamplingSearch(CbAS(), num_samples=100), 1)
    figures = gap_figures(known, iteration, half_fits(oracle, known))
    assert figures["oracle_gap_proposition_1"] > 0
    errors[0] = 0
    partly = replace(problem, noise=LabelNoise(errors, 0 * errors))
    assert "oracle_gap_proposition_1" not in gap_figures(partly, iteration, [])


def test_designs_of_which_nothing_is_known_do_not_count() -> None:
    problem, _ = table(40, 0.5, 0)
    oracle = GaussianProcess()
    (iteration,) = design(problem, oracle, SamplingSearch(CbAS(), num_samples=100), 1)
    fits = half_fits(oracle, problem)
    samples = iteration.samples
    prediction = samples.prediction.joined([samples.prediction[:50], samples.prediction[50:]])
    prediction.mean[50:] = math.nan
    partly = replace(iteration, samples=replace(samples, prediction=prediction))
    some = samples.prediction[:50]
    said_of_them = [fit.oracle.predict(samples.designs[:50]) for fit in fits]
    expected = Gap.of_halves(some, said_of_them, iteration.threshold)
    assert gap_of(problem, partly, fits)[:4] == pytest.approx(expected[:4])
    prediction.mean[:] = math.nan
    assert all(map(math.isnan, gap_of(problem, partly, fits)))
