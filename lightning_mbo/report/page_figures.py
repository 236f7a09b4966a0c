"""The figures of a run's report, as SVG to stand within a page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.report.figures import keep_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

DATA_COLOR, CANDIDATE_COLOR = "#9a9a9a", "#d95f02"
_STYLE: Any = {
    "svg.fonttype": "none",
    # Names within the file would otherwise be random: equal runs have equal reports.
    "svg.hashsalt": "report",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_MOST_LETTERS = 12
_LEGEND_ROW, _BENEATH_LEGEND = 0.2, 0.25
"""Of a legend in two columns, and from it to the axes, where an exponent may stand, inches."""


def draw_map(data: Array, candidates: Array, shares: Array) -> str:
    """Where the candidates lie among the data: two principal components of the data.

    Args:
        data: Shape ``(n, 2)``.
        candidates: Shape ``(c, 2)``.
        shares: Of the data's variance that each component has, ``(2,)``.
    """
    with styled((6, 4), (0.75, 0.5, 0.1, 0.1)) as (figure, axes):
        axes.scatter(data[:, 0], data[:, 1], s=8, color=DATA_COLOR, linewidths=0, alpha=0.6)
        axes.scatter(
            candidates[:, 0],
            candidates[:, 1],
            s=12,
            color=CANDIDATE_COLOR,
            linewidths=0,
            alpha=0.7,
        )
        axes.set_xlabel(f"first principal component ({100 * shares[0]:.0f} % of variance)")
        axes.set_ylabel(f"second ({100 * shares[1]:.0f} %)")
        return svg(figure, "map")


def draw_marginal(name: str, data: pd.Series[Any], candidates: pd.Series[Any], number: int) -> str:
    """How the entries of one column are distributed, in the data and in the candidates.

    Args:
        name: Of the column.
        data: Entries of the training designs.
        candidates: Entries of the candidates.
        number: Of the figure: what is in it is named by it.
    """
    from pandas.api.types import is_numeric_dtype

    of_numbers = is_numeric_dtype(data)
    with styled((2.9, 2.1), (0.55, 0.4, 0.1, 0.3) if of_numbers else None) as (figure, axes):
        if of_numbers:
            values = [data.to_numpy(np.float64), candidates.to_numpy(np.float64)]
            bins = np.histogram_bin_edges(np.concatenate(values), 24)
            for entries, color in zip(values, (DATA_COLOR, CANDIDATE_COLOR), strict=True):
                shares = 100 * np.histogram(entries, bins)[0] / len(entries)
                axes.stairs(shares, bins, fill=True, color=color, alpha=0.65)
            axes.locator_params("x", nbins=4)
        else:
            _draw_bars(axes, data, candidates)
        axes.set_ylabel("% of designs", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.set_title(name if len(name) < 32 else f"{name[:30]}…", fontsize=9)
        return svg(figure, f"marginal{number}")


def _draw_bars(axes: Axes, data: pd.Series[Any], candidates: pd.Series[Any]) -> None:
    shares = frequencies(data, candidates)
    shares = shares.loc[shares.max(axis=1).nlargest(_MOST_LETTERS).index].sort_index()
    places = np.arange(len(shares))
    for offset, column, color in ((-0.2, "data", DATA_COLOR), (0.2, "new", CANDIDATE_COLOR)):
        axes.bar(places + offset, 100 * shares[column], 0.4, color=color)
    axes.set_xticks(places, [str(entry)[:12] for entry in shares.index])


def frequencies(data: pd.Series[Any], candidates: pd.Series[Any]) -> pd.DataFrame:
    """How often each entry occurs: columns `data` and `new`, a row an entry, shares."""
    import pandas as pd

    return pd.DataFrame(
        {
            "data": data.value_counts(normalize=True),
            "new": candidates.value_counts(normalize=True),
        }
    ).fillna(0.0)


def draw_held_out(
    measured: Array,
    mean: Array,
    margin: Array,
    name: str,
    figure_name: str = "heldout",
    size: tuple[float, float] = (6, 4.2),
) -> str:
    """Predicted against measured.

    Args:
        measured: Labels of held-out designs, ``(h,)``.
        mean: Their predictions.
        margin: Half the width of their intervals, finite.
        name: Of the property, with its unit.
        figure_name: What is in the figure is named by it.
        size: Of the figure, inches.
    """
    with styled(size, (0.85, 0.5, 0.1, _LEGEND_ROW + _BENEATH_LEGEND)) as (figure, axes):
        inside = np.abs(measured - mean) <= margin
        for chosen, color, label in (
            (inside, "#1b6ca8", "within its interval"),
            (~inside, "#c0392b", "outside"),
        ):
            axes.errorbar(
                measured[chosen],
                mean[chosen],
                yerr=margin[chosen],
                fmt="o",
                markersize=3,
                elinewidth=0.6,
                alpha=0.7,
                color=color,
                label=label,
            )
        ends = [min(measured.min(), mean.min()), max(measured.max(), mean.max())]
        axes.plot(ends, ends, color="black", linewidth=1, linestyle="--")
        axes.set_xlabel(f"measured: {name}")
        axes.set_ylabel("predicted")
        figure.legend(loc="upper center", ncols=2)
        return svg(figure, figure_name)


def draw_iterations(
    name: str,
    iterations: Array,
    curves: Mapping[str, Array],
    ylabel: str,
    marks: Mapping[str, int],
    levels: Mapping[str, float] | None = None,
    log_scale: bool = False,
) -> str:
    """Figures by design iteration.

    Args:
        name: Of the figure: what is in it is named by it.
        iterations: Their numbers, ``(t,)``.
        curves: By what they are called, ``(t,)`` each.
        ylabel: What they show.
        marks: Chosen iterations, by how they were chosen.
        levels: Horizontal lines, by what they are called.
        log_scale: Whether the figures are drawn by their logarithms.
    """
    from matplotlib.ticker import MaxNLocator

    num_labels = len(curves) + len(levels or {}) + len(marks)
    upper = _LEGEND_ROW * math.ceil(num_labels / 2) + _BENEATH_LEGEND
    with styled((6, 3.1), (0.85, 0.5, 0.1, upper)) as (figure, axes):
        for (label, values), color in zip(
            curves.items(), ("black", "#1b6ca8", "#7570b3"), strict=False
        ):
            axes.plot(iterations, values, "o-", markersize=3.5, color=color, label=label)
        for (label, level), style in zip((levels or {}).items(), (":", "-."), strict=False):
            axes.axhline(level, color=CANDIDATE_COLOR, linestyle=style, label=label)
        for (label, place), style in zip(marks.items(), ("--", ":"), strict=False):
            axes.axvline(place, color="#2e7d32", linestyle=style, linewidth=1.5, label=label)
        if log_scale:
            axes.set_yscale("log")
        axes.set_xlabel("design iteration")
        axes.set_ylabel(ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        figure.legend(loc="upper center", ncols=2)
        return svg(figure, name)


@contextmanager
def styled(
    size: tuple[float, float],
    margins: tuple[float, float, float, float] | None = None,
) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes, in the report's style while it is drawn and written.

    Args:
        size: Inches.
        margins: Left, lower, right and upper one, inches; default: as wide as what stands there,
            which takes longer than all that is drawn.
    """
    from matplotlib.figure import Figure

    with in_style():
        figure = Figure(figsize=size, layout=None if margins else "constrained")
        axes = figure.subplots()
        if margins:
            (width, height), (left, lower, right, upper) = size, margins
            axes.set_position(
                (
                    left / width,
                    lower / height,
                    1 - (left + right) / width,
                    1 - (lower + upper) / height,
                )
            )
        yield figure, axes


@contextmanager
def in_style() -> Iterator[None]:
    """Have figures of another layout drawn and written in the report's style."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def svg(figure: Figure, name: str) -> str:
    """A figure within a page, of which each has another name."""
    keep_text(figure)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Names must be unique in the page, which has several figures.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    head, rest = text.split(">", 1)
    # Its size is the page's affair.
    return re.sub(r'\b(?:width|height)="[^"]*" ?', "", head) + ">" + rest
