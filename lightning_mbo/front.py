"""Batches that push out the front of several results as a whole."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.designs import Distances
from lightning_mbo.news import News
from lightning_mbo.results import PredictionOfResults

_DEVIATIONS = 2.0
"""Of what more data would tell, in how far a design may turn out to reach."""

_STEEPNESS = 10.0
"""By which reaches below and above that of the worst are told apart in logarithms."""

_LEAST_STD = 1e-9


def log_expected_gain(prediction: PredictionOfResults, advance: Advance) -> Tensor:
    """The logarithm of the hypervolume that designs are expected to add to a front, ``(m,)``.

    It is that of the designs' expected results above the worst of the front, in standard deviations
    of the results, times the probability that all limits are met.

    Reference: Emmerich, Deutz and Klinkenberg, "Hypervolume-based expected improvement", CEC 2011.

    Args:
        prediction: Of the designs.
        advance: Beyond the front.
    """
    results = prediction.results
    means = advance.heights(results.mean)[:, None]
    stds = advance.spreads(results.epistemic_std).clamp(min=_LEAST_STD)[:, None]
    lower, upper = advance.cells
    lower = torch.maximum(lower, advance.worst)
    gains = _expected_excess(lower, means, stds) - _expected_excess(upper, means, stds)
    gain: Tensor = gains.clamp(min=0).prod(2).sum(1).log() + prediction.limits_met().log()
    return gain


def log_promised_reach(prediction: PredictionOfResults, directions: Tensor) -> Tensor:
    """How far designs may turn out to reach in directions of their own, ``(m,)``, in logarithms.

    The reach in a direction is the length along it from the worst of the front, in ranges of the
    front, up to where a result is the first to end. Two standard deviations of what more data would
    tell are added to each result; the limits count by the probability that all are met.

    Reference: Knowles, "ParEGO", IEEE TEC 2006; Zhang and Golovin, "Random hypervolume
    scalarizations for provable multi-objective black box optimization", ICML 2020.

    Args:
        prediction: Of the designs.
        directions: Positive, shape ``(m, o)``.
    """
    heights, limits = _promised(prediction)
    return _log_reach(heights, directions) + limits


def _promised(prediction: PredictionOfResults) -> tuple[Tensor, Tensor]:
    """What designs may turn out to be, ``(m, o)``, and that they meet all limits, ``(m,)``.

    The former above the worst of the front, in ranges of it; the latter in logarithms.
    """
    advance, results = prediction.advance, prediction.results
    promised = advance.heights(results.mean) + _DEVIATIONS * advance.spreads(results.epistemic_std)
    ranges = advance.front.amax(0) - advance.worst
    return (promised - advance.worst) / ranges, prediction.limits_met().log()


def _log_reach(heights: Tensor, directions: Tensor) -> Tensor:
    reach = (heights / directions).amin(1)
    log_reach: Tensor = torch.nn.functional.softplus(_STEEPNESS * reach).log()
    return log_reach


def even_directions(number: int, advance: Advance) -> Tensor:
    """Directions ``(n, o)`` between the results without limits, spread evenly, of length one."""
    engine = torch.quasirandom.SobolEngine(advance.front.shape[1], scramble=True, seed=0)
    shares = engine.draw(number, dtype=torch.float64).to(advance.front)
    drawn = torch.special.ndtri(shares / 2 + 0.5)
    directions: Tensor = drawn.clamp(min=0.01) / drawn.norm(dim=1, keepdim=True)
    return directions


def farthest(prediction: PredictionOfResults, directions: Tensor) -> Tensor:
    """In each direction the design that may turn out to reach farthest.

    Args:
        prediction: Of m designs.
        directions: Positive, shape ``(k, o)``.

    Returns:
        Row numbers, ``(k,)``; several directions may have the same.
    """
    heights, limits = (part.nan_to_num(nan=-torch.inf) for part in _promised(prediction))
    return torch.stack([(_log_reach(heights, d[None]) + limits).argmax() for d in directions])


def front_batch(
    designs: Tensor, prediction: PredictionOfResults, distances: Distances, size: int
) -> Tensor:
    """Choose designs that together are expected to push out the front, one by one.

    Each place goes to the design that is expected to add most hypervolume, when those chosen before
    come out as expected; times its news of `diverse_batch`, as what lies together errs together.

    Args:
        designs: All distinct, shape ``(m, *design_shape)``.
        prediction: What the oracle says of them.
        distances: What is meant by unlike.
        size: How many to choose, b.

    Returns:
        Row numbers in the order of choice, shape ``(min(b, m),)``.
    """
    size = min(size, len(designs))
    advance = prediction.advance
    news = News(designs, distances, size)
    while len(news.rows) < size:
        gain = log_expected_gain(prediction, advance).nan_to_num(nan=-math.inf)
        value = gain.clamp(min=-1e6) + news.left.log()
        value[news.rows] = -torch.inf
        row = int(value.argmax())
        news.choose(row)
        advance = advance.with_rows(advance.heights(prediction.results.mean[row])[None])
    return torch.tensor(news.rows, device=designs.device)


def _expected_excess(over: Tensor, means: Tensor, stds: Tensor) -> Tensor:
    """E[max(y - over, 0)] of normal y; 0 where nothing is left over."""
    distance = (means - over) / stds
    excess = stds * (
        distance * torch.special.ndtr(distance)
        + (-distance.square() / 2).exp() / math.sqrt(2 * math.pi)
    )
    return torch.where(over == torch.inf, 0.0, excess)
