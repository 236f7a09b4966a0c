"""How well a table suits a search for better designs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from lightning_mbo.designs import mean_pairwise_distance
from lightning_mbo.evidence.held_out import LEAST_CORRELATION, held_out_figures
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.oracles import AdditiveRegression, ClosedFormOracle, Oracle, Stack
from lightning_mbo.problem import DesignProblem

AnyOracle = TypeVar("AnyOracle", bound=ClosedFormOracle)

_ROUNDING = 1e-9
"""Of an entry: one that varies by less is constant."""

_MOST_ROWS, _FEWEST_ROWS = 2000, 200
"""That are looked at: of more, some; and the fewest that tell of many columns."""

_BEST = 0.1
"""Share of the rows that are called the best, of which there are two at least."""

_BEST_BEYOND: dict[tuple[str, ...], int] = {("lower",): 1, ("upper",): -1}
"""By the sides on which a goal can be missed: whether more is better, or less."""

_WELL = 0.5
"""Of the variance of labels: predicted well by more, mostly noise with more."""

_ADDS_UP = 0.8
"""Of the variance that is predicted: by sums of columns, if these add up."""

_NEARLY_ALL = 0.9
_TAKEN_APART = 0.5
"""Of the independent ways in which columns could vary."""

_TOGETHER = 0.7
"""Of the mean distance between rows: the best ones lie together if theirs is less."""


class Suitability(NamedTuple):
    """What a table tells, and where its best rows lie; NaN where it was not asked.

    Attributes:
        correlation: Spearman's, of what is predicted of rows left out and their labels.
        predicted: Share of the labels' variance that is predicted of rows left out; negative where
            their mean would be a better prediction.
        by_sums: Likewise where each column adds its own part to the property, and no more.
        noise: Share of the labels' variance that is noise.
        is_measured: Whether `noise` is that of repeated measurements, or of known errors; else it
            is what the oracle takes for noise.
        nearness: Mean distance between the best rows, in that between all. NaN where neither more
            nor less is better.
        combined: How far the best row is on the way from the mean to the sum of what is best in
            each column, all by a sum of columns. NaN likewise, and where columns are not free to be
            combined.
        directions: In how many independent ways the rows vary: the participation ratio of their
            correlations.
        most_directions: In how many they could, if columns had nothing to do with each other.
    """

    correlation: float
    predicted: float
    by_sums: float
    noise: float
    is_measured: bool
    nearness: float
    combined: float
    directions: float
    most_directions: int

    @classmethod
    def of(
        cls,
        problem: DesignProblem,
        oracle: Oracle | None,
        best: int = 1,
        most_entries: float = math.inf,
    ) -> Self:
        """Look at a table.

        Args:
            problem: Of the table.
            oracle: Fitted to its rows; None where it is not to be asked.
            best: 1 where more is better, -1 where less is, and 0 where a range is wanted.
            most_entries: Of the rows that columns which add up are fitted to; where too few rows
                have so many, nothing is said of those.
        """
        rows = some_rows(problem)
        unseen = None if oracle is None else oracle.predict_unseen(problem)
        noise = None if rows.noise is None else _noise(rows.noise, rows.base_weights)
        is_measured = noise is not None
        correlation = predicted = math.nan
        if oracle is not None and unseen is not None:
            unseen, judged = unseen.to("cpu"), problem.judged.properties
            correlation = held_out_figures(unseen.normal, judged)["rank_correlation"]
            predicted = _explained(unseen.mean, judged)
            if noise is None:
                seen = oracle.predict(rows.designs.to(oracle.device))
                noise = (seen.std.square() - seen.epistemic_std.square()).mean().cpu()
        by_sums, combined = _adding_up(some_rows(problem, most_entries), len(rows.designs), best)
        variance = rows.properties.var(correction=0)
        return cls(
            correlation=correlation,
            predicted=predicted,
            by_sums=by_sums,
            noise=math.nan if noise is None else min(1.0, (noise / variance).item()),
            is_measured=is_measured,
            nearness=_nearness(rows, best) if best else math.nan,
            combined=combined,
            directions=_directions(rows.designs.flatten(1)),
            most_directions=_most_directions(rows),
        )

    @property
    def tells(self) -> bool:
        """Whether the rows tell where better designs are."""
        return self.correlation >= LEAST_CORRELATION

    @property
    def adds_up(self) -> bool:
        """Whether columns mostly add up."""
        return self.by_sums >= _ADDS_UP * self.predicted

    @property
    def moves_together(self) -> bool:
        """Whether columns rise and fall together, so that rows do not tell what one does alone."""
        return self.directions < _TAKEN_APART * self.most_directions

    def lines(self, name: str) -> list[str]:
        """The same in words.

        Args:
            name: Of what is measured.
        """
        lines = []
        sums = f"{_percent(self.by_sums)} of the variance"
        if self.predicted == self.predicted:
            told = f"{_percent(self.predicted)} of the variance of {name}"
            by_sums = (
                f"; by columns that only add up, {sums}" if self.by_sums == self.by_sums else ""
            )
            lines.append(
                f"Told by other rows: {told} (rank correlation {self.correlation:.2f}){by_sums}."
            )
        elif self.by_sums == self.by_sums:
            lines.append(f"Told by other rows: {sums} of {name}, by columns that only add up.")
        if self.noise == self.noise:
            noise = f"{_percent(self.noise)} of the variance"
            lines.append(
                f"Noise: {noise}, by repeated measurements or known errors."
                if self.is_measured
                else f"Noise, or what these rows say too little of: {noise}."
            )
        if self.moves_together:
            lines.append(
                f"Columns move together: rows vary in about {self.directions:.1f} independent "
                f"ways, of {self.most_directions} that are possible."
            )
        if self.nearness != self.nearness:
            return lines
        lines.append(
            f"Best rows: the best tenth lie {self.nearness:.2f} times as far apart as all rows do."
        )
        if self._combines:
            lines.append(
                f"Combination: the best row has {_percent(self.combined)} of what the best of each "
                "column would add up to, within the table's range."
            )
        if self.predicted == self.predicted and self.by_sums == self.by_sums:
            lines.append(f"To expect: {self._expectation()}")
        return lines

    @property
    def _combines(self) -> bool:
        """Whether parts of several rows can be had in one, and how far the best one has them."""
        told = self.tells and self.adds_up and not self.moves_together
        return told and self.combined == self.combined

    def _expectation(self) -> str:
        if not self.tells:
            return (
                "nothing, for now: other rows do not tell which are good. Candidates would be no "
                "better than designs drawn at random. Measure more, or columns that decide."
            )
        if not self.adds_up:
            place = "around them" if self.nearness < _TOGETHER else "in several places"
            said = (
                "columns act together, so that good designs are found among the like of the best "
                f"rows, {place}."
            )
        elif self.moves_together:
            said = (
                "columns mostly add up, but move together, so that rows do not tell what each does "
                "by itself, and what is good in several cannot be put together. Trust candidates "
                "the less, the less they are like the rows; measure some that take columns apart."
            )
        elif self.combined >= _NEARLY_ALL:
            said = (
                "columns mostly add up, and the best row has nearly all that is best in each: "
                "little is left within the table's range. Allow more by the columns' bounds."
            )
        else:
            said = (
                "columns mostly add up, so that what is best in several rows can be had in one, "
                "better than any of them."
            )
        if self.is_measured and self.noise > _WELL:
            said += " Most of what varies is noise: measure candidates more than once."
        elif self.predicted < _WELL:
            said += " Much is not told: make a few candidates, and begin again with them."
        return said


def some_rows(problem: DesignProblem, most_entries: float = math.inf) -> DesignProblem:
    """The rows that are not held out, or of many some, drawn at random."""
    training = problem.training
    most = int(min(_MOST_ROWS, most_entries / training.designs[0].numel()))
    if len(training.designs) <= most:
        return training
    generator = problem.stream.generator("inspected rows")
    rows = torch.randperm(len(training.designs), generator=generator, device="cpu")
    return training.of_rows(rows[:most])


def all_wanted(problem: DesignProblem) -> Iterator[tuple[str, DesignProblem, int]]:
    """Of the property, or of each of several results, its name, its problem, and what is best.

    That is 1 where more is better, -1 where less is, and 0 where a range is wanted.
    """
    if problem.results is None:
        yield problem.property.measured_name, problem, 1
        return
    for number, goal in enumerate(problem.results.goals):
        yield goal.name, problem.of_result(number), _BEST_BEYOND.get(goal.sides, 0)


def fitted(oracle: AnyOracle, problem: DesignProblem) -> AnyOracle:
    """An oracle, fitted to a problem's rows."""
    oracle.prepare(problem)
    oracle.solve(problem, problem.base_weights, problem.stream.generator("inspected fit"))
    return oracle


def _explained(mean: Tensor, properties: Tensor) -> float:
    """R²."""
    residuals = (properties - mean).square().mean()
    return (1 - residuals / properties.var(correction=0)).item()


def _noise(noise: LabelNoise, numbers: Tensor) -> Tensor | None:
    """The variance of a single measurement, a scalar; None where nothing tells of it.

    Args:
        noise: Of the labels.
        numbers: How many measurements each is the mean of, ``(n,)``.
    """
    if bool((noise.errors > 0).all()):
        return noise.errors.square().mean()
    repeated = (numbers - 1) * (noise.scatters > 0)
    if not (repeated > 0).any():
        return None
    return (numbers * noise.scatters.square()).sum() / repeated.clamp(min=0).sum()


def _nearness(problem: DesignProblem, best: int) -> float:
    """The mean distance between the best rows, in that between all."""
    number = max(2, round(_BEST * len(problem.designs)))
    rows = (best * problem.properties).topk(number).indices
    apart, all_apart = (
        mean_pairwise_distance(designs, problem.distances)
        for designs in (problem.designs[rows], problem.designs)
    )
    return (apart / all_apart).item()


def _directions(entries: Tensor) -> float:
    """(Σλ)² / Σλ² of the eigenvalues λ of the correlations of entries ``(n, d)`` that vary.

    Correlations of n rows that are chance are taken off.
    """
    scales = entries.std(0, correction=0)
    varying = scales > _ROUNDING * entries.abs().amax(0)
    known = (entries - entries.mean(0))[:, varying] / scales[varying]
    n, d = known.shape
    squares = known.T @ known if d < n else known @ known.T
    chance = d * (d - 1) / (n - 1)
    return d**2 / max(d, 1, ((squares / n).square().sum() - chance).item())


def _most_directions(problem: DesignProblem) -> int:
    """One of a number that varies, and of a group of levels one less than occur."""
    numbers = problem.space.numbers(problem.designs)
    levels = [
        (one_hot.amax(0) > 0).sum() - 1 for one_hot in problem.space.one_hots(problem.designs)
    ]
    varying = (numbers.amax(0) - numbers.amin(0) > _ROUNDING * numbers.abs().amax(0)).sum()
    return int(varying + sum(levels))


def _adding_up(problem: DesignProblem, num_rows: int, best: int) -> tuple[float, float]:
    """`by_sums` and `combined` of rows; NaN of few out of more."""
    if len(problem.designs) < min(_FEWEST_ROWS, num_rows):
        return math.nan, math.nan
    sums = fitted(Stack([AdditiveRegression(products=False)]), problem)
    unseen = sums.predict_unseen(problem)
    assert unseen is not None
    free = best and problem.feasible is None
    return (
        _explained(unseen.mean, problem.properties),
        _combined(sums, problem, best) if free else math.nan,
    )


def _combined(sums: ClosedFormOracle, problem: DesignProblem, best: int) -> float:
    """The best row's part of the sum of what is best in each column, as far as that is known."""
    effects = sums.effects()
    most = sum((best * one.mean - one.std).max().clamp(min=0).item() for one in effects)
    said = best * sums.predict(problem.designs).mean
    found = (said.max() - said.mean()).item()
    return min(1.0, found / most) if most > 0 else math.nan


def _percent(share: float) -> str:
    return f"{100 * max(0.0, share):.0f} %"
