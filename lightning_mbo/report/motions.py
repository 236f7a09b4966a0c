"""What is seen of the best designs, where they are robots that move."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_mbo.report.figures import save_figure
from lightning_mbo.report.page_figures import in_style, svg
from lightning_mbo.report.run_evidence import Evidence
from lightning_mbo.robots.motion import Motion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_DEPTH = np.array([0.35, 0.3])
"""How far to the right and up a metre away from the eye is drawn, m."""

_ON_FLOOR = np.array([1.0, 1.0, 0.0])
_SHADE = "#e4e4e4"

_WIDTH, _MOST_HEIGHT = 8.0, 2.0
"""Of the figure and of one robot's strip, inches."""
_CAPTION, _MARGIN, _AXIS = 0.45, 0.1, 0.45
_POINTS = 72.0
"""In an inch."""
_EDGE = 0.8
"""About a robot, points."""
_LEAST_LENGTH = 1e-2
"""Of what is drawn, m: of lines without a length there is nothing to be seen."""


def seen_motions(evidence: Evidence) -> dict[str, Motion]:
    """Those of the best row, the most promising candidate and the one that is best in truth.

    By what is to be said of them; of designs that do not move nothing. Where the ground truth takes
    long, the best in truth is that of the first candidates.
    """
    data = evidence.data
    candidates = evidence.candidates[: data.most_scored]
    if data.motions is None or data.ground_truth is None:
        return {}
    truth = data.ground_truth(candidates)
    row, best = int(data.properties.argmax()), int(truth.argmax())
    shown = [
        ("The best row of the table", data.properties[row], data.designs[row]),
        ("The most promising candidate", truth[0], candidates[0]),
        (f"Candidate {best + 1}, the best of all in truth", truth[best], candidates[best]),
    ][: 3 if best else 2]
    motions = data.motions(torch.stack([design for *_, design in shown]))
    return {
        f"{what}: {data.measured_name} {data.problem.property.measured(value.item()):.4g}": motion
        for (what, value, _), motion in zip(shown, motions, strict=True)
    }


def draw_motions(motions: Mapping[str, Motion]) -> str:
    """The figure, to stand within a page."""
    with in_style():
        return svg(_figure(motions), "motions")


def write_motions(motions: Mapping[str, Motion], path: Path) -> None:
    """The same as a PNG file."""
    save_figure(_figure(motions), path)


def _figure(motions: Mapping[str, Motion]) -> Figure:
    """Robots in a strip each, on one scale: what is seen of them, the later the darker.

    Beneath lies what of them shades the floor, which tells one that is off to the side from one
    that is off the floor.

    Args:
        motions: By what is to be said of them, and of no more than a few moments each.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    drawn = [_projected(motion.ends) for motion in motions.values()]
    shadows = [_projected(motion.ends * _ON_FLOOR) for motion in motions.values()]
    reach = 1.5 * max(motion.radii.max() for motion in motions.values())
    corners = np.concatenate([lines.reshape(-1, 2) for lines in (*drawn, *shadows)])
    (left, low), (right, high) = corners.min(0) - reach, corners.max(0) + reach
    width = _WIDTH - 2 * _MARGIN
    scale = min(width / (right - left), _MOST_HEIGHT / (high - low))
    height = scale * (high - low)
    whole = len(drawn) * (height + _CAPTION) + _AXIS
    figure = Figure(figsize=(_WIDTH, whole), dpi=150)
    for row, (caption, motion) in enumerate(motions.items()):
        bottom = _AXIS + (len(drawn) - 1 - row) * (height + _CAPTION)
        place = (_MARGIN / _WIDTH, bottom / whole, width / _WIDTH, height / whole)
        axes = figure.add_axes(place, xlim=(left, left + width / scale), ylim=(low, high))
        axes.set_title(caption, loc="left", fontsize=9)
        axes.spines[["left", "top", "right"]].set_visible(False)
        axes.set_yticks([])
        axes.tick_params(labelbottom=row == len(drawn) - 1, labelsize=8)
        if row == len(drawn) - 1:
            axes.set_xlabel("m", fontsize=8)
        # In points, by which the axes are to scale.
        widths = 2 * motion.radii * scale * _POINTS
        shadow = LineCollection(
            list(shadows[row].reshape(-1, 2, 2)),
            linewidths=np.tile(widths, len(shadows[row])).tolist(),
            colors=[_SHADE],
            capstyle="round",
        )
        axes.add_collection(shadow)
        for moment, parts in enumerate(drawn[row]):
            color = colormaps["YlOrBr"](0.1 + 0.6 * (moment + 1) / len(drawn[row]))
            for edge, shade in ((_EDGE, "#503000"), (0.0, color)):
                lines = LineCollection(
                    list(parts),
                    linewidths=(widths + edge).tolist(),
                    colors=[shade],
                    capstyle="round",
                    zorder=2 + moment,
                )
                axes.add_collection(lines)
    return figure


def _projected(ends: Array) -> Array:
    """Ends of parts ``(f, k, 2, 3)`` as they are drawn, ``(f, k, 2, 2)``, the farther up right."""
    found: Array = ends[..., [0, 2]] + ends[..., [1]] * _DEPTH
    found[..., 1, 0] += _LEAST_LENGTH
    return found
