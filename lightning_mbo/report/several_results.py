"""What the page says of several results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from lightning_mbo.common_error import CommonError
from lightning_mbo.console import with_deviation
from lightning_mbo.designs import spread
from lightning_mbo.evidence.conformal import normal_quantile
from lightning_mbo.goals import Goal
from lightning_mbo.report.common_errors import common_error_line
from lightning_mbo.report.page_figures import draw_held_out
from lightning_mbo.report.result_figures import NARROW, ShownResults, draw_pair, draw_parallel
from lightning_mbo.report.run_evidence import Evidence
from lightning_mbo.results import PROBABILITY, Results

Array = NDArray[np.float64]

_SIDES = ("lower", "upper")
_MOST_ROWS, _MOST_CANDIDATES, _MOST_PAIRS = 600, 60, 6


def results_of(evidence: Evidence) -> dict[str, Any] | None:
    """Figures of the front, and which limit fails how often; None of one property.

    None too where the oracle tells nothing of each result.
    """
    results = evidence.data.problem.results
    if results is None or f"{results.names[0]}_mean" not in evidence.figures:
        return None
    goals, values = results.advance.goals, results.values.numpy()
    meets = (results.advance.shortfall(results.values) >= 0).numpy()
    # Where there are no limits those stand out that no other row beats.
    marked = meets if results.advance.has_limits else (results.properties >= 0).numpy()
    shown = _shown(evidence, results, marked)
    pairs = sorted(
        combinations(range(len(goals)), 2), key=lambda pair: sum(goals[i].is_limit for i in pair)
    )
    return {
        "num_meeting": int(meets.sum()),
        "num_rows": len(values),
        "has_front": len(shown.front) > 0,
        "has_limits": results.advance.has_limits,
        "front": draw_pair(shown, *pairs[0], is_wide=True) if pairs else None,
        "pairs": [draw_pair(shown, *pair) for pair in pairs[1:_MOST_PAIRS]],
        "limits": _failures(evidence, results, meets),
        "common_error": common_error_line(evidence.of_chosen, goals),
        "parallel": draw_parallel(shown) if len(goals) > 2 else None,
        "has_bounds": any(f"{goals[0].name}_{side}_95" in evidence.figures for side in _SIDES),
    }


def result_columns(goals: Sequence[Goal], figures: Mapping[str, Array]) -> dict[str, list[str]]:
    """Of a table of candidates, the columns of each result, and how likely all limits are met.

    Args:
        goals: Of the results; none where there is one property.
        figures: Of the candidates, ``(c,)`` each.
    """
    columns = {}
    for goal in goals:
        if f"{goal.name}_mean" not in figures:
            continue
        pairs = zip(figures[f"{goal.name}_mean"], figures[f"{goal.name}_std"], strict=True)
        columns[goal.name] = [with_deviation(*pair) for pair in pairs]
        lower, upper = (figures.get(f"{goal.name}_{side}_95") for side in _SIDES)
        if lower is not None or upper is not None:
            # A line does not break within.
            columns[f"{goal.name}, 95\u00a0%"] = _between(lower, upper, columns[goal.name])
    if PROBABILITY in figures:
        columns["limits met"] = [f"{100 * share:.0f} %" for share in figures[PROBABILITY]]
    return columns


def _between(lower: Array | None, upper: Array | None, as_in: list[str]) -> list[str]:
    """Bounds of which one may be missing, with as many decimals as other texts begin with."""
    places = [len(entry.partition(" ")[0].partition(".")[2]) for entry in as_in]
    texts = [
        None if bound is None else [f"{end:.{of}f}" for end, of in zip(bound, places, strict=True)]
        for bound in (lower, upper)
    ]
    if texts[0] is None or texts[1] is None:
        return [f"{'≤' if texts[0] is None else '≥'} {end}" for end in texts[0] or texts[1] or []]
    return [f"{low} to {high}" for low, high in zip(*texts, strict=True)]


def held_out_results(evidence: Evidence, rows: NDArray[np.intp]) -> list[dict[str, Any]]:
    """How well each of several results was predicted unseen; none of one property.

    Args:
        evidence: Of the run.
        rows: Those of the unseen designs that are drawn.
    """
    judged = evidence.data.problem.judged.results
    if judged is None or "results_mean" not in evidence.held_out:
        return []
    found = []
    for number, goal in enumerate(judged.advance.goals):
        measured = judged.values[:, number].numpy()
        mean, std = (
            evidence.held_out[f"results_{of}"][:, number].numpy() for of in ("mean", "std")
        )
        margin = normal_quantile() * std
        found.append(
            {
                "name": goal.name,
                "rank_correlation": float(stats.spearmanr(mean, measured).statistic),
                "rmse": float(np.sqrt(np.mean((mean - measured) ** 2))),
                "coverage": float(np.mean(np.abs(mean - measured) <= margin)),
                "figure": draw_held_out(
                    measured[rows], mean[rows], margin[rows], goal.name, f"heldout{number}", NARROW
                ),
            }
        )
    return found


def _shown(evidence: Evidence, results: Results, marked: NDArray[np.bool_]) -> ShownResults:
    goals, advance = results.advance.goals, results.advance
    rows = spread(len(marked), _MOST_ROWS).numpy()
    some = spread(len(evidence.candidates), _MOST_CANDIDATES).numpy()
    ends = [_ends(evidence, goal)[:, some] for goal in goals]
    free = [number for number, goal in enumerate(goals) if not goal.is_limit]
    front = np.zeros((0, 2))
    if len(free) == 2 and marked.any():
        signs = np.array([goals[number].sign for number in free])
        front = signs * (advance.front * advance.scales[free]).numpy()
    return ShownResults(
        goals,
        results.values.numpy()[rows],
        marked[rows],
        np.stack([_figure(evidence, goal, "mean")[some] for goal in goals], 1),
        np.stack(ends, 2),
        front,
    )


def _figure(evidence: Evidence, goal: Goal, name: str) -> Array:
    return evidence.figures[f"{goal.name}_{name}"].numpy()


def _ends(evidence: Evidence, goal: Goal) -> Array:
    """From where to where an error bar reaches, ``(2, c)``: to the bounds that there are.

    Where there are none, a standard deviation to each side.
    """
    mean, std = _figure(evidence, goal, "mean"), _figure(evidence, goal, "std")
    names = [f"{goal.name}_{side}_95" for side in _SIDES]
    if not any(name in evidence.figures for name in names):
        return np.stack([mean - std, mean + std])
    bounds = [
        evidence.figures[name].numpy() if name in evidence.figures else mean for name in names
    ]
    # A bound by other fits may lie on the other side of the mean, where no bar reaches.
    return np.stack([np.minimum(bounds[0], mean), np.maximum(bounds[1], mean)])


def _failures(
    evidence: Evidence, results: Results, meets: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Which share misses each limit, and all together, of rows and of candidates as predicted."""
    found: list[dict[str, Any]] = []
    for number, goal in enumerate(results.advance.goals):
        if goal.is_limit:
            met = goal.probability(_figure(evidence, goal, "mean"), _figure(evidence, goal, "std"))
            rows = 1 - goal.is_met(results.values[:, number].numpy()).mean()
            found.append(
                {"limit": f"{goal.name}: {goal}", "rows": rows, "candidates": 1 - met.mean()}
            )
    if len(found) > 1:
        means, stds = (
            torch.stack([evidence.figures[f"{name}_{figure}"] for name in results.names], 1)
            for figure in ("mean", "std")
        )
        common = CommonError.of_figures(evidence.of_chosen, results.names)
        met = results.advance.log_probability_of_limits(means, stds, common).exp().numpy()
        together = {"rows": 1 - meets.mean(), "candidates": 1 - met.mean()}
        found.append({"limit": "one or more of these", **together})
    return found
