"""Names are text, whatever is in them; the labels of a logarithmic axis are formulas."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lightning_mbo.report.figures import draw_trajectory, keep_text, save_figure
from lightning_mbo.report.page_figures import draw_held_out, draw_iterations, draw_marginal

NAMES = ["cost ($)", "$_{", "yield $x^$ of $", r"\$", "$$", "$\\frac{1$"]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_of_any_name_is_saved(name: str, tmp_path: Path) -> None:
    figure = Figure((2, 2))
    axes = figure.subplots()
    axes.plot([0, 1], [1, 100], label=name)
    axes.set_title(name)
    axes.set_xlabel(name)
    axes.set_xticks([0, 1], [name, name])
    axes.legend()
    figure.suptitle(f"{name} and {name}")
    save_figure(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_report_s_figures_show_names_as_they_are(name: str) -> None:
    column = pd.Series([name, "other", name])
    values = np.array([1.0, 2.0, 3.0])
    for svg in (
        draw_marginal(name, column, column, 0),
        draw_held_out(values, values, values, name),
        draw_iterations("overlap", values, {name: values}, name, {}),
    ):
        shown = re.sub(r"<[^>]*>", "", svg).replace("&lt;", "<")
        assert shown.count(name) >= 1


def test_the_labels_of_a_logarithmic_axis_are_powers(tmp_path: Path) -> None:
    figure = Figure((3, 3))
    axes = figure.subplots()
    axes.plot([0, 1], [1, 1e6])
    axes.set_yscale("log")
    axes.set_ylabel("cost $ and $")
    keep_text(figure)
    labels = axes.get_yticklabels()
    assert all(label.get_parse_math() for label in labels)
    assert any("10^{" in label.get_text() for label in labels)
    assert not axes.yaxis.label.get_parse_math()
    trajectory = pd.DataFrame(
        {"design_iteration": [0, 1], "oracle_p80": [1, 2], "effective_sample_size": [10, 1e5]}
    )
    draw_trajectory(trajectory, "cost $ and $", 3.0, tmp_path / "trajectory.png")
    assert (tmp_path / "trajectory.png").stat().st_size > 0
