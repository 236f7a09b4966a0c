"""Sparse amounts against sums over all that may be there, integrals, and known mixtures."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import MultivariateNormal, Product, SearchModel, SparseAmounts
from lightning_mbo.search_models.product import search_model_for
from lightning_mbo.space import Amounts, Cells, DesignSpace

ZEROS, SCALES = (-0.5, -1.0, -0.25), (2.0, 1.0, 4.0)
FREE = Amounts((0, 1, 2), ZEROS, SCALES)
CLOSED = Amounts((0, 1, 2), ZEROS, SCALES, (((0, 1, 2), 10.0),))
PARTLY = Amounts((0, 1, 2), ZEROS, SCALES, (((0, 1), 10.0),))
SHARES = np.array([0.7, 0.3])
PRESENCES = np.array([[0.9, 0.2, 0.5], [0.1, 0.6, 0.3]])
MEANS = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, -0.5]])
STDS = np.array([[0.3, 0.5, 0.4], [0.4, 0.2, 0.6]])
PATTERNS = [np.array(p, dtype=bool) for p in itertools.product([False, True], repeat=3)]


def built(amounts: Amounts, num_components: int | None = None) -> SparseAmounts:
    model = SparseAmounts(num_components)
    model.build(amounts.by_itself())
    return model


def known(amounts: Amounts) -> SparseAmounts:
    model = built(amounts, 2)
    for buffer, values in (
        (model.log_shares, np.log(SHARES)),
        (model.presences, PRESENCES),
        (model.means, MEANS),
        (model.stds, STDS),
    ):
        buffer.copy_(torch.from_numpy(values))
    return model


def entries(values: np.ndarray) -> Tensor:
    """Designs of amounts ``(m, 3)``."""
    return torch.from_numpy(np.array(ZEROS) + values / np.array(SCALES))


def values_of(designs: Tensor) -> np.ndarray:
    found: np.ndarray = ((designs - torch.tensor(ZEROS)) * torch.tensor(SCALES)).numpy()
    return found


def drawn(model: SearchModel, num: int, seed: int = 0) -> Tensor:
    return model.sample(num, torch.Generator().manual_seed(seed))


def test_density_of_free_amounts() -> None:
    random = np.random.default_rng(0)
    present = random.random((200, 3)) < 0.5
    amounts = np.where(present, random.lognormal(size=(200, 3)), 0.0)
    expected = np.zeros(200)
    for share, presence, mean, std in zip(SHARES, PRESENCES, MEANS, STDS, strict=True):
        there = stats.lognorm.pdf(amounts, s=std, scale=np.exp(mean)) * presence * SCALES
        expected += share * np.where(present, there, 1 - presence).prod(1)
    np.testing.assert_allclose(
        known(FREE).log_prob(entries(amounts)), np.log(expected), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("amounts", [FREE, CLOSED, PARTLY])
def test_all_that_may_be_there_has_probability_one(amounts: Amounts) -> None:
    """Of each pattern the density is integrated, in a total over all entries but the last."""
    model, total = known(amounts), 0.0
    members = [place for places, _ in amounts.totals for place in places]
    for pattern in PATTERNS:
        there = np.flatnonzero(pattern)
        summed = [j for j in there if j in members]
        if members and not summed:
            continue
        free = [j for j in there if not summed or j != summed[-1]]
        # In logarithms the integrand is smooth; in a total, between zero and what is left.
        grid = np.linspace(-4.0, 4.5, 69)
        shape = len(grid) ** len(free), len(free)
        points = np.array([*itertools.product(grid, repeat=len(free))]).reshape(shape)
        table = np.zeros((len(points), 3))
        table[:, free] = np.exp(points)
        if summed:
            exponentials = np.where(pattern, np.exp(points @ np.eye(3)[free]), 0.0)
            own = exponentials[:, summed]
            table[:, summed] = 10.0 * own / own.sum(1, keepdims=True)
        density = np.exp(model.log_prob(entries(table)).numpy())
        others = [j for j in free if j in members]
        jacobian = np.prod(table[:, free] / np.array(SCALES)[free], axis=1)
        if others:
            # Of shares by their log-ratios to the last.
            jacobian = jacobian * table[:, summed[-1]] / 10.0
        total += (density * jacobian).sum() * (grid[1] - grid[0]) ** len(free)
    assert total == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("amounts", [FREE, CLOSED, PARTLY])
def test_samples_are_of_the_density(amounts: Amounts) -> None:
    """By the frequency of what is there, and the mean ratio to another density, which is one."""
    model = known(amounts)
    samples = drawn(model, 40_000)
    present = values_of(samples) > 0
    members = [place for places, _ in amounts.totals for place in places]
    expected = []
    for pattern in PATTERNS:
        each = np.where(pattern, PRESENCES, 1 - PRESENCES).prod(1)
        if members:
            each = each * pattern[members].any() / (1 - (1 - PRESENCES[:, members]).prod(1))
        expected.append(SHARES @ each)
    frequencies = [(present == pattern).all(1).mean() for pattern in PATTERNS]
    np.testing.assert_allclose(frequencies, expected, atol=0.01)
    other = known(amounts)
    other.means += 0.1
    other.presences.copy_(torch.tensor(0.6 * PRESENCES + 0.2))
    ratios = (other.log_prob(samples) - model.log_prob(samples)).exp()
    assert ratios.mean().item() == pytest.approx(1.0, abs=4 * ratios.std().item() / 200)


def test_samples_have_real_zeros_and_keep_the_total() -> None:
    samples = drawn(known(CLOSED), 1000)
    zeros = torch.tensor(ZEROS, dtype=torch.float64)
    assert ((samples == zeros) | (samples > zeros)).all()
    assert (samples == zeros).any(0).all()
    np.testing.assert_allclose(values_of(samples).sum(1), 10.0, atol=1e-9)
    partly = values_of(drawn(known(PARTLY), 1000))
    np.testing.assert_allclose(partly[:, :2].sum(1), 10.0, atol=1e-9)
    assert partly[:, 2].std() > 0.1


def test_moments_of_free_amounts() -> None:
    found = values_of(drawn(known(FREE), 100_000))
    expected = SHARES @ (PRESENCES * np.exp(MEANS + STDS**2 / 2))
    np.testing.assert_allclose(found.mean(0), expected, rtol=0.02)


@pytest.mark.parametrize("amounts", [FREE, CLOSED])
def test_a_weighted_fit_finds_what_the_weights_say(amounts: Amounts) -> None:
    """Weights to a density p_1 make of samples of p_0 a fit to p_1."""
    before, after = built(amounts, 1), built(amounts, 1)
    before.presences.fill_(0.5)
    for model, mean in ((before, 0.0), (after, 0.3)):
        model.means.copy_(torch.tensor([[mean, -mean, 0.0]]))
        model.stds.fill_(0.4)
    after.presences.copy_(torch.tensor([[0.7, 0.4, 0.5]]))
    samples = drawn(before, 60_000)
    fitted = built(amounts, 1)
    fitted.fit(samples, (after.log_prob(samples) - before.log_prob(samples)).exp())
    torch.testing.assert_close(fitted.presences, after.presences, rtol=0, atol=0.02)
    # In a total a common factor of all amounts makes no difference.
    shift = (fitted.means - after.means).mean() if amounts.totals else 0.0
    torch.testing.assert_close(fitted.means - shift, after.means, rtol=0, atol=0.03)
    torch.testing.assert_close(fitted.stds, after.stds, rtol=0, atol=0.05)


@pytest.mark.parametrize("amounts", [FREE, CLOSED])
def test_components_and_their_number_are_found(amounts: Amounts) -> None:
    truth = built(amounts, 2)
    truth.log_shares.copy_(torch.tensor([0.6, 0.4]).log())
    truth.presences.copy_(torch.tensor([[0.95, 0.9, 0.05], [0.05, 0.9, 0.95]]))
    truth.means.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]))
    truth.stds.fill_(0.2)
    samples = drawn(truth, 3000)
    model = built(amounts)
    model.fit(samples, torch.ones(3000))
    assert 2 <= model.figures()["search_model_components"] <= 4
    more = drawn(truth, 3000, seed=1)
    loss = truth.log_prob(more).mean() - model.log_prob(more).mean()
    assert 0 < loss < 0.05
    found = values_of(drawn(model, 3000)) > 0
    together = (values_of(samples) > 0).T.astype(float) @ (values_of(samples) > 0) / 3000
    np.testing.assert_allclose(found.T.astype(float) @ found / 3000, together, atol=0.04)


def test_amounts_that_go_with_nothing_are_one_component() -> None:
    single = built(FREE, 1)
    model = built(FREE)
    model.fit(drawn(single, 1000), torch.ones(1000))
    assert model.figures()["search_model_components"] == 1


def test_the_first_fit_over_shards_is_that_of_the_whole(
    fit_in_shards: Callable[..., None],
) -> None:
    samples = drawn(known(CLOSED), 600)
    weights = torch.rand(600, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole, shares = built(CLOSED), [built(CLOSED), built(CLOSED)]
    whole.fit(samples, weights)
    fit_in_shards(shares, samples.split([250, 350]), weights.split([250, 350]))
    for share in shares:
        torch.testing.assert_close(share.log_prob(samples), whole.log_prob(samples))


def test_amounts_do_not_run_away() -> None:
    """A search that always asks for more of everything comes to what there was, and a bit."""
    model = built(FREE)
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0, 50, (300, 3)) * (rng.random((300, 3)) < 0.5)
    designs = entries(amounts)
    model.fit(designs, torch.ones(300))
    for i in range(15):
        samples = model.sample(1000, torch.Generator().manual_seed(i))
        sums = samples.sum(1)
        model.fit(samples, (sums >= sums.quantile(0.8)).double())
    most = model.sample(1000, torch.Generator().manual_seed(99)).max()
    assert designs.max() < most < 3 * designs.max()


def test_the_density_is_that_of_what_is_drawn_below_the_ceilings() -> None:
    model = built(FREE)
    amounts = np.random.default_rng(0).lognormal(0, 1.5, (400, 3))
    amounts[:, 1:] = 0.0
    model.fit(entries(amounts), torch.ones(400))
    samples = model.sample(20_000, torch.Generator().manual_seed(0))
    only = (samples[:, 1:] == entries(np.zeros((1, 3)))[:, 1:]).all(1)
    least = entries(np.zeros((1, 3)))[0, 0]
    only &= samples[:, 0] > least
    steps = torch.linspace(-12, 0, 20_001, dtype=torch.float64).exp()  # of the way to the greatest
    top = (model.ceilings[0].exp() / model.scales[0]).item()
    grid = entries(np.zeros((1, 3))).repeat(len(steps), 1)
    grid[:, 0] = least + top * steps
    mass = torch.trapezoid(model.log_prob(grid).exp(), grid[:, 0])
    assert mass.item() == pytest.approx(only.double().mean().item(), abs=0.015)
    assert samples[:, 0].max() <= least + top * (1 + 1e-9)


def test_nothing_is_certain() -> None:
    """Else a ratio of two fits would be infinite."""
    model = built(FREE)
    amounts = np.zeros((40, 3))
    amounts[:, 0] = 2.0
    model.fit(entries(amounts), torch.ones(40))
    other = np.array([[0.0, 3.0, 0.0], [2.0, 0.0, 1.0], [2.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert model.log_prob(entries(other)).isfinite().all()


def test_a_row_without_anything_weighs_as_much_as_ever() -> None:
    """Where a total is held nearly, a table may have one; no sample is like it."""
    nothing = entries(np.zeros((1, 3)))
    first, second = known(CLOSED), built(CLOSED)
    second.fit(drawn(first, 500), torch.ones(500))
    difference = first.log_prob(nothing) - second.log_prob(nothing)
    torch.testing.assert_close(difference, torch.zeros_like(difference))


def test_cells_are_points_where_nothing_is_there_and_in_totals() -> None:
    designs = entries(np.array([[4.0, 0.0, 8.0]]))
    wide = Cells(designs - 0.1, designs + 0.1, torch.zeros(0, dtype=torch.bool))
    free = known(FREE).cells(designs, wide)
    assert torch.equal(free.lower[:, [0, 2]], wide.lower[:, [0, 2]])
    assert torch.equal(free.upper[:, [0, 2]], wide.upper[:, [0, 2]])
    assert free.lower[0, 1] == free.upper[0, 1] == designs[0, 1]
    closed = known(CLOSED).cells(designs, wide)
    assert torch.equal(closed.lower, designs)
    assert torch.equal(closed.upper, designs)


NUMBERS = DesignSpace(torch.Size([3]))
BESIDE = DesignSpace(torch.Size([7]), (3,), amounts=Amounts((0, 2), (-0.5, -0.7), (2.0, 1.0)))


def test_beside_other_columns() -> None:
    model = search_model_for(BESIDE)
    assert isinstance(model, Product)
    model.build(BESIDE)
    samples = drawn(model, 500)
    numbers = BESIDE.numbers(samples)
    assert (numbers[:, 0] == -0.5).any()
    assert (numbers[:, 2] == -0.7).any()
    assert ((numbers[:, [1, 3]] < -0.8).any(0)).all()
    amounts, others = built(Amounts((0, 1), (-0.5, -0.7), (2.0, 1.0))), MultivariateNormal()
    others.build(DesignSpace(torch.Size([2])))
    model.fit(samples, torch.ones(500))
    amounts.fit(numbers[:, [0, 2]], torch.ones(500))
    others.fit(numbers[:, [1, 3]], torch.ones(500))
    torch.testing.assert_close(
        model.log_prob(samples) - model.categories.log_prob(samples[:, 4:]),
        amounts.log_prob(numbers[:, [0, 2]]) + others.log_prob(numbers[:, [1, 3]]),
    )
    cells = Cells(numbers - 0.1, numbers + 0.1, torch.zeros(1, dtype=torch.bool))
    found = model.cells(samples, cells)
    assert torch.equal(found.lower[:, [1, 3]], cells.lower[:, [1, 3]])
    none = numbers[:, 0] == -0.5
    assert torch.equal(found.lower[none, 0], numbers[none, 0])


@pytest.mark.parametrize(
    ("space", "given", "expected"),
    [
        (FREE.by_itself(), None, SparseAmounts),
        (FREE.by_itself(), MultivariateNormal(), MultivariateNormal),
        (BESIDE, None, Product),
        (BESIDE, SparseAmounts(3), Product),
    ],
)
def test_choice(space: DesignSpace, given: SearchModel | None, expected: type) -> None:
    model = search_model_for(space, given)
    assert type(model) is expected
    if isinstance(model, Product) and given is not None:
        assert model.amounts is given
    model.build(space)


@pytest.mark.parametrize("space", [NUMBERS, DesignSpace(torch.Size([3]), (3,)), BESIDE])
def test_other_designs_are_refused(space: DesignSpace) -> None:
    with pytest.raises(ConfigurationError, match="SparseAmounts needs amounts that are often"):
        SparseAmounts().build(space)


@pytest.mark.parametrize("options", [{"num_components": 0}, {"pseudocount": 0.0}])
def test_options_out_of_their_range(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SparseAmounts(**options)  # type: ignore[arg-type]
