"""Long tables in little memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

from torch import Tensor


def return_freed_memory() -> None:
    """Give what has been freed back to the system, where the C library is GNU's.

    It keeps it for later, in pieces that a larger array does not fit into: where arrays of many
    rows come and go between small ones that stay, a process grows to several times what it uses.
    """
    _trim()(0)


def in_chunks(function: Callable[[Tensor], Tensor], rows: Tensor, size: int) -> Tensor:
    """What a function says of rows, of some at a time.

    All that is said goes into one tensor: small ones that are kept, one a chunk, would lie in the
    room that each chunk's large ones have left, so that the next chunk's did not fit in again.

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


@lru_cache
def _trim() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda kept: None
    return trim
