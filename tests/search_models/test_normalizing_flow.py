"""The normalizing flow against its own Jacobian, clouds that are no normal, and the normal."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.random import Stream
from lightning_mbo.search_models import (
    MultivariateNormal,
    NormalizingFlow,
    Product,
    SearchModel,
    normalizing_flow,
)
from lightning_mbo.space import DesignSpace


def built(d: int, num_transforms: int = 2, seed: int = 0) -> NormalizingFlow:
    model = NormalizingFlow(num_transforms)
    model.stream = Stream(seed)
    model.build(DesignSpace.of_shape(torch.Size([d])))
    return model


def fitted(designs: Tensor, weights: Tensor | None = None) -> NormalizingFlow:
    model = built(designs.shape[1])
    model.fit(designs, torch.ones(len(designs)) if weights is None else weights)
    return model


def normal_of(designs: Tensor) -> MultivariateNormal:
    model = MultivariateNormal()
    model.build(DesignSpace.of_shape(designs.shape[1:]))
    model.fit(designs, torch.ones(len(designs)))
    return model


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def valley(n: int, seed: int = 0) -> Tensor:
    """A curved one, of three numbers in quite different units."""
    x = noise(n, 3, seed=seed)
    bent = torch.stack([x[:, 0], x[:, 0].square() + 0.2 * x[:, 1], 0.3 * x[:, 2].exp()], dim=1)
    return bent * torch.tensor([1e-3, 1.0, 50.0]) + torch.tensor([3.0, -1.0, 0.0])


@pytest.fixture(scope="module")
def curved() -> NormalizingFlow:
    """Fitted to a valley; a test that changes it has a copy."""
    return fitted(valley(800))


def is_straight(model: NormalizingFlow) -> bool:
    points = noise(50, len(model.mean))
    return torch.allclose(model.splines.points(points), points)


def assert_same(model: SearchModel, other: SearchModel, designs: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(
        other.log_prob(designs), model.log_prob(designs), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("d", [1, 2, 20])
def test_before_its_first_fit_it_is_a_standard_normal(d: int) -> None:
    designs = noise(5, d)
    expected = stats.multivariate_normal(torch.zeros(d).numpy()).logpdf(designs.numpy())
    torch.testing.assert_close(built(d).log_prob(designs), torch.as_tensor(expected))


def test_log_prob_is_that_of_the_samples(curved: NormalizingFlow) -> None:
    """By the volume that the map from noise to samples gives to noise."""

    def made(point: Tensor) -> Tensor:
        return curved.mean + curved.splines.points(point[None])[0] @ curved.cholesky.mT

    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    volumes = [torch.autograd.functional.jacobian(made, point).det().log() for point in points]
    known = stats.multivariate_normal([0, 0, 0]).logpdf(points.numpy())
    samples = curved.sample(20, torch.Generator().manual_seed(5))
    torch.testing.assert_close(
        curved.log_prob(samples),
        torch.as_tensor(known) - torch.stack(volumes),
        rtol=1e-6,
        atol=1e-6,
    )


def test_the_density_integrates_to_one() -> None:
    designs = torch.cat([noise(200, 1) * 0.2 - 3, noise(300, 1, seed=1).exp()])
    model = fitted(designs)
    assert not is_straight(model)
    grid = torch.linspace(-60.0, 60.0, 200_001, dtype=torch.float64)
    total = torch.trapezoid(model.log_prob(grid[:, None]).exp(), grid)
    assert total.item() == pytest.approx(1.0, abs=1e-6)


def test_follows_a_curved_cloud(curved: NormalizingFlow) -> None:
    fresh = valley(2000, seed=1)
    assert curved.log_prob(fresh).mean() > normal_of(valley(800)).log_prob(fresh).mean() + 1.5
    samples = curved.sample(2000, torch.Generator().manual_seed(0))
    x, off = ((part[:, 0] - 3) / 1e-3 for part in (fresh, samples))
    assert stats.ks_2samp(x.numpy(), off.numpy()).statistic < 0.06
    assert (samples[:, 1] + 1 - off.square()).abs().median() < 0.3
    assert (samples[:, 2] > 0).double().mean() > 0.95


def test_learns_from_weights() -> None:
    """Evenly spread designs, of which the weights make a valley."""
    designs = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)).double() * 6 - 3
    along, across = designs[:, 0], designs[:, 1] - designs[:, 0].square() + 1
    weights = (-along.square() / 2 - across.square() / 0.18).exp()
    model = fitted(designs, weights)
    samples = model.sample(2000, torch.Generator().manual_seed(0))
    assert (samples[:, 1] - samples[:, 0].square() + 1).abs().median() < 0.5
    flat = normal_of(samples).sample(2000, torch.Generator().manual_seed(0))
    assert (flat[:, 1] - flat[:, 0].square() + 1).abs().median() > 0.7


@pytest.mark.parametrize("designs", [noise(500, 4) @ noise(4, 4, seed=1), valley(12)])
def test_is_the_normal_where_bending_it_is_not_worth_it(designs: Tensor) -> None:
    model = fitted(designs)
    assert is_straight(model)
    assert_same(normal_of(designs), model, designs, 1e-9)


def test_goes_on_from_its_splines_or_from_the_normal(curved: NormalizingFlow) -> None:
    model = copy.deepcopy(curved)
    fresh = valley(800, seed=2)
    model.update(fresh, torch.ones(800))
    judged = valley(2000, seed=1)
    assert model.log_prob(judged).mean() > curved.log_prob(judged).mean() - 0.05
    elsewhere = noise(500, 3) + 10
    model.update(elsewhere, torch.ones(500))
    more = noise(2000, 3, seed=9) + 10
    assert model.log_prob(more).mean() > normal_of(elsewhere).log_prob(more).mean() - 0.02


@pytest.mark.parametrize("kind", ["constant column", "fewer rows", "a single one", "equal rows"])
def test_lost_rank_is_mended(kind: str) -> None:
    designs = noise(200, 8)
    if kind == "constant column":
        designs[:, 3] = 2.0
    else:
        designs = designs[[0] * 60] if kind == "equal rows" else designs[: 1 + 4 * (kind[0] == "f")]
    with pytest.warns(UserWarning, match="lost rank"):
        model = fitted(designs)
    samples = model.sample(50, torch.Generator().manual_seed(0))
    assert model.log_prob(samples).isfinite().all()
    assert model.log_prob(designs).isfinite().all()
    torch.testing.assert_close(samples.mean(0), designs.mean(0), rtol=0.0, atol=1.0)


def test_a_lost_direction_is_no_reason_for_a_density_without_end() -> None:
    """Of columns that sum to a constant the flow tells the curve, and the sum as the normal."""
    designs = valley(800) / torch.tensor([1e-3, 1.0, 50.0])
    designs = torch.cat([designs, 5 - designs.sum(1, keepdim=True)], dim=1)
    with pytest.warns(UserWarning, match="lost rank"):
        model, normal = fitted(designs), normal_of(designs)
    gain = (model.log_prob(designs) - normal.log_prob(designs)).mean()
    assert 1.5 < gain < 4
    sums = model.sample(500, torch.Generator().manual_seed(0)).sum(1)
    assert (sums - 5).abs().max() < 1e-4


def test_a_healthy_fit_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(valley(100))


@pytest.mark.parametrize("num_steps", [40, 2000])
def test_fits_in_batches_over_shards_are_those_of_the_whole(
    num_steps: int, fit_in_shards: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(normalizing_flow._MOST_STEPS, "first", num_steps)
    designs, fresh = valley(600), valley(1000, seed=1)
    weights = torch.rand(600, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = built(3)
    whole.fit(designs, weights)
    assert not is_straight(whole)
    shares = [built(3) for _ in range(3)]
    fit_in_shards(shares, designs.split([200, 0, 400]), weights.split([200, 0, 400]))
    for share in shares[1:]:
        assert_same(shares[0], share, designs, 0.0)
    if num_steps < 100:
        assert_same(whole, shares[0], designs, 1e-5)
    else:  # many steps magnify that sums are rounded in another order
        gain = (shares[0].log_prob(fresh) - whole.log_prob(fresh)).mean()
        assert gain.abs() < 0.1


def test_resumed_it_goes_on_as_if_it_had_never_stopped(curved: NormalizingFlow) -> None:
    model, resumed = copy.deepcopy(curved), built(3, seed=0)
    torch.manual_seed(99)
    resumed.load_state_dict(model.state_dict())
    for seed in (3, 4):
        designs = valley(300, seed)
        for each in (model, resumed):
            each.update(designs, designs[:, 0].exp())
    for value, other in zip(
        model.state_dict().values(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other)


def test_its_networks_are_of_its_own_stream() -> None:
    before = torch.get_rng_state()
    first, torch_seed = built(3), torch.manual_seed(7)
    second, third = built(3), built(3, seed=1)
    assert torch_seed is torch.default_generator
    values = [torch.cat([p.flatten() for p in m.parameters()]) for m in (first, second, third)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    torch.set_rng_state(before)
    built(3).fit(valley(100), torch.ones(100))
    assert torch.equal(before, torch.get_rng_state())


def test_learns_where_gradients_are_off(curved: NormalizingFlow) -> None:
    designs, model = valley(800), built(3)
    with torch.inference_mode():
        model.fit(designs, torch.ones(800))
    assert torch.equal(model.log_prob(designs), curved.log_prob(designs))
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_is_the_numbers_of_mixed_designs() -> None:
    model = Product(NormalizingFlow())
    model.build(DesignSpace(torch.Size([5]), (2,)))
    categories = torch.eye(2, dtype=torch.float64)[torch.arange(400) % 2]
    model.fit(torch.cat([valley(400), categories], dim=1), torch.ones(400))
    fresh = torch.cat([valley(400, seed=1), categories], dim=1)
    normal = normal_of(valley(400)).log_prob(fresh[:, :3])
    assert (model.log_prob(fresh) - normal).mean() > 1


def test_needs_zuko_where_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lightning-mbo\[flows\]'"):
        NormalizingFlow()


def test_refuses_no_transforms() -> None:
    with pytest.raises(ConfigurationError, match="num_transforms must be at least 1, not 0"):
        NormalizingFlow(0)


def test_refuses_letters() -> None:
    with pytest.raises(ConfigurationError, match="NormalizingFlow needs designs of numbers alone"):
        NormalizingFlow().build(DesignSpace.of_shape(torch.Size([5, 3])))
