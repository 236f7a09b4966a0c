"""Reading and writing checkpoints so that a killed process leaves a good one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightning_mbo.errors import CheckpointError
from lightning_mbo.files import replacing


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint without executing what it contains.

    Raises:
        CheckpointError: If it is missing, truncated, no checkpoint of a run, or one without sense.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises half a dozen unrelated types for files that are cut short or no archives.
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: it is truncated or something else. Take "
            "another one from the run's checkpoints folder"
        ) from error
    if not (isinstance(checkpoint, dict) and "pytorch-lightning_version" in checkpoint):
        raise CheckpointError(f"{path} is a torch file but not a checkpoint of a run")
    _check_sense(checkpoint, path)
    return checkpoint


def _check_sense(checkpoint: dict[str, Any], path: Path) -> None:
    """Refuse what can be loaded and is not what a run has written."""
    callbacks = checkpoint.get("callbacks", {})
    for name, part in (("state_dict", checkpoint.get("state_dict")), ("callbacks", callbacks)):
        if not isinstance(part, dict):
            raise CheckpointError(f"{path} has no {name} as a run has it. Take another checkpoint")
    for name, state in callbacks.items():
        if not isinstance(state, dict):
            raise CheckpointError(
                f"{path} has {state!r:.40} as the state of {name}. Take another checkpoint"
            )
    if not _are_counts(checkpoint.get("loops", {})):
        raise CheckpointError(f"{path} does not say how far its run is. Take another checkpoint")
    for name, weights in checkpoint["state_dict"].items():
        if not isinstance(weights, torch.Tensor):
            raise CheckpointError(f"{path}: {name} is no tensor. Take another checkpoint")
        if weights.isnan().any():
            raise CheckpointError(f"{path}: {name} holds NaN. Take another checkpoint")


def _are_counts(progress: Any) -> bool:
    """Whether there is nothing but counts in what the loops have saved, however it is nested."""
    if isinstance(progress, (dict, list)):
        parts = progress.values() if isinstance(progress, dict) else progress
        return all(map(_are_counts, parts))
    return isinstance(progress, int)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there when it is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Save; a process killed meanwhile leaves the file that was there before.

        Raises:
            FileError: If it cannot be written.
        """
        # Not at once into the file: torch's own writer hides why a write has failed.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(Path(path)) as file:
            file.write(content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load as `read_checkpoint` does, whatever is asked for.

        Raises:
            CheckpointError: As `read_checkpoint`.
        """
        return read_checkpoint(path)
