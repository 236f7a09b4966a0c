"""Classifiers by way of waypoints."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.importance import telescope
from lightning_mbo.importance.classifier import NUM_FOLDS, Classifier, cross_fitted
from lightning_mbo.importance.telescope import Lot, Telescope, told_apart
from lightning_mbo.problem import DesignProblem
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import Amounts, DesignSpace

HALFWAY = math.sin(math.pi / 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(number: int, dimension: int, seed: int) -> Tensor:
    return torch.randn(number, dimension, generator=generator(seed), dtype=torch.float64)


def lot(designs: Tensor) -> Lot:
    return Lot(designs, torch.arange(len(designs)) % NUM_FOLDS)


def table(designs: Tensor, space: DesignSpace | None = None) -> DesignProblem:
    problem = DesignProblem.of_table(designs, designs.flatten(1)[:, 0])
    return problem if space is None else replace(problem, space=space)


def ends(distance: float, bent: bool = False) -> tuple[Lot, Lot]:
    """Normal designs in three numbers, and samples, so many deviations away and narrower."""
    designs, samples = noise(1000, 3, 1), 0.6 * noise(1000, 3, 2)
    samples[:, 0] += distance
    if bent:
        for rows in (designs, samples):
            rows[:, 1:] /= 4
            rows[:, 1] += rows[:, 0].square()
    return lot(designs), lot(samples)


def exact(designs: Tensor, distance: float) -> Tensor:
    moved = designs.clone()
    moved[:, 0] -= distance
    return (designs.square() - (moved / 0.6).square()).sum(1) / 2


def error(log_odds: Tensor, of: Tensor, distance: float) -> float:
    errors = log_odds - exact(of, distance)
    return (errors - errors.median()).abs().mean().item()


@pytest.mark.parametrize("distance", [3.0, 4.0, 6.0])
def test_far_apart_it_is_nearer_to_the_true_ratio_than_one_classifier(distance: float) -> None:
    designs, samples = ends(distance)
    problem = table(designs.designs)
    found = told_apart(designs, samples, problem, generator())
    one = cross_fitted(
        designs.designs, samples.designs, designs.folds, samples.folds, problem.space
    )
    assert all(isinstance(of_fold, Telescope) for of_fold in found)
    log_odds = designs.log_odds(found)
    errors = (error(of, designs.designs, distance) for of in (log_odds, designs.log_odds(one)))
    assert 2 * next(errors) < next(errors)
    assert stats.spearmanr(log_odds, exact(designs.designs, distance))[0] > 0.93


def test_where_the_classes_overlap_there_is_one_classifier() -> None:
    """To the last bit that without waypoints."""
    designs, samples = ends(1.0)
    problem = table(designs.designs)
    found = told_apart(designs, samples, problem, generator())
    one = cross_fitted(
        designs.designs, samples.designs, designs.folds, samples.folds, problem.space
    )
    assert torch.equal(designs.log_odds(found), designs.log_odds(one))


def test_where_neighbours_are_not_told_apart_well_there_is_one_classifier() -> None:
    """Waypoints of designs along a curve are off it."""
    designs, samples = ends(4.0, bent=True)
    problem = table(designs.designs)
    found = told_apart(designs, samples, problem, generator())
    assert telescope._loss(found, designs, samples) < telescope._PARTED
    assert all(isinstance(of_fold, Classifier) for of_fold in found)


def test_a_fold_is_not_known_to_its_telescope() -> None:
    designs, samples = ends(4.0)
    problem = table(designs.designs)
    found = told_apart(designs, samples, problem, generator())
    for fold, of_fold in enumerate(found):
        moved = [
            Lot(torch.where((part.folds == fold)[:, None], 0.99, 1.0) * part.designs, part.folds)
            for part in (designs, samples)
        ]
        changed = told_apart(moved[0], moved[1], problem, generator())
        same = of_fold.log_odds(designs.designs)
        assert torch.equal(changed[fold].log_odds(designs.designs), same)
        other = (fold + 2) % NUM_FOLDS
        assert not torch.equal(
            changed[other].log_odds(designs.designs), found[other].log_odds(designs.designs)
        )


def test_numbers_between_are_as_spread_out_as_at_the_ends() -> None:
    designs, samples = lot(noise(1000, 2, 1) + 7.0), lot(noise(1000, 2, 2) + 11.0)
    pairs = telescope._Pairs.drawn(designs, samples, table(designs.designs), generator())
    halfway = pairs.at(0.5)
    torch.testing.assert_close(
        halfway.designs.mean(0), torch.full((2,), 7 + 4 * HALFWAY).double(), rtol=0, atol=0.15
    )
    torch.testing.assert_close(halfway.designs.std(0), torch.ones(2).double(), rtol=0, atol=0.1)
    for place, end in ((0.0, pairs.designs), (1.0, pairs.samples)):
        torch.testing.assert_close(pairs.at(place).designs, end)


def test_letters_between_are_those_of_the_pair() -> None:
    letters = [torch.randint(4, (200, 6), generator=generator(seed)) for seed in (1, 2)]
    designs, samples = (lot(one_hot(of, 4).double()) for of in letters)
    pairs = telescope._Pairs.drawn(designs, samples, table(designs.designs), generator())
    before, after, between = (
        of.argmax(2) for of in (pairs.designs, pairs.samples, pairs.at(1 / 3).designs)
    )
    assert ((between == before) | (between == after)).all()
    differ = before != after
    turned = (between == after)[differ].double().mean().item()
    assert turned == pytest.approx(0.25, abs=0.02)
    later = pairs.at(2 / 3).designs.argmax(2)
    assert ((later == after) | (between == before))[differ].all()


def test_amounts_between_are_valid_designs() -> None:
    """Zeros stay zeros, and totals stay: each of the amounts is the one's or the other's share."""
    amounts = Amounts((0, 2, 3), (-0.5, -0.5, -1.0), (0.2, 0.2, 0.1), (((0, 1, 2), 1.0),))
    space = DesignSpace(torch.Size([4]), amounts=amounts)
    zeros, scales = torch.tensor(amounts.zeros), torch.tensor(amounts.scales)

    def made(there: list[float], seed: int) -> Lot:
        share = torch.rand(500, 3, generator=generator(seed)) * torch.tensor(there)
        entries = zeros + share / share.sum(1, keepdim=True) / scales
        other = torch.rand(500, 1, generator=generator(seed + 9))
        return lot(torch.cat([entries[:, :1], other, entries[:, 1:]], dim=1).double())

    designs, samples = made([1.0, 1.0, 0.0], 1), made([1.0, 0.0, 1.0], 2)
    pairs = telescope._Pairs.drawn(designs, samples, table(designs.designs, space), generator())
    shares = (pairs.at(0.5).designs[:, [0, 2, 3]] - zeros) * scales
    assert (shares >= -1e-7).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)).double())
    is_zero = shares < 1e-6
    assert is_zero[:, 1].double().mean().item() == pytest.approx(0.5, abs=0.05)
    both = is_zero[:, 1] & is_zero[:, 2]
    assert both.any()
    torch.testing.assert_close(shares[both][:, 0], torch.ones(int(both.sum())).double())


def test_waypoints_are_designs_that_can_be_made() -> None:
    designs, samples = ends(4.0)
    problem = replace(table(designs.designs), nearest_allowed=torch.round)
    pairs = telescope._Pairs.drawn(designs, samples, problem, generator())
    between = pairs.at(0.5).designs
    assert torch.equal(between, between.round())
