"""Runs whose pictures nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from matplotlib.figure import Figure


def draw_blank(patch: pytest.MonkeyPatch, *functions: str) -> None:
    """Have functions of the callbacks' modules draw nothing: that takes longer than a small run."""
    for function in functions:
        patch.setattr(
            f"lightning_mbo.callbacks.{function}", lambda *args: Figure((1, 1)).savefig(args[-1])
        )


def leave_blank(patch: pytest.MonkeyPatch) -> None:
    """Leave the report and the curves blank."""
    patch.setattr("lightning_mbo.callbacks.report.render", lambda evidence: "page")
    draw_blank(patch, "trajectory.draw_trajectory", "search_panels.draw_panels")


@contextmanager
def blank_pages() -> Iterator[None]:
    """Leave them blank for a while."""
    with pytest.MonkeyPatch.context() as patch:
        leave_blank(patch)
        yield
