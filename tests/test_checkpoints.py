"""Checkpoints: what cannot be read is refused, and nothing in them is executed."""

from __future__ import annotations

import os
import pickle
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_mbo.checkpoints import AtomicCheckpointIO, read_checkpoint
from lightning_mbo.errors import CheckpointError, FileError

CHECKPOINT = {
    "pytorch-lightning_version": "2.6.6",
    "epoch": 3,
    "state_dict": {"mean": torch.arange(1000.0)},
}


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def assert_refused(path: Path, reason: str) -> None:
    for read in (read_checkpoint, AtomicCheckpointIO().load_checkpoint):
        with pytest.raises(CheckpointError, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("as_type", [str, Path])
def test_round_trip(tmp_path: Path, as_type: type) -> None:
    path = tmp_path / "made" / "on demand" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, as_type(path))
    assert list(path.parent.iterdir()) == [path]
    for read in (read_checkpoint, AtomicCheckpointIO().load_checkpoint):
        checkpoint = read(as_type(path))
        assert checkpoint["epoch"] == 3
        assert torch.equal(checkpoint["state_dict"]["mean"], torch.arange(1000.0))


def test_missing_and_folder(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere.ckpt", "there is no checkpoint")
    assert_refused(tmp_path, "there is no checkpoint")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(CHECKPOINT, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused(path, "truncated or something else. Take another one")


@pytest.mark.parametrize("content", [b"seed: 1\n", bytes(range(256)) * 20, b"\0" * 1000])
def test_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    assert_refused(path, "truncated or something else")


@pytest.mark.parametrize("content", [torch.zeros(3), {"state_dict": {}}, [1, 2]])
def test_a_torch_file_that_is_no_checkpoint(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(content, path)
    assert_refused(path, "is a torch file but not a checkpoint of a run")


@pytest.mark.parametrize("pickled", ["torch", "plain"])
@pytest.mark.parametrize("weights_only", [None, False, True])
def test_nothing_is_executed(tmp_path: Path, pickled: str, weights_only: bool | None) -> None:
    path, trace = tmp_path / "last.ckpt", tmp_path / "executed"
    checkpoint = {**CHECKPOINT, "callbacks": Malicious(trace)}
    if pickled == "torch":
        torch.save(checkpoint, path)
    else:
        path.write_bytes(pickle.dumps({"a": Malicious(trace)}))
    assert_refused(path, "cannot be read as a checkpoint")
    with pytest.raises(CheckpointError):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=weights_only)
    assert not trace.exists()


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, path)
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(FileError, match=r"last.ckpt cannot be written \(File too large\)"):
            AtomicCheckpointIO().save_checkpoint({**CHECKPOINT, "epoch": 4}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


CHANGES: list[dict[str, Any]] = [
    {"epoch": 4},
    {"epoch": 3.0},
    {"callbacks": 7},
    {"callbacks": {"Trajectory": {"rows": [1, 3]}}},
    {"callbacks": {"Trajectory": {"rows": [(1, 2)]}}},
    {"state_dict": {"mean": torch.arange(1000.0).double()}},
    {"state_dict": {"mean": torch.arange(1000.0).view(10, 100)}},
    {"more": None},
]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_since(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint = CHECKPOINT | {"callbacks": {"Trajectory": {"rows": [1, 2]}}}
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    assert_equal(read_checkpoint(path), checkpoint)
    torch.save(torch.load(path, weights_only=True) | change, path)
    assert_refused(path, "was changed after the run had written it")


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    assert one["callbacks"] == other["callbacks"]


def test_not_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(CHECKPOINT, path)
    assert read_checkpoint(path)["epoch"] == 3
    with pytest.raises(CheckpointError, match="earlier version of lightning_mbo, or by something"):
        AtomicCheckpointIO().load_checkpoint(path)


@pytest.mark.parametrize(
    "values",
    [
        torch.zeros(0),
        torch.zeros(()),
        torch.zeros(2, 3, dtype=torch.bfloat16),
        torch.eye(3).T[1:],
        torch.tensor([True, False]),
        torch.zeros(3, requires_grad=True),
    ],
)
def test_any_tensor(values: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT | {"state_dict": {"v": values}}, path)
    read = AtomicCheckpointIO().load_checkpoint(path)["state_dict"]["v"]
    assert torch.equal(read, values)
    assert read.dtype == values.dtype


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state_dict": None}, "no state_dict"),
        ({"state_dict": {"mean": 3}}, "mean is no tensor"),
        ({"state_dict": {"mean": torch.tensor([0.0, torch.nan])}}, "mean holds NaN"),
    ],
)
def test_without_sense(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT | change, path)
    assert_refused(path, reason)


def test_without_weights(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"pytorch-lightning_version": "2.6.6"}, path)
    assert_refused(path, "no state_dict")
