"""Writing files so that nothing is lost: never half a file, never over somebody's work."""

from __future__ import annotations

import os
from pathlib import Path

import pytorch_lightning as pl


def write_text(path: Path, text: str) -> Path:
    """Write a file all at once: whoever reads it sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)
    return path


def unused_path(path: Path) -> Path:
    """The path itself, or with the first number behind its stem that is not taken yet."""
    numbered, number = path, 2
    while numbered.exists():
        numbered = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return numbered


def writes_files(trainer: pl.Trainer) -> bool:
    """Whether this process leaves files: the first one does, unless nothing is to be kept.

    Nor does it where they would lie in the working directory itself, unless `default_root_dir`
    says so.
    """
    if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return False
    has_root = trainer.default_root_dir != str(Path.cwd())
    return has_root or run_folder(trainer).resolve() != Path.cwd()


def run_folder(trainer: pl.Trainer) -> Path:
    """Where a run's files go: what is made from a checkpoint goes beside that run's own files."""
    checkpoint = trainer.ckpt_path
    if trainer.state.fn == "fit":
        checkpoints = getattr(trainer.checkpoint_callback, "dirpath", None)
    else:
        checkpoints = Path(checkpoint).parent if checkpoint else None
    if checkpoints is not None:
        folder = Path(checkpoints)
        return folder.parent if folder.name == "checkpoints" else folder
    # Not `trainer.log_dir`: that is a collective operation, and files are rank 0's business.
    logger = trainer.logger
    log_dir = getattr(logger, "log_dir", None) or getattr(logger, "save_dir", None)
    return Path(log_dir or trainer.default_root_dir)
