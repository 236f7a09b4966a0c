"""The model of mixed designs against scipy, and which model is chosen for which designs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import (
    Categorical,
    CMANormal,
    GaussianMixture,
    MultivariateNormal,
    Product,
    Quadrature,
    SearchModel,
    search_model_for,
)
from lightning_mbo.space import DesignSpace

# Two numbers, a category of three and one of two.
MIXED = DesignSpace(torch.Size([7]), (3, 2))
NUMBERS, LETTERS = (DesignSpace.of_shape(torch.Size(shape)) for shape in ((4,), (5, 3)))


def table(num_designs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers, and which category of each column."""
    generator = np.random.default_rng(seed)
    numbers = generator.normal([1.0, -2.0], [0.5, 3.0], size=(num_designs, 2))
    return numbers, generator.integers(3, size=num_designs), generator.integers(2, size=num_designs)


def designs_of(numbers: np.ndarray, first: np.ndarray, second: np.ndarray) -> Tensor:
    return torch.from_numpy(np.hstack([numbers, np.eye(3)[first], np.eye(2)[second]]))


def fitted(weights: np.ndarray, columns: tuple[np.ndarray, ...]) -> Product:
    model = Product(categories=Categorical(pseudocount=0.5))
    model.build(MIXED)
    model.fit(designs_of(*columns), torch.from_numpy(weights))
    return model


def test_density_is_the_product_of_the_fitted_parts() -> None:
    columns = table(40)
    weights = np.random.default_rng(1).exponential(size=40)
    numbers, first, second = table(10, seed=2)
    normal = stats.multivariate_normal(
        np.average(columns[0], axis=0, weights=weights),
        np.cov(columns[0].T, aweights=weights, ddof=0),
    )
    size = weights.sum() ** 2 / (weights**2).sum()
    expected = normal.logpdf(numbers)
    for fitted_to, categories, v in ((columns[1], first, 3), (columns[2], second, 2)):
        shares = np.bincount(fitted_to, weights, minlength=v) / weights.sum()
        expected += np.log((size * shares + 0.5 / v) / (size + 0.5))[categories]
    result = fitted(weights, columns).log_prob(designs_of(numbers, first, second))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-10)


def test_samples_are_of_both_parts_and_independent() -> None:
    columns, m = table(40), 50_000
    model = fitted(np.ones(40), columns)
    samples = model.sample(m, torch.Generator().manual_seed(0))
    assert samples.shape == (m, 7)
    assert all((group.sum(1) == 1).all() for group in MIXED.one_hots(samples))
    numbers, categories = samples[:, :2].numpy(), samples[:, 2:].numpy()
    covariance = np.cov(columns[0].T, bias=True)
    np.testing.assert_allclose(np.cov(numbers.T), covariance, rtol=0.05, atol=0.02)
    shares = np.bincount(columns[1], minlength=3)
    np.testing.assert_allclose(
        categories[:, :3].mean(0), (shares + 0.5 / 3) / 40.5, atol=5 * 0.5 / m**0.5
    )
    between = np.corrcoef(numbers.T, categories.T)[:2, 2:]
    np.testing.assert_allclose(between, 0.0, atol=5 / m**0.5)


def test_state_is_that_of_both_parts() -> None:
    model, other = fitted(np.ones(40), table(40)), Product()
    other.build(MIXED)
    names = set(model.state_dict())
    assert {"numbers.mean", "numbers.cholesky", "categories.log_probabilities"} <= names
    other.load_state_dict(model.state_dict())
    designs = designs_of(*table(5, seed=3))
    assert torch.equal(other.log_prob(designs), model.log_prob(designs))


class Noted(MultivariateNormal):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def begin_search(self) -> None:
        self.told.append("begin")

    def update(self, designs: Tensor, weights: Tensor) -> None:
        assert designs.shape == (6, 2)
        self.told.append("update")


def test_parts_begin_and_learn_in_their_own_way() -> None:
    numbers = Noted()
    model = Product(numbers)
    model.build(MIXED)
    model.begin_search()
    model.update(designs_of(*table(6)), torch.ones(6))
    assert numbers.told == ["begin", "update"]


@pytest.mark.parametrize(
    ("space", "given", "expected"),
    [
        (NUMBERS, None, MultivariateNormal),
        (LETTERS, None, Categorical),
        (DesignSpace(torch.Size([5]), (3, 2)), None, Categorical),
        (MIXED, None, Product),
        (NUMBERS, CMANormal(), CMANormal),
        (LETTERS, MultivariateNormal(), MultivariateNormal),
        (MIXED, Product(), Product),
    ],
)
def test_choice(space: DesignSpace, given: SearchModel | None, expected: type) -> None:
    model = search_model_for(space, given)
    assert type(model) is expected
    assert given is None or model is given


@pytest.mark.parametrize(
    ("given", "part"), [(Noted(), "numbers"), (Categorical(pseudocount=9.0), "categories")]
)
def test_a_model_of_one_kind_becomes_a_part(given: SearchModel, part: str) -> None:
    model = search_model_for(MIXED, given)
    assert isinstance(model, Product)
    assert getattr(model, part) is given
    model.build(MIXED)


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        (CMANormal(), "give another --search.algorithm than CMAES"),
        (Quadrature(0, 1), "leave --search"),
    ],
)
def test_models_of_whole_designs_are_refused(given: SearchModel, fix: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{type(given).__name__} needs .*: {fix}"):
        search_model_for(MIXED, given)


def test_parts_in_the_wrong_place_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Categorical cannot model numbers"):
        Product(Categorical())


@pytest.mark.parametrize("space", [NUMBERS, LETTERS])
def test_designs_must_be_mixed(space: DesignSpace) -> None:
    with pytest.raises(ConfigurationError, match="have only one of them"):
        Product().build(space)


def test_of_very_many_numbers_the_default_has_no_covariance_of_each_pair() -> None:
    many = DesignSpace.of_shape(torch.Size((4001,)))
    model = search_model_for(many)
    assert isinstance(model, GaussianMixture)
    model.build(many)
    designs = torch.randn(30, 4001, generator=torch.Generator().manual_seed(0)).double()
    model.fit(designs, torch.ones(30).double())
    assert model.loadings.shape == (1, 4001, 10)
    assert model.log_prob(model.sample(5, torch.Generator().manual_seed(1))).isfinite().all()
    mixed = DesignSpace(torch.Size([4004]), (3,))
    product = search_model_for(mixed)
    assert isinstance(product, Product)
    assert isinstance(product.numbers, GaussianMixture)
