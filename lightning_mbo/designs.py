"""How far designs lie from each other, and which of them are the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

Distances = Callable[[Tensor, Tensor], Tensor]
"""Of designs ``(m, *design_shape)`` from others ``(n, *design_shape)``: ``(m, n)``."""

_CHUNK_SIZE = 256
_OTHERS_AT_ONCE = 4096
"""So many distances from so many designs stay in a processor's cache."""


def euclidean(designs: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances of designs ``(m, *design_shape)`` from others ``(n, *design_shape)``.

    Returns:
        Shape ``(m, n)``, exactly zero between equal designs.
    """
    # By matrix products it would be faster, and the distance of a design from itself some 1e-7.
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(designs.flatten(1), others.flatten(1), compute_mode=mode)


def hamming(designs: Tensor, others: Tensor) -> Tensor:
    """In how many places sequences ``(m, l, v)`` differ from others ``(n, l, v)``, all one-hot.

    Returns:
        Shape ``(m, n)``.
    """
    return designs.shape[1] - designs.flatten(1) @ others.flatten(1).mT


def mixed(designs: Tensor, others: Tensor, num_numbers: int) -> Tensor:
    """Euclidean distances where entries after the numbers are one-hot groups.

    Two designs that differ in nothing but one category are as far apart as two numbers that
    differ by one.

    Args:
        designs: Shape ``(m, d)``.
        others: Shape ``(n, d)``.
        num_numbers: Of the d entries, the first ones.

    Returns:
        Shape ``(m, n)``, exactly zero between equal designs.
    """
    scale = designs.new_ones(designs.shape[1])
    # One-hot groups that differ do so in two entries.
    scale[num_numbers:] = math.sqrt(0.5)
    return euclidean(designs * scale, others.to(designs) * scale)


def nearest(designs: Tensor, others: Tensor, distances: Distances) -> tuple[Tensor, Tensor]:
    """For each of m designs the distance of the nearest of n others, and which that is.

    Args:
        designs: Shape ``(m, *design_shape)``.
        others: Shape ``(n, *design_shape)``.
        distances: What is meant by near.

    Returns:
        Distances and row numbers, shape ``(m,)`` each; of several nearest the first.
    """
    found = [_nearest(chunk, others, distances) for chunk in designs.split(_CHUNK_SIZE)]
    least, places = zip(*found, strict=True)
    return torch.cat(least), torch.cat(places)


def _nearest(designs: Tensor, others: Tensor, distances: Distances) -> tuple[Tensor, Tensor]:
    parts = [distances(designs, part).min(1) for part in others.split(_OTHERS_AT_ONCE)]
    least, part = torch.stack([found.values for found in parts]).min(0)
    places = torch.stack([found.indices for found in parts]).gather(0, part[None])[0]
    return least, places + part * _OTHERS_AT_ONCE


def nearest_others(designs: Tensor, rows: Tensor, distances: Distances) -> Tensor:
    """For some of n designs the distance of the nearest other one.

    Args:
        designs: Shape ``(n, *design_shape)``.
        rows: Their numbers, shape ``(r,)``.
        distances: What is meant by near.

    Returns:
        Shape ``(r,)``; zero of a design that is there twice.
    """
    found = []
    for chunk in rows.split(_CHUNK_SIZE):
        least = []
        for number, part in enumerate(designs.split(_OTHERS_AT_ONCE)):
            to_part, own = distances(designs[chunk], part), chunk - number * _OTHERS_AT_ONCE
            here = ((own >= 0) & (own < len(part))).nonzero()[:, 0]
            to_part[here, own[here]] = torch.inf
            least.append(to_part.min(1).values)
        found.append(torch.stack(least).amin(0))
    return torch.cat(found)


def mean_pairwise_distance(designs: Tensor, distances: Distances) -> Tensor:
    """The mean distance between two of m designs ``(m, *design_shape)``; NaN of a single one."""
    sums = [distances(chunk, designs).sum() for chunk in designs.split(_CHUNK_SIZE)]
    return torch.stack(sums).sum() / (len(designs) * (len(designs) - 1))


def same_things(designs: Tensor, groups: Tensor | None) -> Tensor:
    """Which rows of a table are of one and the same thing.

    Args:
        designs: Shape ``(n, *design_shape)``; equal ones are the same thing.
        groups: Rows with equal numbers are the same thing, also where their designs differ; of
            integers, shape ``(n,)``. None: equal designs alone are.

    Returns:
        Each row's thing, numbered from 0 in the order of their first rows, shape ``(n,)``.
    """
    same_design = distinct(designs)[1]
    return joined_groups(same_design, same_design if groups is None else groups)


def distinct(designs: Tensor) -> tuple[Tensor, Tensor]:
    """Which designs ``(n, *design_shape)`` there are, as ``unique(dim=0)`` in less time and room.

    Returns:
        A row number of each different design, in the order of their entries, shape ``(g,)``; and
        of each row which of these it is, shape ``(n,)``.
    """
    entries = designs.flatten(1).numpy(force=True)
    order = np.arange(len(entries))
    begins = order == 0
    for column in entries.T:
        ends = np.append(begins[1:], True)[: len(order)]
        tied = np.flatnonzero(~(begins & ends))
        if not len(tied):
            break
        run, values = begins.cumsum()[tied], column[order[tied]]
        by_value = np.lexsort((values, run))
        order[tied], values = order[tied][by_value], values[by_value]
        begins[tied[1:]] |= (values[1:] != values[:-1]) & (run[1:] == run[:-1])
    which = np.empty_like(order)
    which[order] = begins.cumsum() - 1
    rows, found = torch.from_numpy(order[begins]), torch.from_numpy(which)
    return rows.to(designs.device), found.to(designs.device)


def joined_groups(one: Tensor, other: Tensor) -> Tensor:
    """The finest groups in which rows are together that are so in either of two groupings.

    Args:
        one: Each row's group, of integers, shape ``(n,)``.
        other: Likewise.

    Returns:
        Each row's group, from 0 without gaps, shape ``(n,)``.
    """
    parts = [part.unique(return_inverse=True)[1] for part in (one, other)]
    first = torch.arange(len(one), device=one.device)
    while True:
        before = first
        # The first row of its group, then of the groups that it shares a row with, and so on.
        for part in parts:
            least = first.new_full((len(first),), len(first)).scatter_reduce(0, part, first, "amin")
            first = least[part]
        if torch.equal(first, before):
            break
    joined: Tensor = first.unique(return_inverse=True)[1]
    return joined


def first_occurrences(designs: Tensor) -> Tensor:
    """Row numbers of designs ``(m, *design_shape)`` without the repetitions, ascending."""
    _, groups = designs.unique(dim=0, return_inverse=True)
    rows = torch.arange(len(designs), device=designs.device)
    first = rows.new_full((len(designs),), len(designs)).scatter_reduce(0, groups, rows, "amin")
    return first[first < len(designs)].sort().values


def are_among(designs: Tensor, others: Tensor) -> Tensor:
    """Which designs ``(m, *design_shape)`` are among others ``(n, *design_shape)``, bool, ``(m,)``.

    They are compared as oracles see them, in float32: one that was computed may differ from the
    same one in a table in the last digits of float64.
    """
    keys = list(_keys(designs))
    # The others may be many, of which none is kept.
    known = set(keys).intersection(_keys(others))
    return torch.tensor([key in known for key in keys], dtype=torch.bool, device=designs.device)


def _keys(designs: Tensor) -> Iterator[bytes]:
    for chunk in designs.flatten(1).split(_OTHERS_AT_ONCE):
        # Of the two zeros, which are equal, both become the positive one.
        yield from (row.tobytes() for row in chunk.float().numpy(force=True) + 0.0)


def spread(length: int, most: int) -> Tensor:
    """Row numbers, evenly spaced: all of them, or as many as are to be drawn or compared."""
    return torch.arange(min(length, most), device="cpu") * length // min(length, most)
