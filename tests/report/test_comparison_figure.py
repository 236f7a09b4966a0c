"""What is in the picture of predicted against measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from lightning_mbo.evidence.outcomes import Outcomes
from lightning_mbo.goals import Goal
from lightning_mbo.report.figures import draw_comparison, read_image

BEST = "best row of the table"


def drawn(path: Path, *args: Any) -> Figure:
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *given: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *given, **options)  # type: ignore[arg-type]

    with mock.patch.object(Figure, "savefig", keep):
        draw_comparison(args[0], path, *args[1:])
    return figures[0]


def test_predictions_with_bounds_against_measurements(tmp_path: Path) -> None:
    outcomes = Outcomes(
        mean=np.array([3.0, 5.0]),
        std=np.array([1.0, 1.0]),
        measured=np.array([4.0, 2.0]),
        bounds={"lower_95": np.array([2.0, -np.inf]), "upper_95": np.array([6.0, 7.0])},
        best=2.5,
    )
    figure = drawn(tmp_path / "comparison.png", {"cost in $": outcomes})
    assert read_image(tmp_path / "comparison.png").shape == (750, 900, 3)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "measured: cost in $"
    (bounds,) = (drawn for drawn in axes.collections if isinstance(drawn, LineCollection))
    ends = [segment.tolist() for segment in bounds.get_segments()]
    assert ends == [[[4.0, 2.0], [4.0, 6.0]], [[2.0, 5.0], [2.0, 7.0]]]
    lines = {str(line.get_label()): line for line in axes.lines}
    np.testing.assert_array_equal(lines["a candidate"].get_xydata(), [[4.0, 3.0], [2.0, 5.0]])
    assert set(np.atleast_1d(lines["best row of the table"].get_xdata())) == {2.5}
    np.testing.assert_array_equal(lines["as predicted"].get_xydata(), [[2.0, 2.0], [7.0, 7.0]])


def test_each_of_several_results_has_a_picture_with_its_limits(tmp_path: Path) -> None:
    def outcomes(best: float) -> Outcomes:
        values = np.array([3.0, 5.0])
        return Outcomes(values, values / 5, values + 1, {"lower_95": values - 1}, best)

    of_each = {name: outcomes(math.nan) for name in ("yield", "ee", "pH")}
    goals = {name: Goal.of_words(name, "2 to 9") for name in ("ee", "pH")}
    figure = drawn(tmp_path / "c.png", of_each | {"advance": outcomes(2.5)}, goals)
    pictures = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_xlabel() for axes in pictures] == [
        f"measured: {name}" for name in ("yield", "ee", "pH", "advance")
    ]
    limits = [
        [np.atleast_1d(line.get_xdata())[0] for line in axes.lines if line.get_label() == "limit"]
        for axes in pictures
    ]
    assert limits == [[], [2, 9], [2, 9], []]
    best = [[line.get_label() for line in axes.lines].count(BEST) for axes in pictures]
    assert best == [0, 0, 0, 1]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert sorted(names) == sorted(["lower_95", "a candidate", "as predicted", BEST, "limit"])
