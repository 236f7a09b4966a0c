"""Pictures of searches over designs that are one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.report.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection


@dataclass(frozen=True)
class Problem:
    """What is the same in all panels.

    Attributes:
        designs: The training designs, shape ``(n,)``.
        properties: Their labels, shape ``(n,)``.
        positions: Where the curves are known, ascending, shape ``(m,)``.
        training_density: p_0 there, shape ``(m,)``.
        ground_truth: There, shape ``(m,)``, or None.
        design_name: For the axis.
        property_name: With its unit, for the axis.
    """

    designs: Tensor
    properties: Tensor
    positions: Tensor
    training_density: Tensor
    ground_truth: Tensor | None
    design_name: str
    property_name: str


@dataclass(frozen=True)
class Panel:
    """The state of a search after some of its design iterations.

    Attributes:
        weights: What the oracle was fitted with, shape ``(n,)``.
        mean: The oracle's, shape ``(m,)``.
        std: The oracle's, shape ``(m,)``.
        density: p_θ, shape ``(m,)``.
        threshold: γ in the property's units; not finite before the first.
    """

    weights: Tensor
    mean: Tensor
    std: Tensor
    density: Tensor
    threshold: float


def draw_panels(problem: Problem, rows: Mapping[str, Mapping[int, Panel]], path: Path) -> None:
    """Draw searches over time: a row for each, a panel for each moment.

    A panel has the training designs, shaded by their weights, the oracle with a band of two
    standard deviations, and the ground truth; below stand the densities of the search model and
    of the training distribution. All have the same axes.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, figure 1.

    Args:
        problem: What is searched.
        rows: By what a row is called, its panels by the number of design iterations before them.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure

    num_columns = max(len(panels) for panels in rows.values())
    figure = Figure(figsize=(1.5 + 3 * num_columns, 1 + 3.2 * len(rows)), dpi=150)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(
        2 * len(rows), num_columns, sharex=True, height_ratios=(3, 1) * len(rows)
    ).reshape(-1, num_columns)
    for row, (name, panels) in enumerate(rows.items()):
        for column, (num_done, panel) in enumerate(panels.items()):
            shades = _draw_oracle(axes[2 * row, column], problem, panel)
            axes[2 * row, column].set_title(_title(problem, panel, num_done), fontsize="medium")
            _draw_densities(axes[2 * row + 1, column], problem, panel)
        axes[2 * row, 0].set_ylabel(f"{name}\n\n{problem.property_name}")
        axes[2 * row + 1, 0].set_ylabel("density")
    figure.align_ylabels(axes[:, 0])
    _set_limits(axes, problem, [panel for panels in rows.values() for panel in panels.values()])
    for lower in axes[-1]:
        lower.set_xlabel(problem.design_name)
    figure.colorbar(shades, ax=axes, shrink=0.6, aspect=30, label="relative training weight")
    # The last column has all there is in any.
    entries = [handle for last in axes[:2, -1] for handle in last.get_legend_handles_labels()[0]]
    figure.legend(handles=entries, loc="outside lower center", ncols=4, frameon=False)
    save_figure(figure, path)


def _draw_oracle(axes: Axes, problem: Problem, panel: Panel) -> PathCollection:
    x, mean, margin = problem.positions, panel.mean, 2 * panel.std
    label = "oracle, ± 2 standard deviations"
    axes.fill_between(
        x, mean - margin, mean + margin, color="tab:blue", alpha=0.2, linewidth=0, label=label
    )
    axes.plot(x, mean, color="tab:blue", linewidth=2, label="oracle, mean")
    if problem.ground_truth is not None:
        axes.plot(x, problem.ground_truth, color="black", linestyle="--", label="ground truth")
    if math.isfinite(panel.threshold):
        axes.axhline(panel.threshold, color="black", linewidth=1, linestyle=":", label="threshold")
    # The heaviest last, on top of the others.
    order = panel.weights.argsort(stable=True)
    return axes.scatter(
        problem.designs[order],
        problem.properties[order],
        c=panel.weights[order] / panel.weights.max(),
        cmap="Greys",
        vmin=0,
        vmax=1,
        s=16,
        linewidths=0.4,
        edgecolors="black",
        zorder=3,
        label="training designs",
    )


def _draw_densities(axes: Axes, problem: Problem, panel: Panel) -> None:
    axes.fill_between(
        problem.positions,
        panel.density,
        color="tab:orange",
        alpha=0.7,
        linewidth=0,
        label="search model p_θ",
    )
    axes.plot(
        problem.positions,
        problem.training_density,
        color="black",
        linewidth=1,
        label="training distribution p_0",
    )


def _set_limits(axes: NDArray[Any], problem: Problem, panels: list[Panel]) -> None:
    """The same for all panels. The band, which may be wider than all else, is cut off."""
    curves = [problem.properties, *(panel.mean for panel in panels)]
    if problem.ground_truth is not None:
        curves.append(problem.ground_truth)
    values = torch.cat(curves)
    low, high = values.min().item(), values.max().item()
    densest = max(panel.density.max().item() for panel in panels)
    for upper, lower in zip(axes[::2].flat, axes[1::2].flat, strict=True):
        upper.set_xlim(problem.positions[0].item(), problem.positions[-1].item())
        upper.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        lower.set_ylim(0, 1.1 * densest)
        for either in (upper, lower):
            either.spines[["top", "right"]].set_visible(False)


def _title(problem: Problem, panel: Panel, num_done: int) -> str:
    title = f"after {num_done} design iterations" if num_done else "before the search"
    if problem.ground_truth is None:
        return title
    expected = torch.trapezoid(panel.density * problem.ground_truth, problem.positions)
    return f"{title}\nexpected ground truth {expected.item():.3f}"
