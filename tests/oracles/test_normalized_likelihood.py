"""Normalised likelihood against sums over networks, each of which is trained by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import logistic
from torch import Tensor

from lightning_mbo.data.fits import Fits
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import Convergence, NormalizedLikelihoodModel
from lightning_mbo.oracles.normalized_likelihood import bin_log_probs
from lightning_mbo.problem import DesignProblem
from lightning_mbo.searches import AscentSearch, design

SIZES, BINS = (6, 5), 7


def problem_of(n: int = 40, dim: int = 3) -> DesignProblem:
    rng = np.random.default_rng(0)
    designs = rng.uniform(-1, 1, size=(n, dim))
    labels = 10 + 4 * designs[:, 0] + 0.2 * rng.normal(size=n)
    weights = torch.from_numpy(rng.uniform(0.5, 2, n))
    problem = DesignProblem.of_table(torch.from_numpy(designs), torch.from_numpy(labels))
    return replace(problem, base_weights=weights)


def prepared(problem: DesignProblem, **options: float) -> NormalizedLikelihoodModel:
    oracle = NormalizedLikelihoodModel(SIZES, num_bins=BINS, batch_size=9, **options)
    oracle.prepare(problem)
    oracle.residual_variance.fill_(0.1)
    return oracle


def network(parameters: list[Tensor], inputs: Tensor) -> Tensor:
    """One network, ``(b,)``, of its weights and then its biases."""
    hidden, layers = inputs, len(parameters) // 2
    for layer in range(layers):
        hidden = hidden @ parameters[layer] + parameters[layers + layer]
        if layer < layers - 1:
            hidden = torch.nn.functional.leaky_relu(hidden, 0.01)
    return hidden[:, 0]


def test_bins_are_those_of_the_logistic_distribution() -> None:
    edges = torch.tensor([-torch.inf, -3.0, -1, 0.5, 40, torch.inf], dtype=torch.float64)
    means = torch.linspace(-5, 30, 8, dtype=torch.float64)[:, None]
    found = bin_log_probs(means, edges[:-1], edges[1:], torch.tensor(0.7, dtype=torch.float64))
    expected = np.diff(logistic.cdf(edges.numpy(), means.numpy(), 0.7))
    np.testing.assert_allclose(found.exp().numpy(), expected, atol=1e-12)
    assert found.isfinite().all()
    np.testing.assert_allclose(found.exp().sum(1).numpy(), 1.0)


def test_far_bins_have_a_gradient() -> None:
    means = torch.tensor([-300.0, 300.0], requires_grad=True)
    bin_log_probs(means, torch.tensor(0.0), torch.tensor(1.0), torch.tensor(0.5)).sum().backward()
    assert means.grad.tolist() == pytest.approx([2.0, -2.0])


def test_a_step_is_each_copy_s_own() -> None:
    problem = problem_of()
    oracle = prepared(problem, adaptation_rate=0.3, averaging_rate=0.2, query_weight=0.4)
    inputs = torch.randn(4, 3)
    start = [p[0].detach().clone() for p in oracle.network.parameters()]
    oracle.adapt(inputs, problem)
    labels = oracle.standardized(problem.properties.float())
    least, most = labels.min(), 1.5 * labels.max() - 0.5 * labels.min()
    edges = torch.linspace(least, most, BINS + 1)
    torch.testing.assert_close(oracle.bins, (edges[1:] + edges[:-1]) / 2)
    edges[0], edges[-1] = -torch.inf, torch.inf
    generator = problem.stream.generator("adaptation", 0)
    rows = torch.randint(40, (9,), generator=generator)
    known, weights = problem.designs[rows].float(), problem.base_weights[rows].float()
    bins = torch.searchsorted(edges, labels[rows]) - 1
    scale = 0.1**0.5 * 3**0.5 / torch.pi
    for k in range(BINS):
        own = [part.clone().requires_grad_() for part in start]

        def nats(at: Tensor, bins: Tensor, own: list[Tensor] = own) -> Tensor:
            cdf = torch.sigmoid((edges[:, None] - network(own, at)) / scale)
            column = torch.arange(len(at))
            return -(cdf[bins + 1, column] - cdf[bins, column]).log()

        loss = (weights * nats(known, bins)).sum() / weights.sum()
        loss = loss + 0.4 * nats(inputs, torch.full((4,), k)).mean()
        gradients = torch.autograd.grad(4 * scale**2 * loss, own)
        length = sum(gradient.square().sum() for gradient in gradients).sqrt()
        rate = 0.3 / max(length.item(), 1.0)
        for part, gradient, copy, average in zip(
            start, gradients, oracle.copies.parameters(), oracle.averages.parameters(), strict=True
        ):
            moved = part - rate * gradient
            torch.testing.assert_close(copy[k], moved, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(average[k], 0.8 * part + 0.2 * moved, rtol=1e-3, atol=1e-4)


def test_what_is_said_is_normalised_over_the_copies() -> None:
    problem = problem_of()
    oracle = prepared(problem, adaptation_rate=1.0, averaging_rate=1.0)
    for _ in range(4):
        oracle.adapt(torch.randn(4, 3), problem)
    inputs = torch.randn(5, 3)
    bins, scale = oracle.bins.numpy(), 0.1**0.5 * 3**0.5 / np.pi
    width = bins[1] - bins[0]
    likelihoods = np.zeros((BINS, 5))
    for k in range(BINS):
        mean = network([p[k] for p in oracle.averages.parameters()], inputs).numpy()
        below = 0.0 if k == 0 else logistic.cdf(bins[k] - width / 2, mean, scale)
        above = 1.0 if k == BINS - 1 else logistic.cdf(bins[k] + width / 2, mean, scale)
        likelihoods[k] = above - below
    shares = likelihoods / likelihoods.sum(0)
    mean = bins @ shares
    std = np.sqrt((bins**2) @ shares - mean**2)
    said = oracle.input_outputs(inputs)
    np.testing.assert_allclose(said.loc[0].numpy(), mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(said.scale[0].numpy(), std, rtol=1e-3, atol=1e-3)


def fitted(problem: DesignProblem, **options: float) -> NormalizedLikelihoodModel:
    oracle = NormalizedLikelihoodModel((32, 32), 0.01, batch_size=64, **options)
    oracle.prepare(problem)
    fits = Fits(problem, batch_size=32)
    fits.begin()
    oracle.fit(fits, Convergence(patience=40, max_epochs=40))
    return oracle


def test_where_no_data_are_all_labels_can_be_learnt() -> None:
    problem = problem_of(300, 1)
    oracle = fitted(problem, query_weight=0.2)
    far, near = torch.full((8, 1), 4.0), torch.full((8, 1), 0.9)
    promised = oracle.predict(far).mean[0]
    for _ in range(300):
        oracle.adapt(torch.cat([far, near]), problem)
    said = oracle.predict(torch.cat([far[:1], near[:1]]))
    middle = oracle.bins.mean() * oracle.property_std + oracle.property_mean
    assert promised > 20, "a line goes on"
    assert abs(said.mean[0] - middle) < 3
    assert said.mean[1] == pytest.approx(10 + 4 * 0.9, abs=0.7)
    assert said.std[0] > 2 * said.std[1]


def test_a_fit_lays_the_copies_aside() -> None:
    problem = problem_of()
    oracle = fitted(problem)
    before = oracle.predict(problem.designs)
    oracle.adapt(torch.randn(4, 3), problem)
    assert not torch.equal(oracle.predict(problem.designs).mean, before.mean)
    fits = Fits(problem, batch_size=32)
    fits.begin()
    oracle.fit(fits, Convergence(max_epochs=1))
    own = oracle.member_predictions(problem.designs).loc
    expected = oracle.values(problem.designs.float()) * oracle.property_std + oracle.property_mean
    torch.testing.assert_close(own, expected)


def test_only_the_search_s_own_ascent_teaches_it() -> None:
    problem, oracle = problem_of(), NormalizedLikelihoodModel((8,), num_bins=5)
    search = AscentSearch(num_steps=3, num_starts=6)
    convergence = Convergence(max_epochs=2)
    list(design(problem, oracle, search, 2, convergence=convergence, batch_size=20))
    assert oracle.get_extra_state() == 8  # where it starts and after each step, in each segment
    before = {name: value.clone() for name, value in oracle.state_dict().items()}
    search.more_samples(oracle, 9)
    next(iter(search.further_samples(oracle)))
    assert all(torch.equal(before[name], value) for name, value in oracle.state_dict().items())


def test_no_training_reaches_the_copies() -> None:
    oracle = prepared(problem_of())
    trained = {
        id(p) for group in oracle.configure_optimizers().param_groups for p in group["params"]
    }
    assert not trained & {
        id(p) for p in [*oracle.copies.parameters(), *oracle.averages.parameters()]
    }


@pytest.mark.parametrize(
    "options",
    [
        {"num_bins": 1},
        {"margin": -1.0},
        {"averaging_rate": 0.0},
        {"batch_size": 0},
        {"adaptation_rate": 0.0},
        {"query_weight": -1.0},
    ],
)
def test_numbers_out_of_their_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.\w+ must"):
        NormalizedLikelihoodModel(**options)
