"""Designs that climb: to a peak, along a valley, among categories, and never out of bounds."""

from __future__ import annotations

from dataclasses import replace

import torch

from lightning_mbo.climb import climbed
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def points(m: int, d: int) -> torch.Tensor:
    return torch.randn(m, d, generator=torch.Generator().manual_seed(1)).double()


def problem(designs: torch.Tensor) -> DesignProblem:
    return DesignProblem.of_table(designs, designs.flatten(1).sum(1))


def test_samples_come_to_the_peak_amid_them() -> None:
    designs = points(100, 10)

    def worth(x: torch.Tensor) -> torch.Tensor:
        return -(x - 0.3).square().sum(1)

    found = climbed(designs, worth, problem(designs), generator())
    assert (worth(found) >= worth(designs)).all()
    assert worth(found).max() > worth(designs).max() / 4
    assert worth(found).median() > worth(designs).max()
    assert torch.equal(found, climbed(designs, worth, problem(designs), generator()))


def test_no_number_leaves_the_range_of_the_others() -> None:
    designs = points(50, 4)
    found = climbed(designs, lambda x: x.sum(1), problem(designs), generator())
    assert torch.equal(found.amax(0), designs.amax(0))
    assert (found >= designs.amin(0)).all()


def test_no_design_leaves_what_can_be_made_or_is_allowed() -> None:
    designs = points(60, 3).round()
    allowed = replace(
        problem(designs),
        nearest_allowed=lambda x: x.round().clamp(max=1),
        feasible=lambda x: x[:, 0] + x[:, 1] <= 1,
    )
    begun = allowed.nearest_allowed(designs)
    begun = begun[allowed.is_feasible(begun)]
    found = climbed(begun, lambda x: x.sum(1), allowed, generator())
    assert torch.equal(found, found.round())
    assert found.max() <= 1
    assert (found[:, 0] + found[:, 1] <= 1).all()
    assert found.sum(1).mean() > begun.sum(1).mean() + 1


def test_categories_and_letters_stay_whole() -> None:
    letters = torch.randint(4, (80, 6), generator=torch.Generator().manual_seed(1))
    words = torch.nn.functional.one_hot(letters, 4).double()
    wanted = words[0]

    def matches(x: torch.Tensor) -> torch.Tensor:
        return (x * wanted).flatten(1).sum(1)

    found = climbed(words[1:], matches, problem(words), generator())
    assert torch.equal(found.sum(2), torch.ones(79, 6).double())
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert matches(found).max() == 6 > matches(words[1:]).max()

    mixed = torch.cat([points(79, 2), words[1:, 0]], dim=1)
    space = DesignSpace(torch.Size([6]), groups=(4,))
    moved = climbed(
        mixed, lambda x: x[:, 0] + x[:, 2], replace(problem(mixed), space=space), generator()
    )
    assert torch.equal(moved[:, 2:].sum(1), torch.ones(79).double())
    assert moved[:, 2].mean() > mixed[:, 2].mean()


def test_what_the_oracle_knows_nothing_of_is_left_alone() -> None:
    designs = points(20, 2)
    nothing = torch.full((20,), torch.nan).double()
    assert torch.equal(climbed(designs, lambda x: nothing, problem(designs), generator()), designs)
