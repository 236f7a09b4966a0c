"""Writing files so that nothing is lost: never half a file, never over somebody's work."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from lightning_mbo.errors import FileError, MBOError, MBOWarning

_PARTIAL = ".partial"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OF_PLACES = {
    *_FULL,
    *(errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ESTALE),
}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which is moved to its place when it is whole.

    Whoever reads there sees the old content or the new. What fails or is interrupted leaves the
    old one, and nothing beside it. Until then the file has a name that nobody can foresee.

    Raises:
        FileError: If it cannot be written.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Only where there is nothing yet, not even a link.
        with partial.open("xb") as file:
            yield file
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise not_written(path, error) from error
        raise


def not_written(path: Path, error: OSError) -> FileError:
    """What to tell of a file that cannot be written."""
    remedy = "make room there" if error.errno in _FULL else "make its folder writable"
    return FileError(f"{path} cannot be written ({error.strerror or error}): {remedy}")


def disk_error(error: BaseException) -> FileError | None:
    """What to tell of an error that the disk is to blame for; None of others."""
    if isinstance(error, BrokenPipeError):
        return FileError("nobody reads the output any more")
    if not isinstance(error, OSError) or error.errno not in _OF_PLACES:
        return None
    named = error.filename or "the output, or a file of the run,"
    return not_written(Path(os.fsdecode(named)), error)


def write_text(path: Path, text: str) -> Path:
    """Write a text file by `replacing` it."""
    with replacing(path) as file:
        file.write(text.encode())
    return path


def remove_partials(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote into a folder of theirs."""
    for partial in folder.rglob(f".*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            partial.unlink()


@contextmanager
def dispensable(path: Path) -> Iterator[None]:
    """What a run can do without, a picture for instance: a failure within costs a warning."""
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, MBOError) else f"{type(error).__name__}: {error}"
        rank_zero_warn(f"the run goes on without {path.name}: {reason}", category=MBOWarning)


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
