"""Figures and tables of design runs."""

from lightning_mbo.evaluation.figures import draw_ascent, draw_trajectory

__all__ = ["draw_ascent", "draw_trajectory"]
