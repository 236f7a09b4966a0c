"""Long tables in little memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 3 * 2**20
"""Bytes: less than a column of half a million rows, more than what a step of an ensemble makes."""

_SPARE = 64 * 2**20
"""Bytes that stay for what comes next: without them, each step's arrays would ask for their own."""


def give_back_large_arrays() -> None:
    """Have this process return large arrays to the system when they are freed.

    GNU's C library otherwise comes to keep their room for others, small ones that stay settle in
    it, and the next large one no longer fits in: a process grows to several times what it uses.
    Of other C libraries nothing is known, and nothing is done.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(_M_MMAP_THRESHOLD, _LARGE)
    set_option(_M_TRIM_THRESHOLD, _SPARE)


def in_chunks(function: Callable[[Tensor], Tensor], rows: Tensor, size: int) -> Tensor:
    """What a function says of rows, of some at a time, all in one tensor.

    Args:
        function: From rows ``(b, ...)`` to what it says of each, shape ``(..., b)``.
        rows: Shape ``(n, ...)``.
        size: The largest b.

    Returns:
        Shape ``(..., n)``.
    """
    first = function(rows[:size])
    found = first.new_empty(*first.shape[:-1], len(rows))
    found[..., :size] = first
    for start in range(size, len(rows), size):
        found[..., start : start + size] = function(rows[start : start + size])
    return found
