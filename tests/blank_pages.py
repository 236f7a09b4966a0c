"""Runs whose pictures nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from matplotlib.figure import Figure


def leave_blank(patch: pytest.MonkeyPatch) -> None:
    """Leave the report and the curves blank: drawing them takes longer than a small run."""
    patch.setattr("lightning_mbo.callbacks.report.render", lambda evidence: "page")
    for name in ("trajectory.draw_trajectory", "search_panels.draw_panels"):
        patch.setattr(
            f"lightning_mbo.callbacks.{name}", lambda *args: Figure((1, 1)).savefig(args[-1])
        )


@contextmanager
def blank_pages() -> Iterator[None]:
    """Leave them blank for a while."""
    with pytest.MonkeyPatch.context() as patch:
        leave_blank(patch)
        yield
