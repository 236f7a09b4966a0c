"""A folder that one process has, another cannot have, until the first has ended in any way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.locks import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from lightning_mbo.locks import FolderLock
FolderLock(Path(sys.argv[1]), "go elsewhere")
print("held", flush=True)
time.sleep(600)
"""


def test_a_killed_process_leaves_the_folder_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError) as caught:
            FolderLock(tmp_path, "go elsewhere")
        process.send_signal(signal.SIGKILL)
    assert re.search(
        rf"{tmp_path} is in use by process {process.pid} on \S+ since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d: wait for it or end it",
        str(caught.value),
    )
    (tmp_path / ".0123.partial").write_text("half of what it wrote")
    lock = FolderLock(tmp_path, "go elsewhere")
    assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    lock.release()
    assert not list(tmp_path.iterdir())


def test_one_after_the_other(tmp_path: Path) -> None:
    for _ in range(3):
        FolderLock(tmp_path, "go elsewhere").release()
    lock = FolderLock(tmp_path, "go elsewhere")
    with pytest.raises(ConfigurationError, match="in use"):
        FolderLock(tmp_path, "go elsewhere")
    lock.release()


def test_no_link_is_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").symlink_to(theirs)
    with pytest.raises(OSError, match="symbolic link"):
        FolderLock(folder, "go elsewhere")
    assert theirs.read_text() == "theirs"
