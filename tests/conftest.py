"""What test files share."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one of as many as there are cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from lightning_mbo.search_models import SearchModel
from tests.blank_pages import leave_blank


@pytest.fixture(autouse=True)
def _same_run_seed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has the run seed 0 and cannot hand another one, or its draws, to the next."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> Iterator[None]:
    """A shell starts what it runs in the background with SIGINT ignored, for its children too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test imports from its own folder is gone with the test."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    folder = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(folder):
            del sys.modules[name]


@pytest.fixture
def blank_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at neither report nor curves."""
    # By the test's own patches: what a test patches as well is put back before.
    leave_blank(monkeypatch)


@pytest.fixture
def in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of a benchmark to which its processes are nothing: each imports for seconds."""

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    monkeypatch.setattr(
        "lightning_mbo.benchmark.command.processes", lambda *of_which: nullcontext(submit)
    )


@pytest.fixture
def fit_in_shards() -> Callable[[list[SearchModel], list[Tensor], list[Tensor]], None]:
    """Fit copies of a search model, each to its share of the designs, as processes would."""

    def fit(models: list[SearchModel], designs: list[Tensor], weights: list[Tensor]) -> None:
        barrier = threading.Barrier(len(models), timeout=60)
        summands = [torch.zeros(())] * len(models)

        def worker(i: int) -> None:
            def reduce(tensor: Tensor) -> Tensor:
                summands[i] = tensor
                barrier.wait()
                total = torch.stack(summands).sum(0)
                barrier.wait()
                return total

            try:
                models[i].fit(designs[i], weights[i], reduce)
            except BaseException:
                barrier.abort()
                raise

        with ThreadPoolExecutor(len(models)) as pool:
            list(pool.map(worker, range(len(models))))

    return fit
