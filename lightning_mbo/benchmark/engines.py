"""Where the runs of a benchmark are executed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import loky

from lightning_mbo.errors import MBOError, optional
from lightning_mbo.signals import end_with

Submit = Callable[..., "Future[Any]"]
"""Has a function called with some arguments in another process."""


class LostProcessError(MBOError):
    """A process that executed a run has ended before it."""


@contextmanager
def processes(engine: str, num_processes: int | None) -> Iterator[Submit]:
    """Processes to execute runs in, one thread each.

    Args:
        engine: `local`, or `ray` for the cluster that is reached from here.
        num_processes: How many of them; None for as many as there are cores.

    Yields:
        What hands a run to a process.

    Raises:
        ConfigurationError: If Ray is wanted and not installed.
    """
    with _ray(num_processes) if engine == "ray" else _local(num_processes) as submit:
        yield submit


@contextmanager
def _local(num_processes: int | None) -> Iterator[Submit]:
    number = num_processes or loky.cpu_count()
    slots = [_Slot() for _ in range(number)]
    free: SimpleQueue[_Slot] = SimpleQueue()
    for slot in slots:
        free.put(slot)

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        slot = free.get()
        try:
            return slot.call(function, *arguments)
        finally:
            free.put(slot)

    threads = ThreadPoolExecutor(number)
    try:
        yield lambda function, *arguments: threads.submit(call, function, *arguments)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for slot in slots:
            slot.end()


class _Slot:
    """A process for one run after the other: when it is killed, there is a new one for the next.

    In a pool of several, one that is killed takes the others along.
    """

    def __init__(self) -> None:
        """Have no process yet."""
        self._pool: Any = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process.

        Raises:
            LostProcessError: If the process has ended before the function.
        """
        if self._pool is None:
            self._pool = loky.ProcessPoolExecutor(
                1, env={"OMP_NUM_THREADS": "1"}, initializer=end_with, initargs=(os.getpid(),)
            )
        try:
            return self._pool.submit(function, *arguments).result()
        except BrokenExecutor as error:
            self._pool = None
            raise LostProcessError(
                "its process has been killed, for want of memory perhaps: fewer --num_processes "
                "need less"
            ) from error

    def end(self) -> None:
        """End the process, at once."""
        if self._pool is not None:
            self._pool.shutdown(kill_workers=True)


@contextmanager
def _ray(num_processes: int | None) -> Iterator[Submit]:
    ray: Any = optional("ray", "ray", "--engine ray")
    ray.init(num_cpus=num_processes, log_to_driver=False, ignore_reinit_error=True)

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = ray.remote(function).remote(*arguments).future()
        return future

    try:
        yield submit
    finally:
        ray.shutdown()
