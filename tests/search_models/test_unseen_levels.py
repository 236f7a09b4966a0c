"""Levels that no design has, and of which descriptors tell."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from lightning_mbo.importance.ratios import preimages_of
from lightning_mbo.search_models import (
    Categorical,
    CategoricalMixture,
    MultivariateNormal,
    SearchModel,
    fit_to_designs,
    search_model_for,
    with_unseen_levels,
)
from lightning_mbo.space import Cells, DesignSpace


def described(size: int) -> tuple[tuple[float, ...], ...]:
    return tuple((float(level),) for level in range(size))


def categories(space: DesignSpace, *levels: list[int]) -> Tensor:
    eyes = [torch.eye(size, dtype=torch.float64) for size in space.groups]
    one_hots = [eye[rows] for eye, rows in zip(eyes, levels, strict=True)]
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(
        len(levels[0]), space.num_numbers, generator=generator, dtype=torch.float64
    )
    return space.join(numbers, one_hots)


# Of the first category three of five levels are seen, of the others all.
SPACE = DesignSpace(torch.Size([9]), (5, 2, 2), (described(5), described(2), ()))
DESIGNS = categories(SPACE, [0, 0, 0, 2, 2, 4, 4], [0, 1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 1, 1])


def frequencies(designs: Tensor, weights: Tensor, space: DesignSpace, group: int) -> Tensor:
    return space.one_hots(designs)[group].mT @ weights / weights.sum()


def test_each_is_as_frequent_as_the_seen_ones_in_the_mean() -> None:
    designs, weights = with_unseen_levels(DESIGNS, SPACE)
    found = frequencies(designs, weights, SPACE, 0)
    torch.testing.assert_close(found[[1, 3]], torch.full((2,), 1 / 5, dtype=torch.float64))
    seen = DESIGNS[:, :5].mean(0)
    torch.testing.assert_close(found[[0, 2, 4]], 3 / 5 * seen[[0, 2, 4]])
    assert torch.equal(designs[: len(DESIGNS)], DESIGNS)
    assert all((group.sum(1) == 1).all() for group in SPACE.one_hots(designs))


def test_without_unseen_levels_nothing_is_added() -> None:
    whole = DesignSpace(torch.Size([9]), (5, 2, 2))
    seen = categories(SPACE, [0, 1, 2, 3, 4], [0, 1, 0, 1, 0], [0] * 5)
    for designs, space in ((DESIGNS, whole), (seen, SPACE)):
        found, weights = with_unseen_levels(designs, space)
        assert torch.equal(found, designs)
        assert torch.equal(weights, torch.ones(len(designs), dtype=torch.float64))


@pytest.mark.parametrize("number", [2, 50])
def test_numbers_are_distributed_as_before(number: int) -> None:
    space = DesignSpace(torch.Size([2 + 5]), (5,), (described(5),))
    designs = categories(space, [0, 2, 2, 4] * number)
    model, alone = search_model_for(space), MultivariateNormal()
    model.build(space)
    fit_to_designs(model, designs, space)
    alone.build(DesignSpace(torch.Size([2])))
    alone.fit(designs[:, :2], torch.ones(len(designs)))
    torch.testing.assert_close(model.get_buffer("numbers.mean"), alone.mean)
    torch.testing.assert_close(model.get_buffer("numbers.cholesky"), alone.cholesky)


def test_several_categories_have_such_levels_at_once() -> None:
    space = DesignSpace(torch.Size([7]), (4, 3), (described(4), described(3)))
    designs, weights = with_unseen_levels(categories(space, [0, 1, 2], [0, 1, 0]), space)
    odds = (1 / 3, 1 / 2)
    for group, (level, share) in enumerate(zip((3, 2), odds, strict=True)):
        found = frequencies(designs, weights, space, group)[level]
        assert found.item() == pytest.approx(share / (1 + sum(odds)))


@pytest.mark.parametrize("kind", [Categorical, lambda: CategoricalMixture(3)])
def test_densities_are_exact_and_the_levels_are_drawn(kind: type[SearchModel]) -> None:
    model = kind()
    model.build(SPACE)
    fit_to_designs(model, DESIGNS, SPACE)
    cells = list(itertools.product(range(5), range(2), range(2)))
    every = categories(SPACE, *(list(levels) for levels in zip(*cells, strict=True)))
    probabilities = model.log_prob(every).exp()
    assert probabilities.sum().item() == pytest.approx(1)
    drawn = model.sample(4000, torch.Generator().manual_seed(0))[:, :5].mean(0)
    expected = probabilities.reshape(5, 4).sum(1)
    torch.testing.assert_close(drawn, expected, atol=0.03, rtol=0)
    assert expected[[1, 3]].sum() > 0.35


def test_what_a_fixed_level_was_drawn_as_may_be_unseen() -> None:
    cells = Cells.of_points(DESIGNS, SPACE)
    cells = Cells(cells.lower, cells.upper, torch.tensor([True, False, False]))
    generator = torch.Generator().manual_seed(0)
    drawn = preimages_of(DESIGNS, cells, SPACE, DESIGNS, generator).drawn
    assert (drawn[..., :5].flatten(0, 1).mean(0) > 0.1).all()
