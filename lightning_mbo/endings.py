"""What a command says when it is ended from outside, and what is done about it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from lightning_mbo.command_words import values_of
from lightning_mbo.console import is_first_process
from lightning_mbo.runs import command_to_go_on
from lightning_mbo.signals import Signalled, listen

SIGNALS = [signal.SIGTERM]
if sys.platform != "win32" and "SLURM_JOB_ID" in os.environ:
    # What a job script asks for by `--signal=SIGUSR1@90`.
    SIGNALS.append(signal.SIGUSR1)

_PATIENCE = 5.0
"""For a step to end, in seconds."""

_SIGNS_OF_LOSS = ("closed by peer", "reset by peer", "broken pipe", "remote process exited")


class HearSignals(pl.Callback):
    """Has a signal end the run before the next training step.

    Acts on `on_train_epoch_start` and `on_train_batch_start`, and after some seconds, or at a
    second signal, anywhere; a run that is writing its last files is let write them. What is ended
    at once may wait for minutes for TensorBoard's writer, if that is caught with its queue half
    filled. Lightning's own handler is replaced: with several processes it begins a broadcast,
    which in the middle of another collective operation never ends.
    """

    def __init__(self) -> None:
        """Have heard none."""
        self._signum: int | None = None
        self._is_ending = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen."""
        self._listen()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Be the only one to listen."""
        self._listen()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run, if a signal has come."""
        self._end_if_due()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """End the run, if a signal has come."""
        self._end_if_due()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let a run that ends by itself write its files."""
        self._is_ending = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _listen(self) -> None:
        for signum in (*SIGNALS, signal.SIGINT):
            listen(signum, handler=self._hear)
        listen(signal.SIGALRM, handler=lambda *_: self._end_if_due())

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        if self._signum is not None:
            self._end_if_due()
        self._signum = signum
        if not self._is_ending:
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)

    def _end_if_due(self) -> None:
        if self._signum is not None:
            signum, self._signum = self._signum, None
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Signalled(signum)


def last_words(words: Sequence[str], signum: int) -> str:
    """How to go on with a command that a signal has ended.

    A job that SLURM warns of its end is put back into the queue.

    Args:
        words: Of the command line.
        signum: The signal.
    """
    if not is_first_process() or words[0] not in ("fit", "benchmark"):
        return ""
    if words[0] == "benchmark":
        return "; the same command goes on"
    requeued = "" if signum in (signal.SIGTERM, signal.SIGINT) else f"; {_requeued(words)}"
    command = command_to_go_on(words)
    return requeued + (f"; to go on: {command}" if command else "; the same command starts again")


def _requeued(words: Sequence[str]) -> str:
    """Have SLURM start this job again, and say whether it does."""
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if not _goes_on(words):
        return (
            f"job {job} is not requeued, as its command would start afresh: give it --ckpt_path "
            "last, which begins a run where there is none"
        )
    scontrol = shutil.which("scontrol")
    if scontrol is None:
        return f"job {job} is not requeued, as there is no scontrol here: submit it again"
    done = subprocess.run([scontrol, "requeue", job], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
        return f"job {job} is not requeued, scontrol fails ({reason}): submit it again"
    return f"job {job} is requeued"


def _goes_on(words: Sequence[str]) -> bool:
    """Whether the same command continues the run."""
    given = values_of(words, "--ckpt_path")
    return any(Path(value).name in ("last", "last.ckpt") for value in given)


def is_loss_of_process(error: BaseException) -> bool:
    """Whether what failed is to speak with another of the run's processes, which has ended."""
    text = str(error).lower()
    of_collective = isinstance(error, RuntimeError) and ("gloo" in text or "nccl" in text)
    return of_collective and any(sign in text for sign in _SIGNS_OF_LOSS)
