"""Memory that is no longer used."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache


def return_freed_memory() -> None:
    """Give what has been freed back to the system, where the C library is GNU's.

    It keeps it for later, in pieces that a larger array does not fit into: where arrays of many
    rows come and go between small ones that stay, a process grows to several times what it uses.
    """
    _trim()(0)


@lru_cache
def _trim() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda kept: None
    return trim
