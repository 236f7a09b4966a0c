"""Minibatches of weighted designs, of which each process has a share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.search_models.base import Reduce
from lightning_mbo.search_models.left_out import decimals

_NUM_CELLS = 2**14


class Batch(NamedTuple):
    """Some of this process's designs.

    Attributes:
        rows: Which, ``(b,)``.
        weights: Theirs, ``(b,)``; over all processes their sum is one.
        draws: The number of the draw that brought each, ``(b,)``: equal designs have the same.
    """

    rows: Tensor
    weights: Tensor
    draws: Tensor


class WeightedBatches:
    """Draws designs as often as they weigh, wherever they are.

    What is drawn are cells, into which designs come by what they are: equal ones into the same, and
    others as good as at random. So it does not matter which process has which, nor how often one is
    there, and no process needs to know of another's designs more than the cells' weights.

    Attributes:
        batch_size: Draws in a batch.
    """

    def __init__(
        self,
        features: Tensor,
        weights: Tensor,
        batch_size: int,
        generator: torch.Generator,
        reduce: Reduce,
    ) -> None:
        """Put designs into cells.

        Args:
            features: Of this process's designs, of deviations around one, ``(m, e)``.
            weights: Theirs, ``(m,)``; over all processes their sum is one.
            batch_size: Draws in a batch.
            generator: On the designs' device, the same on all processes.
            reduce: Sums a tensor over processes.
        """
        direction = features.new_empty(features.shape[1]).normal_(generator=generator)
        cells = (decimals(features, direction) * _NUM_CELLS).long().clamp(max=_NUM_CELLS - 1)
        mass = reduce(weights.new_zeros(_NUM_CELLS).index_add(0, cells, weights))
        self._cells, self._mass, self._shares = cells, mass, weights / mass[cells]
        self.batch_size, self._generator = batch_size, generator

    def draw(self) -> Batch:
        """The next batch."""
        size, generator = self.batch_size, self._generator
        drawn = self._mass.multinomial(size, replacement=True, generator=generator)
        drawn, counts = drawn.unique(return_counts=True)
        draws = torch.full_like(self._mass, -1, dtype=torch.long)
        draws[drawn] = torch.arange(len(drawn), device=drawn.device)
        rows = (draws[self._cells] >= 0).nonzero()[:, 0]
        own = draws[self._cells[rows]]
        return Batch(rows, self._shares[rows] * counts[own] / size, own)


def distinct(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """One of each kind of equal designs, of the weight of all of them.

    Args:
        features: Shape ``(m, e)``.
        weights: Shape ``(m,)``.

    Returns:
        The rows of k designs, ``(k,)``, and their weights, ``(k,)``.
    """
    kinds, own = features.unique(dim=0, return_inverse=True)
    rows = torch.arange(len(own), device=own.device)
    first = rows.new_zeros(len(kinds)).scatter_reduce(0, own, rows, "amin", include_self=False)
    return first, weights.new_zeros(len(kinds)).index_add(0, own, weights)
