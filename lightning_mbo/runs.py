"""Run folders: where a run's files go, and which checkpoint is meant."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_mbo.console import is_first_process, say
from lightning_mbo.errors import CheckpointError, ConfigurationError, FileError
from lightning_mbo.files import write_text
from lightning_mbo.locks import FolderLock
from lightning_mbo.signals import end_with
from lightning_mbo.trust import check_found, trusted_modules

_INHERITED = "LIGHTNING_MBO_RUN_FOLDER"
_STARTED_BY = "LIGHTNING_MBO_FIRST_PROCESS"
_GRACE = 10.0
"""For a process to find by itself that the first has ended, in seconds."""

_END = ".end"
_locks: list[FolderLock] = []
_PREFIX = "version_"


@dataclass(frozen=True)
class RunFolder:
    """The folder `<default_root_dir>/<name of the config>/version_<number>` of one run.

    Attributes:
        path: The folder.
        checkpoint: What the run goes on from, or None.
    """

    path: Path
    checkpoint: str | None

    @classmethod
    def choose(cls, config: Any) -> RunFolder:
        """A new folder, or the folder of the run that is to be continued.

        Args:
            config: The parsed options of `fit`. Its `ckpt_path` is None for a new run, `last` for
                the newest run of this name, or a file.

        Raises:
            CheckpointError: If a file is named and missing.
            ConfigurationError: If the folder cannot be written, or another process has it.
        """
        named = Path(config.trainer.default_root_dir) / _name(config)
        wanted = config.ckpt_path
        if "LOCAL_RANK" in os.environ and _INHERITED in os.environ:
            folder = Path(os.environ[_INHERITED])
            first = int(os.environ[_STARTED_BY])
            end_with(first, _GRACE, "error: the run's first process has ended")
        elif wanted == "last":
            folder = _newest(named) or named / f"{_PREFIX}0"
        elif wanted is not None and Path(wanted).name == "last.ckpt":
            folder = Path(wanted).resolve().parent.parent
        else:
            folder = _create_next(named)
        is_there = folder.is_dir()
        _take(folder)
        # Processes that this one starts, one a device, take the same folder.
        os.environ[_INHERITED] = str(folder)
        os.environ.setdefault(_STARTED_BY, str(os.getpid()))
        if wanted == "last":
            last = folder / "checkpoints" / "last.ckpt"
            wanted = str(last) if last.is_file() else None
            if is_there:
                say(f"Continuing {folder}" + ("" if wanted else ", which has no checkpoint yet"))
            else:
                say(f"There is nothing to continue yet: {folder} is a new run")
        return cls(folder, wanted)

    def note_end(self, num_done: int) -> None:
        """Leave word that all files are written, of so many design iterations.

        Where that cannot be written, the run's last files are made once more when it is resumed.
        """
        with contextlib.suppress(FileError):
            write_text(self.path / _END, f"{num_done}\n")

    def ended_after(self, num_done: int) -> bool:
        """Whether all files are written, of so many design iterations."""
        end = self.path / _END
        has_candidates = (self.path / "candidates.csv").exists()
        return has_candidates and end.is_file() and end.read_text() == f"{num_done}\n"


def checkpoint_file(config: Any) -> str:
    """The checkpoint that is meant in `validate`, `test` and `predict`.

    Args:
        config: The parsed options. `ckpt_path` is a file, a run's folder (its best checkpoint),
            or `best` or `last` of the newest run of this name.

    Raises:
        CheckpointError: If there is no such checkpoint.
    """
    wanted = config.ckpt_path
    if wanted is None:
        raise CheckpointError(
            "give --ckpt_path: a checkpoint, a run's folder, or best or last with --config"
        )
    if wanted in ("best", "last"):
        named = Path(config.trainer.default_root_dir) / _name(config)
        folder = _newest(named)
        if folder is None:
            raise CheckpointError(f"there is no run in {named} yet: run fit first")
        return str(folder / "checkpoints" / f"{wanted}.ckpt")
    return str(_in_folder(Path(wanted)))


def leave_run_folder() -> None:
    """Let others have the process's run folder; remove it if the run has not come to begin."""
    while _locks:
        _locks.pop().release()
    os.environ.pop(_STARTED_BY, None)
    name = os.environ.pop(_INHERITED, None)
    if name is None or "LOCAL_RANK" in os.environ:
        return
    folder = Path(name)
    content = list(folder.iterdir()) if folder.is_dir() else []
    if all(path.name.startswith("events.out.tfevents") for path in content):
        for path in content:
            path.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()


def command_to_go_on(words: Sequence[str]) -> str | None:
    """What continues the process's run, for a shell; None while it has no checkpoint.

    Args:
        words: Of the command line that the run is of.
    """
    last = Path(os.environ.get(_INHERITED, "")) / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return None
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if "--ckpt_path" not in (before, word.partition("=")[0])
    ]
    return shlex.join(["python", "-m", "lightning_mbo", *kept, "--ckpt_path", str(last)])


def config_beside(args: list[str]) -> list[str]:
    """The words of the command line, with the run's own config where only a checkpoint is given.

    How many candidates the search was asked for says nothing of a list that is to be ranked.

    Raises:
        CheckpointError: If there is no such checkpoint.
        ConfigurationError: If that config names code that is not trusted.
    """
    options = [word.split("=")[0] for word in args]
    if "--ckpt_path" not in options or {"-c", "--config"} & set(options):
        return args
    place = options.index("--ckpt_path")
    value = args[place].partition("=")[2] or (args[place + 1 : place + 2] or [""])[0]
    checkpoint = _in_folder(Path(value))
    if value not in ("", "best", "last") and not checkpoint.is_file():
        raise CheckpointError(f"there is no checkpoint {checkpoint}")
    config = checkpoint.parent.parent / "config.yaml"
    if not config.is_file():
        return args
    check_found(config, trusted_modules(args))
    unlimited = ["--num_candidates=null"] if "--candidates" in options else []
    return [args[0], "--config", str(config), *unlimited, *args[1:]]


def _in_folder(path: Path) -> Path:
    return path / "checkpoints" / "best.ckpt" if path.is_dir() else path


def _name(config: Any) -> str:
    given = [path for path in config.config or [] if path is not None]
    if not given:
        return "run"
    path = Path(str(given[-1].relative))
    # The saved config of a run: a run that repeats it belongs beside it.
    name = path.resolve().parent.parent.name if path.name == "config.yaml" else path.stem
    # `...yaml` has the stem `..`, the folder above.
    return name if name.strip(".") else "run"


def _versions(named: Path) -> dict[int, Path]:
    return {
        int(path.name.removeprefix(_PREFIX)): path
        for path in named.glob(f"{_PREFIX}*")
        if path.name.removeprefix(_PREFIX).isdigit()
    }


def _newest(named: Path) -> Path | None:
    versions = _versions(named)
    return versions[max(versions)] if versions else None


def _create_next(named: Path) -> Path:
    number = max(_versions(named), default=-1) + 1
    while True:
        folder = named / f"{_PREFIX}{number}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # another run was quicker
            number += 1
        except OSError as error:
            raise _not_writable(folder, error) from error


def _take(folder: Path) -> None:
    """Keep other processes out of a folder; those of one run have it together."""
    if not is_first_process():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _locks.append(FolderLock(folder, otherwise="leave out --ckpt_path for a run of its own"))
    except OSError as error:
        raise _not_writable(folder, error) from error


def _not_writable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the run folder {folder} cannot be written ({error.strerror}). Give another "
        "--trainer.default_root_dir"
    )
