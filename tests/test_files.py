"""Files that are never half written, and never somebody else's."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightning_mbo.files import run_folder, unused_path, write_text


def test_write_text(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on demand" / "table.csv"
    assert write_text(path, "γ\n1\n") == path
    assert path.read_bytes() == "γ\n1\n".encode()
    write_text(path, "new\n")
    assert path.read_bytes() == b"new\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "move"])
def test_a_failed_write_leaves_the_old_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    def fail_half_way(self: Path, text: str, **_: Any) -> None:
        self.write_bytes(text[:2].encode())
        raise OSError("disk full")

    path = write_text(tmp_path / "table.csv", "old")
    if step == "write":
        monkeypatch.setattr(Path, "write_text", fail_half_way)
    else:
        monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new content")
    assert path.read_text(encoding="utf-8") == "old"


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
