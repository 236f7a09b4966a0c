"""What the figures of a benchmark show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

from lightning_mbo.benchmark.figures import (
    draw_averages,
    draw_heat_map,
    draw_reliability,
    draw_tasks,
    draw_trajectories,
)
from lightning_mbo.report.figures import read_image

ARMS = ["original", "retrained", "autofocused"]
PROPERTY = "critical temperature (K)"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    """The figures that have been saved."""
    saved: list[matplotlib.figure.Figure] = []
    save = matplotlib.figure.Figure.savefig

    def keep(figure: matplotlib.figure.Figure, *args: Any, **kwargs: Any) -> None:
        save(figure, *args, **kwargs)
        saved.append(figure)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    return saved


@pytest.fixture
def trajectories() -> pd.DataFrame:
    """The oracle's promise is 10 t, the truth t + trial; the last run ends early."""
    table = pd.DataFrame(
        [
            {
                "method": method,
                "arm": arm,
                "trial": trial,
                "design_iteration": iteration,
                "oracle_p80": 10.0 * iteration,
                "ground_truth_p80": 1.0 * iteration + trial,
            }
            for method in ("CbAS", "RWR")
            for arm in ARMS
            for trial in (0, 2)
            for iteration in range(4)
        ]
    )
    return table[:-1]


def test_trajectories(
    trajectories: pd.DataFrame, figures: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    path = tmp_path / "trajectories.png"
    draw_trajectories(trajectories, ARMS, PROPERTY, path, best_label=7.5)
    assert read_image(path).std() > 0
    (figure,) = figures
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "CbAS: oracle",
        "CbAS: ground truth",
        "RWR: oracle",
        "RWR: ground truth",
    ]
    for axes in figure.axes:
        *lines, best = axes.lines
        assert [line.get_label() for line in lines] == ARMS
        assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == len(ARMS)
        assert set(best.get_ydata()) == {7.5}
    promise, truth = (axes.lines[0].get_ydata() for axes in figure.axes[:2])
    np.testing.assert_allclose(promise, [0, 10, 20, 30])
    np.testing.assert_allclose(truth, [1, 2, 3, 4])
    # Of the two values 0 and 2 the mean has the standard error 1.
    band = figure.axes[1].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 5)
    (ended,) = (line for line in figure.axes[3].lines if line.get_label() == "autofocused")
    np.testing.assert_allclose(ended.get_ydata(), [1, 2, 3, 3])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*ARMS, "best training label"]
    assert "standard error" in legend.get_title().get_text()
    assert figure.axes[0].get_ylabel() == "critical temperature\n(K)"
    assert figure.get_supxlabel() == "design iteration"


def test_trajectories_of_one_trial_without_a_best_label(
    trajectories: pd.DataFrame, figures: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    one = trajectories[(trajectories["trial"] == 0) & (trajectories["method"] == "CbAS")]
    draw_trajectories(one, ARMS[:2], PROPERTY, tmp_path / "trajectories.png")
    assert [len(axes.lines) for axes in figures[0].axes] == [2, 2]


def test_averages(figures: list[matplotlib.figure.Figure], tmp_path: Path) -> None:
    table = pd.DataFrame(
        [
            ("CbAS", "median", "original", 50.0, 2.0),
            ("CbAS", "median", "autofocused", 60.0, 3.0),
            ("RWR", "median", "original", 40.0, np.nan),
            ("CbAS", "pci", "original", 0.0, 0.1),
            ("CbAS", "pci", "autofocused", 2.0, 0.2),
        ],
        columns=["method", "metric", "arm", "mean", "standard_error"],
    )
    path = tmp_path / "averages.png"
    draw_averages(table, ["original", "autofocused"], "method", PROPERTY, path)
    assert read_image(path).std() > 0
    median, pci = figures[0].axes
    assert median.get_ylabel() == "median of\ncritical temperature (K)"
    assert pci.get_ylabel() == "PCI %"
    assert pci.get_xlabel() == "method"
    assert [label.get_text() for label in pci.get_xticklabels()] == ["CbAS", "RWR"]
    original, autofocused = (container.lines[0] for container in median.containers)
    assert list(original.get_ydata()) == [50, 40]
    assert autofocused.get_ydata()[0] == 60
    assert np.isnan(autofocused.get_ydata()[1])
    assert original.get_xdata()[0] < 0 < autofocused.get_xdata()[0]
    segments = median.containers[1].lines[2][0].get_segments()
    np.testing.assert_allclose(segments[0][:, 1], [57, 63])


@pytest.mark.parametrize(
    ("methods", "rotation"),
    [(["CbAS", "RWR"], 0), (["CbAS", "CbAS autofocused", "RWR"], 90), (list("abcdefghi"), 0)],
)
def test_names_that_would_run_into_each_other_are_turned(
    methods: list[str],
    rotation: int,
    figures: list[matplotlib.figure.Figure],
    tmp_path: Path,
) -> None:
    columns = ["method", "metric", "arm", "mean", "standard_error"]
    table = pd.DataFrame([(m, "median", "a", 1.0, 0.1) for m in methods], columns=columns)
    draw_averages(table, ["a"], "method", PROPERTY, tmp_path / "averages.png")
    (axes,) = figures[0].axes
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {rotation}


@pytest.fixture
def gains() -> pd.DataFrame:
    """A grid of 2 × 3 cells, one of them missing, in no order."""
    return pd.DataFrame(
        [
            (0.3, 1.0, 0.02, 0.001),
            (0.1, 2.0, -0.08, 0.02),
            (0.1, 1.0, 0.04, np.nan),
            (0.2, 2.0, 0.0, 0.003),
            (0.2, 1.0, 0.01, 0.004),
        ],
        columns=["noise", "spread", "mean_difference", "standard_error"],
    )


def test_heat_map(
    gains: pd.DataFrame, figures: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    path = tmp_path / "heat_map.png"
    draw_heat_map(gains, ["noise", "spread"], "autofocused − original: objective", path)
    assert read_image(path).std() > 0
    axes = figures[0].axes[0]
    (image,) = axes.images
    np.testing.assert_allclose(
        image.get_array().filled(np.nan), [[0.04, 0.01, 0.02], [-0.08, 0.0, np.nan]]
    )
    assert image.get_clim() == (-0.08, 0.08)
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "+0.0400",
        (1, 0): "+0.0100\n± 0.0040",
        (2, 0): "+0.0200\n± 0.0010",
        (0, 1): "-0.0800\n± 0.0200",
        (1, 1): "+0.0000\n± 0.0030",
        (2, 1): "",
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("noise", "spread")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "0.2", "0.3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1.0", "2.0"]
    assert "autofocused − original: objective" in axes.get_title()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_heat_map_without_differences(
    gains: pd.DataFrame, value: float, figures: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    gains["mean_difference"] = value
    draw_heat_map(gains, ["noise", "spread"], "nothing", tmp_path / "heat_map.png")
    assert figures[0].axes[0].images[0].get_clim() == (-1, 1)


def test_reliability(figures: list[matplotlib.figure.Figure], tmp_path: Path) -> None:
    runs = pd.DataFrame(
        [
            ("on", "smooth", 0.9, 1.0),
            ("on", "smooth", 0.5, 0.25),
            ("on", "cliff", 0.75, 0.0),
            ("off", "cliff", np.nan, 0.5),
        ],
        columns=["arm", "group", "predicted_share", "realised_share"],
    )
    draw_reliability(runs, ["off", "on"], tmp_path / "reliability.png")
    assert read_image(tmp_path / "reliability.png").std() > 0
    (figure,) = figures
    off, on = figure.axes
    assert [axes.get_title(loc="left") for axes in (off, on)] == ["off", "on"]
    diagonal, smooth, cliff = on.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert smooth.get_xydata().tolist() == [[0.9, 1.0], [0.5, 0.25]]
    assert cliff.get_xydata().tolist() == [[0.75, 0.0]]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["as predicted", "smooth", "cliff"]


def test_a_panel_a_task_with_the_best_and_the_median_of_each_method(
    figures: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    best = pd.DataFrame(
        [
            *({"name": "A", "task": task, "mean": 0.9, "std": 0.1} for task in "vwxyz"),
            {"name": "B", "task": "v", "mean": 0.7, "std": np.nan},
        ]
    )
    visible = pd.Series(dict(zip("vwxyz", (0.1, 0.2, 0.3, 0.4, 0.5), strict=True)))
    draw_tasks([best, best.assign(mean=best["mean"] / 2)], visible, tmp_path / "tasks.png")
    (figure,) = figures
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == list("vwxyz")
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["A", "B"]
    for axes, share in zip(panels, visible, strict=True):
        drawn = [line.get_xdata() for line in axes.get_lines()]
        assert any(np.allclose(each, share) for each in drawn if len(each) == 2)
        assert any(np.allclose(each[0], 0.45) for each in drawn)
    assert any(np.allclose(line.get_xdata(), [0.9, 0.7]) for line in panels[0].get_lines())
