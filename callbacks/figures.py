"""Figures of a run: a file, and a picture of the logger's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_mbo.files import dispensable, run_folder, writes_files
from lightning_mbo.report.figures import read_image


def record_figure(
    trainer: pl.Trainer, name: str, draw: Callable[[Path], None], step: int | None = None
) -> None:
    """Have a figure drawn into the run's folder, and shown by TensorBoard as `design/...`.

    On processes that write no files, nothing. A run does not fail for a figure.

    Args:
        trainer: Of the run.
        name: Of the file, without its ending.
        draw: Writes it, as PNG.
        step: Of the picture in TensorBoard.
    """
    if not writes_files(trainer):
        return
    path = run_folder(trainer) / f"{name}.png"
    with dispensable(path):
        draw(path)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(
                    f"design/{name}", read_image(path), step, dataformats="HWC"
                )
