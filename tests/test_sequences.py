"""The views of sequences, one from the other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_mbo.sequences import from_logits, letters, one_hot, to_logits, tokens

SIZES = [(1, 2), (3, 4), (2, 20)]


def all_words(length: int, num_letters: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(num_letters), repeat=length)))


@pytest.mark.parametrize(("length", "num_letters"), SIZES)
def test_one_hot(length: int, num_letters: int) -> None:
    words = all_words(length, num_letters)
    designs = one_hot(words, num_letters)
    assert designs.dtype == torch.float64
    np.testing.assert_array_equal(designs.numpy(), np.eye(num_letters)[words.numpy()])
    assert torch.equal(tokens(designs), words)


@pytest.mark.parametrize(("length", "num_letters"), SIZES)
def test_logits_and_back(length: int, num_letters: int) -> None:
    designs = one_hot(all_words(length, num_letters), num_letters)
    logits = to_logits(designs)
    assert logits.shape == (len(designs), length, num_letters - 1)
    assert logits.dtype == torch.float64
    assert torch.equal(from_logits(logits), designs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_of_several_batches(dtype: torch.dtype) -> None:
    designs = one_hot(all_words(2, 3), 3).to(dtype)
    stacked = torch.stack([designs, designs.flip(0)])
    logits = to_logits(stacked)
    assert logits.dtype == dtype
    assert torch.equal(logits[1], to_logits(designs).flip(0))
    assert torch.equal(from_logits(logits), stacked)


def test_logits_by_hand() -> None:
    # Of four letters the one that stands there has probability 0.7, the others 0.1.
    logits = to_logits(one_hot(torch.tensor([[0, 2]]), 4))
    high = np.log(7)
    expected = [[[-high, -high, -high], [0.0, high, 0.0]]]
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-14)
    # Half of the probability for one of two letters, and half of the other half.
    other = to_logits(one_hot(torch.tensor([[1]]), 2), smoothing=0.5)
    assert other.item() == pytest.approx(np.log(3))


@pytest.mark.parametrize(
    ("logits", "token"),
    [
        ([-0.1, -5.0, -0.2], 0),
        ([0.0, 0.0, 0.0], 0),
        ([-1.0, 0.3, 0.2], 2),
        ([0.1, 0.3, 40.0], 3),
        ([0.5, 0.5, 0.1], 1),
    ],
)
def test_any_logits_are_a_sequence(logits: list[float], token: int) -> None:
    designs = from_logits(torch.tensor([[logits]]))
    assert designs.tolist() == [[[float(i == token) for i in range(4)]]]


def test_letters() -> None:
    designs = one_hot(torch.tensor([[0, 3, 1], [2, 2, 2]]), 4)
    assert letters(designs, "ACGT") == ["ATC", "GGG"]
    assert letters(designs[:0], "ACGT") == []
