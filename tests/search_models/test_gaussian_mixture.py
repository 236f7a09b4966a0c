"""The mixture of normals against scipy, known mixtures, the single normal, and what it is for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import GaussianProcess
from lightning_mbo.search_models import (
    GaussianMixture,
    MultivariateNormal,
    Product,
    SearchModel,
    gaussian_mixture,
)
from lightning_mbo.search_models.left_out import LeftOut
from lightning_mbo.searches import SamplingSearch, design
from lightning_mbo.space import DesignSpace

SHARES = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
COVARIANCES = np.array(
    [[[1.0, 0.5], [0.5, 1.0]], [[0.2, 0.0], [0.0, 0.6]], [[0.5, -0.3], [-0.3, 0.4]]]
)
NORMALS = [stats.multivariate_normal(m, c) for m, c in zip(MEANS, COVARIANCES, strict=True)]
COUNTS = [None, 3]
PEAKS = np.array([[-0.6, 0.6], [0.6, -0.6]])


def density(designs: np.ndarray) -> np.ndarray:
    values: np.ndarray = SHARES @ [normal.pdf(designs) for normal in NORMALS]
    return values


def drawn(n: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    roots = np.linalg.cholesky(COVARIANCES)
    chosen = draw.choice(3, n, p=SHARES)
    return MEANS[chosen] + (roots[chosen] @ draw.normal(size=(n, 2, 1)))[..., 0]


def built(
    d: int,
    num_components: int | None = None,
    pseudocount: float = 1.0,
    rank: int | None = None,
) -> GaussianMixture:
    model = GaussianMixture(num_components, pseudocount, rank)
    model.build(DesignSpace.of_shape(torch.Size([d])))
    return model


def fitted(
    designs: np.ndarray,
    num_components: int | None = None,
    weights: np.ndarray | None = None,
    rank: int | None = None,
) -> GaussianMixture:
    model = built(designs.shape[1], num_components, rank=rank)
    weights = np.ones(len(designs)) if weights is None else weights
    model.fit(torch.from_numpy(designs), torch.from_numpy(weights))
    return model


def given() -> GaussianMixture:
    model = built(2, 3)
    model.log_shares.copy_(torch.from_numpy(np.log(SHARES)))
    model.means.copy_(torch.from_numpy(MEANS))
    model.choleskys.copy_(torch.from_numpy(np.linalg.cholesky(COVARIANCES)))
    model.fitted.fill_(True)
    return model


def num_components(model: SearchModel) -> float:
    return model.figures()["search_model_components"]


def assert_same(model: SearchModel, other: SearchModel, designs: Tensor, rtol: float) -> None:
    torch.testing.assert_close(
        other.log_prob(designs), model.log_prob(designs), rtol=rtol, atol=rtol
    )


def test_log_prob_is_that_of_the_mixture() -> None:
    designs = np.vstack([drawn(50), [[40.0, -30.0]]])
    result = given().log_prob(torch.from_numpy(designs))
    expected = np.logaddexp.reduce(
        [np.log(s) + n.logpdf(designs) for s, n in zip(SHARES, NORMALS, strict=True)]
    )
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-10)


def test_before_its_first_fit_it_is_a_standard_normal() -> None:
    designs = np.random.default_rng(0).normal(size=(5, 4))
    expected = stats.multivariate_normal(np.zeros(4)).logpdf(designs)
    np.testing.assert_allclose(built(4).log_prob(torch.from_numpy(designs)).numpy(), expected)


def test_samples_have_each_component_s_share_and_moments() -> None:
    m = 60_000
    samples = given().sample(m, torch.Generator().manual_seed(0)).numpy()
    mean = SHARES @ MEANS
    second = np.einsum("c,cij->ij", SHARES, COVARIANCES) + (SHARES * MEANS.T) @ MEANS
    np.testing.assert_allclose(samples.mean(0), mean, atol=5 * 2 / m**0.5)
    np.testing.assert_allclose(samples.T @ samples / m, second, atol=5 * 8 / m**0.5)
    # The components hardly overlap: the nearest by the density is the one that a sample is of.
    nearest = np.argmax([s * n.pdf(samples) for s, n in zip(SHARES, NORMALS, strict=True)], axis=0)
    shares = np.bincount(nearest, minlength=3) / m
    np.testing.assert_allclose(shares, SHARES, atol=0.01)
    for number in range(3):
        covariance = np.cov(samples[nearest == number].T)
        np.testing.assert_allclose(covariance, COVARIANCES[number], atol=0.05)


def test_the_density_integrates_to_one() -> None:
    draw = np.random.default_rng(0)
    designs = np.concatenate([draw.normal(-3, 0.2, 80), draw.normal(2, 1.0, 120)])[:, None]
    model = fitted(designs)
    assert num_components(model) == 2
    grid = torch.linspace(-12.0, 12.0, 20_001, dtype=torch.float64)
    total = torch.trapezoid(model.log_prob(grid[:, None]).exp(), grid)
    assert total.item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("count", COUNTS)
def test_recovers_a_mixture_from_weighted_designs(count: int | None) -> None:
    # Evenly spread, so that the weights are all that there is of it.
    grid = np.meshgrid(np.linspace(-5, 8, 66), np.linspace(-5, 9, 71))
    designs = np.stack(grid, axis=-1).reshape(-1, 2)
    model = fitted(designs, count, density(designs))
    components = model.components
    assert len(components.log_shares) == 3
    centres = components.means.numpy()
    order = [int(np.linalg.norm(centres - mean, axis=1).argmin()) for mean in MEANS]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(components.log_shares.exp()[order], SHARES, atol=0.01)
    np.testing.assert_allclose(components.means[order], MEANS, atol=0.03)
    covariances = components.choleskys @ components.choleskys.mT
    np.testing.assert_allclose(covariances[order], COVARIANCES, atol=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_finds_how_many_normals_there_are(seed: int) -> None:
    draw = np.random.default_rng(seed)
    assert num_components(fitted(draw.normal(size=(300, 5)) @ draw.normal(size=(5, 5)))) == 1
    assert num_components(fitted(drawn(600, seed))) == 3


def test_a_rare_narrow_peak_is_found_in_many_dimensions() -> None:
    draw = np.random.default_rng(0)
    narrow = draw.normal(size=(100, 8)) * 0.3 + np.eye(8)[2] * 5
    model = fitted(np.vstack([draw.normal(size=(1900, 8)), narrow]))
    shares = sorted(model.components.log_shares.exp().tolist())
    assert shares == pytest.approx([0.05, 0.95], abs=0.01)


@pytest.mark.parametrize("count", COUNTS)
def test_a_weight_is_a_number_of_equal_rows(count: int | None) -> None:
    # The pseudocount is of designs, and so many equal weights count for fewer than rows.
    designs, times = drawn(500), np.random.default_rng(2).integers(1, 4, 500)
    weighted, repeated = built(2, count, 1e-9), built(2, count, 1e-9)
    weighted.fit(torch.from_numpy(designs), torch.from_numpy(times).double())
    rows = torch.from_numpy(np.repeat(designs, times, axis=0))
    repeated.fit(rows, torch.ones(len(rows)))
    assert num_components(weighted) == num_components(repeated) == 3
    assert_same(weighted, repeated, torch.from_numpy(designs), rtol=1e-6)


def test_repeated_rows_are_no_reason_for_components() -> None:
    designs = np.random.default_rng(0).normal(size=(40, 2))
    assert num_components(fitted(np.tile(designs, (30, 1)))) == num_components(fitted(designs)) == 1


def test_one_component_is_the_normal() -> None:
    draw = np.random.default_rng(0)
    mixture, normal = built(3, 1), MultivariateNormal()
    normal.build(DesignSpace.of_shape(torch.Size([3])))
    for _ in range(3):
        designs = torch.from_numpy(draw.normal(size=(50, 3)) @ draw.normal(size=(3, 3)))
        weights = torch.from_numpy(draw.exponential(size=50))
        mixture.fit(designs, weights)
        normal.fit(designs, weights)
        assert_same(normal, mixture, designs, rtol=1e-9)
    samples = [m.sample(100_000, torch.Generator().manual_seed(0)) for m in (mixture, normal)]
    for number in range(3):
        assert stats.ks_2samp(*(s[:, number].numpy() for s in samples)).pvalue > 1e-3


@pytest.mark.parametrize("count", COUNTS)
def test_the_first_fit_over_shards_is_that_of_the_whole(
    count: int | None, fit_in_shards: Callable[..., None]
) -> None:
    designs = torch.from_numpy(drawn(400))
    weights = torch.rand(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = built(2, count)
    whole.fit(designs, weights)
    shares = [built(2, count) for _ in range(3)]
    fit_in_shards(shares, designs.split([150, 0, 250]), weights.split([150, 0, 250]))
    for share in shares:
        assert_same(whole, share, designs, rtol=1e-8)


def test_goes_on_from_its_components_and_drops_those_without_designs() -> None:
    designs = drawn(2000)
    model = fitted(designs)
    first = SHARES[0] * NORMALS[0].pdf(designs) / density(designs)
    model.fit(torch.from_numpy(designs), torch.from_numpy(first * (first > 0.99)))
    assert num_components(model) < 3
    assert model.log_prob(torch.from_numpy(designs)).isfinite().all()
    assert model.sample(500, torch.Generator().manual_seed(0)).isfinite().all()
    near = model.components.means.norm(dim=1)
    assert (near < 2.5).all()


def test_a_number_that_is_given_is_kept() -> None:
    designs = drawn(2000)
    model = fitted(designs, 3)
    model.fit(torch.from_numpy(designs), torch.from_numpy(NORMALS[0].pdf(designs)))
    assert num_components(model) == 3


def test_components_may_come_with_an_update() -> None:
    model = fitted(np.random.default_rng(0).uniform(-1, 1, (100, 2)))
    assert num_components(model) == 1
    designs = np.random.default_rng(1).uniform(-1, 1, (2000, 2))
    away = ((designs[:, None] - PEAKS) ** 2).sum(2).min(1)
    model.update(torch.from_numpy(designs), torch.from_numpy(np.exp(-away / 0.02)))
    assert num_components(model) >= 2
    heights = model.log_prob(torch.from_numpy(np.vstack([PEAKS, [[0.0, 0.0]]])))
    assert (heights[:2] > heights[2] + 3).all()


def test_keeps_two_peaks_where_a_normal_lies_across_them() -> None:
    draw = np.random.default_rng(0)
    rows = draw.uniform(-1, 1, (150, 2))
    table = pd.DataFrame(rows, columns=["a", "b"])
    table["y"] = np.exp(-((rows[:, None] - PEAKS) ** 2).sum(2) / 0.18).max(1)

    def near_peaks(model: SearchModel) -> np.ndarray:
        """Which share of the last samples lies close to each."""
        data = CSV(table, "y")
        data.setup("fit")
        search = SamplingSearch(CbAS(), model, num_samples=600)
        *_, last = design(data.problem, GaussianProcess(), search, num_iterations=20)
        samples = data.to_user_units(last.samples.designs)[["a", "b"]].to_numpy()
        near: np.ndarray = (np.linalg.norm(samples[:, None] - PEAKS, axis=2) < 0.3).mean(0)
        return near

    mixture = near_peaks(GaussianMixture())
    assert mixture.sum() > 0.95
    assert mixture.min() > 0.2
    assert near_peaks(MultivariateNormal()).sum() < 0.6


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["constant column", "fewer rows", "a single one", "equal rows"])
def test_lost_rank_is_mended(kind: str, count: int | None) -> None:
    designs = np.random.default_rng(0).normal(size=(60, 8))
    if kind == "constant column":
        designs[:, 3] = 2.0
    else:
        designs = designs[[0] * 60] if kind == "equal rows" else designs[: 1 + 4 * (kind[0] == "f")]
    with pytest.warns(UserWarning, match="lost rank"):
        model = fitted(designs, count)
    samples = model.sample(50, torch.Generator().manual_seed(0))
    assert model.log_prob(samples).isfinite().all()
    assert model.log_prob(torch.from_numpy(designs)).isfinite().all()
    centre = samples.mean(0).numpy()
    np.testing.assert_allclose(centre, designs.mean(0), atol=1.0)


def test_a_healthy_fit_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(drawn(300))


def test_state_is_whole_whatever_the_number_of_components() -> None:
    designs = torch.from_numpy(drawn(500))
    model, other = fitted(designs.numpy()), fitted(np.random.default_rng(0).normal(size=(50, 2)))
    assert num_components(model) != num_components(other)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.log_prob(designs), model.log_prob(designs))
    model.update(designs, torch.ones(500))
    other.update(designs, torch.ones(500))
    assert torch.equal(other.log_prob(designs), model.log_prob(designs))


def test_is_the_numbers_of_mixed_designs() -> None:
    model = Product(GaussianMixture())
    model.build(DesignSpace(torch.Size([4]), (2,)))
    categories = np.eye(2)[np.arange(500) % 2]
    designs = torch.from_numpy(np.hstack([drawn(500), categories]))
    model.fit(designs, torch.ones(500))
    assert num_components(model) == 3
    expected = fitted(drawn(500)).log_prob(designs[:, :2]) - np.log(2)
    torch.testing.assert_close(model.log_prob(designs), expected, rtol=1e-3, atol=1e-3)


def moved_by_factors(n: int, d: int, rank: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers that so many factors move together, and their covariance."""
    draw = np.random.default_rng(seed)
    loadings, stds = draw.normal(size=(d, rank)), draw.uniform(0.1, 0.6, d)
    rows = draw.normal(size=(n, rank)) @ loadings.T + draw.normal(size=(n, d)) * stds
    return rows, loadings @ loadings.T + np.diag(stds**2)


def covariance_of(model: GaussianMixture, number: int = 0) -> np.ndarray:
    loadings, own = model.loadings[number], model.own[number]
    covariance: np.ndarray = (loadings @ loadings.mT + own.diag()).numpy()
    return covariance


def likeliest_factors(covariance: np.ndarray, rank: int) -> float:
    """The greatest mean log-likelihood of a covariance by factors, by another optimiser."""
    given, d = torch.from_numpy(covariance), len(covariance)
    values, vectors = torch.linalg.eigh(given)
    loadings = (vectors[:, -rank:] * values[-rank:].sqrt()).contiguous().requires_grad_()
    logs = (given.diagonal() / 2).log().requires_grad_()

    def loss() -> Tensor:
        normal = torch.distributions.MultivariateNormal(
            torch.zeros(d, dtype=torch.float64), loadings @ loadings.mT + torch.diag(logs.exp())
        )
        inverse = torch.cholesky_inverse(normal.scale_tril)
        return ((inverse * given).sum() - d) / 2 + normal.entropy()

    optimizer = torch.optim.LBFGS(
        [loadings, logs], max_iter=500, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value.item()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return -loss().item()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_factors_are_the_likeliest(scale: float) -> None:
    designs, _ = moved_by_factors(400, 12, 3)
    model = fitted(designs * scale, 1, rank=3)
    covariance = np.cov(designs.T, bias=True)
    mean = model.log_prob(torch.from_numpy(designs * scale)).mean().item() + 12 * np.log(scale)
    assert mean == pytest.approx(likeliest_factors(covariance, 3), abs=0.01)


def test_the_density_by_factors_is_the_normal_s() -> None:
    designs, _ = moved_by_factors(200, 9, 2)
    model = fitted(designs, 1, rank=2)
    expected = stats.multivariate_normal(model.means[0].numpy(), covariance_of(model))
    far = np.vstack([designs, 30 * designs[:3]])
    np.testing.assert_allclose(
        model.log_prob(torch.from_numpy(far)).numpy(), expected.logpdf(far), rtol=1e-9
    )
    samples = model.sample(100_000, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(np.cov(samples.T), covariance_of(model), atol=0.1)
    np.testing.assert_allclose(samples.mean(0), designs.mean(0), atol=0.05)


def test_few_rows_of_many_numbers_are_told_by_factors() -> None:
    designs, covariance = moved_by_factors(100, 60, 5)
    fresh = torch.from_numpy(moved_by_factors(2100, 60, 5)[0][100:])
    known = stats.multivariate_normal(np.zeros(60), covariance).logpdf(fresh.numpy()).mean()
    by_factors = fitted(designs, rank=5).log_prob(fresh).mean()
    assert known - by_factors < 5
    assert fitted(designs).log_prob(fresh).mean() < by_factors - 20


def test_components_by_factors_are_found() -> None:
    centres = np.array([[0.0] * 10, [8.0, -8.0] * 5])
    both = [moved_by_factors(300, 10, 2, seed)[0] + centre for seed, centre in enumerate(centres)]
    model = fitted(np.vstack(both), rank=2)
    assert num_components(model) == 2
    first = int(model.means[0, 0] > 4)
    np.testing.assert_allclose(model.log_shares[:2].exp().numpy(), 0.5, atol=0.01)
    for number, rows in ((first, both[0]), (1 - first, both[1])):
        np.testing.assert_allclose(model.means[number].numpy(), rows.mean(0), atol=0.05)
        np.testing.assert_allclose(covariance_of(model, number), np.cov(rows.T), atol=0.5)


@pytest.mark.parametrize("rank", [2, 3, 7])
def test_as_many_factors_as_numbers_are_a_full_covariance(rank: int) -> None:
    designs = np.random.default_rng(0).normal(size=(80, 3))
    full, model = fitted(designs), fitted(designs, rank=rank)
    assert {*model.state_dict()} == {*full.state_dict()}
    assert_same(full, model, torch.from_numpy(designs), rtol=0.0)


def test_memory_by_factors_is_not_that_of_all_pairs() -> None:
    model = built(1000, rank=4)
    assert sum(value.numel() for value in model.state_dict().values()) < 8 * 1000 * 7
    designs = torch.from_numpy(moved_by_factors(60, 1000, 2)[0])
    model.fit(designs, torch.ones(60))
    assert model.log_prob(designs).isfinite().all()


@pytest.mark.parametrize("kind", ["constant column", "a single one", "equal rows"])
def test_lost_rank_by_factors_is_mended(kind: str) -> None:
    designs = np.random.default_rng(0).normal(size=(60, 8))
    if kind == "constant column":
        designs[:, 3] = 2.0
    else:
        designs = designs[[0] * 60] if kind == "equal rows" else designs[:1]
    with pytest.warns(UserWarning, match="lost rank"):
        model = fitted(designs, rank=2)
    samples = model.sample(50, torch.Generator().manual_seed(0))
    assert model.log_prob(samples).isfinite().all()
    assert model.log_prob(torch.from_numpy(designs)).isfinite().all()
    np.testing.assert_allclose(samples.mean(0).numpy(), designs.mean(0), atol=1.0)


def test_a_healthy_fit_by_factors_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(moved_by_factors(300, 10, 2)[0], rank=4)


@pytest.mark.parametrize("wrong", [{"num_components": 0}, {"pseudocount": 0.0}, {"rank": 0}])
def test_refuses_what_is_not_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        GaussianMixture(**wrong)  # type: ignore[arg-type]


def test_refuses_letters() -> None:
    with pytest.raises(ConfigurationError, match="GaussianMixture needs designs of numbers alone"):
        GaussianMixture().build(DesignSpace.of_shape(torch.Size([5, 3])))


def three_of_factors(n: int, seed: int) -> Tensor:
    """Rows of three normals in five numbers, each of which one factor moves."""
    loadings, draw = np.random.default_rng(5).normal(size=(3, 5)), np.random.default_rng(seed)
    of_row = np.arange(n) % 3
    moved = loadings[of_row] * draw.normal(size=(n, 1)) + 0.4 * draw.normal(size=(n, 5))
    return torch.from_numpy(4 * np.eye(5)[of_row] + moved)


def test_some_of_many_designs_say_how_many_components_of_some_rank_there_are(
    fit_in_shards: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as all say, whichever process has which designs; all tell what they are like."""
    designs, weights = three_of_factors(6000, 0), torch.ones(6000)
    whole, by_all = built(5, rank=1), built(5, rank=1)
    seen: list[int] = []

    class Seen(LeftOut):  # type: ignore[type-arg]
        def __init__(self, folds: Tensor, *args: Any) -> None:
            seen.append(len(folds))
            super().__init__(folds, *args)

    monkeypatch.setattr(gaussian_mixture, "LeftOut", Seen)
    whole.fit(designs, weights)
    assert 1800 < seen[0] < 2200
    shares = [built(5, rank=1) for _ in range(2)]
    fit_in_shards(shares, designs.split([2500, 3500]), weights.split([2500, 3500]))
    for share in shares:
        assert_same(whole, share, designs, rtol=1e-8)
    monkeypatch.setattr(gaussian_mixture, "_ENOUGH_DESIGNS", 6000)
    by_all.fit(designs, weights)
    assert seen[-1] == 6000
    assert num_components(whole) == num_components(by_all) == 3
    assert torch.equal(whole.means, by_all.means)


def test_many_equal_designs_are_one_component_of_some_rank() -> None:
    with pytest.warns(UserWarning, match="lost rank"):
        model = fitted(np.tile(np.arange(5.0), (6000, 1)), rank=1)
    assert num_components(model) == 1
    np.testing.assert_allclose(model.means[0], np.arange(5.0))
