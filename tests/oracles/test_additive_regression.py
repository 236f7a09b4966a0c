"""Additive regression against posteriors and refits that are computed by other means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import LabelNoise
from lightning_mbo.oracles import AdditiveRegression, Convergence
from lightning_mbo.oracles.additive_features import orthogonal_polynomials
from lightning_mbo.oracles.additive_regression import chosen_variances
from lightning_mbo.oracles.linear_posterior import BlockRidge
from lightning_mbo.oracles.weighted_labels import Judgement, WeightedLabels
from lightning_mbo.problem import DesignProblem
from lightning_mbo.searches import AscentSearch, SamplingSearch, design
from lightning_mbo.space import DesignSpace

Array = NDArray[np.float64]
MIXED = DesignSpace(torch.Size([8]), (4, 2))


def mixed_designs(n: int, seed: int = 0) -> Array:
    """Two numbers, a category of four levels and one of two."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 2))
    one_hots = [np.eye(size)[rng.integers(0, size, n)] for size in MIXED.groups]
    return np.hstack([numbers, *one_hots])


def additive(designs: Array) -> Array:
    """A truth without interactions, of which the levels' effects are 3, 0, -1 and 1."""
    levels = designs[:, 2:6] @ np.array([3.0, 0.0, -1.0, 1.0])
    return 2 * designs[:, 0] - designs[:, 1] ** 2 + levels + 0.5 * designs[:, 6]


def interacting(designs: Array) -> Array:
    crossed = 2 * designs[:, 0] * (designs[:, 6] - designs[:, 7])
    return additive(designs) + crossed + 1.5 * designs[:, 0] * designs[:, 1]


def problem_of(designs: Array, labels: Array, space: DesignSpace | None = None) -> DesignProblem:
    problem = DesignProblem.of_table(torch.from_numpy(designs), torch.from_numpy(labels))
    return problem if space is None else replace(problem, space=space)


def fitted(
    problem: DesignProblem, weights: Array | None = None, products: bool = True
) -> AdditiveRegression:
    oracle = AdditiveRegression(products)
    oracle.prepare(problem)
    given = torch.ones_like(problem.properties) if weights is None else torch.from_numpy(weights)
    oracle.solve(problem, given, torch.Generator().manual_seed(0))
    return oracle


def rows(n: int, num_features: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Features, targets and weights, of which a few are zero."""
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=n) * (rng.random(n) > 0.1)
    return rng.normal(size=(n, num_features)), rng.normal(size=n), weights


def posterior(
    features: Array, targets: Array, weights: Array, variances: Array
) -> tuple[Array, Array]:
    """Mean and covariance of intercept and coefficients, the noise's variance being one."""
    known = np.hstack([np.ones((len(features), 1)), features])
    precision = known.T @ (weights[:, None] * known)
    precision[1:, 1:] += np.diag(1 / variances)
    covariance = np.linalg.inv(precision)
    return covariance @ known.T @ (weights * targets), covariance


SHAPES = [(40, 6), (9, 6), (5, 12), (60, 2)]
SIZES = {6: (3, 2, 1), 12: (5, 4, 3), 2: (1, 1, 0)}


@pytest.mark.parametrize(("n", "num_features"), SHAPES)
def test_the_posterior_is_the_one_of_bayes_rule(n: int, num_features: int) -> None:
    features, targets, weights = rows(n, num_features)
    sizes, variances = SIZES[num_features], (0.5, 2.0, 0.1)
    ridge = BlockRidge(*map(torch.from_numpy, (features, targets, weights)), sizes)
    assert ridge.by_rows is (n < num_features)
    found = ridge.posterior(variances)
    mean, covariance = posterior(features, targets, weights, np.repeat(variances, sizes))
    at = np.random.default_rng(1).normal(size=(7, num_features))
    known = np.hstack([np.ones((7, 1)), at])
    np.testing.assert_allclose(found.means(torch.from_numpy(at)), known @ mean, rtol=1e-9)
    spreads = np.einsum("ij,jk,ik->i", known, covariance, known)
    np.testing.assert_allclose(found.spreads(torch.from_numpy(at)), spreads, rtol=1e-9)
    effects = np.einsum("ij,jk,ik->i", at, covariance[1:, 1:], at)
    found_effects = found.spreads_of_effects(torch.from_numpy(at))
    np.testing.assert_allclose(found_effects, effects, rtol=1e-9)


@pytest.mark.parametrize(("n", "num_features"), SHAPES)
@pytest.mark.parametrize("some", [False, True])
def test_leaving_one_out_is_a_refit_without_it(n: int, num_features: int, some: bool) -> None:
    features, targets, weights = rows(n, num_features)
    sizes, variances = SIZES[num_features], (0.5, 2.0, 0.0)
    ridge = BlockRidge(*map(torch.from_numpy, (features, targets, weights)), sizes)
    chosen = torch.arange(0, n, 3) if some else None
    found = ridge.leave_one_out(variances, chosen)
    used = sum(sizes[:2])
    for place, row in enumerate(range(0, n, 3) if some else range(n)):
        without = np.where(np.arange(n) == row, 0.0, weights)
        prior = np.repeat(variances[:2], sizes[:2])
        mean, covariance = posterior(features[:, :used], targets, without, prior)
        known = np.append(1.0, features[row, :used])
        residual = targets[row] - known @ mean
        assert found.residuals[place].item() == pytest.approx(residual, rel=1e-8)
        spread = known @ covariance @ known
        assert found.spreads[place].item() == pytest.approx(spread, rel=1e-8)


def test_a_weight_of_two_is_the_same_row_twice() -> None:
    designs = mixed_designs(60)
    labels = interacting(designs) + np.random.default_rng(1).normal(size=60)
    times = np.random.default_rng(2).integers(1, 4, size=60)
    at = torch.from_numpy(mixed_designs(50, seed=3))
    problem = problem_of(designs, labels, MIXED)
    weighted = AdditiveRegression()
    weighted.prepare(problem)
    repeated = problem.of_rows(torch.arange(60).repeat_interleave(torch.from_numpy(times)))
    other = AdditiveRegression()
    other.prepare(problem)
    generator = torch.Generator().manual_seed(0)
    weighted.solve(problem, torch.from_numpy(times.astype(float)), generator)
    other.solve(repeated, torch.ones_like(repeated.properties), generator)
    found, expected = (vars(oracle.predict(at)) for oracle in (weighted, other))
    for name, figures in found.items():
        np.testing.assert_allclose(figures, expected[name], rtol=1e-7)
    assert weighted.validation_loss().item() == pytest.approx(other.validation_loss().item())


def test_what_weighs_nothing_has_no_say() -> None:
    designs = mixed_designs(80)
    labels = additive(designs) + 0.1 * np.random.default_rng(1).normal(size=80)
    weights = np.where(np.arange(80) % 2, 1.0, 0.0)
    problem = problem_of(designs, labels, MIXED)
    wrong = problem_of(designs, np.where(weights > 0, labels, -50.0), MIXED)
    found = []
    for each in (problem, wrong):
        oracle = AdditiveRegression()
        oracle.prepare(problem)
        oracle.solve(each, torch.from_numpy(weights), torch.Generator().manual_seed(0))
        found.append(oracle.predict(problem.designs))
    np.testing.assert_allclose(found[0].mean, found[1].mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[0].std, found[1].std, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_products_take_part_where_the_truth_has_them(seed: int) -> None:
    designs = mixed_designs(150, seed)
    noise = 0.3 * np.random.default_rng(seed + 9).normal(size=150)
    without = fitted(problem_of(designs, additive(designs) + noise, MIXED))
    assert without.block_variances[:2].all()
    with_them = fitted(problem_of(designs, interacting(designs) + noise, MIXED))
    assert with_them.block_variances.all()
    at = mixed_designs(500, seed + 20)
    for oracle, truth in ((without, additive), (with_them, interacting)):
        error = oracle.predict(torch.from_numpy(at)).mean.numpy() - truth(at)
        assert np.sqrt(np.mean(error**2)) < 0.25
    never = fitted(problem_of(designs, interacting(designs) + noise, MIXED), products=False)
    assert never.block_variances[2] == 0
    assert never.validation_loss() > with_them.validation_loss() + 0.5


def test_products_are_seldom_seen_where_there_are_none() -> None:
    seen = 0
    for seed in range(20):
        designs = mixed_designs(100, seed)
        noise = 0.5 * np.random.default_rng(seed + 99).normal(size=100)
        oracle = fitted(problem_of(designs, additive(designs) + noise, MIXED))
        seen += bool(oracle.block_variances[2] > 0)
    assert seen <= 6


def test_effects_are_true_within_their_errors() -> None:
    designs = mixed_designs(400)
    labels = 10 * additive(designs) + 5 * np.random.default_rng(1).normal(size=400)
    weights = np.random.default_rng(2).uniform(0.5, 1.5, size=400)
    first, second, levels, pair = fitted(problem_of(designs, labels, MIXED), weights).effects(11)
    shares = weights @ designs[:, 2:6] / weights.sum()
    truth = np.array([30.0, 0.0, -10.0, 10.0])
    truth -= shares @ truth
    assert levels.values.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_less(np.abs(levels.mean.numpy() - truth), 4 * levels.std.numpy())
    # Of a mean of 100 labels.
    assert (levels.std < 1.3 * 5 / np.sqrt(100)).all()
    assert (levels.std > 5 / np.sqrt(400)).all()
    assert shares @ levels.mean.numpy() == pytest.approx(0, abs=1e-9)
    assert (pair.mean[0] - pair.mean[1]).item() == pytest.approx(5.0, abs=2.5)
    for effect, column, curve in ((first, 0, lambda x: 20 * x), (second, 1, lambda x: -10 * x**2)):
        seen = designs[:, column]
        np.testing.assert_allclose(effect.values.numpy(), np.linspace(seen.min(), seen.max(), 11))
        expected = curve(effect.values.numpy()) - weights @ curve(seen) / weights.sum()
        off = np.abs(effect.mean.numpy() - expected)
        np.testing.assert_array_less(off, 4 * effect.std.numpy() + 0.2)


def test_the_spread_says_how_far_the_mean_is_off() -> None:
    z = []
    for seed in range(60):
        designs = mixed_designs(40, seed)
        labels = additive(designs) + np.random.default_rng(seed + 99).normal(size=40)
        oracle = fitted(problem_of(designs, labels, MIXED), products=False)
        at = mixed_designs(20, seed + 500)
        prediction = oracle.predict(torch.from_numpy(at))
        z.append((prediction.mean.numpy() - additive(at)) / prediction.epistemic_std.numpy())
        whole = prediction.std.square() - prediction.epistemic_std.square()
        noise = oracle.variance * oracle.property_std**2
        np.testing.assert_allclose(whole, np.full(20, noise), rtol=1e-9)
    assert 0.8 < np.std(z) < 1.5


def test_noise_of_labels_is_no_part_of_the_variance() -> None:
    rng = np.random.default_rng(0)
    designs = mixed_designs(600)
    errors = np.where(np.arange(600) % 2, 3.0, 0.1)
    labels = additive(designs) + rng.normal(size=600) * np.hypot(0.3, errors)
    noise = LabelNoise(torch.from_numpy(errors), torch.zeros(600).double())
    problem = replace(problem_of(designs, labels, MIXED), noise=noise)
    knowing, without = fitted(problem), fitted(replace(problem, noise=None))
    deviation = (knowing.variance.sqrt() * knowing.property_std).item()
    assert deviation == pytest.approx(0.3, abs=0.05)
    at = mixed_designs(200, seed=1)
    error, other = (
        np.mean((oracle.predict(torch.from_numpy(at)).mean.numpy() - additive(at)) ** 2)
        for oracle in (knowing, without)
    )
    assert error < other / 3
    measured = additive(designs) + 0.5 * rng.normal(size=(9, 600))
    noise = LabelNoise(torch.zeros(600).double(), torch.from_numpy(measured.std(0)))
    problem = replace(problem_of(designs, measured.mean(0), MIXED), noise=noise)
    oracle = fitted(problem, np.full(600, 9.0))
    deviation = (oracle.variance.sqrt() * oracle.property_std).item()
    assert deviation == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("scale", [1e12, 1.0, 1e-9])
@pytest.mark.parametrize("kind", ["few", "one column", "wide", "constant", "repeated", "levels"])
def test_degenerate_tables(kind: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    n, space = (10 if kind == "few" else 30), None
    designs = rng.normal(size=(n, {"one column": 1, "wide": 90}.get(kind, 4)))
    if kind == "constant":
        designs[:, 1] = 7.3
    if kind == "repeated":
        designs = designs[rng.integers(0, 5, n)]
    if kind == "levels":  # as many as rows, and one that no row has
        designs, space = np.eye(n + 1)[:n], DesignSpace(torch.Size([n + 1]), (n + 1,))
    labels = scale * (5 + designs[:, 0] + 0.1 * rng.normal(size=n))
    problem = problem_of(designs, labels, space)
    oracle = fitted(problem)
    prediction = oracle.predict(problem.designs)
    for figures in vars(prediction).values():
        assert figures.isfinite().all()
    assert (prediction.epistemic_std < prediction.std).all()
    assert oracle.validation_loss().isfinite()
    assert all(effect.std.isfinite().all() for effect in oracle.effects())
    if kind not in ("levels", "wide"):
        assert np.corrcoef(prediction.mean, labels)[0, 1] > 0.8
    if kind == "levels":
        unseen = torch.eye(n + 1)[n:].double()
        assert oracle.predict(unseen).epistemic_std >= prediction.epistemic_std.max() * 0.999


def test_the_scale_of_the_property_makes_no_difference() -> None:
    designs = mixed_designs(50)
    labels = interacting(designs) + np.random.default_rng(1).normal(size=50)
    plain = fitted(problem_of(designs, labels, MIXED)).predict(torch.from_numpy(designs))
    for scale in (1e12, 1e-9):
        found = fitted(problem_of(designs, scale * labels, MIXED)).predict(
            torch.from_numpy(designs)
        )
        np.testing.assert_allclose(found.mean / scale, plain.mean, rtol=1e-6)
        np.testing.assert_allclose(found.std / scale, plain.std, rtol=1e-6)


def test_one_row_with_all_the_weight() -> None:
    designs = mixed_designs(30)
    problem = problem_of(designs, additive(designs), MIXED)
    for light in (0.0, 1e-30, 1e-3):
        weights = np.full(30, light)
        weights[4] = 30.0
        prediction = fitted(problem, weights).predict(problem.designs)
        assert all(figures.isfinite().all() for figures in vars(prediction).values())
        assert prediction.mean[4].item() == pytest.approx(problem.properties[4].item(), abs=0.2)


def test_sequences() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(6, 4))

    def sequences(n: int) -> Array:
        return np.eye(4)[rng.integers(0, 4, (n, 6))]

    designs, at = sequences(200), sequences(300)
    oracle = fitted(
        problem_of(designs, (designs * effects).sum((1, 2)) + 0.1 * rng.normal(size=200))
    )
    found = oracle.predict(torch.from_numpy(at)).mean.numpy()
    np.testing.assert_allclose(found, (at * effects).sum((1, 2)), atol=0.2)
    assert [len(effect.mean) for effect in oracle.effects()] == [4] * 6


def test_beyond_the_data_a_curve_goes_on_straight() -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    oracle = fitted(problem_of(x, x[:, 0] ** 3 + x[:, 0] ** 2))
    at = torch.tensor([[1.0], [2.0], [3.0], [-1.0], [-3.0], [-5.0]]).double()
    mean = oracle.predict(at).mean
    assert (mean[2] - mean[1]).item() == pytest.approx((mean[1] - mean[0]).item())
    assert (mean[4] - mean[5]).item() == pytest.approx((mean[3] - mean[4]).item())
    assert (mean[1] - mean[0]).item() == pytest.approx(5.0, abs=0.1)
    assert (mean[3] - mean[4]).item() == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("num_different", [1, 2, 3, 4, 50])
def test_polynomials_are_orthogonal(num_different: int) -> None:
    values = torch.from_numpy(np.random.default_rng(0).gamma(2.0, size=num_different).repeat(3))
    found = orthogonal_polynomials(torch.stack([torch.ones_like(values), values], 1))[1]
    terms = torch.stack([values**m for m in range(4)], -1) @ found.mT
    expected = torch.diag((torch.arange(4) < num_different).double())
    np.testing.assert_allclose(terms.mT @ terms / len(values), expected, atol=1e-7)


def test_state_dict_is_the_whole_fit() -> None:
    designs = mixed_designs(60)
    problem = problem_of(designs, interacting(designs), MIXED)
    oracle = fitted(problem)
    other = fitted(replace(problem, properties=problem.properties.flip(0) + 1))
    for name, value in oracle.state_dict().items():
        owner, _, buffer = name.rpartition(".")
        if name != "unused":
            other.get_submodule(owner).register_buffer(buffer, value)
    found, expected = (each.predict(problem.designs) for each in (other, oracle))
    assert torch.equal(found.mean, expected.mean)
    assert torch.equal(found.std, expected.std)
    assert [name for name, _ in oracle.named_parameters()] == ["unused"]


def test_predict_says_what_calling_does() -> None:
    designs = mixed_designs(60)
    problem = problem_of(designs, interacting(designs), MIXED)
    oracle = fitted(problem)
    called, predicted = oracle(problem.designs), oracle.predict(problem.designs)
    np.testing.assert_allclose(called.loc, predicted.mean, rtol=1e-12)
    np.testing.assert_allclose(called.scale, predicted.std, rtol=1e-12)


def test_gradients_reach_the_designs() -> None:
    designs = mixed_designs(60)
    oracle = fitted(problem_of(designs, interacting(designs), MIXED))

    def moments(at: Tensor) -> tuple[Tensor, Tensor]:
        prediction = oracle(at)
        return prediction.loc, prediction.scale

    at = torch.from_numpy(designs[:3] + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(moments, at)


@pytest.mark.parametrize("search", ["samples", "ascent"])
def test_a_whole_run(search: str) -> None:
    designs = np.random.default_rng(0).normal(size=(80, 3))
    truth = designs[:, 0] - (designs[:, 1] - 1) ** 2
    problem = problem_of(designs, truth + 0.1 * np.random.default_rng(1).normal(size=80))
    chosen = SamplingSearch(CbAS(), num_samples=300) if search == "samples" else AscentSearch()
    iterations = list(
        design(
            problem,
            AdditiveRegression(),
            chosen,
            num_iterations=3,
            convergence=Convergence(max_epochs=1),
        )
    )
    found = iterations[-1].samples.designs.numpy()
    reached = np.median(found[:, 0] - (found[:, 1] - 1) ** 2)
    assert reached > np.quantile(truth, 0.9)


def test_prior_variances_are_found() -> None:
    """Of a loss that is least at 3, 0 and 200, by logarithms."""

    def judge(variances: list[float]) -> Judgement:
        main, curves, products = (np.log(v + 1e-9) for v in variances)
        loss = (main - np.log(3)) ** 2 + curves + 0.1 * (products - np.log(200)) ** 2
        losses = torch.full((5,), loss).double()
        return Judgement(losses, torch.full((5,), 0.2).double(), torch.ones(()))

    main, curves, products = chosen_variances(judge, (4, 4, 4))
    assert 1.5 < main < 6
    assert curves == 0
    assert 100 < products < 400
    assert chosen_variances(judge, (4, 0, 0))[1:] == [0, 0]


def test_products_that_gain_less_than_the_error_are_left_out() -> None:
    gains = torch.tensor([9.0, -8.0, 0.1, -0.5]).double()

    def judge(variances: list[float]) -> Judgement:
        losses = 20 - gains * (variances[2] > 0)
        return Judgement(losses, torch.full((4,), 0.25).double(), torch.ones(()))

    assert gains.mean() > 0
    assert chosen_variances(judge, (4, 4, 4))[2] == 0
    gains += 9
    assert chosen_variances(judge, (4, 4, 4))[2] > 0


def test_labels_of_equal_designs_are_merged() -> None:
    rng = np.random.default_rng(0)
    labels, weights, errors = rng.normal(size=(3, 12))
    design = torch.arange(12) % 3
    noise = LabelNoise(torch.from_numpy(errors), torch.zeros(12).double())
    all_labels = WeightedLabels(
        torch.from_numpy(labels), torch.from_numpy(weights).abs(), noise, design, 3
    )
    totals, means = all_labels.merged(torch.tensor(0.7).double())
    counts = np.abs(weights) * 0.7 / (0.7 + errors**2)
    for number in range(3):
        own = design.numpy() == number
        assert totals[number].item() == pytest.approx(counts[own].sum())
        assert means[number].item() == pytest.approx(np.average(labels[own], weights=counts[own]))
    part = all_labels.of_designs(torch.tensor([2, 0]))
    assert part.design.tolist() == [1, 0] * 4
    assert torch.equal(part.labels, all_labels.labels[design != 1])
