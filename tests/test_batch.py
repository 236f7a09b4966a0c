"""Batches of designs against determinants, and on points made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_mbo.batch import diverse_batch, handed_out
from lightning_mbo.designs import Distances, euclidean, hamming
from lightning_mbo.samples import JudgedDesigns, Prediction
from lightning_mbo.sequences import one_hot


def points(num_designs: int, d: int = 2) -> torch.Tensor:
    return torch.randn(num_designs, d, generator=torch.Generator().manual_seed(0)).double()


def words(num_designs: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(3, (num_designs, 5), generator=generator).unique(dim=0)
    return one_hot(letters, 3)


def scores(designs: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 7 + 3 * torch.randn(len(designs), generator=generator, dtype=torch.float64)


def chosen_by_determinants(kernel: np.ndarray, size: int) -> list[int]:
    rows: list[int] = []
    for _ in range(size):
        left = [i for i in range(len(kernel)) if i not in rows]
        values = [np.linalg.slogdet(kernel[np.ix_([*rows, i], [*rows, i])])[1] for i in left]
        rows.append(left[int(np.argmax(values))])
    return rows


@pytest.mark.parametrize(
    ("designs", "distances"),
    [(points(30), euclidean), (points(30, 9), euclidean), (words(40), hamming)],
)
def test_each_choice_makes_the_determinant_greatest(
    designs: torch.Tensor, distances: Distances
) -> None:
    means = scores(designs)
    flat = designs.flatten(1).numpy()
    apart = np.linalg.norm(flat[:, None] - flat, axis=2)
    if distances is hamming:
        apart = apart**2 / 2
    z = (means.numpy() - means.numpy().mean()) / means.numpy().std()
    length = apart[means.argmax()].mean()
    kernel = np.exp(-apart / length) * np.exp((z[:, None] + z) / 4)
    rows = diverse_batch(designs, means, distances, 12)
    assert rows.tolist() == chosen_by_determinants(kernel, 12)


def test_a_batch_of_one_is_the_best_design() -> None:
    designs = points(50)
    means = scores(designs)
    assert diverse_batch(designs, means, euclidean, 1).tolist() == [means.argmax()]
    assert diverse_batch(designs[:1], means[:1], euclidean, 1).tolist() == [0]


def test_two_hills() -> None:
    """Of the better hill first, then of the other, in place of more of the same."""
    designs = torch.tensor([[0.0], [0.1], [0.2], [10.0], [10.1]]).double()
    means = torch.tensor([5.0, 4.9, 4.8, 4.5, 4.6]).double()
    assert diverse_batch(designs, means, euclidean, 2).tolist() == [0, 4]


def test_a_bad_design_is_not_chosen_for_being_far_away() -> None:
    designs = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [100.0]]).double()
    means = torch.tensor([5.0, 4.9, 4.8, 4.7, 4.6, -50.0]).double()
    assert 5 not in diverse_batch(designs, means, euclidean, 2)


def test_of_equally_good_designs_the_ends_and_then_the_middle() -> None:
    designs = torch.arange(9.0).double()[:, None]
    rows = diverse_batch(designs, torch.ones(9).double(), euclidean, 3)
    assert rows.tolist() == [0, 8, 4]


@pytest.mark.parametrize("size", [20, 21, 1000])
def test_all_are_chosen_once_where_there_are_too_few(size: int) -> None:
    designs = points(20)
    rows = diverse_batch(designs, scores(designs), euclidean, size)
    assert sorted(rows.tolist()) == list(range(20))


def test_designs_that_are_next_to_each_other() -> None:
    """What rounding leaves of their news is no reason to choose one twice, or to fail."""
    designs = 1 + 1e-13 * torch.arange(50.0).double()[:, None]
    rows = diverse_batch(designs, scores(designs), euclidean, 30)
    assert len(set(rows.tolist())) == 30


def test_the_units_of_the_property_do_not_matter() -> None:
    designs = points(40)
    means = scores(designs)
    rows = diverse_batch(designs, means, euclidean, 10)
    assert torch.equal(diverse_batch(100 * designs, -3 + 8 * means, euclidean, 10), rows)


def test_what_may_turn_out_better_is_preferred() -> None:
    designs = points(40)
    means, unsure = torch.zeros(40).double(), torch.zeros(40).double()
    means[3], unsure[[3, 7]] = 1.0, torch.tensor([0.5, 2.0]).double()
    samples = JudgedDesigns(designs, Prediction(means, unsure + 1, unsure), designs)
    rows = handed_out(samples, -torch.inf, 2, None, euclidean)
    assert rows.tolist() == [3, 7]  # by their means
    assert handed_out(samples, -torch.inf, 1, None, euclidean).tolist() == [7]
