"""What is in the picture of a search over designs that are one number."""

from __future__ import annotations

from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lightning_mbo.report.panels import Panel, Problem, draw_panels

N, M = 20, 41
POSITIONS = torch.linspace(0.0, 4.0, M, dtype=torch.float64)


def problem(known: bool = True) -> Problem:
    generator = torch.Generator().manual_seed(0)
    return Problem(
        designs=4 * torch.rand(N, generator=generator, dtype=torch.float64),
        properties=torch.randn(N, generator=generator, dtype=torch.float64),
        positions=POSITIONS,
        training_density=torch.full((M,), 0.25, dtype=torch.float64),
        ground_truth=POSITIONS.square() if known else None,
        design_name="width (m)",
        property_name="height (m)",
    )


def panel(peak: float, threshold: float = 1.0) -> Panel:
    density = (-(POSITIONS - peak).square()).exp()
    weights = torch.linspace(4.0, 0.0, N, dtype=torch.float64)
    mean = POSITIONS.sin()
    density /= torch.trapezoid(density, POSITIONS)
    return Panel(weights, mean, 0.1 + 0 * mean, density, threshold)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    savefig = matplotlib.figure.Figure.savefig

    def keeping(self: Figure, *args, **kwargs) -> None:
        figures.append(self)
        savefig(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keeping)
    return figures


ROWS = {
    "one": {0: panel(1.0, -np.inf), 5: panel(2.0), 10: panel(3.0)},
    "other": {0: panel(1.0, -np.inf), 5: panel(2.5), 10: panel(3.5)},
}


@pytest.mark.parametrize("names", [["one"], ["one", "other"]])
def test_a_row_a_search_and_a_column_a_moment(
    names: list[str], drawn: list[Figure], tmp_path: Path
) -> None:
    draw_panels(problem(), {name: ROWS[name] for name in names}, tmp_path / "search.png")
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG\r\n")
    (figure,) = drawn
    *panels, colorbar = figure.axes
    assert len(panels) == 2 * 3 * len(names)
    assert colorbar.get_ylabel() == "relative training weight"
    grid = np.array(panels).reshape(2 * len(names), 3)
    for row, name in enumerate(names):
        assert name in grid[2 * row, 0].get_ylabel()
        assert "height (m)" in grid[2 * row, 0].get_ylabel()
        assert grid[2 * row + 1, 0].get_ylabel() == "density"
        titles = [axes.get_title() for axes in grid[2 * row]]
        for title, start in zip(
            titles,
            ["before the search", "after 5 design iterations", "after 10 design iterations"],
            strict=True,
        ):
            assert title.startswith(f"{start}\nexpected ground truth ")
    assert {axes.get_xlabel() for axes in grid[-1]} == {"width (m)"}
    assert len({axes.get_ylim() for axes in grid[::2].flat}) == 1
    assert len({axes.get_ylim() for axes in grid[1::2].flat}) == 1
    assert {axes.get_xlim() for axes in panels} == {(0.0, 4.0)}


def test_what_a_panel_shows(drawn: list[Figure], tmp_path: Path) -> None:
    given = problem()
    draw_panels(given, {"one": ROWS["one"]}, tmp_path / "search.png")
    before, _, after, _, _, density, _ = drawn[0].axes
    shown = ROWS["one"][10]
    points = after.collections[-1]
    order = shown.weights.argsort()
    np.testing.assert_allclose(points.get_offsets()[:, 0], given.designs[order])
    np.testing.assert_allclose(points.get_offsets()[:, 1], given.properties[order])
    np.testing.assert_allclose(points.get_array(), shown.weights[order] / 4.0)
    curves = {line.get_label(): line.get_ydata() for line in after.lines}
    np.testing.assert_array_equal(curves["oracle, mean"], shown.mean)
    np.testing.assert_array_equal(curves["ground truth"], given.ground_truth)
    assert set(np.asarray(curves["threshold"])) == {1.0}
    assert "threshold" not in {line.get_label() for line in before.lines}
    band = after.collections[0].get_paths()[0].vertices
    at_two = band[np.isclose(band[:, 0], 2.0), 1]
    np.testing.assert_allclose(
        [at_two.min(), at_two.max()], np.sin(2.0) + np.array([-0.2, 0.2]), rtol=1e-9
    )
    outline = density.collections[0].get_paths()[0].vertices
    assert outline[:, 1].max() == pytest.approx(shown.density.max().item())
    np.testing.assert_array_equal(density.lines[0].get_ydata(), given.training_density)


def test_the_expected_ground_truth(drawn: list[Figure], tmp_path: Path) -> None:
    draw_panels(problem(), {"one": ROWS["one"]}, tmp_path / "search.png")
    x = POSITIONS.numpy()
    expected = np.trapezoid(ROWS["one"][5].density.numpy() * x**2, x)
    assert drawn[0].axes[1].get_title().endswith(f"{expected:.3f}")


def test_nothing_overlaps(drawn: list[Figure], tmp_path: Path) -> None:
    draw_panels(problem(), ROWS, tmp_path / "search.png")
    (figure,) = drawn
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes.append(figure.legends[0].get_window_extent(renderer))
    width, height = figure.canvas.get_width_height()
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        for other in boxes[:i]:
            assert not box.overlaps(other)


def test_without_a_ground_truth(drawn: list[Figure], tmp_path: Path) -> None:
    draw_panels(problem(known=False), ROWS, tmp_path / "search.png")
    first = drawn[0].axes[0]
    assert first.get_title() == "before the search"
    assert "ground truth" not in {line.get_label() for line in first.lines}
