"""Fits that have seen only half of the rows, and can judge what all of them have chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.evidence.bounds import Seen, lower_bounds
from lightning_mbo.oracles import Oracle
from lightning_mbo.oracles.folds import grouped_folds
from lightning_mbo.problem import FEWEST_DESIGNS, DesignProblem
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction

_NUM_SPLITS = 2


class HalfFit(NamedTuple):
    """A fit to half of the training designs.

    Attributes:
        oracle: What was fitted.
        problem: The training designs.
        rows: Which of them are the other half, bool, shape ``(n,)``.
        seen: What it says of them.
    """

    oracle: Oracle
    problem: DesignProblem
    rows: Tensor
    seen: Seen

    @property
    def unseen(self) -> DesignProblem:
        """The rows of the other half."""
        return self.problem.of_rows(self.rows)


def half_fits(oracle: Oracle, problem: DesignProblem) -> list[HalfFit]:
    """Fit an oracle's like to both halves of the training designs, split at random, twice.

    What is the same thing falls into the same half. The fits depend on the table and on how the
    oracle was first fitted, and not on where a search has been.

    Args:
        oracle: Fitted to all training designs.
        problem: What it was fitted to, and more.

    Returns:
        None at all of few designs, or where a fit takes a training run.
    """
    training, found = problem.training, list[HalfFit]()
    if len(training.designs) < 2 * FEWEST_DESIGNS:
        return found
    for split in range(_NUM_SPLITS):
        generator = problem.stream.generator("halves", split)
        halves = grouped_folds(training.things, 2, generator)
        for half in range(2):
            fit = _half_fit(oracle, training, halves != half, generator)
            if fit is None:
                return []
            found.append(fit)
    return found


def _half_fit(
    oracle: Oracle, training: DesignProblem, left_out: Tensor, generator: torch.Generator
) -> HalfFit | None:
    """Of all designs but those that are left out, bool, ``(n,)``."""
    with torch.inference_mode(False):  # where they are fitted for `predict`
        fitted = oracle.refitted(training.of_rows(~left_out), generator)
    if fitted is None:
        return None
    unseen = training.of_rows(left_out)
    said = fitted.predict(unseen.designs.to(fitted.device))
    return HalfFit(fitted, training, left_out, _seen(said, unseen))


class HalfFits:
    """The half fits of one run, which are made when they are first asked for, and once."""

    def __init__(self) -> None:
        """Nothing has been fitted."""
        self._made: list[HalfFit] | None = None

    def of(self, oracle: Oracle, problem: DesignProblem) -> list[HalfFit]:
        """Those of the run's oracle, also where it has been refitted since."""
        if self._made is None:
            self._made = half_fits(oracle, problem)
        return self._made


class Bounds(NamedTuple):
    """What should come out beyond these only one time in twenty.

    Attributes:
        property: Of the property from below, ``(c,)``.
        results: Of several results from below and from above, ``(2, c, q)``; None of one property.
    """

    property: Tensor
    results: Tensor | None = None


def bounds_of_halves(fits: Sequence[HalfFit], designs: Tensor, prediction: Prediction) -> Bounds:
    """Bounds of what is handed out, by all of the fits.

    Args:
        fits: Some.
        designs: Handed out, shape ``(c, *design_shape)``; perhaps none.
        prediction: Of these by the oracle, ``(c,)``; no bound is beyond its mean.
    """
    if not len(designs):
        return Bounds(torch.zeros(0, dtype=torch.float64, device=designs.device))
    said = [fit.oracle.predict(designs) for fit in fits]
    found = _bounds(said, [fit.seen for fit in fits], (fit.unseen for fit in fits))
    of_property = found.property.minimum(prediction.mean)
    if found.results is None:
        return Bounds(of_property)
    assert isinstance(prediction, PredictionOfResults)
    (below, above), means = found.results, prediction.results.mean
    return Bounds(of_property, torch.stack([below.minimum(means), above.maximum(means)]))


def bounds_of_held_out(
    prediction: Prediction, held_out: Prediction, problem: DesignProblem
) -> Bounds:
    """The same by one oracle that was fitted without the held-out rows.

    Args:
        prediction: Of what is handed out, shape ``(c,)``.
        held_out: Of the held-out designs.
        problem: Theirs.
    """
    return _bounds([prediction], [_seen(held_out, problem.judged)], [problem.judged])


def _bounds(
    predictions: Sequence[Prediction], seen: Sequence[Seen], unseen: Iterable[DesignProblem]
) -> Bounds:
    of_property = lower_bounds(predictions, seen)
    of_results = [p.results for p in predictions if isinstance(p, PredictionOfResults)]
    if not of_results:
        return Bounds(of_property)
    measured = [_seen_results(*pair) for pair in zip(seen, unseen, strict=True)]
    sides = [lower_bounds(of_results, measured), lower_bounds(of_results, measured, -1)]
    return Bounds(of_property, torch.stack(sides))


def _seen_results(seen: Seen, unseen: DesignProblem) -> Seen:
    """The rows that are promising are so by all results together, as what is handed out is."""
    said = seen.prediction
    assert isinstance(said, PredictionOfResults)
    assert unseen.results is not None
    return Seen(said.results, unseen.results.values.to(said.mean), said.mean)


def _seen(said: Prediction, unseen: DesignProblem) -> Seen:
    return Seen(unseen.label_prediction(said), unseen.properties.to(said.mean))
