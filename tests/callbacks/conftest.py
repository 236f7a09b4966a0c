"""What the tests of callbacks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are slower with more, much so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a trajectory takes longer than a run."""
    monkeypatch.setattr(
        "lightning_mbo.callbacks.trajectory.draw_trajectory",
        lambda *args: Figure((1, 1)).savefig(args[-1]),
    )
