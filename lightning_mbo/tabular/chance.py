"""How likely a pattern in a table would be if its columns had nothing to do with each other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

CERTAIN = math.log(1e-6)
"""A pattern whose log-probability by chance is below this is none of chance."""

_MOST_ROWS = 2000


def sampled_rows(num_rows: int, most: int = _MOST_ROWS) -> NDArray[np.intp]:
    """Row numbers, ascending, to look for patterns in; the same for each table of this length.

    Args:
        num_rows: Of the table.
        most: How many at most.
    """
    if num_rows <= most:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(0).choice(num_rows, most, replace=False))


def log_chance_of_blocks(sizes: NDArray[np.intp], orders: float) -> float:
    """That rows in a random order lie block after block.

    Args:
        sizes: Rows of each block.
        orders: The logarithm of how many orders of the blocks would do.
    """
    return float(gammaln(sizes + 1).sum() - gammaln(sizes.sum() + 1) + orders)


def log_chance_of_agreement(leader: NDArray[np.intp], follower: NDArray[np.intp]) -> float:
    """That rows of the same leader have the same follower, if these were drawn independently.

    Args:
        leader: Level numbers from 0, ``(n,)``.
        follower: Likewise.
    """
    shares = np.bincount(follower) / len(follower)
    sizes, num_leaders = np.unique(np.bincount(leader), return_counts=True)
    agreeing = (shares[:, None] ** sizes).sum(0)
    return float((num_leaders * np.log(agreeing)).sum())


def level_numbers(values: NDArray[np.generic]) -> NDArray[np.intp]:
    """Numbers from 0 for the distinct values, in their order, ``(n,)``."""
    found: NDArray[np.intp] = np.unique(values, return_inverse=True)[1]
    return found
