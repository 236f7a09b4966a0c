"""A Gaussian process against formulas that are written out densely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import gamma, lognorm, multivariate_normal, norm
from torch import Tensor

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data.fits import Fits
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.importance.autofocus import Autofocus
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.oracles import GaussianProcess
from lightning_mbo.oracles.covariance import Covariance
from lightning_mbo.oracles.gaussian_posterior import condition, evidence, left_out, posterior
from lightning_mbo.oracles.measurements import as_measurements, heaviest
from lightning_mbo.problem import DesignProblem
from lightning_mbo.searches import AscentSearch, SamplingSearch, design
from lightning_mbo.space import DesignSpace

Array = NDArray[np.float64]

SPACES = {
    "numbers": DesignSpace(torch.Size([3])),
    "categories": DesignSpace(torch.Size([7]), (3, 4)),
    "mixed": DesignSpace(torch.Size([7]), (2, 3)),
    "sequences": DesignSpace(torch.Size([4, 3]), (3, 3, 3, 3)),
}


def designs_of(space: DesignSpace, n: int, seed: int = 0) -> Tensor:
    """Numbers in units of their own, and one-hots."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(size=(n, space.num_numbers)) * 20 - 5
    groups = [np.eye(size)[rng.integers(0, size, n)] for size in space.groups]
    return torch.from_numpy(np.hstack([numbers, *groups])).reshape(n, *space.shape)


def problem_of(
    space: DesignSpace, n: int = 40, seed: int = 0, noise: float = 0.1, **more: Any
) -> DesignProblem:
    """Labels that depend on all entries, smoothly."""
    designs = designs_of(space, n, seed)
    flat = designs.flatten(1)
    slopes = torch.linspace(-1, 1, flat.shape[1]).double()
    errors = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=n))
    labels = (flat * slopes).sum(1).sin() + 0.1 * (flat * slopes.flip(0)).sum(1) + noise * errors
    return replace(DesignProblem.of_table(designs, labels), space=space, **more)


def fitted(problem: DesignProblem, weights: Tensor | None = None, seed: int = 0) -> GaussianProcess:
    oracle = GaussianProcess()
    oracle.prepare(problem)
    generator = torch.Generator().manual_seed(seed)
    oracle.solve(problem, problem.base_weights if weights is None else weights, generator)
    return oracle


def dense_covariance(space: DesignSpace, parameters: Array, left: Array, right: Array) -> Array:
    """Pair by pair, dimension by dimension."""
    d = space.num_numbers + len(space.groups)
    lengths, scale, slope = np.exp(parameters[:d]), np.exp(parameters[d]), np.exp(parameters[d + 1])
    result = np.empty((len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            line = sum(12 * (a[k] - 0.5) * (b[k] - 0.5) for k in range(space.num_numbers))
            squares = sum(((a[k] - b[k]) / lengths[k]) ** 2 for k in range(space.num_numbers))
            r = np.sqrt(5 * squares)
            product, start = (1 + r + r**2 / 3) * np.exp(-r), space.num_numbers
            for g, size in enumerate(space.groups):
                same = a[start : start + size].argmax() == b[start : start + size].argmax()
                line += same
                product *= 1.0 if same else np.exp(-1 / lengths[space.num_numbers + g] ** 2)
                start += size
            result[i, j] = scale * product + slope * line / d + 1
    return result


def parameters_of(space: DesignSpace, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=Covariance(space).num_parameters) / 2)


def inputs_of(problem: DesignProblem) -> Array:
    """Flat designs, the numbers scaled to the range that they have in the table."""
    flat, count = problem.designs.flatten(1).numpy().copy(), problem.space.num_numbers
    numbers = flat[:, :count]
    flat[:, :count] = (numbers - numbers.min(0)) / (numbers.max(0) - numbers.min(0))
    return flat


@pytest.mark.parametrize("kind", SPACES)
def test_covariance(kind: str) -> None:
    space = SPACES[kind]
    covariance, parameters = Covariance(space), parameters_of(space)
    left, right = (designs_of(space, n, seed=n).flatten(1) / 9 for n in (6, 8))
    left[:, space.num_numbers :], right[:, space.num_numbers :] = (
        (side[:, space.num_numbers :] > 0).double() for side in (left, right)
    )
    found = covariance(parameters, left, right)
    expected = dense_covariance(space, parameters.numpy(), left.numpy(), right.numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7)
    np.testing.assert_allclose(
        covariance.variances(parameters, left), covariance(parameters, left, left).diagonal()
    )


@pytest.mark.parametrize("kind", SPACES)
def test_covariance_is_positive_definite(kind: str) -> None:
    space = SPACES[kind]
    inputs = torch.rand(
        60, space.shape.numel(), generator=torch.Generator().manual_seed(0)
    ).double()
    for seed in range(5):
        matrix = Covariance(space)(parameters_of(space, seed), inputs, inputs)
        assert torch.linalg.eigvalsh(matrix).min() > -1e-10


@pytest.fixture
def labelled() -> tuple[Array, Array, Array, Array]:
    """K, labels, weights and noise variances of 15 designs."""
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(15, 2))
    covariance = np.exp(-np.square(points[:, None] - points).sum(-1) * 3)
    return covariance, rng.normal(size=15), rng.exponential(size=15), 0.1 + rng.uniform(size=15)


def test_posterior(labelled: tuple[Array, ...]) -> None:
    covariance, labels, weights, noise = labelled
    given = condition(
        *map(torch.from_numpy, (covariance[3:, 3:], labels[3:], (weights / noise)[3:]))
    )
    new = torch.from_numpy(covariance[:3])
    mean, variance = posterior(given, new[:, 3:], new[:, :3].diagonal())
    inverse = np.linalg.inv(covariance[3:, 3:] + np.diag(noise[3:] / weights[3:]))
    cross = covariance[:3, 3:]
    np.testing.assert_allclose(mean, cross @ inverse @ labels[3:], rtol=1e-9)
    np.testing.assert_allclose(variance, 1 - np.diag(cross @ inverse @ cross.T), rtol=1e-9)


def test_evidence_of_weights_of_one_is_the_marginal_likelihood(labelled: tuple[Array, ...]) -> None:
    covariance, labels, _, noise = labelled
    ones, zeros = np.ones(15), np.zeros(15)
    found = evidence(*map(torch.from_numpy, (covariance, labels, ones, noise, zeros)))
    expected = multivariate_normal(cov=covariance + np.diag(noise)).logpdf(labels)
    assert found.value.item() - 7.5 * np.log(2 * np.pi) == pytest.approx(expected, rel=1e-10)


def test_evidence_of_integer_weights_is_that_of_repeated_measurements(
    labelled: tuple[Array, ...],
) -> None:
    covariance, _, _, noise = labelled
    rng = np.random.default_rng(1)
    times = rng.integers(1, 5, 15)
    rows = np.repeat(np.arange(15), times)
    measured = rng.normal(size=len(rows))
    means, scatters = (
        np.array([f(measured[rows == i]) for i in range(15)]) for f in (np.mean, np.std)
    )
    found = evidence(
        *map(torch.from_numpy, (covariance, means, times.astype(float), noise, scatters))
    )
    whole = covariance[np.ix_(rows, rows)] + np.diag(noise[rows])
    expected = multivariate_normal(cov=whole).logpdf(measured)
    # Of a mean there are as many factors √2π fewer as there are measurements more.
    assert found.value.item() - len(rows) / 2 * np.log(2 * np.pi) == pytest.approx(expected)


def test_derivatives_of_the_evidence(labelled: tuple[Array, ...]) -> None:
    tensors = [torch.from_numpy(part) for part in (*labelled, np.linspace(0, 1, 15))]
    tensors[2][:3] = torch.tensor([1e-12, 1e-9, 1e3]).double()
    found = evidence(*tensors)
    covariance, noise = tensors[0].clone().requires_grad_(), tensors[3].clone().requires_grad_()
    changed = evidence(covariance, tensors[1], tensors[2], noise, tensors[4])
    by_covariance, by_noise = torch.autograd.grad(changed.value, [covariance, noise])
    symmetric = (by_covariance + by_covariance.T) / 2
    torch.testing.assert_close(found.by_covariance, symmetric, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(found.by_noise, by_noise, rtol=1e-7, atol=1e-10)


def test_left_out(labelled: tuple[Array, ...]) -> None:
    covariance, labels, weights, noise = labelled
    given = condition(*map(torch.from_numpy, (covariance, labels, weights / noise)))
    means, variances = left_out(given, torch.from_numpy(labels))
    for i in range(15):
        others = np.arange(15) != i
        inverse = np.linalg.inv(
            covariance[np.ix_(others, others)] + np.diag((noise / weights)[others])
        )
        cross = covariance[i, others]
        assert means[i].item() == pytest.approx(cross @ inverse @ labels[others], abs=1e-9)
        assert variances[i].item() == pytest.approx(1 - cross @ inverse @ cross, abs=1e-9)


@pytest.mark.parametrize("kind", SPACES)
def test_a_fit_is_the_dense_formula_at_its_hyper_parameters(kind: str) -> None:
    problem = problem_of(SPACES[kind])
    oracle = fitted(problem)
    inputs, labels = inputs_of(problem), problem.properties.numpy()
    standard = (labels - labels.mean()) / labels.std()
    parameters = oracle.hyper_parameters.numpy()
    noise = np.exp(parameters[-1])
    covariance = dense_covariance(problem.space, parameters[:-1], inputs, inputs)
    inverse = np.linalg.inv(covariance + noise * np.eye(len(labels)))
    mean = labels.mean() + labels.std() * covariance @ inverse @ standard
    epistemic = labels.std() ** 2 * np.diag(covariance - covariance @ inverse @ covariance)
    prediction = oracle.predict(problem.designs)
    np.testing.assert_allclose(prediction.mean, mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(prediction.epistemic_std**2, epistemic, rtol=1e-4, atol=1e-7)
    variance = epistemic + noise * labels.std() ** 2
    np.testing.assert_allclose(prediction.std**2, variance, rtol=1e-6, atol=1e-8)
    left = labels - labels.std() * inverse @ standard / np.diag(inverse)
    losses = -norm(left, labels.std() / np.sqrt(np.diag(inverse))).logpdf(labels)
    assert oracle.validation_loss().item() == pytest.approx(losses.mean(), rel=1e-6)
    prediction = oracle(problem.designs)
    np.testing.assert_allclose(prediction.loc, mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(prediction.variance, variance, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", SPACES)
def test_log_posterior_and_its_derivatives(kind: str) -> None:
    noise = LabelNoise(torch.linspace(0, 0.5, 40).double(), torch.linspace(0.3, 0, 40).double())
    problem = problem_of(SPACES[kind], noise=0.1)
    problem = replace(problem, noise=noise)
    weights = torch.linspace(0, 2, 40).double()
    oracle = fitted(problem, weights)
    rows = oracle._labelled(problem, as_measurements(weights, problem.base_weights))
    values = []
    for seed in range(3):
        here = torch.cat([parameters_of(problem.space, seed), torch.tensor([-1.0]).double()])
        value, gradient = oracle.log_posterior(here, rows)
        for j in range(len(here)):
            step = torch.zeros_like(here)
            step[j] = 1e-5
            above, below = (oracle.log_posterior(here + s * step, rows)[0] for s in (1, -1))
            assert gradient[j].item() == pytest.approx((above - below).item() / 2e-5, abs=1e-4)
        lengths, parts = here[:-3].exp().numpy(), here[-3:-1].numpy()
        variance = here[-1].exp().item()
        prior = lognorm(np.sqrt(3), scale=np.exp(np.sqrt(2)) * len(lengths) ** 0.5).logpdf(lengths)
        prior = prior.sum() + gamma(1.1, scale=1 / 0.05).logpdf(variance)
        prior += norm([0, np.log(0.1)], 1.5).logpdf(parts).sum()
        found = evidence(
            torch.from_numpy(
                dense_covariance(problem.space, here[:-1].numpy(), *[rows.designs.numpy()] * 2)
            ),
            rows.labels,
            rows.weights,
            variance + rows.errors**2,
            rows.scatters,
        )
        values.append(value.item() - found.value.item() - prior)
    # All but a constant.
    assert np.ptp(values) < 1e-6


@pytest.mark.parametrize("kind", SPACES)
def test_hyper_parameters_are_the_most_probable(kind: str) -> None:
    problem = problem_of(SPACES[kind])
    oracle = fitted(problem)
    rows = oracle._labelled(problem, torch.ones(40).double())
    best, _ = oracle.log_posterior(oracle.hyper_parameters, rows)
    rng = np.random.default_rng(0)
    for _ in range(30):
        moved = torch.from_numpy(rng.normal(size=len(oracle.hyper_parameters)) * 0.3)
        assert oracle.log_posterior(oracle.hyper_parameters + moved, rows)[0] < best


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75])
def test_rows_of_no_weight_are_no_part_of_the_noise(share: float) -> None:
    rng = np.random.default_rng(0)
    designs = torch.from_numpy(rng.uniform(size=(400, 2)))
    labels = torch.from_numpy(np.sin(6 * designs.numpy()).sum(1) + 0.3 * rng.normal(size=400))
    problem = DesignProblem.of_table(designs, labels)
    weights = torch.ones(400).double()
    weights[: int(share * 400)] = 1e-8
    oracle = fitted(problem, weights)
    kept = slice(int(share * 400), None)
    alone = fitted(problem.of_rows(torch.arange(400)[kept]))
    variance, expected_variance = (
        (o.noise_variance * o.property_std**2).item() for o in (oracle, alone)
    )
    assert variance == pytest.approx(expected_variance, rel=0.02)
    # That of a hundred rows is known to a seventh.
    assert variance == pytest.approx(0.09, rel=0.35)
    at = torch.from_numpy(rng.uniform(0.1, 0.9, size=(50, 2)))
    found, expected = oracle.predict(at), alone.predict(at)
    torch.testing.assert_close(found.mean, expected.mean, rtol=0, atol=0.02)
    torch.testing.assert_close(found.std, expected.std, rtol=0.05, atol=0)


def test_an_outlying_label_of_no_weight_moves_nothing() -> None:
    problem = problem_of(SPACES["numbers"])
    weights = torch.ones(40).double()
    weights[0] = 0
    expected = fitted(problem, weights).predict(problem.designs)
    problem.properties[0] = 1e6
    found = fitted(problem, weights).predict(problem.designs)
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-6, atol=1e-6)


def test_base_weights_are_repeated_measurements() -> None:
    """Of one noise, which is learnt from them all."""
    problem = problem_of(SPACES["mixed"], n=25)
    rng = np.random.default_rng(0)
    times = torch.from_numpy(rng.integers(1, 5, 25))
    measured = problem.properties.repeat_interleave(times)
    measured += 0.3 * torch.from_numpy(rng.normal(size=len(measured)))
    rows = torch.arange(25).repeat_interleave(times)
    parts = [measured[rows == i] for i in range(25)]
    means = torch.stack([part.mean() for part in parts])
    scatters = torch.stack([part.std(correction=0) for part in parts])
    short = replace(
        problem,
        properties=means,
        base_weights=times.double(),
        noise=LabelNoise(torch.zeros_like(means), scatters),
    )
    long = replace(problem.of_rows(rows), properties=measured)
    long_oracle, short_oracle = fitted(long), fitted(short)
    # Standardised by another deviation: that of means is less than that of measurements.
    at = designs_of(problem.space, 20, seed=5)
    found, expected = short_oracle.predict(at), long_oracle.predict(at)
    torch.testing.assert_close(found.mean, expected.mean, rtol=0.05, atol=0.05)
    torch.testing.assert_close(found.std, expected.std, rtol=0.05, atol=0)


def test_importance_weights_repeat_no_measurement() -> None:
    base = torch.tensor([1.0, 2.0, 4.0]).double()
    torch.testing.assert_close(as_measurements(base * 1e-5, base), base)
    ones = torch.ones(4).double()
    half = torch.tensor([1.0, 1.0, 0.0, 0.0]).double()
    torch.testing.assert_close(as_measurements(7 * half, ones), half)
    weights = torch.from_numpy(np.random.default_rng(0).exponential(size=50))
    n_e = weights.sum() ** 2 / weights.square().sum()
    torch.testing.assert_close(as_measurements(weights, torch.ones_like(weights)).sum(), n_e)


def test_errors_of_labels_are_no_part_of_the_noise() -> None:
    rng = np.random.default_rng(0)
    designs = torch.from_numpy(rng.uniform(size=(500, 2)))
    errors = torch.from_numpy(np.where(np.arange(500) % 2, 1.5, 0.1))
    spread = (0.3**2 + errors**2).sqrt()
    truth = (6 * designs).sin().sum(1)
    labels = truth + spread * torch.from_numpy(rng.normal(size=500))
    problem = replace(
        DesignProblem.of_table(designs, labels), noise=LabelNoise(errors, torch.zeros(500).double())
    )
    oracle = fitted(problem)
    assert (oracle.noise_variance.sqrt() * oracle.property_std).item() == pytest.approx(
        0.3, abs=0.05
    )
    without = fitted(replace(problem, noise=None))
    wrong, wronger = ((o.predict(designs).mean - truth).square().mean() for o in (oracle, without))
    assert wrong < wronger / 2


DEGENERATE: dict[str, Any] = {
    "one number": lambda x: x[:, :1],
    "repeated rows": lambda x: x[torch.arange(len(x)) // 5],
    "all rows the same": lambda x: x[:1].expand(len(x), -1),
    "constant column": lambda x: torch.cat([x, torch.full((len(x), 1), 3e7)], 1),
    "more columns than rows": lambda x: torch.cat([x] + [x.sin() * 1e-9] * 10, 1),
    "far off": lambda x: x + 1e9,
}


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("n", [10, 15, 60])
def test_degenerate_tables(kind: str, n: int) -> None:
    rng = np.random.default_rng(0)
    designs = DEGENERATE[kind](torch.from_numpy(rng.uniform(size=(n, 3))))
    problem = DesignProblem.of_table(designs, torch.from_numpy(rng.normal(size=n)))
    prediction = fitted(problem).predict(designs)
    assert prediction.mean.isfinite().all()
    assert (prediction.std > 0).all()
    assert (prediction.epistemic_std <= prediction.std).all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_the_unit_of_the_property_does_not_matter(scale: float) -> None:
    problem = problem_of(SPACES["mixed"])
    expected = fitted(problem).predict(problem.designs)
    scaled = replace(problem, properties=problem.properties * scale + 3 * scale)
    found = fitted(scaled).predict(problem.designs)
    torch.testing.assert_close(found.mean / scale - 3, expected.mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.std / scale, expected.std, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e12])
def test_labels_that_are_all_the_same(value: float) -> None:
    problem = problem_of(SPACES["numbers"])
    problem = replace(problem, properties=torch.full((40,), value).double())
    prediction = fitted(problem).predict(problem.designs)
    torch.testing.assert_close(prediction.mean, problem.properties, rtol=1e-9, atol=1e-9)
    assert (prediction.std > 0).all()


@pytest.mark.parametrize("spread", [5.0, 30.0, 300.0])
def test_heavy_and_negligible_weights(spread: float) -> None:
    problem = problem_of(SPACES["mixed"], n=60)
    weights = (spread * torch.from_numpy(np.random.default_rng(0).normal(size=60))).exp()
    weights[::3] = 0
    oracle = fitted(problem, weights)
    assert oracle.validation_loss().isfinite()
    prediction = oracle.predict(problem.designs)
    assert prediction.mean.isfinite().all()
    assert (prediction.std > 0).all()


def test_many_designs_are_searched_with_the_heaviest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_mbo.oracles.gaussian_process._NUM_SEARCHED", 50)
    problem = problem_of(SPACES["numbers"], n=90)
    oracle, again, other = (fitted(problem, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(oracle.hyper_parameters, again.hyper_parameters)
    assert not torch.equal(oracle.hyper_parameters, other.hyper_parameters)
    assert len(oracle.coefficients) == 90
    assert oracle.coefficients.count_nonzero() == 90
    weights = torch.tensor([1.0, 3.0, 1.0, 2.0, 1.0])
    drawn = [heaviest(weights, 3, torch.Generator().manual_seed(s)).tolist() for s in range(20)]
    assert {row for rows in drawn for row in rows} == {0, 1, 2, 3, 4}
    assert all({1, 3} <= set(rows) and rows == sorted(rows) for rows in drawn)


def test_a_refit_goes_on_from_the_hyper_parameters_before() -> None:
    problem = problem_of(SPACES["mixed"])
    oracle = fitted(problem)
    other = GaussianProcess()
    other.prepare(problem)
    other.load_state_dict(oracle.state_dict())
    weights = torch.linspace(0, 1, 40).double()
    for o in (oracle, other):
        o.solve(problem, weights, torch.Generator().manual_seed(1))
    states = oracle.state_dict(), other.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_state_dict_is_the_whole_fit() -> None:
    problem = problem_of(SPACES["mixed"])
    oracle = fitted(problem)
    other = fitted(problem_of(SPACES["mixed"], seed=3), torch.linspace(0, 1, 40).double())
    at = designs_of(problem.space, 9, seed=8)
    assert not torch.equal(other.predict(at).mean, oracle.predict(at).mean)
    other.load_state_dict(oracle.state_dict())
    for name in ("mean", "std", "epistemic_std"):
        assert torch.equal(getattr(other.predict(at), name), getattr(oracle.predict(at), name))
    assert torch.equal(other.validation_loss(), oracle.validation_loss())
    assert [name for name, _ in oracle.named_parameters()] == ["unused"]


@pytest.mark.parametrize("kind", SPACES)
def test_gradients_reach_the_designs(kind: str) -> None:
    problem = problem_of(SPACES[kind])
    oracle = fitted(problem)
    at = (problem.designs[:4] + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: oracle(x).loc, at)
    assert torch.autograd.gradcheck(lambda x: oracle(x).scale, at)
    # Also at a design that it was fitted to, where a distance has no derivative.
    at = problem.designs[:4].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(oracle(at).loc.sum(), at)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_members_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(SPACES["mixed"])
    oracle = fitted(problem)
    outputs = oracle.member_outputs(problem.designs)
    assert outputs.loc.shape == outputs.scale.shape == (1, 40)
    again = oracle.member_outputs(problem.designs[None])
    assert torch.equal(again.loc, outputs.loc)
    many = designs_of(problem.space, 500, seed=1)
    whole = oracle.predict(many)
    monkeypatch.setattr("lightning_mbo.oracles.gaussian_process._PAIRS_AT_ONCE", 7 * 40)
    torch.testing.assert_close(oracle.predict(many).mean, whole.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle.predict(many).std, whole.std, rtol=1e-12, atol=0)
    assert len(oracle.predict(problem.designs[:0])) == 0


def test_a_fit_in_inference_mode() -> None:
    problem = problem_of(SPACES["mixed"])
    expected, oracle = fitted(problem), GaussianProcess()
    oracle.prepare(problem)
    with torch.inference_mode():
        oracle.solve(problem, problem.base_weights, torch.Generator().manual_seed(0))
        found = oracle.predict(problem.designs)
    assert torch.equal(found.mean, expected.predict(problem.designs).mean)
    # What it leaves can be trained on and climbed.
    at = problem.designs.clone().requires_grad_()
    assert torch.autograd.grad(oracle(at).loc.sum(), at)[0].isfinite().all()


def test_too_many_designs_are_refused() -> None:
    problem = problem_of(SPACES["numbers"], n=30)
    with pytest.raises(ConfigurationError, match=r"max_designs is 29, and there are 30 .* Deep"):
        GaussianProcess(max_designs=29).prepare(problem)
    GaussianProcess(max_designs=30).prepare(problem)
    with pytest.raises(ConfigurationError, match="max_designs must be at least 1, not 0"):
        GaussianProcess(max_designs=0)
    with pytest.raises(ConfigurationError, match="num_inducing must be at least 1, not 0"):
        GaussianProcess(num_inducing=0)


def test_a_fit_is_made_where_one_is_wanted() -> None:
    problem = problem_of(SPACES["numbers"])
    oracle, fits = GaussianProcess(), Fits(problem)
    oracle.prepare(problem)
    oracle.fit(fits)
    assert not oracle.coefficients.any()
    fits.begin()
    oracle.fit(fits)
    assert oracle.coefficients.all()
    assert oracle.validation_losses.isfinite().all()


@pytest.mark.parametrize("kind", SPACES)
def test_a_design_run(kind: str) -> None:
    problem = problem_of(SPACES[kind], n=60)
    search = SamplingSearch(CbAS(), num_samples=200)
    found = [
        iteration.samples.prediction.mean.mean().item()
        for iteration in design(problem, GaussianProcess(), search, 4, Autofocus("auto"))
    ]
    assert len(found) == 4
    assert found[-1] > found[0]
    assert all(np.isfinite(found))


@pytest.mark.parametrize("kind", SPACES)
def test_an_ascent(kind: str) -> None:
    problem = problem_of(SPACES[kind], n=60)
    oracle, search = GaussianProcess(), AscentSearch(num_steps=20, num_starts=16)
    (iteration,) = design(problem, oracle, search, 1)
    starts, ends = (oracle(iteration.path[i]).loc if kind != "sequences" else None for i in (0, -1))
    if starts is not None and ends is not None:
        assert (ends > starts).all()
    assert iteration.samples.prediction.mean.isfinite().all()
