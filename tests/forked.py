"""The command in a process of its own, which begins with torch and the like imported."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from multiprocessing.context import ForkServerProcess

_SERVER = multiprocessing.get_context("forkserver")
# They take longer than the small runs of the tests.
_SERVER.set_forkserver_preload(["lightning_mbo.cli", "matplotlib.figure", "pandas", "xgboost"])


def start(words: list[str]) -> ForkServerProcess:
    """Start ``python -m lightning_mbo`` with these words, in the present folder."""
    process = _SERVER.Process(target=_command, args=(words, dict(os.environ)))
    process.start()
    return process


def run(words: list[str], seconds: float = 300) -> None:
    """Run it to its end, which is to come in time and to be a good one."""
    process = start(words)
    process.join(seconds)
    if process.is_alive():
        process.kill()
    process.join()
    assert process.exitcode == 0


def _command(words: list[str], environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = words
    # In place of this process's `__main__`: Lightning starts further processes by its name.
    runpy.run_module("lightning_mbo", run_name="__main__", alter_sys=True)
