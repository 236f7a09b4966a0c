"""Pictures of searches over designs that are two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_mbo.report.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUM_LEVELS = 14


@dataclass(frozen=True)
class Plane:
    """A gradient ascent in the plane, in the user's units.

    Attributes:
        grid: Where the views are known, row by row, shape ``(rows, columns, 2)``.
        views: The property there, by who says so, shape ``(rows, columns)`` each.
        designs: The training designs, shape ``(n, 2)``.
        properties: Their labels, shape ``(n,)``.
        paths: Where some particles were before the ascent and after each step, shape
            ``(steps + 1, p, 2)``.
        candidates: Shape ``(m, 2)``.
        optimum: Of the ground truth, shape ``(2,)``; None where it is not known.
        design_names: Of both coordinates.
        property_name: With its unit.
    """

    grid: Tensor
    views: Mapping[str, Tensor]
    designs: Tensor
    properties: Tensor
    paths: Tensor
    candidates: Tensor
    optimum: Tensor | None
    design_names: tuple[str, str]
    property_name: str


def draw_plane(plane: Plane, path: Path) -> None:
    """Draw an ascent over the contours of each view, all with the same levels.

    The levels span the labels and the first view; where another one is beyond them, it has the
    colour of the last level.

    Args:
        plane: What is drawn.
        path: Of the PNG file.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(1.2 + 4.3 * len(plane.views), 5), dpi=150, layout="constrained")
    row = figure.subplots(1, len(plane.views), sharex=True, sharey=True, squeeze=False)[0]
    spanned = torch.cat([plane.properties, next(iter(plane.views.values())).flatten()])
    levels = MaxNLocator(_NUM_LEVELS).tick_values(spanned.min().item(), spanned.max().item())
    for axes, (name, values) in zip(row, plane.views.items(), strict=True):
        shades = axes.contourf(
            *plane.grid.unbind(-1), values, levels=levels, cmap="viridis", extend="both"
        )
        _draw_ascent(axes, plane)
        axes.set_title(name)
        axes.set_xlabel(plane.design_names[0])
    row[0].set_ylabel(plane.design_names[1])
    figure.colorbar(shades, ax=row, label=plane.property_name, shrink=0.9)
    handles = row[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)


def _draw_ascent(axes: Axes, plane: Plane) -> None:
    for particle, way in enumerate(plane.paths.unbind(1)):
        label = "paths of the ascent" if particle == 0 else None
        axes.plot(way[:, 0], way[:, 1], color="black", linewidth=0.8, label=label)
    optimum = torch.empty(0, 2, device="cpu") if plane.optimum is None else plane.optimum[None]
    layers: list[tuple[Tensor, str, dict[str, Any]]] = [
        (plane.designs, "training designs", {"s": 6, "color": "white", "linewidths": 0.3}),
        (plane.paths[0], "where they start", {"s": 14, "color": "white", "linewidths": 0.8}),
        (plane.candidates, "candidates", {"s": 16, "color": "tab:red", "linewidths": 0.4}),
        (optimum, "optimum", {"s": 180, "color": "gold", "marker": "*"}),
    ]
    for points, label, style in layers:
        if len(points):
            axes.scatter(
                points[:, 0], points[:, 1], label=label, edgecolors="black", zorder=3, **style
            )
    axes.set_xlim(plane.grid[..., 0].min().item(), plane.grid[..., 0].max().item())
    axes.set_ylim(plane.grid[..., 1].min().item(), plane.grid[..., 1].max().item())
