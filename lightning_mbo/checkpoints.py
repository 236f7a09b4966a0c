"""Reading and writing checkpoints so that a killed process leaves a good one."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightning_mbo.errors import CheckpointError
from lightning_mbo.files import replacing

_DIGEST = "content_digest"
"""The key of a run's checkpoints that vouches for the others."""


def read_checkpoint(path: str | Path, of_run: bool = False) -> dict[str, Any]:
    """Load a checkpoint without executing what it contains.

    Args:
        path: Of the file.
        of_run: Whether it has to be one that a run of the command line has written.

    Raises:
        CheckpointError: If it is missing, truncated, no checkpoint, changed since it was written,
            or of weights that are NaN.
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
    digest = checkpoint.pop(_DIGEST, None)
    if of_run and digest is None:
        raise CheckpointError(
            f"{path} was written by an earlier version of lightning_mbo, or by something else: "
            "start the run afresh"
        )
    if digest is not None and digest != _digest(checkpoint):
        raise CheckpointError(
            f"{path} was changed after the run had written it. Take another one from the run's "
            "checkpoints folder"
        )
    _check_weights(checkpoint.get("state_dict"), path)
    return checkpoint


def checkpoint_bytes(checkpoint: dict[str, Any]) -> memoryview:
    """The content of a file that `read_checkpoint` takes for what a run has written."""
    content = io.BytesIO()
    torch.save(checkpoint | {_DIGEST: _digest(checkpoint)}, content)
    return content.getbuffer()


def _check_weights(weights: Any, path: Path) -> None:
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path} has no state_dict. Take another checkpoint")
    for name, values in weights.items():
        if not isinstance(values, torch.Tensor):
            raise CheckpointError(f"{path}: {name} is no tensor. Take another checkpoint")
        if values.isnan().any():
            raise CheckpointError(f"{path}: {name} holds NaN. Take another checkpoint")


def _digest(checkpoint: dict[str, Any]) -> str:
    """Of all that a checkpoint holds, however it is nested."""
    digest = hashlib.blake2b(digest_size=16)
    _Hashing(digest).dump(checkpoint)
    return digest.hexdigest()


class _Hashing(pickle.Pickler):
    """Puts into a hash what two values have in common only where they are equal."""

    def __init__(self, digest: hashlib.blake2b) -> None:
        super().__init__(SimpleNamespace(write=digest.update), protocol=5)
        # No references: which equal parts are one object is another matter after loading.
        self.fast = True
        self._digest = digest

    def persistent_id(self, value: Any) -> str | None:
        """Stands for a tensor, whose values are hashed as they lie."""
        if not isinstance(value, torch.Tensor):
            return None
        values = value.detach().cpu().contiguous().view(-1).view(torch.uint8)
        self._digest.update(values.numpy().data)
        return f"{value.dtype} {tuple(value.shape)}"


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
        content = checkpoint_bytes(checkpoint)
        with replacing(Path(path)) as file:
            file.write(content)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load as `read_checkpoint` does, whatever is asked for.

        Raises:
            CheckpointError: As `read_checkpoint`.
        """
        return read_checkpoint(path, of_run=True)
