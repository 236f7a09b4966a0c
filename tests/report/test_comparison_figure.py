"""What is in the picture of predicted against measured."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from lightning_mbo.evidence.outcomes import Outcomes
from lightning_mbo.report.figures import draw_comparison, read_image


def test_predictions_with_bounds_against_measurements(tmp_path: Path) -> None:
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *args, **options)  # type: ignore[arg-type]

    outcomes = Outcomes(
        mean=np.array([3.0, 5.0]),
        std=np.array([1.0, 1.0]),
        measured=np.array([4.0, 2.0]),
        bounds={"lower_95": np.array([2.0, -np.inf]), "upper_95": np.array([6.0, 7.0])},
        best=2.5,
    )
    with mock.patch.object(Figure, "savefig", keep):
        draw_comparison(outcomes, "cost in $", tmp_path / "comparison.png")
    assert read_image(tmp_path / "comparison.png").shape == (750, 900, 3)
    (axes,) = figures[0].axes
    assert axes.get_xlabel() == "measured: cost in $"
    (bounds,) = (drawn for drawn in axes.collections if isinstance(drawn, LineCollection))
    ends = [segment.tolist() for segment in bounds.get_segments()]
    assert ends == [[[4.0, 2.0], [4.0, 6.0]], [[2.0, 5.0], [2.0, 7.0]]]
    lines = {str(line.get_label()): line for line in axes.lines}
    np.testing.assert_array_equal(lines["a candidate"].get_xydata(), [[4.0, 3.0], [2.0, 5.0]])
    assert set(np.atleast_1d(lines["best row of the table"].get_xdata())) == {2.5}
    np.testing.assert_array_equal(lines["as predicted"].get_xydata(), [[2.0, 2.0], [7.0, 7.0]])
