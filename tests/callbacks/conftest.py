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
    """Drawing takes longer than a run."""
    for name in ("trajectory.draw_trajectory", "ascent_trajectory.draw_ascent"):
        monkeypatch.setattr(
            f"lightning_mbo.callbacks.{name}", lambda *args: Figure((1, 1)).savefig(args[-1])
        )
