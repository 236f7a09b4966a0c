"""Which designs to make together."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor

from lightning_mbo.climb import climbed
from lightning_mbo.designs import Distances, are_among, first_occurrences
from lightning_mbo.front import (
    even_aims,
    farthest,
    front_batch,
    log_expected_gain,
    log_reach,
)
from lightning_mbo.news import News
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import JudgedDesigns, Prediction

_SHORTLISTED = 20
"""Designs for each place of a batch."""

_CLIMBERS = 5
"""Designs for each place of a batch that climb."""

_DEVIATIONS = 2.0
"""Of what more data would tell, in what a design promises: how much better it may turn out."""


def diverse_batch(designs: Tensor, promises: Tensor, distances: Distances, size: int) -> Tensor:
    """Choose designs that are good and unlike each other, one by one.

    A batch is the more valuable the greater the determinant of its kernel q_i q_j exp(-d_ij / h),
    as under a determinantal point process: each design adds a factor q² for its quality, and one
    for its `News` beside the designs before it. Each place goes to the design of the greatest
    factor, the first therefore to the best design.

    The quality is q² = exp(z / 2), z a design's promise in standard deviations of all that there is
    to choose from: a promise that is one standard deviation lower is made up for by e^½ = 1.6 times
    as much news.

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
    news = News(designs, distances, size)
    while len(news.rows) < size:
        value = scores / 2 + news.left.log()
        value[news.rows] = -torch.inf
        news.choose(int(value.argmax()))
    return torch.tensor(news.rows, device=designs.device)


def promises(prediction: Prediction) -> Tensor:
    """How good designs may turn out, ``(m,)``.

    A batch is worth as much as the best of it: the oracle's mean, and two standard deviations of
    what more data would tell.
    """
    return prediction.mean + _DEVIATIONS * prediction.epistemic_std


def handed_out(
    samples: JudgedDesigns,
    threshold: float,
    number: int | None,
    known: Tensor | None,
    distances: Distances,
) -> Tensor:
    """Choose what is handed out of many designs: each once, and as a batch where a number is given.

    A batch is chosen from a short list of the best means, so that a long list of designs does not
    make it more diverse than good.

    Args:
        samples: All that there is to choose from; where the mean is NaN, a design is not chosen.
        threshold: The least mean of a candidate. Where candidates are fewer than the number, the
            others are chosen from too.
        number: Of the batch; None takes all candidates.
        known: Designs of which none is chosen, shape ``(n, *design_shape)``; None for none.
        distances: What is meant by unlike.

    Returns:
        Row numbers, best first.
    """
    pool = _pool(samples, threshold, number, known)
    if number is None or len(pool) == 0:
        return pool
    designs, prediction = samples.designs[pool], samples.prediction[pool]
    if has_front(prediction):
        batch = front_batch(designs, prediction, distances, number)
    else:
        batch = diverse_batch(designs, promises(prediction), distances, number)
    return pool[batch.sort().values]


def with_climbed(
    samples: JudgedDesigns,
    threshold: float,
    number: int,
    known: Tensor | None,
    oracle: Oracle,
    problem: DesignProblem,
    generator: torch.Generator,
) -> JudgedDesigns:
    """Add what the best of the samples come to when they climb to where most is promised.

    Samples lie all about a peak; with many dimensions none of them lies on it.

    Args:
        samples: All that there is to choose from.
        threshold: See `handed_out`, as are the next two.
        number: Of the batch.
        known: Designs of which none is chosen.
        oracle: Which has judged the samples.
        problem: Which designs can be made.
        generator: The source of randomness, on the designs' device.
    """
    pool = _pool(samples, threshold, number, known)
    if len(pool) == 0:
        return samples
    prediction = samples.prediction[pool]
    if has_front(prediction):
        aims = even_aims(_CLIMBERS * number, prediction.advance)
        climbers = samples.designs[pool[farthest(prediction, aims)]]

        def worth(designs: Tensor) -> Tensor:
            judged = oracle.predict(designs)
            assert isinstance(judged, PredictionOfResults)
            return log_reach(judged, aims)

    else:
        climbers = samples.designs[pool[:: -(-len(pool) // (_CLIMBERS * number))]]

        def worth(designs: Tensor) -> Tensor:
            return promises(oracle.predict(designs))

    moved = climbed(climbers, worth, problem, generator)
    return samples.with_further(JudgedDesigns(moved, oracle.predict(moved), moved))


def _pool(
    samples: JudgedDesigns, threshold: float, number: int | None, known: Tensor | None
) -> Tensor:
    """The designs that a batch is chosen from, best first."""
    designs, means = samples.designs, samples.prediction.mean
    order = means.argsort(descending=True, stable=True)
    order = order[~means[order].isnan()]
    order = order[first_occurrences(designs[order])]
    if number is not None and has_front(samples.prediction):
        return _along_front(samples, _unknown(designs, order, known), number)
    pool = _unknown(designs, order[means[order] >= threshold], known)
    if len(pool) < (number or 1):
        pool = _unknown(designs, order, known)
    return pool if number is None else pool[: _SHORTLISTED * number]


def _along_front(samples: JudgedDesigns, rows: Tensor, number: int) -> Tensor:
    """Of some rows those that reach farthest, each where it aims, in their order."""
    prediction = samples.prediction[rows]
    assert isinstance(prediction, PredictionOfResults)
    if len(rows) <= _SHORTLISTED * number:
        return rows
    aims = even_aims(_SHORTLISTED * number, prediction.advance)
    chosen = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    chosen[farthest(prediction, aims)] = True
    # Many aims may have the same design: the greatest gains are chosen from too.
    gains = log_expected_gain(prediction, prediction.advance).nan_to_num(nan=-torch.inf)
    chosen[gains.argsort(descending=True, stable=True)[: _SHORTLISTED * number]] = True
    return rows[chosen]


def has_front(prediction: Prediction) -> TypeGuard[PredictionOfResults]:
    """Whether it is of results that are at odds, so that a batch is to lie along their front."""
    return isinstance(prediction, PredictionOfResults) and prediction.advance.has_front


def _unknown(designs: Tensor, rows: Tensor, known: Tensor | None) -> Tensor:
    return rows if known is None else rows[~are_among(designs[rows], known)]
