"""Figures of how the prediction depends on each column, as SVG to stand within a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_mbo.console import shown_number
from lightning_mbo.report.dependence import Dependence, Levels
from lightning_mbo.report.page_figures import CANDIDATE_COLOR, DATA_COLOR, styled, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LEVELS = 12
"""Of a category that are drawn: the best ones."""

_CURVE_COLOR = "#1b6ca8"
_FEW_VALUES = 8
_MOST_TICKS = 300
_WIDTH = 4.4


def limits(depending: Sequence[Dependence]) -> tuple[float, float]:
    """Between which all their predictions and bands lie."""
    lower = min(float(np.min(d.mean - d.std)) for d in depending)
    upper = max(float(np.max(d.mean + d.std)) for d in depending)
    margin = 0.04 * (upper - lower)
    return lower - margin, upper + margin


def draw_dependence(
    dependence: Dependence, property_name: str, ends: tuple[float, float], number: int
) -> str:
    """A curve of a number, or the levels of a category, best first.

    Args:
        dependence: Of the prediction on one column.
        property_name: What is predicted, with its unit.
        ends: Of the axis of predictions, alike in all figures of a page.
        number: Of the figure: what is in it is named by it.
    """
    if dependence.levels.is_number:
        with styled((_WIDTH, 3.0), (0.85, 0.5, 0.1, 0.2)) as (figure, axes):
            _draw_curve(axes, dependence, ends)
            axes.set_ylabel(_shortened(property_name, 30), fontsize=9)
            return svg(figure, f"dependence{number}")
    order = _best_first(dependence)
    with styled((_WIDTH, 0.8 + 0.26 * len(order))) as (figure, axes):
        _draw_levels(axes, dependence, order, ends)
        axes.set_xlabel(_shortened(property_name, 40), fontsize=9)
        return svg(figure, f"dependence{number}")


def _best_first(dependence: Dependence) -> list[int]:
    """The levels that are drawn: `Dependence` has the predictions as the user measures them."""
    order = np.argsort(-dependence.sign * dependence.mean, kind="stable")
    return [int(level) for level in order[:MOST_LEVELS]]


def _draw_curve(axes: Axes, dependence: Dependence, ends: tuple[float, float]) -> None:
    levels = dependence.levels
    values = levels.values.astype(np.float64)
    if levels.is_logarithmic:
        axes.set_xscale("log")
    if len(values) <= _FEW_VALUES:
        axes.errorbar(
            values, dependence.mean, dependence.std, fmt="o-", color=_CURVE_COLOR, markersize=4,
            linewidth=0.8, elinewidth=1.5,
        )  # fmt: skip
    else:
        axes.plot(values, dependence.mean, color=_CURVE_COLOR, linewidth=1.8)
        band = dependence.mean - dependence.std, dependence.mean + dependence.std
        axes.fill_between(values, *band, color=_CURVE_COLOR, alpha=0.2, linewidth=0)
    # Below the curves' own range, a strip for each: what was measured, and what is proposed.
    bottom, top = ends
    strip = 0.07 * (top - bottom)
    for place, entries, color in (
        (1, levels.candidates, CANDIDATE_COLOR),
        (2, levels.data, DATA_COLOR),
    ):
        shown = np.unique(np.asarray(entries, np.float64))
        shown = shown[np.linspace(0, len(shown) - 1, min(len(shown), _MOST_TICKS)).astype(int)]
        low = bottom - place * strip
        axes.vlines(shown, low, low + 0.8 * strip, color=color, linewidth=0.9)
    axes.set_ylim(bottom - 2.2 * strip, top)
    if not levels.is_logarithmic:
        axes.locator_params("x", nbins=5, integer=np.issubdtype(levels.values.dtype, np.integer))
    axes.set_xlabel(_shortened(levels.name, 45), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", alpha=0.25)


def _draw_levels(
    axes: Axes, dependence: Dependence, order: Sequence[int], ends: tuple[float, float]
) -> None:
    levels = dependence.levels
    places = np.arange(len(order))[::-1].tolist()
    axes.errorbar(
        dependence.mean[order], places, xerr=dependence.std[order], fmt="o", color=_CURVE_COLOR,
        markersize=5, elinewidth=1.5,
    )  # fmt: skip
    axes.set_yticks(places, [_shortened(str(levels.values[level]), 22) for level in order])
    counts = [_counts(levels, entries, order) for entries in (levels.data, levels.candidates)]
    columns = [("rows", DATA_COLOR, counts[0], 28), ("cand.", CANDIDATE_COLOR, counts[1], 56)]
    if dependence.effects is not None:
        pairs = zip(*dependence.effects[:, order], strict=True)
        columns.append(("effect", _CURVE_COLOR, [shown_effect(*pair) for pair in pairs], 122))
    for heading, color, texts, points in columns:
        _write_column(axes, [heading], [len(order) - 0.3], color, points)
        _write_column(axes, texts, places, "#444444", points)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_xlim(*ends)
    axes.locator_params("x", nbins=5)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", alpha=0.25)
    axes.set_title(_shortened(levels.name, 45), fontsize=9, loc="left", pad=12)


def _write_column(
    axes: Axes, texts: Sequence[str], places: Sequence[float], color: str, points: int
) -> None:
    """Texts that end so many points to the right of the axes."""
    for text, place in zip(texts, places, strict=True):
        axes.annotate(
            text,
            (1, place),
            (points, 0),
            ("axes fraction", "data"),
            "offset points",
            color=color,
            fontsize=8,
            ha="right",
            va="center",
        )


def _counts(levels: Levels, entries: Any, order: Sequence[int]) -> list[str]:
    return [f"{(entries == levels.values[level]).sum():,}" for level in order]


def shown_effect(mean: float, error: float) -> str:
    """An effect with its standard error, both to the error's second digit."""
    if not error > 0:
        return f"{mean:+.3g}"
    decimals = max(0, 1 - int(np.floor(np.log10(error))))
    if decimals > 4 or error >= 1e4:
        return f"{mean:+.2g} ± {error:.2g}"
    # Zero has no sign of its own.
    mean = round(mean, decimals) + 0.0
    return f"{mean:+.{decimals}f} ± {error:.{decimals}f}".replace("-", "−")


def shown_importance(dependence: Dependence) -> str:
    """By how much a column moves the prediction."""
    # A line does not break within.
    return f"±\u00a0{shown_number(float(f'{dependence.importance:.2g}'))}"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
