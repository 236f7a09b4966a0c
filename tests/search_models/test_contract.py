"""What every search model promises."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_mbo import search_models
from lightning_mbo.search_models import (
    Categorical,
    CategoricalMixture,
    CMANormal,
    GaussianMixture,
    HiddenMarkov,
    MultivariateNormal,
    NormalizingFlow,
    Potts,
    Product,
    Quadrature,
    SearchModel,
    SparseAmounts,
    VariationalAutoencoder,
    normalizing_flow,
    variational_autoencoder,
)
from lightning_mbo.space import Amounts, DesignSpace


def of_shape(*shape: int) -> DesignSpace:
    return DesignSpace.of_shape(torch.Size(shape))


def table(num_numbers: int, *groups: int) -> DesignSpace:
    return DesignSpace(torch.Size([num_numbers + sum(groups)]), groups)


def amounts(num: int, total: float | None = None) -> Amounts:
    totals = () if total is None else ((tuple(range(num)), total),)
    return Amounts(tuple(range(num)), (-0.6,) * num, (0.25,) * num, totals)


BESIDE = DesignSpace(torch.Size([6]), (3,), amounts=Amounts((0, 2), (-0.5, -0.7), (2.0, 1.0)))

# Every search model, with its options and the designs to try it on.
MODELS: dict[type[SearchModel], tuple[dict[str, Any], tuple[DesignSpace, ...]]] = {
    Categorical: ({}, (of_shape(1, 2), of_shape(5, 3), table(0, 3, 2, 4))),
    CategoricalMixture: ({"num_components": 3}, (of_shape(1, 2), of_shape(5, 3), table(0, 3, 2))),
    CMANormal: ({}, (of_shape(1), of_shape(3))),
    GaussianMixture: ({}, (of_shape(1), of_shape(3))),
    HiddenMarkov: (
        {},
        (of_shape(1, 2), of_shape(5, 3), replace(of_shape(5, 3), has_gap=True)),
    ),
    MultivariateNormal: ({}, (of_shape(1), of_shape(3))),
    NormalizingFlow: ({}, (of_shape(1), of_shape(3))),
    Potts: ({}, (of_shape(1, 2), of_shape(5, 3), table(0, 3, 2, 4), of_shape(15, 3))),
    Product: ({}, (table(1, 2), table(2, 3, 4))),
    Quadrature: ({"lower": -5.0, "upper": 5.0}, (of_shape(1),)),
    SparseAmounts: (
        {},
        (amounts(1).by_itself(), amounts(4).by_itself(), amounts(4, 1.0).by_itself()),
    ),
    VariationalAutoencoder: (
        {},
        (of_shape(3), replace(of_shape(5, 3), has_gap=True), table(2, 3, 4), BESIDE),
    ),
}
CASES = [(model, options, space) for model, (options, spaces) in MODELS.items() for space in spaces]
CASES.append((GaussianMixture, {"rank": 1}, of_shape(3)))
CASES.append((Product, {"amounts": SparseAmounts()}, BESIDE))
NUM_SAMPLES = 200


@pytest.fixture(scope="module", autouse=True)
def _few_steps() -> Iterator[None]:
    """What is promised holds of a network however long it has learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variational_autoencoder, "FIRST_STEPS", 200)
        patch.setattr(variational_autoencoder, "_FURTHER_STEPS", 200)
        patch.setattr(normalizing_flow, "_MOST_STEPS", {"first": 200, "later": 100})
        yield


@pytest.fixture(
    scope="module",
    params=CASES,
    ids=lambda case: (
        f"{case[0].__name__}-{tuple(case[2].shape)}-{case[2].groups}-{case[2].num_amounts}"
        + "-gap" * case[2].has_gap
    ),
)
def fitted(request: pytest.FixtureRequest) -> SearchModel:
    cls, options, space = request.param
    built = cls(**copy.deepcopy(options))
    built.build(space)
    generator = torch.Generator().manual_seed(3)
    # Groups are one-hot, and amounts may be zero.
    first = (
        built.sample(50, generator)
        if space.groups or space.amounts
        else torch.randn(50, *space.shape, generator=generator)
    )
    built.fit(first, torch.ones(50))
    return built


@pytest.fixture
def model(fitted: SearchModel) -> SearchModel:
    return copy.deepcopy(fitted)


def drawn(model: SearchModel, seed: int = 0, num_samples: int = NUM_SAMPLES) -> Tensor:
    return model.sample(num_samples, torch.Generator().manual_seed(seed))


@pytest.fixture
def designs(model: SearchModel) -> Tensor:
    return drawn(model)


@pytest.fixture
def weights() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(NUM_SAMPLES, generator=generator, dtype=torch.float64)


def assert_same(model: SearchModel, other: SearchModel, tolerance: float = 1e-9) -> None:
    points = drawn(model, seed=2)
    torch.testing.assert_close(
        other.log_prob(points), model.log_prob(points), rtol=tolerance, atol=tolerance
    )
    torch.testing.assert_close(drawn(other), drawn(model), rtol=tolerance, atol=tolerance)


def test_all_exported_search_models_are_listed() -> None:
    exported = [getattr(search_models, name) for name in search_models.__all__]
    assert set(MODELS) == {
        cls
        for cls in exported
        if inspect.isclass(cls) and issubclass(cls, SearchModel) and not inspect.isabstract(cls)
    }


def test_samples(model: SearchModel) -> None:
    samples = drawn(model)
    assert samples.dtype == torch.float64
    assert torch.equal(samples, drawn(model))
    assert not torch.equal(samples, drawn(model, seed=1))
    assert drawn(model, num_samples=7).shape == (7, *samples.shape[1:])


def test_sampling_leaves_the_global_generator_alone(model: SearchModel) -> None:
    before = torch.get_rng_state()
    drawn(model)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_prob(model: SearchModel, designs: Tensor, dtype: torch.dtype) -> None:
    result = model.log_prob(designs.to(dtype))
    assert result.shape == (NUM_SAMPLES,)
    assert result.dtype == torch.float64
    assert result.isfinite().all()
    flipped = model.log_prob(designs.to(dtype).flip(0)).flip(0)
    torch.testing.assert_close(flipped, result, rtol=1e-12, atol=1e-12)


def test_fit_raises_the_likelihood_in_place(
    model: SearchModel, designs: Tensor, weights: Tensor
) -> None:
    given = designs.clone(), weights.clone()
    state = {name: value.data_ptr() for name, value in model.state_dict().items()}
    before = weights @ model.log_prob(designs)
    model.fit(designs, weights)
    assert weights @ model.log_prob(designs) > before
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == state
    assert torch.equal(designs, given[0])
    assert torch.equal(weights, given[1])


def test_fit_does_not_depend_on_the_scale_of_the_weights(
    model: SearchModel, designs: Tensor, weights: Tensor
) -> None:
    scaled = copy.deepcopy(model)
    model.fit(designs, weights)
    scaled.fit(designs, weights * 1e-30)
    assert_same(model, scaled)


def test_a_design_of_weight_zero_is_no_design(
    model: SearchModel, designs: Tensor, weights: Tensor
) -> None:
    without = copy.deepcopy(model)
    weights[::3] = 0.0
    model.fit(designs, weights)
    without.fit(designs[weights > 0], weights[weights > 0])
    assert_same(model, without)


def test_fit_over_shards_is_the_fit_of_the_whole(
    model: SearchModel, designs: Tensor, weights: Tensor, fit_in_shards: Callable[..., None]
) -> None:
    shares = [copy.deepcopy(model) for _ in range(2)]
    model.fit(designs, weights)
    fit_in_shards(shares, designs.split([80, 120]), weights.split([80, 120]))
    for share in shares:
        assert_same(model, share)


def test_state_dict_is_the_whole_state(
    model: SearchModel, designs: Tensor, weights: Tensor
) -> None:
    restored = copy.deepcopy(model)
    model.fit(designs, weights)
    restored.load_state_dict(model.state_dict())
    assert_same(model, restored, tolerance=0.0)


def test_the_search_begins_around_the_training_distribution(
    model: SearchModel, designs: Tensor, weights: Tensor
) -> None:
    model.fit(designs, weights)
    centre = drawn(model, num_samples=2000).mean(0)
    model.begin_search()
    torch.testing.assert_close(drawn(model, 1, 2000).mean(0), centre, rtol=0.0, atol=0.2)


def test_an_update_goes_to_the_weights(model: SearchModel, designs: Tensor) -> None:
    before = drawn(model).flatten(1)[:, 0].mean()
    model.update(designs, designs.flatten(1)[:, 0].exp())
    assert drawn(model).flatten(1)[:, 0].mean() > before + 0.2
