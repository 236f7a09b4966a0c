"""The variational autoencoder against laws whose densities are known."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal as Normal

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.random import Stream
from lightning_mbo.search_models import (
    Categorical,
    MultivariateNormal,
    VariationalAutoencoder,
    search_model_for,
    variational_autoencoder,
)
from lightning_mbo.search_models.latent_entries import EntryLayout
from lightning_mbo.search_models.weighted_batches import WeightedBatches, distinct
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import Amounts, Cells, DesignSpace

MIXED = DesignSpace(torch.Size([5]), (3,))
"""Two numbers and a category of three levels."""

WORDS = torch.tensor(list(itertools.product(range(3), repeat=4)))
SHORTER = DesignSpace(torch.Size([4, 3]), (3,) * 4, has_gap=True)
# Of words over two letters and a gap, those whose gaps are all at the end.
CLOSED = one_hot(WORDS[((WORDS[:, :-1] != 2) | (WORDS[:, 1:] == 2)).all(1)], 3)

AMOUNTS = DesignSpace(torch.Size([6]), (3,), amounts=Amounts((0, 2), (-0.5, -0.7), (2.0, 1.0)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(space: DesignSpace, latent_size: int | None = None) -> VariationalAutoencoder:
    model = VariationalAutoencoder(latent_size)
    model.build(space)
    return model


def rank_correlation(one: Tensor, other: Tensor) -> float:
    ranks = torch.stack([values.argsort().argsort().double() for values in (one, other)])
    return torch.corrcoef(ranks)[0, 1].item()


def mixed_law(num: int, seed: int, shares: tuple[float, ...]) -> Tensor:
    """A level goes with two numbers around its own place."""
    source = generator(seed)
    levels = torch.tensor(shares).multinomial(num, replacement=True, generator=source)
    places = torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.0, -2.0]], dtype=torch.float64)
    noise = torch.randn(num, 2, generator=source, dtype=torch.float64)
    return torch.cat([places[levels] + 0.5 * noise, one_hot(levels, 3)], dim=1)


def mixed_density(designs: Tensor, shares: tuple[float, ...]) -> Tensor:
    """Of `mixed_law`, nats."""
    places = torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.0, -2.0]], dtype=torch.float64)
    levels = designs[:, 2:].argmax(1)
    squares = ((designs[:, :2] - places[levels]) / 0.5).square().sum(1)
    return torch.tensor(shares)[levels].log() - squares / 2 - math.log(2 * math.pi * 0.25)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it does not matter how good a fit is."""
    monkeypatch.setattr(variational_autoencoder, "FIRST_STEPS", 50)


@pytest.fixture(scope="module")
def joint() -> VariationalAutoencoder:
    model = built(MIXED)
    designs = mixed_law(2000, 0, (0.5, 0.3, 0.2))
    model.fit(designs, torch.ones(2000))
    return model


def test_models_all_of_a_mixed_table_jointly(joint: VariationalAutoencoder) -> None:
    drawn = joint.sample(3000, generator())
    levels = drawn[:, 2:].argmax(1)
    for level, place in enumerate([[-2.0, 0.0], [2.0, 1.0], [0.0, -2.0]]):
        own = drawn[levels == level, :2]
        torch.testing.assert_close(own.mean(0), own.new_tensor(place), rtol=0.0, atol=0.5)
        assert own.std(0).max() < 1.0
    new = mixed_law(1000, 1, (0.5, 0.3, 0.2))
    exact = mixed_density(new, (0.5, 0.3, 0.2))
    assert (exact - joint.log_prob(new)).mean() < 0.45
    # Numbers and levels by themselves know nothing of each other.
    apart, categories = MultivariateNormal(), Categorical()
    apart.build(DesignSpace(torch.Size([2])))
    categories.build(DesignSpace(torch.Size([3]), (3,)))
    rows = mixed_law(2000, 0, (0.5, 0.3, 0.2))
    apart.fit(rows[:, :2], torch.ones(2000))
    categories.fit(rows[:, 2:], torch.ones(2000))
    independent = apart.log_prob(new[:, :2]) + categories.log_prob(new[:, 2:])
    assert (exact - independent).mean() > 1.0


def test_a_model_of_everything_is_not_made_a_part_of_a_product() -> None:
    model = VariationalAutoencoder()
    for space in (MIXED, AMOUNTS, SHORTER, DesignSpace(torch.Size([3]))):
        assert search_model_for(space, model) is model


def test_the_ratio_of_two_fits(joint: VariationalAutoencoder) -> None:
    later = copy.deepcopy(joint)
    before, after = (0.5, 0.3, 0.2), (0.1, 0.3, 0.6)
    for seed in (2, 3):
        later.update(mixed_law(2000, seed, after), torch.ones(2000))
    new = torch.cat([mixed_law(500, 4, before), mixed_law(500, 5, after)])
    exact = mixed_density(new, after) - mixed_density(new, before)
    found = later.log_prob(new) - joint.log_prob(new)
    assert (found - exact).square().mean().sqrt() < 0.5
    assert exact.std() > 1.0


def test_the_density_of_a_normal() -> None:
    factor = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.6, 0.3, 0.4]]).double()
    law = Normal(torch.tensor([3.0, -1.0, 0.0]).double(), scale_tril=factor)
    noise = torch.randn(3000, 3, generator=generator(), dtype=torch.float64)
    designs, new = (law.loc + noise @ factor.mT).split([2000, 1000])
    model = built(DesignSpace(torch.Size([3])))
    model.fit(designs, torch.ones(2000))
    exact, found = law.log_prob(new), model.log_prob(new)
    assert rank_correlation(exact, found) > 0.98
    assert abs((exact - found).mean().item()) < 0.1


@pytest.mark.usefixtures("few_steps")
def test_in_other_units_the_density_is_the_same_but_for_the_volume() -> None:
    designs = torch.randn(200, 3, generator=generator(), dtype=torch.float64)
    units = torch.tensor([1e-3, 1.0, 1e4]).double()
    models = [built(DesignSpace(torch.Size([3]))) for _ in range(2)]
    models[0].fit(designs, torch.ones(200))
    models[1].fit(designs * units + 7.0, torch.ones(200))
    moved = models[1].log_prob(designs * units + 7.0) + units.log().sum()
    torch.testing.assert_close(moved, models[0].log_prob(designs), rtol=0.0, atol=1e-3)


def test_the_density_is_the_mean_over_the_prior() -> None:
    model = built(SHORTER, latent_size=2)
    for weights in model.network.decoder.parameters():
        weights.mul_(3.0)  # so that latent variables matter
    # An encoder that knows nothing draws from the prior.
    for weights in model.network.encoder.parameters():
        weights.zero_()
    model.network.encoder.bias[2:] = -40.0
    model.base_draws = torch.randn(2000, 2, generator=generator(), dtype=torch.float64)
    outputs = model.network.decoder(model.base_draws)
    chances = [
        model.layout.log_likelihood(
            model.layout.entries(word[None]), outputs, model.network.log_deviations
        ).exp()
        for word in CLOSED
    ]
    assert sum(chances).mean().item() == pytest.approx(1.0, rel=1e-12)
    expected = torch.stack(chances).mean(1)
    assert expected.log().std() > 1.0
    torch.testing.assert_close(model.log_prob(CLOSED), expected.log(), rtol=1e-9, atol=1e-9)


def test_words_of_different_lengths() -> None:
    law = torch.rand(len(CLOSED), generator=generator(), dtype=torch.float64).square()
    model = built(SHORTER)
    model.fit(CLOSED.repeat(200, 1, 1), law.repeat(200))
    found = model.log_prob(CLOSED)
    assert found.exp().sum().item() == pytest.approx(1.0, abs=0.1)
    assert rank_correlation(found, law) > 0.8
    words = model.sample(2000, generator()).argmax(-1)
    assert ((words[:, :-1] != 2) | (words[:, 1:] == 2)).all()
    # A word with gaps inside is that of its letters moved up.
    open_, moved = (
        one_hot(torch.tensor([[2, 1, 2, 0]]), 3),
        one_hot(torch.tensor([[1, 0, 2, 2]]), 3),
    )
    assert torch.equal(model.log_prob(open_), model.log_prob(moved))


def test_amounts_are_there_or_exactly_not() -> None:
    source = generator(1)
    num = 600
    designs = torch.zeros(num, 6, dtype=torch.float64)
    levels = torch.randint(3, (num,), generator=source)
    designs[:, 3:] = one_hot(levels, 3)
    designs[:, 1] = torch.randn(num, generator=source)
    # The first amount goes with the first level, the other with the rest.
    logs = torch.randn(num, 2, generator=source).double() * 0.2
    designs[:, 0] = torch.where(levels == 0, -0.5 + logs[:, 0].exp(), -0.5)
    designs[:, 2] = torch.where(levels > 0, -0.7 + logs[:, 1].exp(), -0.7)
    model = built(AMOUNTS)
    model.fit(designs, torch.ones(num))
    drawn = model.sample(1000, generator())
    first, other = drawn[:, 0] > -0.5, drawn[:, 2] > -0.7
    assert (drawn[~first, 0] == -0.5).all()
    assert (drawn[:, 0] < -0.5 + 2.1 * (designs[:, 0].max() + 0.5)).all()
    assert (first != other).double().mean() > 0.9
    assert (first == (drawn[:, 3] == 1)).double().mean() > 0.9
    cells = Cells(*torch.full((2, num, 3), -1.0).unbind(0), torch.tensor([False]))
    cells = model.cells(designs, replace(cells, upper=cells.upper + 9.0))
    absent = levels > 0
    assert (cells.lower[absent, 0] == -0.5).all()
    assert (cells.upper[absent, 0] == -0.5).all()
    assert (cells.lower[~absent, 0] > -0.5).all()
    assert (cells.lower[:, 1] == -1.0).all()


@pytest.mark.usefixtures("few_steps")
def test_a_column_without_spread_keeps_a_share_of_what_it_had() -> None:
    model = built(DesignSpace(torch.Size([2])), latent_size=1)
    designs = torch.randn(200, 2, generator=generator(), dtype=torch.float64)
    model.fit(designs, torch.ones(200))
    before = model.layout.scales.clone()
    designs[:, 1] = 0.25
    model.fit(designs, torch.ones(200))
    assert model.layout.scales[1] == pytest.approx(1e-3 * before[1].item())
    assert model.log_prob(designs).isfinite().all()
    # And at a first fit a share of the largest.
    fresh = EntryLayout(DesignSpace(torch.Size([2])))
    fresh.fit(designs, torch.full((200,), 1 / 200).double(), lambda x: x)
    assert fresh.scales[1] == pytest.approx(1e-3 * fresh.scales[0].item())


def test_a_density_does_not_depend_on_what_is_asked_beside(joint: VariationalAutoencoder) -> None:
    designs = mixed_law(2500, 6, (0.5, 0.3, 0.2))  # more than are decoded at once
    whole = joint.log_prob(designs)
    assert torch.equal(whole, joint.log_prob(designs))
    parts = torch.cat([joint.log_prob(part) for part in designs.split(700)])
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_the_error_of_a_density(joint: VariationalAutoencoder) -> None:
    """Is of the size by which fresh draws differ."""
    designs = mixed_law(500, 7, (0.5, 0.3, 0.2))
    fresh = copy.deepcopy(joint)
    found = []
    for seed in range(20):
        fresh.base_draws.normal_(generator=generator(seed))
        found.append(fresh.log_prob(designs))
    spread = torch.stack(found).std(0).mean().item()
    told = joint.figures()["search_model_log_prob_error"]
    assert 0.5 * spread < told < 2 * spread


@pytest.mark.usefixtures("few_steps")
def test_fits_of_one_stream_are_the_same_and_of_two_are_not() -> None:
    space, designs = DesignSpace(torch.Size([2])), torch.randn(60, 2, generator=generator())
    before = torch.get_rng_state()
    found = []
    for seed in (1, 1, 2):
        model = VariationalAutoencoder(latent_size=1)
        model.stream = Stream(seed)
        model.build(space)
        model.fit(designs, torch.ones(60))
        found.append(model.log_prob(designs))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("few_steps")
def test_is_fitted_where_gradients_are_not_kept() -> None:
    with torch.inference_mode():
        model = built(DesignSpace(torch.Size([2])), latent_size=1)
        designs = torch.randn(60, 2, generator=generator())
        model.fit(designs, torch.ones(60))
        assert model.log_prob(designs).isfinite().all()
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_batches_are_of_designs_as_they_weigh() -> None:
    features = torch.randn(40, 3, generator=generator(), dtype=torch.float64)
    features[20:] = features[20:21]  # half of them are one and the same
    weights = torch.rand(40, generator=generator(1), dtype=torch.float64)
    weights /= weights.sum()
    batches = WeightedBatches(features, weights, 64, generator(2), lambda x: x)
    mean = torch.zeros(40, dtype=torch.float64)
    for _ in range(2000):
        rows, shares, draws = batches.draw()
        assert shares.sum().item() == pytest.approx(1.0)
        assert draws[rows >= 20].unique().numel() <= 1
        mean[rows] += shares / 2000
    torch.testing.assert_close(mean, weights, rtol=0.0, atol=0.003)


def test_of_equal_designs_there_is_one_that_weighs_as_much() -> None:
    features = torch.tensor([[1.0, 2.0], [0.0, 5.0], [1.0, 2.0], [0.0, 5.0], [0.0, 4.0]])
    rows, weights = distinct(features, torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25]))
    order = rows.argsort()
    assert rows[order].tolist() == [0, 1, 4]
    torch.testing.assert_close(weights[order], torch.tensor([0.4, 0.35, 0.25]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latent_size": 0}, "latent_size must be at least 1, not 0"),
        ({"beta": 0.0}, "beta must be positive and finite, not 0.0"),
        ({"beta": math.inf}, "beta must be positive and finite, not inf"),
    ],
)
def test_refuses_what_is_not_positive(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}$"):
        VariationalAutoencoder(**wrong)  # type: ignore[arg-type]


def test_beta_keeps_less_of_single_designs() -> None:
    designs = mixed_law(500, 8, (0.5, 0.3, 0.2))
    divergences = []
    for beta in (1.0, 8.0):
        model = VariationalAutoencoder(beta=beta)
        model.build(MIXED)
        model.fit(designs, torch.ones(500))
        features = model.layout.entries(designs).features
        noise = torch.zeros(500, model.base_draws.shape[1], dtype=torch.float64)
        divergences.append(model.network(features, noise)[1].mean().item())
    assert divergences[1] < 0.7 * divergences[0]
