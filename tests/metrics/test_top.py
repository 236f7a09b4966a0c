"""Figures of the best held-out designs, against sums by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_mbo.metrics import TopDrift, TopOverlap

TARGET = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
PREDS = torch.tensor([6.0, 0.0, 1.0, 7.0, 2.0])


@pytest.mark.parametrize(
    ("share", "overlap", "drift"),
    [(0.2, 0.0, 1.0), (0.21, 0.5, -1.0), (0.6, 2 / 3, -1.0), (1.0, 1.0, 0.2)],
)
def test_top(share: float, overlap: float, drift: float) -> None:
    # The best labels are those of the designs 0, 2, 4; the best predictions those of 3, 0, 4.
    for metric, expected in ((TopOverlap(share), overlap), (TopDrift(share), drift)):
        metric.update(PREDS[:2], TARGET[:2])
        metric.update(PREDS[2:], TARGET[2:])
        assert metric.compute().item() == pytest.approx(expected)


def test_no_design_has_no_figure() -> None:
    for metric in (TopOverlap(), TopDrift()):
        metric.update(torch.zeros(0), torch.zeros(0))
        assert math.isnan(metric.compute().item())
