"""A figure is a file and a picture of TensorBoard's, or a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_mbo.callbacks.figures import record_figure
from lightning_mbo.errors import MBOWarning
from lightning_mbo.report.figures import save_figure


def draw(path: Path) -> None:
    save_figure(Figure(figsize=(0.4, 0.2), dpi=100), path)


def trainer_of(folder: Path, **kwargs: Any) -> tuple[pl.Trainer, Path]:
    """A trainer, and the folder of its run."""
    logger = TensorBoardLogger(folder, "name", "run")
    return pl.Trainer(accelerator="cpu", logger=logger, **kwargs), folder / "name" / "run"


@pytest.mark.parametrize("step", [None, 3])
def test_a_file_and_a_picture(step: int | None, tmp_path: Path) -> None:
    trainer, folder = trainer_of(tmp_path)
    record_figure(trainer, "mine", draw, step)
    trainer.logger.experiment.close()  # type: ignore[union-attr]
    assert (folder / "mine.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(folder))
    events.Reload()
    (image,) = events.Images("design/mine")
    assert (image.step, image.width, image.height) == (step or 0, 40, 20)


def test_one_that_fails_is_a_warning(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise ValueError("no ink")

    trainer, folder = trainer_of(tmp_path)
    with pytest.warns(MBOWarning, match="goes on without mine.png: ValueError: no ink"):
        record_figure(trainer, "mine", fail)
    assert not (folder / "mine.png").exists()


def test_a_picture_that_fails_is_a_warning_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, folder = trainer_of(tmp_path)
    board = trainer.logger.experiment  # type: ignore[union-attr]

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(board, "add_image", fail)
    with pytest.warns(MBOWarning, match="goes on without mine.png: OSError: no room"):
        record_figure(trainer, "mine", draw)
    assert (folder / "mine.png").exists()


def test_a_trial_run_draws_nothing(tmp_path: Path) -> None:
    trainer, folder = trainer_of(tmp_path, fast_dev_run=True)
    record_figure(trainer, "mine", draw)
    assert not folder.exists()
