"""Long tables in little memory."""

from __future__ import annotations

import platform
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_mbo.memory import in_chunks, return_freed_memory


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_chunks_say_what_all_rows_at_once_do(size: int) -> None:
    rows, sizes = torch.arange(14.0).view(7, 2), list[int]()

    def function(some: Tensor) -> Tensor:
        sizes.append(len(some))
        return torch.stack([some.sum(1), some[:, 0] ** 2])

    assert torch.equal(in_chunks(function, rows, size), function(rows))
    assert max(sizes[:-1]) == min(size, 7)
    assert sum(sizes[:-1]) == 7


def test_of_no_rows_there_is_nothing_to_say() -> None:
    assert in_chunks(lambda rows: rows.sum(1)[None], torch.zeros(0, 3), 5).shape == (1, 0)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only GNU's C library keeps it")
def test_freed_memory_goes_back_to_the_system() -> None:
    many = [np.ones(10_000) for _ in range(2000)]
    full = resident()
    kept = many[::50]
    del many
    # What is freed lies between what is kept.
    assert resident() > full - 20 * 2**20
    return_freed_memory()
    assert resident() < full - 100 * 2**20
    assert all(array.all() for array in kept)


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
