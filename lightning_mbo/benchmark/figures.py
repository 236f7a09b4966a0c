"""Pictures of paired trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_mbo.report.figures import save_figure
from lightning_mbo.report.headings import decimals_for, metric_label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Told apart in grey as well: by lightness, line and marker.
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "black", "linestyle": "-", "marker": "o"},
    {"color": "tab:blue", "linestyle": "--", "marker": "s"},
    {"color": "tab:orange", "linestyle": "-.", "marker": "^"},
    {"color": "tab:purple", "linestyle": ":", "marker": "D"},
    {"color": "tab:green", "linestyle": (0, (6, 1)), "marker": "v"},
)

_LETTERS_PER_INCH = 10
"""Of names side by side; more of them would run into each other."""

_MOST_PANELS = 4
"""Tasks side by side."""


def draw_trajectories(
    trajectories: pd.DataFrame,
    arms: Sequence[str],
    property_name: str,
    path: Path,
    best_label: float | None = None,
) -> None:
    """Draw what the oracle promises and what is true, by arm: a row of two panels a method.

    Lines are means over trials, bands one standard error of the mean to either side.

    Args:
        trajectories: One row a design iteration of a run, of one cell of the grid, with the
            columns `method`, `arm`, `trial`, `design_iteration`, `oracle_p80` and
            `ground_truth_p80`.
        arms: In the order of the legend.
        property_name: With its unit, for the axis.
        path: Of the PNG file.
        best_label: The greatest property among the training designs.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    methods = trajectories["method"].unique()
    figure = Figure(figsize=(8, 1 + 1.9 * len(methods)), dpi=150, layout="constrained")
    panels = figure.subplots(len(methods), 2, squeeze=False, sharex=True, sharey="row")
    for row, method in zip(panels, methods, strict=True):
        of_method = trajectories[trajectories["method"] == method]
        for axes, column, title in zip(
            row, ("oracle_p80", "ground_truth_p80"), ("oracle", "ground truth"), strict=True
        ):
            for arm, style in _styled(arms):
                _draw_band(axes, of_method[of_method["arm"] == arm], column, label=arm, **style)
            if best_label is not None:
                axes.axhline(best_label, color="gray", linewidth=1, label="best training label")
            axes.set_title(f"{method}: {title}", loc="left", fontsize="medium")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            _tidy(axes)
        row[0].set_ylabel(property_name.replace(" (", "\n("), fontsize="small")
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=4,
        frameon=False,
        title="80th percentile of samples, mean ± standard error over trials",
    )
    figure.supxlabel("design iteration", fontsize="medium")
    save_figure(figure, path)


def draw_averages(
    averages: pd.DataFrame, arms: Sequence[str], across: str, property_name: str, path: Path
) -> None:
    """Draw each arm's mean and its standard error, a panel a metric.

    Args:
        averages: What `lightning_mbo.benchmark.comparison.averages` returns.
        arms: In the order of the legend.
        across: The column along the horizontal axis: `method`, or one of the grid's.
        property_name: With its unit, for the axes.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure

    metrics, places = averages["metric"].unique(), averages[across].unique()
    width = max(4.5, 1 + 0.25 * len(places) * len(arms))
    figure = Figure(figsize=(width, 1 + 2 * len(metrics)), dpi=150, layout="constrained")
    panels = figure.subplots(len(metrics), 1, squeeze=False, sharex=True)[:, 0]
    names = [str(place) for place in places]
    is_crowded = len(names) * max(map(len, names)) > _LETTERS_PER_INCH * width
    offsets = 0.6 * (np.arange(len(arms)) - (len(arms) - 1) / 2) / len(arms)
    for axes, metric in zip(panels, metrics, strict=True):
        for (arm, style), offset in zip(_styled(arms), offsets, strict=True):
            chosen = (averages["metric"] == metric) & (averages["arm"] == arm)
            points = averages[chosen].set_index(across).reindex(places)
            axes.errorbar(
                np.arange(len(places)) + offset,
                points["mean"],
                points["standard_error"],
                label=arm,
                capsize=2,
                markersize=5,
                **style | {"linestyle": ""},
            )
        axes.set_ylabel(metric_label(metric, property_name).replace(" of ", " of\n"))
        axes.set_xticks(np.arange(len(places)), names, rotation=90 if is_crowded else 0)
        axes.set_xlim(-0.5, len(places) - 0.5)
        _tidy(axes)
    panels[-1].set_xlabel(across)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=2,
        frameon=False,
        title="mean ± standard error over trials",
    )
    save_figure(figure, path)


def draw_heat_map(gains: pd.DataFrame, grid: Sequence[str], title: str, path: Path) -> None:
    """Draw mean differences over a grid of two settings, each with its standard error.

    Args:
        gains: What `lightning_mbo.benchmark.comparison.improvement` returns, of one method.
        grid: The columns along the horizontal and the vertical axis, which also name them.
        title: What the difference is of, with its unit.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure

    x, y = grid
    cells = gains.pivot(index=y, columns=x, values="mean_difference")
    means = cells.to_numpy(dtype=float)
    errors = gains.pivot(index=y, columns=x, values="standard_error").to_numpy(dtype=float)
    height, width = means.shape
    size = (2.5 + 0.9 * width, 1.5 + 0.6 * height)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    axes = figure.subplots()
    limit = float(np.nan_to_num(np.abs(means)).max()) or 1.0
    image = axes.imshow(
        means, cmap="RdBu_r", vmin=-limit, vmax=limit, origin="lower", aspect="auto"
    )
    axes.patch.set(hatch="//", edgecolor="lightgray")
    for (row, column), mean in np.ndenumerate(means):
        axes.text(
            column,
            row,
            _annotation(mean, float(errors[row, column]), decimals_for(limit)),
            ha="center",
            va="center",
            fontsize="small",
            color="white" if abs(mean) > 0.55 * limit else "black",
        )
    axes.set_xticks(range(width), [str(value) for value in cells.columns])
    axes.set_yticks(range(height), [str(value) for value in cells.index])
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(f"{title}\nmean ± standard error over trials", fontsize="medium")
    figure.colorbar(image)
    save_figure(figure, path)


def draw_reliability(rows: pd.DataFrame, arms: Sequence[str], path: Path) -> None:
    """Draw the share of each batch that was to beat the best row against the share that did.

    A panel an arm, a point a run. Below the diagonal more was promised than there is.

    Args:
        rows: One a run that went well, with the columns `arm`, `group`, `predicted_share` and
            `realised_share`, of which the former may be NaN.
        arms: In the order of the panels.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure

    width = 1 + 4 * len(arms)
    figure = Figure(figsize=(width, 5), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(arms), squeeze=False, sharey=True)[0]
    styles = dict(_styled(list(rows["group"].unique())))
    for axes, arm in zip(panels, arms, strict=True):
        axes.plot([0, 1], [0, 1], color="gray", linewidth=1, label="as predicted")
        for group, style in styles.items():
            runs = rows[(rows["arm"] == arm) & (rows["group"] == group)]
            axes.plot(
                runs["predicted_share"],
                runs["realised_share"],
                label=group or "a run",
                alpha=0.7,
                clip_on=False,
                **style | {"linestyle": ""},
            )
        axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), xlabel="predicted")
        if len(arms) > 1:
            axes.set_title(arm, loc="left", fontsize="medium")
        _tidy(axes)
    panels[0].set_ylabel("by the ground truth")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=3,
        frameon=False,
        title="Share of the batch above the best row",
    )
    save_figure(figure, path)


def draw_tasks(found: Sequence[pd.DataFrame], best_visible: pd.Series | None, path: Path) -> None:
    """Draw the best and the median design that each method finds, a panel a task.

    Args:
        found: Of the best and of the median what `lightning_mbo.benchmark.by_task.by_task` returns.
        best_visible: By task, what the best visible row has, drawn as a line.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure

    names, tasks = (list(found[0][column].unique()) for column in ("name", "task"))
    lines = -(-len(tasks) // _MOST_PANELS)
    columns = -(-len(tasks) // lines)
    size = (2 + 2.6 * columns, lines * (1 + 0.22 * len(names)) + 0.6)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    places = np.arange(len(names))
    for axes, task in zip(panels, tasks, strict=False):
        for table, label, style in zip(found, ("best", "median"), _STYLES[:2], strict=True):
            points = table[table["task"] == task].set_index("name").reindex(names)
            axes.errorbar(
                points["mean"],
                places,
                xerr=points["std"].fillna(0),
                label=f"{label} of 128",
                capsize=2,
                markersize=4,
                **style | {"linestyle": ""},
            )
        if best_visible is not None:
            axes.axvline(best_visible[task], color="gray", linewidth=1, label="best row")
        axes.set_title(task, loc="left", fontsize="medium")
        axes.set_yticks(places, names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        _tidy(axes)
    for axes in panels[len(tasks) :]:
        axes.set_visible(False)
    figure.supxlabel("share of the task's range, mean ± standard deviation", fontsize="medium")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False
    )
    save_figure(figure, path)


def _styled(arms: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    return zip(arms, cycle(_STYLES), strict=False)


def _draw_band(axes: Axes, runs: pd.DataFrame, column: str, **style: Any) -> None:
    """The mean over trials against design iterations, in a band of its standard error."""
    by_iteration = runs.groupby("design_iteration")[column]
    mean, error = by_iteration.mean(), by_iteration.sem()
    axes.plot(mean.index, mean, markersize=4, markevery=2, **style)
    axes.fill_between(mean.index, mean - error, mean + error, color=style["color"], alpha=0.2, lw=0)


def _annotation(mean: float, error: float, decimals: int) -> str:
    """What is known of a cell, one line a figure."""
    lines = [(mean, f"{mean:+.{decimals}f}"), (error, f"± {error:.{decimals}f}")]
    return "\n".join(line for figure, line in lines if np.isfinite(figure))


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
