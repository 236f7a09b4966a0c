"""What the tests of callbacks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.blank_pages import draw_blank


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are slower with more, much so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def _blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_blank(monkeypatch, "trajectory.draw_trajectory", "ascent_trajectory.draw_ascent")
