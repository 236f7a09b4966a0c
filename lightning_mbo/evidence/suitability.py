"""How well a table suits a search for better designs."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from lightning_mbo.designs import mean_pairwise_distance
from lightning_mbo.evidence.held_out import LEAST_CORRELATION, held_out_figures
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.oracles import AdditiveRegression, ClosedFormOracle, Stack
from lightning_mbo.problem import DesignProblem

_MOST_ROWS = 2000
"""That are looked at: of more, some."""

_BEST = 0.1
"""Share of the rows that are called the best, of which there are two at least."""

_WELL = 0.5
"""Of the variance of labels: predicted well by more, mostly noise with more."""

_ADDS_UP = 0.8
"""Of the variance that is predicted: by sums of columns, if these add up."""

_NEARLY_ALL = 0.9
_TOGETHER = 0.7
"""Of the mean distance between rows: the best ones lie together if theirs is less."""


class Suitability(NamedTuple):
    """What a table tells, and where its best rows lie.

    Attributes:
        num_rows: That were looked at.
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
    """

    num_rows: int
    correlation: float
    predicted: float
    by_sums: float
    noise: float
    is_measured: bool
    nearness: float
    combined: float

    @classmethod
    def of(cls, problem: DesignProblem, oracle: Stack, has_best: bool = True) -> Self:
        """Look at a table.

        Args:
            problem: Of the rows, none of them held out.
            oracle: Fitted to them.
            has_best: Whether more is better; else a range is wanted.
        """
        variance = problem.properties.var(correction=0)
        unseen = oracle.predict_unseen(problem)
        assert unseen is not None
        sums = fitted(Stack([AdditiveRegression(products=False)]), problem)
        by_sums = sums.predict_unseen(problem)
        assert by_sums is not None
        noise = None if problem.noise is None else _noise(problem.noise, problem.base_weights)
        is_measured = noise is not None
        if noise is None:
            seen = oracle.predict(problem.designs)
            noise = (seen.std.square() - seen.epistemic_std.square()).mean()
        return cls(
            num_rows=len(problem.designs),
            correlation=held_out_figures(unseen.normal, problem.properties)["rank_correlation"],
            predicted=_explained(unseen.mean, problem.properties),
            by_sums=_explained(by_sums.mean, problem.properties),
            noise=min(1.0, (noise / variance).item()),
            is_measured=is_measured,
            nearness=_nearness(problem) if has_best else torch.nan,
            combined=_combined(sums, problem)
            if has_best and problem.feasible is None
            else torch.nan,
        )

    @property
    def tells(self) -> bool:
        """Whether the rows tell where better designs are."""
        return self.correlation >= LEAST_CORRELATION

    @property
    def adds_up(self) -> bool:
        """Whether columns mostly add up."""
        return self.by_sums >= _ADDS_UP * self.predicted

    def lines(self, name: str) -> list[str]:
        """The same in words.

        Args:
            name: Of what is measured.
        """
        noise = f"{_percent(self.noise)} of the variance"
        lines = [
            f"Told by other rows: {_percent(self.predicted)} of the variance of {name} (rank "
            f"correlation {self.correlation:.2f}); by columns that only add up, "
            f"{_percent(self.by_sums)}.",
            f"Noise: {noise}, by repeated measurements or known errors."
            if self.is_measured
            else f"Noise, or what these rows say too little of: {noise}.",
        ]
        if self.nearness != self.nearness:
            return lines
        lines.append(
            f"Best rows: the best tenth lie {self.nearness:.2f} times as far apart as all rows do."
        )
        if self.tells and self.adds_up and self.combined == self.combined:
            lines.append(
                f"Combination: the best row has {_percent(self.combined)} of what the best of each "
                "column would add up to, within the table's range."
            )
        return [*lines, f"To expect: {self._expectation()}"]

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


def some_rows(problem: DesignProblem) -> DesignProblem:
    """The rows that are not held out, or of many some, drawn at random."""
    training = problem.training
    if len(training.designs) <= _MOST_ROWS:
        return training
    generator = problem.stream.generator("inspected rows")
    rows = torch.randperm(len(training.designs), generator=generator, device="cpu")
    return training.of_rows(rows[:_MOST_ROWS])


def fitted(oracle: Stack, problem: DesignProblem) -> Stack:
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


def _nearness(problem: DesignProblem) -> float:
    """The mean distance between the best rows, in that between all."""
    number = max(2, round(_BEST * len(problem.designs)))
    best = problem.designs[problem.properties.topk(number).indices]
    apart, all_apart = (
        mean_pairwise_distance(designs, problem.distances) for designs in (best, problem.designs)
    )
    return (apart / all_apart).item()


def _combined(sums: ClosedFormOracle, problem: DesignProblem) -> float:
    """The best row's part of the sum of what is best in each column, as far as that is known."""
    most = sum((effect.mean - effect.std).max().clamp(min=0).item() for effect in sums.effects())
    said = sums.predict(problem.designs).mean
    best = (said.max() - said.mean()).item()
    return min(1.0, best / most) if most > 0 else torch.nan


def _percent(share: float) -> str:
    return f"{100 * max(0.0, share):.0f} %"
