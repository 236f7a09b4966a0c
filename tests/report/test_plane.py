"""What is in the picture of an ascent over designs that are two numbers."""

from __future__ import annotations

from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from lightning_mbo.report.plane import Plane, draw_plane


def plane(known: bool) -> Plane:
    generator = torch.Generator().manual_seed(0)
    lines = torch.linspace(-1, 4, 21, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(lines, 10 * lines, indexing="xy"), dim=-1)
    views = {"oracle": 30 + grid.sum(-1)}
    if known:
        views = {"ground truth": -(grid - 1).square().sum(-1)} | views
    designs = torch.rand(9, 2, generator=generator, dtype=torch.float64)
    return Plane(
        grid,
        views,
        designs,
        -designs.sum(1),
        paths=torch.rand(6, 4, 2, generator=generator, dtype=torch.float64),
        candidates=torch.rand(5, 2, generator=generator, dtype=torch.float64),
        optimum=torch.tensor([1.0, 1.0], dtype=torch.float64) if known else None,
        design_names=("width (m)", "length (m)"),
        property_name="height (m)",
    )


@pytest.mark.parametrize("known", [True, False])
def test_every_view_shows_the_ascent(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    savefig = matplotlib.figure.Figure.savefig

    def keeping(self: Figure, *args, **kwargs) -> None:
        figures.append(self)
        savefig(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keeping)
    drawn = plane(known)
    draw_plane(drawn, tmp_path / "plane.png")
    assert (tmp_path / "plane.png").exists()
    *panels, colorbar = figures[0].axes
    assert [axes.get_title() for axes in panels] == list(drawn.views)
    assert colorbar.get_ylabel() == "height (m)"
    levels = []
    for axes in panels:
        assert axes.get_xlabel() == "width (m)"
        lines = [line.get_xydata() for line in axes.get_lines()]
        np.testing.assert_allclose(np.stack(lines, 1), drawn.paths.numpy())
        points = {
            c.get_label(): c.get_offsets().data
            for c in axes.collections
            if isinstance(c, PathCollection)
        }
        names = ["training designs", "where they start", "candidates"]
        assert list(points) == names + ["optimum"] * known
        np.testing.assert_allclose(points["training designs"], drawn.designs.numpy())
        np.testing.assert_allclose(points["where they start"], drawn.paths[0].numpy())
        np.testing.assert_allclose(points["candidates"], drawn.candidates.numpy())
        if known:
            np.testing.assert_allclose(points["optimum"], [[1.0, 1.0]])
        (contours,) = (c for c in axes.collections if isinstance(c, QuadContourSet))
        levels.append(contours.levels.tolist())
    # The oracle, all of it above the labels, does not stretch the ground truth's levels.
    assert all(one == levels[0] for one in levels)
    assert (max(levels[0]) < 20) == known
