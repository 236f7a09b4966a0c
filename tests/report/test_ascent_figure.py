"""What is in the picture of an ascent."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure

from lightning_mbo.report.figures import draw_ascent

STEPS = pd.DataFrame(
    {
        "step": [0, 1, 2],
        "oracle_mean": [1.0, 2.0, 4.0],
        "ensemble_disagreement": [0.0, 0.0, 0.0],
    }
)
TRUTH = {"ground_truth_mean": [1.5, 1.0, 0.5], "ground_truth_max": [2.0, 2.0, 2.0]}


def drawn(ascent: pd.DataFrame, path: Path) -> Axes:
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *args, **options)  # type: ignore[arg-type]

    with mock.patch.object(Figure, "savefig", keep):
        draw_ascent(ascent, "height", 1.2, path)
    assert path.stat().st_size > 0
    return figures[0].axes[0]


def shaded(axes: Axes) -> list[FillBetweenPolyCollection]:
    return [c for c in axes.collections if c.get_label() == "overestimated"]


def test_what_is_promised_beyond_the_truth_is_shaded(tmp_path: Path) -> None:
    (area,) = shaded(drawn(STEPS.assign(**TRUTH), tmp_path / "ascent.png"))
    (outline,) = (path.vertices for path in area.get_paths())
    # The lines cross at a third of the first step, and are 3.5 apart at the end.
    assert outline[:, 0].min() == pytest.approx(1 / 3)
    at_end = outline[outline[:, 0] == 2][:, 1]
    assert (at_end.min(), at_end.max()) == (0.5, 4.0)


def test_of_sequences_what_counts_is_promised_of_themselves(tmp_path: Path) -> None:
    ascent = STEPS.assign(**TRUTH, oracle_mean_of_designs=[1.0, 0.5, 0.25])
    axes = drawn(ascent, tmp_path / "ascent.png")
    assert not any(path.vertices.size for path in shaded(axes)[0].get_paths())
    (line,) = [line for line in axes.lines if "nearest sequences" in str(line.get_label())]
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 0.5, 0.25])


def test_without_a_truth_nothing_is_called_overestimated(tmp_path: Path) -> None:
    assert shaded(drawn(STEPS, tmp_path / "ascent.png")) == []
