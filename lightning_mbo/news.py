"""What designs of a batch tell beside each other."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.designs import Distances

_LEAST_NEWS = 1e-12
"""Rounding may leave less, or less than nothing, of a design next to those that are chosen."""


class News:
    """The variance that is left of a Gaussian process when the designs chosen have been measured.

    Its kernel is exp(-d / h), h being the mean distance of all designs from the first that is
    chosen. The kernel is positive definite for Euclidean and Hamming distances alike; exp(-(d/h)²)
    is not.

    Reference: Chen, Zhang and Zhou, "Fast greedy MAP inference for determinantal point process to
    improve recommendation diversity", NeurIPS 2018, algorithm 1.

    Attributes:
        rows: The designs that have been chosen, in order.
        left: Of each design, ``(m,)``.
    """

    def __init__(self, designs: Tensor, distances: Distances, size: int) -> None:
        """Nothing has been chosen.

        Args:
            designs: All distinct, shape ``(m, *design_shape)``.
            distances: What is meant by unlike.
            size: How many will be chosen at most.
        """
        self.rows: list[int] = []
        self.left = torch.ones(len(designs), dtype=torch.float64, device=designs.device)
        self._designs, self._distances = designs, distances
        self._factor = self.left.new_zeros(size, len(designs))  # of the kernel's Cholesky factor
        self._length: Tensor | None = None

    def choose(self, row: int) -> None:
        """Have a design measured."""
        apart = self._distances(self._designs[row : row + 1], self._designs)[0]
        self._length = apart.mean() if self._length is None else self._length
        number, factor = len(self.rows), self._factor
        known = factor[:number]
        kernel = (-apart / self._length).exp() - known[:, row] @ known
        factor[number] = kernel / self.left[row].sqrt()
        self.left = (self.left - factor[number].square()).clamp(min=_LEAST_NEWS)
        self.rows.append(row)
