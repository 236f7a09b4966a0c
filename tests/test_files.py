"""Files that are never half written, and never somebody else's."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightning_mbo.errors import FileError
from lightning_mbo.files import (
    dispensable,
    remove_partials,
    replacing,
    run_folder,
    unused_path,
    write_text,
)


def test_write_text(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on demand" / "table.csv"
    assert write_text(path, "γ\n1\n") == path
    assert path.read_bytes() == "γ\n1\n".encode()
    write_text(path, "new\n")
    assert path.read_bytes() == b"new\n"
    assert list(path.parent.iterdir()) == [path]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 100 bytes, as at the end of a disk or of a quota.

    Nor can the one that the tests' own output may go to: this must end with the test.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_the_old_file_stays_and_nothing_beside_it(tmp_path: Path) -> None:
    path = write_text(tmp_path / "table.csv", "old")
    with full_disk(), pytest.raises(FileError, match="File too large") as caught:
        write_text(path, 1000 * "new")
    assert str(path) in str(caught.value)
    assert "make room" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("taken", ["folder", "place"])
def test_a_place_that_cannot_be_written_is_named(taken: str, tmp_path: Path) -> None:
    path = tmp_path / "run" / "table.csv"
    if taken == "folder":
        path.parent.write_text("a file where a folder belongs")
    else:
        path.mkdir(parents=True)
    with pytest.raises(FileError, match=r"run/table.csv cannot be written \(.+\): make its folder"):
        write_text(path, "new")
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_the_old_file(stop: type, tmp_path: Path) -> None:
    path = write_text(tmp_path / "table.csv", "old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise stop

    with pytest.raises(stop):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_rights_that_the_user_s_mask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = write_text(tmp_path / "table.csv", "mine")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_two_writers_do_not_meet_and_links_are_not_followed(tmp_path: Path) -> None:
    theirs, path = tmp_path / "theirs.csv", tmp_path / "table.csv"
    theirs.write_text("theirs")
    path.symlink_to(theirs)
    with replacing(path) as one, replacing(path) as other:
        assert one.name != other.name
        one.write(b"one")
        other.write(b"other")
    assert theirs.read_text() == "theirs"
    assert not path.is_symlink()
    assert path.read_text() == "one"


def test_remove_partials(tmp_path: Path) -> None:
    with replacing(tmp_path / "checkpoints" / "last.ckpt") as file:
        left = Path(file.name).rename(tmp_path / "checkpoints" / Path(file.name).name)
        copy = tmp_path / left.name
        copy.write_text("killed")
    mine = write_text(tmp_path / "notes.partial", "mine")
    remove_partials(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["checkpoints", "last.ckpt", mine.name]


def test_what_is_dispensable_costs_a_warning(tmp_path: Path) -> None:
    with (
        pytest.warns(UserWarning, match="goes on without search.png: ValueError: no ink"),
        dispensable(tmp_path / "search.png"),
    ):
        raise ValueError("no ink")
    with pytest.raises(KeyboardInterrupt), dispensable(tmp_path / "search.png"):
        raise KeyboardInterrupt


def test_unused_path(tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    for name in ("candidates.csv", "candidates-2.csv", "candidates-3.csv"):
        unused = unused_path(path)
        assert unused == tmp_path / name
        assert not unused.exists()
        unused.touch()
    (tmp_path / "candidates-2.csv").unlink()
    assert unused_path(path).name == "candidates-2.csv"
    assert unused_path(tmp_path / "folder").name == "folder"


def trainer(
    fn: str, ckpt_path: str | None, log_dir: str | None = None, dirpath: str | None = None
) -> Any:
    return SimpleNamespace(
        ckpt_path=ckpt_path,
        state=SimpleNamespace(fn=fn),
        logger=SimpleNamespace(log_dir=log_dir) if log_dir else None,
        checkpoint_callback=SimpleNamespace(dirpath=dirpath),
        default_root_dir="root",
    )


@pytest.mark.parametrize("fn", ["validate", "test", "predict"])
def test_what_is_made_from_a_checkpoint_goes_beside_its_run(fn: str, tmp_path: Path) -> None:
    run = tmp_path.resolve() / "version_0"
    in_run = run / "checkpoints" / "best.ckpt"
    assert run_folder(trainer(fn, str(in_run), log_dir="elsewhere")) == run
    copied = tmp_path.resolve() / "copies" / "best.ckpt"
    assert run_folder(trainer(fn, str(copied), log_dir="elsewhere")) == copied.parent


@pytest.mark.parametrize("ckpt_path", [None, "other/checkpoints/last.ckpt"])
def test_a_fit_writes_to_its_own_folder(ckpt_path: str | None) -> None:
    assert run_folder(trainer("fit", ckpt_path, log_dir="own")) == Path("own")
    assert run_folder(trainer("fit", ckpt_path)) == Path("root")


def test_without_a_checkpoint_the_log_folder_is_used() -> None:
    assert run_folder(trainer("predict", None, log_dir="own")) == Path("own")


def test_a_fit_s_files_go_above_its_checkpoints() -> None:
    fit = trainer("fit", None, log_dir="logs", dirpath="runs/version_3/checkpoints")
    assert run_folder(fit) == Path("runs/version_3")
    assert run_folder(trainer("fit", None, log_dir="logs", dirpath="kept")) == Path("kept")
