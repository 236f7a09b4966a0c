"""A folder is one process's at a time."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from pathlib import Path

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.files import remove_partials

if sys.platform != "win32":
    import fcntl


class FolderLock:
    """Keeps other processes out of a folder, until it is released or its process has ended.

    It is a lock of the kernel's on the file `.lock`, which says whose it is. Where the file system
    knows no locks, it keeps nobody out. What killed processes have left half written is removed.
    """

    def __init__(self, folder: Path, otherwise: str) -> None:
        """Take the folder.

        Args:
            folder: Which.
            otherwise: What somebody can do who finds it taken and does not want to wait.

        Raises:
            ConfigurationError: If another process has it.
            OSError: If there cannot be a file in it.
        """
        self.path = folder / ".lock"
        self._file = self._locked(folder, otherwise)
        os.ftruncate(self._file, 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        owner = f"process {os.getpid()} on {socket.gethostname()} since {since}"
        os.pwrite(self._file, owner.encode(), 0)
        remove_partials(folder)

    def release(self) -> None:
        """Let others have the folder."""
        # Removed while it is locked: who has opened it meanwhile sees that it is gone.
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._file)

    def _locked(self, folder: Path, otherwise: str) -> int:
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            if sys.platform == "win32":
                return file
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(file, 1000, 0).decode(errors="replace") or "another process"
                os.close(file)
                raise ConfigurationError(
                    f"{folder} is in use by {owner}: wait for it or end it, or {otherwise}"
                ) from None
            except OSError:  # a file system without locks
                return file
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), self.path.stat()):
                    return file
            os.close(file)
