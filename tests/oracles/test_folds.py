"""Folds, and the choice among several oracles by what they say of left-out designs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_mbo.designs import same_things
from lightning_mbo.oracles.folds import balanced_folds, clearly_worse, grouped_folds, shares_of


@pytest.mark.parametrize("n", [5, 17, 100])
@pytest.mark.parametrize("num_folds", [2, 5])
def test_folds_share_the_heavy_designs(n: int, num_folds: int) -> None:
    weights = torch.from_numpy(np.random.default_rng(0).exponential(size=n))
    folds = balanced_folds(weights, num_folds, torch.Generator().manual_seed(0))
    assert set(folds.tolist()) == set(range(num_folds))
    in_order = folds[weights.argsort(descending=True)]
    for start in range(0, n - num_folds + 1, num_folds):
        assert len(set(in_order[start : start + num_folds].tolist())) == num_folds


def test_folds_are_random() -> None:
    weights = torch.ones(60)
    drawn = [balanced_folds(weights, 5, torch.Generator().manual_seed(s)) for s in range(200)]
    assert torch.equal(drawn[0], balanced_folds(weights, 5, torch.Generator().manual_seed(0)))
    together = torch.stack([folds[:, None] == folds for folds in drawn]).double().mean(0)
    off_diagonal = together[~torch.eye(60, dtype=torch.bool)]
    # Of 60 designs each shares its fold with 11 of the other 59, whichever they are.
    assert off_diagonal.mean().item() == pytest.approx(11 / 59, rel=1e-9)
    assert (off_diagonal - 11 / 59).abs().max() < 5 * np.sqrt(11 / 59 * 48 / 59 / 200)


def test_the_same_thing_is_in_one_fold() -> None:
    groups = torch.randint(0, 40, (100,), generator=torch.Generator().manual_seed(0)) * 7 - 3
    things = same_things(torch.arange(100.0)[:, None], groups)
    folds = grouped_folds(things, 5, torch.Generator().manual_seed(1))
    assert set(folds.tolist()) == set(range(5))
    for group in groups.unique():
        assert len(folds[groups == group].unique()) == 1


def test_folds_of_different_things_are_of_one_size() -> None:
    folds = grouped_folds(torch.arange(23), 5, torch.Generator().manual_seed(1))
    assert sorted(folds.bincount().tolist()) == [4, 4, 5, 5, 5]


@pytest.mark.parametrize("num_things", [2, 3, 4])
def test_of_fewer_things_than_folds_none_is_empty(num_things: int) -> None:
    things = torch.arange(23) % num_things
    for seed in range(10):
        folds = grouped_folds(things, 5, torch.Generator().manual_seed(seed))
        assert sorted(folds.unique().tolist()) == list(range(num_things))
        assert all(len(folds[things == thing].unique()) == 1 for thing in range(num_things))


def test_designs_that_are_all_one_thing_are_by_themselves() -> None:
    folds = grouped_folds(torch.zeros(23, dtype=torch.long), 5, torch.Generator().manual_seed(1))
    assert folds.bincount().sort().values.tolist() == [4, 4, 5, 5, 5]


def test_shares_make_labels_most_likely() -> None:
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(3, 200, generator=generator, dtype=torch.float64)
    weights = torch.rand(200, generator=generator, dtype=torch.float64)

    def likelihood(shares: torch.Tensor) -> float:
        return float(weights @ (shares.log()[:, None] + found).logsumexp(0))

    shares = shares_of(found, weights)
    assert shares.sum().item() == pytest.approx(1.0)
    best = likelihood(shares)
    grid = torch.cartesian_prod(*[torch.linspace(0.01, 1, 60, dtype=torch.float64)] * 3)
    others = grid / grid.sum(1, keepdim=True)
    assert best >= max(likelihood(other) for other in others[::50]) - 1e-9


def test_an_oracle_that_is_never_better_has_no_share() -> None:
    found = torch.stack([torch.zeros(50), torch.full((50,), -0.1), torch.full((50,), -torch.inf)])
    assert shares_of(found.double(), torch.ones(50).double()).tolist() == [1.0, 0.0, 0.0]


def test_shares_follow_the_weights() -> None:
    found = torch.tensor([[0.0, -9.0], [-9.0, 0.0]], dtype=torch.float64).repeat_interleave(50, 1)
    heavy = torch.ones(100, dtype=torch.float64)
    heavy[:50] = 9.0
    np.testing.assert_allclose(shares_of(found, heavy), [0.9, 0.1], atol=1e-3)


def test_clearly_worse() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, generator=generator, dtype=torch.float64)
    other = torch.randn(400, generator=generator, dtype=torch.float64)
    impossible = torch.full((400,), -torch.inf, dtype=torch.float64)
    found = torch.stack([noise, noise + other / 100, noise - 0.2 + other / 2, impossible])
    assert clearly_worse(found, 1.0).tolist() == [False, False, True, True]
