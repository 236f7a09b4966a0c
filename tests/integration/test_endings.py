"""Ended from outside: the right status, one line, and the same bytes when it has gone on."""

from __future__ import annotations

import importlib
import os
import resource
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_mbo.cli import main
from lightning_mbo.locks import FolderLock
from lightning_mbo.oracles import DeepEnsemble
from lightning_mbo.searches import SamplingSearch
from lightning_mbo.signals import ended_by_signals

callbacks = importlib.import_module("lightning_mbo.callbacks")
OPTIONS = [
    "--config=cbas_af.yaml",
    "--trainer.enable_progress_bar=false",
    "--data.batch_size=10",
]
FOLDER = Path("runs/cbas_af/version_0")
pytestmark = pytest.mark.usefixtures("blank_pages")


@pytest.fixture
def words(small_run: list[str]) -> list[str]:
    return ["fit", *OPTIONS, *small_run]


@pytest.fixture(scope="module")
def straight(small_run: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    root = tmp_path_factory.mktemp("straight")
    main(["fit", *OPTIONS, *small_run, f"--trainer.default_root_dir={root}"])
    return outcome(root / "cbas_af" / "version_0")


def outcome(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "candidates.csv").read_bytes(), (folder / "trajectory.csv").read_bytes()


def at_call(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, count: int, act: Callable[[], object]
) -> None:
    """Have something happen before the `count`-th call of a method."""
    original = getattr(owner, name)
    calls = iter(range(count + 1))

    def method(self, *args, **kwargs):
        if next(calls, -1) == count:
            act()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, method)


def ended(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int | str | None, str]:
    """How a command ends: its status, and what it says last."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    lines = capsys.readouterr().err.splitlines()
    return stop.value.code, lines[-1] if lines else ""


@pytest.mark.parametrize(
    ("name", "status", "times"), [("SIGTERM", 143, 1), ("SIGINT", 130, 1), ("SIGTERM", 143, 2)]
)
def test_a_run_that_a_signal_has_ended_goes_on_to_the_same_end(
    name: str,
    status: int,
    times: int,
    words: list[str],
    straight: tuple[bytes, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    signum = signal.Signals[name]
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def raise_signal() -> None:
        for _ in range(times):
            signal.raise_signal(signum)

    with pytest.MonkeyPatch.context() as patch:
        # One waits for the end of a group of minibatches, two do not; both are within an epoch.
        at_call(patch, DeepEnsemble, "member_losses", 70, raise_signal)
        code, line = ended(words, capsys)
    assert code == status
    said, _, command = line.partition("; to go on: python -m lightning_mbo ")
    assert said == f"ended by {name}"
    assert not (FOLDER / "candidates.csv").exists()
    assert not (FOLDER / ".lock").exists()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    main(shlex.split(command))
    assert outcome(FOLDER) == straight


def test_a_second_signal_ends_a_step(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the run goes on")

    with pytest.MonkeyPatch.context() as patch:
        at_call(patch, SamplingSearch, "iterate", 1, twice)
        assert ended(words, capsys)[0] == 143


def test_a_run_that_ends_by_itself_meanwhile_is_finished(
    words: list[str], straight: tuple[bytes, bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_call(
            patch,
            callbacks.CandidateWriter,
            "on_train_end",
            0,
            lambda: signal.raise_signal(signal.SIGTERM),
        )
        main(words)
    assert outcome(FOLDER) == straight


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_before_there_is_a_checkpoint(
    name: str, status: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        signum = signal.Signals[name]
        at_call(patch, callbacks.HeldOut, "setup", 0, lambda: signal.raise_signal(signum))
        code, line = ended(words, capsys)
    assert code == status
    assert line == f"ended by {name}; the same command starts again"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_anything(signum: int, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(SystemExit) as stop,
        ended_by_signals(signal.SIGTERM),
        ended_by_signals(signal.SIGTERM),
    ):
        signal.raise_signal(signum)
    assert stop.value.code == 128 + signum
    assert capsys.readouterr().err == f"ended by {signal.Signals(signum).name}\n"


def test_an_exit_for_another_reason_stays_what_it_is() -> None:
    def fail() -> None:
        try:
            raise ValueError
        except ValueError:
            sys.exit(3)

    with pytest.raises(SystemExit) as stop, ended_by_signals(signal.SIGTERM):
        fail()
    assert stop.value.code == 3


@pytest.fixture
def _job(tmp_path: Path) -> None:
    """Commands that SLURM has, as far as this one needs it."""
    commands = tmp_path / "bin"
    commands.mkdir()
    scontrol = commands / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ntest ! -e {tmp_path}/refuse\n')
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)


JOB = """
import importlib, signal, sys
from lightning_mbo.__main__ import main
from lightning_mbo.oracles import DeepEnsemble
step, calls = DeepEnsemble.training_step, iter(range(2))
def signalled(self, *args, **kwargs):
    if next(calls, 0) == 1:
        signal.raise_signal(signal.SIGUSR1)
    return step(self, *args, **kwargs)
DeepEnsemble.training_step = signalled
main()
"""


@pytest.mark.usefixtures("_job")
def test_a_job_of_slurm_is_requeued_and_goes_on(
    words: list[str], straight: tuple[bytes, bytes], tmp_path: Path
) -> None:
    variables = {
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NAME": "design",
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
    }

    def run(words: list[str], path: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", JOB, *words],
            env=os.environ | variables | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr.splitlines()[-1]

    with_scontrol = f"{tmp_path}/bin:{os.environ['PATH']}"
    # The very first time there is no run: it begins.
    status, line = run([*words, "--ckpt_path=last"], with_scontrol)
    assert status == 128 + signal.SIGUSR1
    assert line.startswith("ended by SIGUSR1; job 17 is requeued; to go on: python -m")
    assert Path("asked").read_text() == "requeue 17\n"
    assert not list(FOLDER.glob("hpc*"))
    # Requeued it is the same command.
    variables |= {"SLURM_ARRAY_JOB_ID": "18", "SLURM_ARRAY_TASK_ID": "3"}
    Path("refuse").touch()
    _, line = run([*words, "--ckpt_path", "last"], with_scontrol)
    assert "job 18_3 is not requeued, scontrol fails (status 1): submit it again" in line
    assert Path("asked").read_text() == "requeue 17\nrequeue 18_3\n"
    _, line = run([*words, "--ckpt_path=last"], str(tmp_path))
    assert "job 18_3 is not requeued, as there is no scontrol here: submit it again" in line
    _, line = run([*words, "--trainer.default_root_dir=other"], with_scontrol)
    assert "is not requeued, as its command would start afresh: give it --ckpt_path last" in line
    main([*words, "--ckpt_path=last"])
    assert outcome(FOLDER) == straight
    assert [path.name for path in FOLDER.parent.iterdir()] == ["version_0"]


def fill_disk() -> None:
    """Let no file grow any more, as on a disk that is full; the tests' own output neither."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("owner", "hook", "count", "file"),
    [
        ("Trajectory", "on_search_model_update", 1, "trajectory.csv"),
        ("DesignCheckpoint", "_save_last_checkpoint", 3, "last.ckpt"),
        ("CandidateWriter", "on_train_end", 0, "candidates.csv"),
    ],
)
def test_a_full_disk_is_one_line_and_the_run_goes_on_to_the_same_end(
    owner: str,
    hook: str,
    count: int,
    file: str,
    words: list[str],
    straight: tuple[bytes, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.MonkeyPatch.context() as patch:
            at_call(patch, getattr(callbacks, owner), hook, count, fill_disk)
            message, _ = ended(words, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert str(message).startswith("error: ")
    assert f"{file} cannot be written (File too large): make room there. To go on: " in str(message)
    assert not list(Path("runs").rglob("*.partial"))
    main(shlex.split(str(message).partition("python -m lightning_mbo ")[2]))
    assert outcome(FOLDER) == straight


@pytest.mark.parametrize(
    ("module", "picture"),
    [("trajectory.draw_trajectory", "trajectory.png"), ("report.render", "report.html")],
)
@pytest.mark.filterwarnings("default:the run goes on without")
def test_a_picture_that_fails_costs_nothing_else(
    module: str,
    picture: str,
    words: list[str],
    straight: tuple[bytes, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        assert (FOLDER / "candidates.csv").exists()
        raise ValueError("no ink")

    monkeypatch.setattr(f"lightning_mbo.callbacks.{module}", fail)
    main(words)
    assert f"warning: the run goes on without {picture}: ValueError: no ink" in (
        capsys.readouterr().err.splitlines()
    )
    assert outcome(FOLDER) == straight
    assert not (FOLDER / picture).exists()


def test_a_run_that_was_killed_among_its_pictures_draws_them(
    words: list[str], straight: tuple[bytes, bytes]
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        at_call(patch, callbacks.Report, "on_train_end", 0, kill)
        with pytest.raises(Killed):
            main(words)
    assert outcome(FOLDER) == straight
    assert not (FOLDER / "report.html").exists()
    main([*words, "--ckpt_path=last"])
    assert (FOLDER / "report.html").exists()
    assert outcome(FOLDER) == straight


def test_who_has_a_run_is_told(
    words: list[str], straight: tuple[bytes, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    FOLDER.mkdir(parents=True)
    lock = FolderLock(FOLDER, "leave out --ckpt_path")
    message, _ = ended([*words, "--ckpt_path=last"], capsys)
    assert f"{FOLDER} is in use by process {os.getpid()} on " in str(message)
    assert "wait for it or end it, or leave out --ckpt_path" in str(message)
    lock.release()
    main([*words, "--ckpt_path=last"])
    assert outcome(FOLDER) == straight
