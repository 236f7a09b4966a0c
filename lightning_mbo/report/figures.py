"""Pictures of design runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lightning_mbo.evidence.outcomes import Outcomes
    from lightning_mbo.goals import Goal

_MOST_BESIDE = 3
"""Pictures in a row."""


def draw_trajectory(
    trajectory: pd.DataFrame, property_name: str, best_label: float, path: Path
) -> None:
    """Draw a run: what the oracle promises, what is true where that is known, and n_e.

    Args:
        trajectory: One row a design iteration, as `Trajectory` records it.
        property_name: With its unit, for the axis.
        best_label: The greatest property among the training designs.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    # Where alpha is chosen by the effective sample size, alpha is what tells.
    told = "alpha" if "alpha" in trajectory else "effective_sample_size"
    figure = Figure(figsize=(6, 5), dpi=150, layout="constrained")
    # Of a search without densities nothing is told.
    heights = (2, 1) if told in trajectory else (1,)
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    upper, lower = panels[0], panels[-1]
    iterations = trajectory["design_iteration"]
    for column, style, label in (
        ("oracle_p80", {"color": "black", "marker": "o"}, "oracle, 80th percentile of samples"),
        ("threshold", {"color": "black", "linestyle": ":"}, "threshold"),
        (
            "ground_truth_p80",
            {"color": "tab:blue", "marker": "s"},
            "ground truth, 80th percentile of samples",
        ),
        (
            "candidate_ground_truth_max",
            {"color": "tab:orange", "linestyle": "--", "marker": "^"},
            "ground truth, best candidate",
        ),
    ):
        if column in trajectory:
            upper.plot(iterations, trajectory[column], label=label, markersize=4, **style)
    upper.axhline(
        best_label, color="gray", linewidth=1, linestyle="-.", label="best training label"
    )
    upper.set_ylabel(property_name)
    # Above the axes: the curves may be anywhere inside.
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    if told in trajectory:
        lower.plot(iterations, trajectory[told], color="black", marker="o", markersize=4)
        if told == "alpha":
            lower.set_ylim(0, None)
            lower.set_ylabel("flattening α\nof the weights")
        else:
            lower.set_yscale("log")
            lower.set_ylabel("effective\nsample size")
    lower.set_xlabel("design iteration")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def draw_ascent(ascent: pd.DataFrame, property_name: str, best_label: float, path: Path) -> None:
    """Draw a gradient ascent: what the oracle predicts on the way, and what is true.

    What the oracle promises beyond the truth is shaded: much where ascent has fooled it, little
    or nothing where it is conservative.

    Args:
        ascent: One row a step, as `AscentTrajectory` records it.
        property_name: With its unit, for the axis.
        best_label: The greatest property among the training designs.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=150, layout="constrained")
    axes = figure.subplots()
    steps, mean, spread = (
        ascent[name] for name in ("step", "oracle_mean", "ensemble_disagreement")
    )
    axes.plot(steps, mean, color="black", label="oracle, mean of the particles")
    if spread.any():
        axes.fill_between(
            steps,
            mean - spread,
            mean + spread,
            color="black",
            alpha=0.15,
            linewidth=0,
            label="± disagreement of the members",
        )
    if "ground_truth_mean" in ascent:
        truth, promise = ascent["ground_truth_mean"], ascent.get("oracle_mean_of_designs", mean)
        axes.fill_between(
            steps,
            truth,
            promise,
            where=promise > truth,
            interpolate=True,
            color="tab:red",
            alpha=0.15,
            linewidth=0,
            label="overestimated",
        )
    for column, color, style, label in (
        ("oracle_mean_of_designs", "black", ":", "oracle, mean of the nearest sequences"),
        ("ground_truth_mean", "tab:blue", "-", "ground truth, mean of the particles"),
        ("ground_truth_max", "tab:orange", "--", "ground truth, best particle"),
    ):
        if column in ascent:
            axes.plot(steps, ascent[column], label=label, color=color, linestyle=style)
    axes.axhline(best_label, color="gray", linewidth=1, linestyle="-.", label="best training label")
    axes.set_xlabel("step of the ascent")
    axes.set_ylabel(property_name)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    save_figure(figure, path)


def draw_comparison(
    outcomes: Mapping[str, Outcomes], path: Path, goals: Mapping[str, Goal] | None = None
) -> None:
    """Draw what was predicted of candidates, with its bounds, against what was measured.

    Args:
        outcomes: Of the candidates that were measured, by what was measured, with its unit: a
            picture each, side by side.
        path: Of the PNG file.
        goals: What was wanted of some of these, settled, whose limits are drawn.
    """
    from matplotlib.figure import Figure

    columns = min(len(outcomes), _MOST_BESIDE)
    rows = -(-len(outcomes) // columns)
    figure = Figure(figsize=(6 * columns, 5 * rows), dpi=150, layout="constrained")
    pictures = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (name, of_one) in zip(pictures, outcomes.items(), strict=False):
        _draw_outcomes(axes, of_one, name, (goals or {}).get(name))
    for axes in pictures[len(outcomes) :]:
        axes.set_axis_off()
    # What is drawn in several pictures is named once.
    named = {
        label: handle
        for axes in pictures
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        [*named.values()],
        [*named],
        loc="outside upper center",
        ncols=2 * columns,
        frameon=False,
        fontsize="small",
    )
    save_figure(figure, path)


def _draw_outcomes(axes: Axes, outcomes: Outcomes, measured_name: str, goal: Goal | None) -> None:
    measured, mean = outcomes.measured, outcomes.mean
    lower, upper, label = outcomes.ends()
    axes.vlines(measured, lower, upper, color="black", linewidth=0.8, alpha=0.5, label=label)
    axes.plot(measured, mean, "o", color="black", markersize=4, label="a candidate")
    limits = [] if goal is None else [end for end in (goal.lower, goal.upper) if np.isfinite(end)]
    drawn = np.concatenate([measured, mean, lower, upper, [outcomes.best], limits])
    ends = [np.nanmin(drawn), np.nanmax(drawn)]
    axes.plot(ends, ends, color="black", linewidth=1, linestyle="--", label="as predicted")
    if not np.isnan(outcomes.best):
        axes.axvline(
            outcomes.best, color="gray", linewidth=1, linestyle="-.", label="best row of the table"
        )
    for end in limits:
        axes.axvline(end, color="tab:green", linewidth=1, linestyle=":", label="limit")
    axes.set_xlabel(f"measured: {measured_name}")
    axes.set_ylabel("predicted")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, its names as `keep_text` has them.

    Raises:
        FileError: If it cannot be written.
    """
    keep_text(figure)
    with replacing(path) as file:
        figure.savefig(file, format="png")


def keep_text(figure: Figure) -> None:
    """Have names drawn as they are: a `$` in one begins no formula.

    The labels of a logarithmic axis are formulas of matplotlib's own, and stay so.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import LogFormatter

    formulas = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        if isinstance(axis.get_major_formatter(), LogFormatter)
        for which in ("major", "minor")
        for label in axis.get_ticklabels(which=which)
    }
    for text in figure.findobj(Text):
        if text not in formulas:
            text.set_parse_math(False)


def read_image(path: Path) -> NDArray[np.float32]:
    """A PNG file's pixels, shape ``(height, width, 3)``, from 0 to 1."""
    from matplotlib.image import imread

    return np.asarray(imread(path), dtype=np.float32)[..., :3]
