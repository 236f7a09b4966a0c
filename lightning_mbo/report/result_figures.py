"""The figures of several results, as SVG to stand within a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.goals import Goal
from lightning_mbo.report.page_figures import CANDIDATE_COLOR, DATA_COLOR, styled, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

MARKED_COLOR, LIMIT_COLOR = "#1b6ca8", "#2e7d32"
_MARGIN = 0.04
WIDE, NARROW = (6.0, 4.0), (4.2, 3.2)


@dataclass(frozen=True, eq=False)
class ShownResults:
    """Several results of rows and candidates, in the user's units.

    Attributes:
        goals: What is wanted of each of q results, settled.
        measured: Of n rows, shape ``(n, q)``.
        marked: Which of them stand out, ``(n,)``.
        means: Predicted of c candidates, ``(c, q)``.
        ends: From where to where each prediction's error bar reaches, ``(2, c, q)``.
        front: Of two results without limits the rows that no other beats in both, ``(p, 2)``; of
            other numbers of such results none.
    """

    goals: Sequence[Goal]
    measured: Array
    marked: NDArray[np.bool_]
    means: Array
    ends: Array
    front: Array

    @property
    def free(self) -> list[int]:
        """The results without limits."""
        return [number for number, goal in enumerate(self.goals) if not goal.is_limit]


def draw_pair(shown: ShownResults, across: int, up: int, is_wide: bool = False) -> str:
    """Two results against each other.

    Args:
        shown: All results.
        across: The result on the horizontal axis.
        up: That on the vertical one.
        is_wide: Whether the figure stands alone.
    """
    places = [across, up]
    with styled(WIDE if is_wide else NARROW) as (figure, axes):
        for chosen, color in ((~shown.marked, DATA_COLOR), (shown.marked, MARKED_COLOR)):
            x, y = shown.measured[chosen][:, places].T
            axes.scatter(x, y, s=14, color=color, linewidths=0)
        if shown.free == places and len(shown.front):
            axes.plot(*_staircase(shown).T, color=MARKED_COLOR, linewidth=1.2, linestyle="--")
        means, ends = shown.means[:, places], shown.ends[:, :, places]
        axes.errorbar(
            means[:, 0],
            means[:, 1],
            xerr=np.abs(ends[:, :, 0] - means[:, 0]),
            yerr=np.abs(ends[:, :, 1] - means[:, 1]),
            fmt="o",
            color=CANDIDATE_COLOR,
            markersize=4,
            elinewidth=0.8,
            alpha=0.85,
            zorder=3,
        )
        _draw_limits(axes, shown.goals[across], "x")
        _draw_limits(axes, shown.goals[up], "y")
        axes.set_xlabel(_named(shown.goals[across]), fontsize=10 if is_wide else 9)
        axes.set_ylabel(_named(shown.goals[up]), fontsize=10 if is_wide else 9)
        return svg(figure, f"pair{across}-{up}")


def draw_parallel(shown: ShownResults) -> str:
    """All results side by side, a line a row or a candidate."""
    whole = np.concatenate([shown.measured, shown.means])
    low, high = whole.min(0), whole.max(0)
    for number, goal in enumerate(shown.goals):  # limits that nobody meets are seen too
        for end in filter(math.isfinite, (goal.lower, goal.upper)):
            low[number], high[number] = min(low[number], end), max(high[number], end)
    scale = high - low
    places = np.arange(len(shown.goals))
    with styled((max(6.0, 1.5 * len(places)), 3.6)) as (figure, axes):
        for values, color, width, alpha in (
            (shown.measured[~shown.marked], DATA_COLOR, 0.5, 0.35),
            (shown.measured[shown.marked], MARKED_COLOR, 0.9, 0.8),
            (shown.means, CANDIDATE_COLOR, 1.6, 0.8),
        ):
            axes.plot(places, ((values - low) / scale).T, color=color, linewidth=width, alpha=alpha)
        axes.vlines(places, 0, 1, color="black", linewidth=0.8)
        for place, goal in enumerate(shown.goals):
            if goal.is_limit:
                ends = (np.array([goal.lower, goal.upper]) - low[place]) / scale[place]
                axes.vlines(place, *ends.clip(0, 1), color=LIMIT_COLOR, linewidth=5, alpha=0.6)
            else:
                marker, height = ("^", 1.0) if goal.sign > 0 else ("v", 0.0)
                axes.plot(place, height, marker, color=LIMIT_COLOR, markersize=8)
            for end, height, side in ((high, 1 + _MARGIN, "bottom"), (low, -_MARGIN, "top")):
                axes.text(place, height, f"{end[place]:.4g}", ha="center", va=side, fontsize=8)
        axes.set_xticks(places, [_named(goal, "\n") for goal in shown.goals])
        axes.tick_params(axis="x", length=0, pad=14)
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        return svg(figure, "parallel")


def _draw_limits(axes: Axes, goal: Goal, axis: str) -> None:
    draw = axes.axvline if axis == "x" else axes.axhline
    for end in filter(math.isfinite, (goal.lower, goal.upper)):
        draw(end, color=LIMIT_COLOR, linewidth=1.2)


def _named(goal: Goal, between: str = " ") -> str:
    return f"{goal.name}{between}({goal})"


def _staircase(shown: ShownResults) -> Array:
    """Corners ``(s, 2)`` of what the front dominates, out to the worst that was measured."""
    signs = np.array([shown.goals[number].sign for number in shown.free])
    front = signs * shown.front
    front = front[front[:, 0].argsort()]
    worst = (signs * shown.measured[:, shown.free]).min(0)
    corners = [[worst[0], front[0, 1]]]
    for (x, y), after in zip(front, [*front[1:, 1], worst[1]], strict=True):
        corners += [[x, y], [x, after]]
    return signs * np.array(corners)
