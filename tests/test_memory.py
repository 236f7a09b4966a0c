"""Long tables in little memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from lightning_mbo.memory import in_chunks

_OF_THE_SYSTEM = """
import contextlib, ctypes
import numpy as np
{first}

class Usage(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost",
    )]

usage = ctypes.CDLL(None).mallinfo2
usage.restype = Usage
np.ones(3 * 2**20)  # freed at once: so large that the C library would keep the next ones' room
before = usage().hblkhd
array = np.ones(2**20)
print("apart" if usage().hblkhd - before >= array.nbytes else "among others")
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what only GNU's C library does")
@pytest.mark.parametrize(
    ("first", "where"),
    [
        ("", "among others"),
        ("from lightning_mbo.memory import *; give_back_large_arrays()", "apart"),
        (
            "from lightning_mbo.main import main\n"
            "with contextlib.suppress(SystemExit):\n    main(['fit', '--no_such_option'])",
            "apart",
        ),
    ],
)
def test_large_arrays_lie_apart_from_others(first: str, where: str) -> None:
    code = _OF_THE_SYSTEM.format(first=first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == where


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
