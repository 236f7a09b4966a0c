"""Batches that push out the front of several results as a whole."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.designs import Distances
from lightning_mbo.news import News
from lightning_mbo.random import even_shares
from lightning_mbo.results import LEAST_STD, PredictionOfResults

_MOST_DEVIATIONS = 2.0
"""Of what more data would tell, that an aim adds to what is expected."""

_STEEPNESS = 10.0
"""By which reaches below and above that of the worst are told apart in logarithms."""

_LEAST_STD = 1e-9

_NONE = -1e6
"""In place of the logarithm of no gain at all, which a batch may be filled up with."""


def log_expected_gain(prediction: PredictionOfResults, advance: Advance) -> Tensor:
    """The logarithm of the hypervolume that designs are expected to add to a front, ``(m,)``.

    It is that of the designs' expected results above the worst of the front, in standard deviations
    of the results, times the probability that all limits are met; both given what their errors
    have in common, and then the mean over that.

    Reference: Emmerich, Deutz and Klinkenberg, "Hypervolume-based expected improvement", CEC 2011.

    Args:
        prediction: Of the designs.
        advance: Beyond the front.
    """
    results, common = prediction.results, prediction.common
    lower, upper = advance.cells
    lower = torch.maximum(lower, advance.worst)
    found = []
    for value, log_weight in zip(*common.nodes(), strict=True):
        means, stds = common.given(value, results.mean, results.epistemic_std)
        heights, spreads = advance.heights(means), advance.spreads(stds).clamp(min=_LEAST_STD)
        sides = zip(*(part.T for part in (lower, upper, heights, spreads)), strict=True)
        lengths = (_expected_lengths(*side) for side in sides)
        gain = reduce(torch.mul, lengths).sum(1).log()
        limits = advance.log_probability_of_limits(means, stds.clamp(min=LEAST_STD))
        found.append(gain + limits + log_weight)
    return torch.stack(found).logsumexp(0)


class Aims(NamedTuple):
    """What each of several designs is to come to.

    Attributes:
        directions: Between the results without limits, positive, of length one, ``(k, o)``.
        deviations: Of what more data would tell, added to what is expected, ``(k,)``.
    """

    directions: Tensor
    deviations: Tensor


def even_aims(number: int, advance: Advance) -> Aims:
    """Some in all directions, from what is expected to what may be with luck."""
    shares = even_shares(number, advance.front.shape[1] + 1).to(advance.front)
    drawn = torch.special.ndtri(shares[:, 1:] / 2 + 0.5)
    directions = drawn.clamp(min=0.01) / drawn.norm(dim=1, keepdim=True)
    return Aims(directions, _MOST_DEVIATIONS * shares[:, 0])


def log_reach(prediction: PredictionOfResults, aims: Aims) -> Tensor:
    """How far each design reaches where it aims, ``(m,)``, in logarithms.

    The reach in a direction is the length along it from the worst of the front, in ranges of the
    front, up to where a result is the first to end. The limits count by the probability that all
    are met.

    Reference: Knowles, "ParEGO", IEEE TEC 2006; Zhang and Golovin, "Random hypervolume
    scalarizations for provable multi-objective black box optimization", ICML 2020.

    Args:
        prediction: Of the designs.
        aims: Theirs, m.
    """
    heights, spreads, limits = _aimed(prediction)
    return _along(heights + aims.deviations[:, None] * spreads, aims.directions) + limits


def farthest(prediction: PredictionOfResults, aims: Aims) -> Tensor:
    """For each aim the design that reaches farthest.

    Args:
        prediction: Of m designs.
        aims: Some, k.

    Returns:
        Row numbers, ``(k,)``; several aims may have the same.
    """
    heights, spreads, limits = (part.nan_to_num(nan=-torch.inf) for part in _aimed(prediction))
    rows = [
        (_along(heights + deviation * spreads, direction) + limits).argmax()
        for direction, deviation in zip(*aims, strict=True)
    ]
    return torch.stack(rows)


def _aimed(prediction: PredictionOfResults) -> tuple[Tensor, Tensor, Tensor]:
    """What is expected of designs, and the deviations of what more data would tell, ``(m, o)``.

    Above the worst of the front, in ranges of it; with it the logarithm of the probability that all
    limits are met, ``(m,)``.
    """
    advance, results = prediction.advance, prediction.results
    ranges = advance.front.amax(0) - advance.worst
    heights = (advance.heights(results.mean) - advance.worst) / ranges
    spreads = advance.spreads(results.epistemic_std) / ranges
    return heights, spreads, prediction.limits_met().log()


def _along(heights: Tensor, directions: Tensor) -> Tensor:
    reach = (heights / directions).amin(1)
    log_reach: Tensor = torch.nn.functional.softplus(_STEEPNESS * reach).log()
    return log_reach


def front_batch(
    designs: Tensor, prediction: PredictionOfResults, distances: Distances, size: int
) -> Tensor:
    """Choose designs that together are expected to push out the front, one by one.

    Each place goes to the design that is expected to add most hypervolume, when those chosen before
    come out as expected. Of what more data would tell of it as much is left as is `News` then: the
    variance of a smooth function falls with the square of that of the rough one that `News` is of.

    Args:
        designs: All distinct, shape ``(m, *design_shape)``.
        prediction: What the oracle says of them.
        distances: What is meant by unlike.
        size: How many to choose, b.

    Returns:
        Row numbers in the order of choice, shape ``(min(b, m),)``.
    """
    size = min(size, len(designs))
    advance, results = prediction.advance, prediction.results
    news = News(designs, distances, size)
    while len(news.rows) < size:
        left = results.epistemic_std * news.left[:, None]
        unknown = replace(prediction, results=replace(results, epistemic_std=left))
        gain = log_expected_gain(unknown, advance).nan_to_num(nan=-math.inf).clamp(min=_NONE)
        gain[news.rows] = -torch.inf
        row = int(gain.argmax())
        news.choose(row)
        advance = advance.with_rows(advance.heights(results.mean[row])[None])
    return torch.tensor(news.rows, device=designs.device)


def _expected_lengths(lower: Tensor, upper: Tensor, means: Tensor, stds: Tensor) -> Tensor:
    """E[length of the part of each of c intervals that is below y] of normal y, ``(m, c)``.

    That is E[max(y - lower, 0)] - E[max(y - upper, 0)].
    """
    # Boxes side by side share their sides.
    over, which = torch.cat([lower, upper]).unique(return_inverse=True)
    distance = (means[:, None] - over) / stds[:, None]
    excess = stds[:, None] * (
        distance * torch.special.ndtr(distance)
        + (-distance.square() / 2).exp() / math.sqrt(2 * math.pi)
    )
    excess = torch.where(over == torch.inf, 0.0, excess)
    of_lower, of_upper = excess[:, which].chunk(2, dim=1)
    return (of_lower - of_upper).clamp(min=0)
