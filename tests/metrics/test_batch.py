"""Scores of a batch against values by hand and loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_mbo.designs import euclidean, hamming
from lightning_mbo.metrics.batch import (
    Diversity,
    NormalizedScore,
    Novelty,
    best_distinct,
    normalized,
)

RANGE = (-2.0, 8.0)


def one_hot(words: list[str]) -> Tensor:
    return torch.from_numpy(np.eye(3)[[["ABC".index(letter) for letter in w] for w in words]])


WORDS = ["AAAA", "AAAB", "BBBA", "AAAA", "CCCC"]
TRAINING = ["AAAC", "BBBB", "CCBB"]


def differences(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_the_best_of_many_each_once() -> None:
    designs = one_hot(["AA", "AB", "AA", "CC", "AB", "BB"])
    preds = torch.tensor([1.0, 5.0, 1.0, 3.0, 5.0, torch.nan])
    assert best_distinct(designs, preds, 3).tolist() == [1, 3, 0]
    assert best_distinct(designs, preds, 1).tolist() == [1]
    assert best_distinct(designs, preds, 100).tolist() == [1, 3, 0, 5]


def test_equally_good_designs_stay_in_order() -> None:
    designs = torch.arange(6.0)[:, None]
    assert best_distinct(designs, torch.zeros(6), 4).tolist() == [0, 1, 2, 3]


def test_normalized() -> None:
    values = normalized(torch.tensor([-2.0, 3.0, 8.0, 13.0]), RANGE)
    assert values.tolist() == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("percentile", "expected"), [(100.0, 0.9), (50.0, 0.35), (0.0, -0.1), (75.0, 0.6)]
)
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_normalized_score(percentile: float, expected: float, batch: int) -> None:
    metric = NormalizedScore(RANGE, percentile)
    for part in torch.tensor([3.0, -3.0, 7.0, 0.0], dtype=torch.float64).split(batch):
        metric.update(part)
    assert metric.compute().shape == ()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_diversity_of_sequences(batch: int) -> None:
    metric = Diversity(hamming)
    for part in one_hot(WORDS).split(batch):
        metric.update(part)
    pairs = [differences(*pair) for pair in itertools.combinations(WORDS, 2)]
    assert metric.compute().item() == pytest.approx(np.mean(pairs), rel=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_novelty_of_sequences(batch: int) -> None:
    metric = Novelty(one_hot(TRAINING), hamming)
    for part in one_hot(WORDS).split(batch):
        metric.update(part)
    nearest = [min(differences(word, other) for other in TRAINING) for word in WORDS]
    assert metric.compute().item() == np.mean(nearest)


def test_points_in_the_plane() -> None:
    """A triangle with sides 3, 4 and 5, and a training design 1 from one corner."""
    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    diversity, novelty = Diversity(), Novelty(points.new_tensor([[0.0, -1.0], [9.0, 9.0]]))
    diversity.update(points)
    novelty.update(points)
    assert diversity.compute().item() == pytest.approx(4.0, rel=1e-12)
    assert novelty.compute().item() == pytest.approx((1 + np.sqrt(10) + 5) / 3, rel=1e-12)


def test_what_is_known_is_not_new() -> None:
    metric = Novelty(one_hot(WORDS), hamming)
    metric.update(one_hot(WORDS))
    assert metric.compute().item() == 0.0


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric Novelty was called before")
def test_too_few_designs() -> None:
    diversity = Diversity(euclidean)
    diversity.update(torch.zeros(1, 2))
    assert diversity.compute().isnan()
    assert Novelty(torch.zeros(1, 2)).compute().isnan()


@pytest.mark.parametrize(
    "metric",
    [Diversity(hamming), Novelty(one_hot(TRAINING), hamming)],
    ids=["diversity", "novelty"],
)
def test_reset_forgets(metric: Metric) -> None:
    metric.update(one_hot(WORDS))
    expected = metric.compute()
    metric.reset()
    metric.update(one_hot(["CBCB"]))
    metric.reset()
    metric.update(one_hot(WORDS))
    assert torch.equal(metric.compute(), expected)


def test_training_designs_are_no_state() -> None:
    assert Novelty(one_hot(TRAINING)).state_dict() == {}
