"""Where the runs of a benchmark are executed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import loky

from lightning_mbo.errors import ConfigurationError

Submit = Callable[..., "Future[Any]"]
"""Has a function called with some arguments in another process."""


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
    executor = loky.ProcessPoolExecutor(
        num_processes, env={"OMP_NUM_THREADS": "1"}, initializer=_end_with_parent
    )
    try:
        yield executor.submit
    finally:
        executor.shutdown(kill_workers=True)


@contextmanager
def _ray(num_processes: int | None) -> Iterator[Submit]:
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(
            "--engine ray needs the package ray: pip install 'lightning-mbo[ray]'"
        ) from error
    ray.init(num_cpus=num_processes, log_to_driver=False, ignore_reinit_error=True)

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = ray.remote(function).remote(*arguments).future()
        return future

    try:
        yield submit
    finally:
        ray.shutdown()


def _end_with_parent() -> None:
    """Have this process end when the one that started it has been killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        # It may be waiting for somebody to take its results.
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
