"""The command line: ``python -m lightning_mbo fit | validate | test | predict | ...``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import torch

from lightning_mbo.command_line import MBOCommandLine
from lightning_mbo.console import LOST, quieten, spare_output
from lightning_mbo.endings import SIGNALS, is_loss_of_process, last_words
from lightning_mbo.errors import FileError, one_line
from lightning_mbo.files import disk_error
from lightning_mbo.mistakes import checkpoints_mistake, users_mistake
from lightning_mbo.runs import command_to_go_on, config_beside, leave_run_folder
from lightning_mbo.signals import ended_by_signals


def main(args: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: Its words; None for those of the process.
    """
    args = sys.argv[1:] if args is None else args
    if str(Path.cwd()) not in sys.path:
        # Where a user's own classes are: `python -m` looks there, an installed command does not.
        sys.path.append(str(Path.cwd()))
    quieten()
    if "OMP_NUM_THREADS" not in os.environ:
        # The oracles' matrices are so small that a second thread costs more than it brings.
        torch.set_num_threads(1)
    try:
        with ended_by_signals(*SIGNALS, last_words=partial(last_words, args)):
            _execute(args)
    finally:
        leave_run_folder()


def _execute(args: list[str]) -> None:
    """Run a command; a mistake or a misfortune of the user's ends it with one line."""
    try:
        if args[:1] == ["benchmark"]:
            from lightning_mbo.benchmark.command import benchmark

            benchmark(args[1:])
        elif args[:1] == ["compare"]:
            from lightning_mbo.compare import compare

            compare(args[1:])
        elif args[:1] == ["inspect"]:
            from lightning_mbo.inspection import inspect

            inspect(args[1:])
        else:
            MBOCommandLine(args=config_beside(args))
    except Exception as error:
        told: Exception | str | None = users_mistake(error) or disk_error(error)
        if told is None:
            told = LOST if is_loss_of_process(error) else checkpoints_mistake(error)
        if told is None:
            raise
        spare_output()
        command = command_to_go_on(args) if told is LOST or isinstance(told, FileError) else None
        line = one_line(str(told))
        sys.exit(f"error: {line}" + (f". To go on: {command}" if command else ""))
