"""What samples are worth, as made and each once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lightning_mbo.designs import euclidean
from lightning_mbo.metrics.scores import score


def test_the_best_with_repetitions_and_without() -> None:
    """200 samples of 150 designs: of the best ones each is there twice."""
    places = torch.cat([torch.arange(150.0), torch.arange(100.0, 150.0)]).double()
    designs, truth = places[:, None], places
    data: Any = SimpleNamespace(
        properties=torch.tensor([0.0, 50.0]).double(),
        property_range=(0.0, 200.0),
        designs=designs[:5],
        distances=euclidean,
    )
    scores = score(data, designs, truth, truth, 0.8)
    assert scores["best_visible"] == 50 / 200
    # Each once: 149 down to 22. As made: 149 down to 100 twice, then 99 down to 72.
    assert scores["best_128"] == scores["best_128_repeated"] == pytest.approx(149 / 200)
    assert scores["median_128"] == pytest.approx((149 + 22) / 2 / 200)
    assert scores["median_128_repeated"] == pytest.approx((118 + 117) / 2 / 200, abs=0.003)
