"""Distances between designs, against scipy and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from torch import Tensor

from lightning_mbo import designs as module
from lightning_mbo.designs import (
    are_among,
    distinct,
    euclidean,
    first_occurrences,
    hamming,
    mean_pairwise_distance,
    nearest,
    nearest_others,
)

NUM_LETTERS = 3


@pytest.fixture(autouse=True)
def _several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_SIZE", 4)
    monkeypatch.setattr(module, "_OTHERS_AT_ONCE", 3)


def words(num: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(NUM_LETTERS, size=(num, length))


def one_hot(words: np.ndarray) -> Tensor:
    return torch.from_numpy(np.eye(NUM_LETTERS)[words])


def points(num: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(num, *shape)))


@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3)])
def test_euclidean(shape: tuple[int, ...]) -> None:
    # Far from the origin, where differences of squares would lose their digits.
    some, others = points(11, shape) + 1e6, points(30, shape, seed=1) + 1e6
    expected = cdist(some.flatten(1).numpy(), others.flatten(1).numpy())
    np.testing.assert_allclose(euclidean(some, others).numpy(), expected, rtol=1e-12)
    assert (euclidean(others, others).diagonal() == 0).all()


def test_hamming() -> None:
    some, others = words(11, 6), words(7, 6, seed=1)
    expected = [[sum(a != b for a, b in zip(x, y, strict=True)) for y in others] for x in some]
    assert hamming(one_hot(some), one_hot(others)).tolist() == expected


@pytest.mark.parametrize("num", [1, 4, 11])
def test_nearest(num: int) -> None:
    some, others = points(num, (2,)), points(9, (2,), seed=1)
    expected = cdist(some.numpy(), others.numpy())
    distances, rows = nearest(some, others, euclidean)
    assert rows.tolist() == expected.argmin(1).tolist()
    np.testing.assert_allclose(distances.numpy(), expected.min(1), rtol=1e-12)


def test_of_several_nearest_the_first() -> None:
    others = one_hot(np.array([[0, 0, 1], [2, 0, 0], [0, 1, 0]]))
    distances, rows = nearest(one_hot(np.array([[0, 0, 0]])), others, hamming)
    assert (distances.item(), rows.item()) == (1.0, 0)


@pytest.mark.parametrize("num", [2, 4, 11])
def test_mean_pairwise_distance(num: int) -> None:
    some = points(num, (3,))
    expected = pdist(some.numpy()).mean()
    assert mean_pairwise_distance(some, euclidean).item() == pytest.approx(expected, rel=1e-12)


def test_mean_pairwise_hamming_distance_by_hand() -> None:
    # 1, 3 and 2 places.
    some = one_hot(np.array([[0, 0, 0], [0, 0, 1], [1, 1, 1]]))
    assert mean_pairwise_distance(some, hamming).item() == 2.0


def test_a_single_design_is_in_no_pair() -> None:
    assert mean_pairwise_distance(points(1, (3,)), euclidean).isnan()


@pytest.mark.parametrize("length", [1, 2, 6])
def test_first_occurrences(length: int) -> None:
    some = words(40, length)
    expected = list({tuple(word): row for row, word in reversed(list(enumerate(some)))}.values())
    assert first_occurrences(one_hot(some)).tolist() == sorted(expected)


def test_designs_that_all_differ_stay() -> None:
    assert first_occurrences(points(9, (2,))).tolist() == list(range(9))


def test_known_designs_are_recognised() -> None:
    known = points(6, (2, 3))
    known[2, 0, 0] = 0.0
    asked = torch.cat([points(4, (2, 3), seed=1), known[[4, 2]], known[:1] * (1 + 1e-14)])
    asked[5, 0, 0] = -0.0
    assert are_among(asked, known).tolist() == [False] * 4 + [True] * 3
    assert are_among(asked[:0], known).tolist() == []
    assert not are_among(asked, known[:0]).any()


@pytest.mark.parametrize("num", [1, 60])
def test_distinct_designs_are_those_of_unique_in_its_order(num: int) -> None:
    designs = torch.randint(-1, 2, (num, 4), generator=torch.Generator().manual_seed(0)).double()
    designs[:2] *= -0.0
    rows, which = distinct(designs)
    expected, expected_which = designs.unique(dim=0, return_inverse=True)
    assert torch.equal(designs[rows], expected)
    assert torch.equal(which, expected_which)


def test_the_nearest_other_design_is_never_itself() -> None:
    designs = torch.randn(11, 2, generator=torch.Generator().manual_seed(0))
    expected = cdist(designs, designs) + np.diag(np.full(11, np.inf))
    found = nearest_others(designs, torch.arange(0, 11, 2), euclidean)
    np.testing.assert_allclose(found, expected[::2].min(1), rtol=1e-6)
