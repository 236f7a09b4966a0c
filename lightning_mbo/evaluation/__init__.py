"""Figures and tables of design runs."""

from lightning_mbo.evaluation.figures import draw_trajectory

__all__ = ["draw_trajectory"]
