"""Which designs to make together."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.designs import Distances, are_among, first_occurrences
from lightning_mbo.samples import Prediction

_SHORTLISTED = 20
"""Designs for each place of a batch."""

_DEVIATIONS = 2.0
"""Of what more data would tell, in what a design promises: how much better it may turn out."""

_LEAST_NEWS = 1e-12
"""Rounding may leave less, or less than nothing, of a design next to those that are chosen."""


def diverse_batch(designs: Tensor, promises: Tensor, distances: Distances, size: int) -> Tensor:
    """Choose designs that are good and unlike each other, one by one.

    A batch is the more valuable the greater the determinant of its kernel q_i q_j exp(-d_ij / h),
    as under a determinantal point process: each design adds a factor q² for its quality, and one
    for its news, the variance that is left of a Gaussian process with the kernel exp(-d / h) when
    the designs before it have been measured. Each place goes to the design of the greatest factor,
    the first therefore to the best design.

    The quality is q² = exp(z / 2), z a design's promise in standard deviations of all that there is
    to choose from: a promise that is one standard deviation lower is made up for by e^½ = 1.6 times
    as much news. The length h is the mean distance of all designs from the best one. The kernel
    exp(-d / h) is positive definite for Euclidean and Hamming distances alike; exp(-(d / h)²) is
    not.

    Reference: Chen, Zhang and Zhou, "Fast greedy MAP inference for determinantal point process to
    improve recommendation diversity", NeurIPS 2018, algorithm 1.

    Args:
        designs: All distinct, shape ``(m, *design_shape)``.
        promises: How good each may be, shape ``(m,)``, none of them NaN.
        distances: What is meant by unlike.
        size: How many to choose, b.

    Returns:
        Row numbers in the order of choice, shape ``(min(b, m),)``.
    """
    size = min(size, len(designs))
    spread = promises.std(correction=0)
    scores = (promises - promises.mean()) / torch.where(spread > 0, spread, 1.0)
    news = torch.ones_like(promises)
    factor = promises.new_zeros(size, len(promises))  # of the kernel's Cholesky decomposition
    rows: list[int] = []
    length = None
    while len(rows) < size:
        value = scores / 2 + news.log()
        value[rows] = -torch.inf
        row = int(value.argmax())
        apart = distances(designs[row : row + 1], designs)[0]
        length = apart.mean() if length is None else length
        known = factor[: len(rows)]
        factor[len(rows)] = ((-apart / length).exp() - known[:, row] @ known) / news[row].sqrt()
        news = (news - factor[len(rows)].square()).clamp(min=_LEAST_NEWS)
        rows.append(row)
    return torch.tensor(rows, device=designs.device)


def handed_out(
    designs: Tensor,
    prediction: Prediction,
    candidates: Tensor,
    number: int | None,
    known: Tensor | None,
    distances: Distances,
) -> Tensor:
    """Choose what is handed out of many designs: each once, and as a batch where a number is given.

    A batch is worth as much as the best of it: the promise of each design is the oracle's mean and
    two standard deviations of what more data would tell. It is chosen from a short list of the best
    means, so that a long list of designs does not make it more diverse than good.

    Args:
        designs: All that there is to choose from, shape ``(m, *design_shape)``.
        prediction: The oracle's; where the mean is NaN, the design is not chosen.
        candidates: Which of the designs are candidates, bool, shape ``(m,)``; the others are chosen
            from too where there are fewer than the number.
        number: Of the batch; None takes all candidates.
        known: Designs of which none is chosen, shape ``(n, *design_shape)``; None for none.
        distances: What is meant by unlike.

    Returns:
        Row numbers, best first.
    """
    means = prediction.mean
    order = means.argsort(descending=True, stable=True)
    order = order[~means[order].isnan()]
    order = order[first_occurrences(designs[order])]
    pool = _unknown(designs, order[candidates[order]], known)
    if len(pool) < (number or 1):
        pool = _unknown(designs, order, known)
    if number is None or len(pool) == 0:
        return pool
    pool = pool[: _SHORTLISTED * number]
    promises = means[pool] + _DEVIATIONS * prediction.epistemic_std[pool]
    batch = diverse_batch(designs[pool], promises, distances, number)
    return pool[batch.sort().values]


def _unknown(designs: Tensor, rows: Tensor, known: Tensor | None) -> Tensor:
    return rows if known is None else rows[~are_among(designs[rows], known)]
