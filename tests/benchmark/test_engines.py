"""Processes for runs: one that is killed costs the run that it was executing, and no other."""

from __future__ import annotations

import os
import signal
import time

import pytest

from lightning_mbo.benchmark.engines import LostProcessError, processes


def square(number: int, killed: bool = False) -> int:
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return number * number


def test_a_killed_process_costs_its_own_call_alone() -> None:
    with processes("local", 2) as submit:
        futures = [submit(square, number, number == 1) for number in range(6)]
        with pytest.raises(LostProcessError, match=r"has been killed.*fewer --num_processes"):
            futures[1].result()
        assert [f.result() for f in futures if f is not futures[1]] == [0, 4, 9, 16, 25]


def test_what_is_left_undone_ends_with_the_context() -> None:
    started = time.monotonic()
    with processes("local", 1) as submit:
        waiting = [submit(time.sleep, 300) for _ in range(3)]
    assert time.monotonic() - started < 200
    assert all(future.cancelled() for future in waiting[1:])
