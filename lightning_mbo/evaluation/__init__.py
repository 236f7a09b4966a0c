"""Figures and tables of design runs."""

from lightning_mbo.evaluation.benchmark_figures import (
    draw_averages,
    draw_heat_map,
    draw_trajectories,
)
from lightning_mbo.evaluation.comparison import averages, compare, improvement
from lightning_mbo.evaluation.figures import draw_ascent, draw_trajectory
from lightning_mbo.evaluation.tables import markdown_tables, terminal_tables

__all__ = [
    "averages",
    "compare",
    "draw_ascent",
    "draw_averages",
    "draw_heat_map",
    "draw_trajectories",
    "draw_trajectory",
    "improvement",
    "markdown_tables",
    "terminal_tables",
]
