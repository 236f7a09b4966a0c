"""What is said of candidates that were measured."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lightning_mbo.console import shown_number
from lightning_mbo.evidence.outcomes import Outcomes, promise_of
from lightning_mbo.evidence.verdict import Verdict
from lightning_mbo.goals import Goal

_CAME_TRUE = {
    "trust": ("did not come true", "came true"),
    "caution": ("was right to doubt", "was more careful than it had to be"),
    "extrapolation": ("came true", "was more careful than it had to be"),
}
"""Of a verdict, where the candidates are not as good as predicted, and where they are."""


def outcome_lines(outcomes: Outcomes, name: str) -> Iterator[str]:
    """How far the predictions and their bounds held.

    Args:
        outcomes: Of the candidates that were measured.
        name: What was measured.
    """
    num = len(outcomes.measured)
    yield _error_line(outcomes, name)
    yield (
        f"{outcomes.num_better} of {num} beat the best row of the table, {_shown(outcomes.best)}, "
        f"where {outcomes.promised_better:.1f} were predicted to; the best is "
        f"{_shown(outcomes.best_measured)}"
    )
    for bound in outcomes.bounds:
        yield f"{bound} {_how_it_held(outcomes, bound)}"


def result_lines(outcomes: Outcomes, goal: Goal) -> Iterator[str]:
    """The same of one of several results, which is better or worse only together with others.

    Args:
        outcomes: Of the candidates of which it was measured.
        goal: What was wanted of it, settled.
    """
    yield _error_line(outcomes, goal.name)
    if goal.is_limit:
        met = int(goal.is_met(outcomes.measured).sum())
        expected = goal.probability(outcomes.mean, outcomes.std).sum()
        yield (
            f"{met} of {len(outcomes.measured)} have {goal.name} within its limits ({goal}), where "
            f"{expected:.1f} were predicted to"
        )
    for bound in outcomes.bounds:
        yield f"{goal.name}_{bound} {_how_it_held(outcomes, bound)}"


def _error_line(outcomes: Outcomes, name: str) -> str:
    return (
        f"Predicted against measured {name}: rank correlation {_shown(outcomes.rank_correlation)}, "
        f"RMSE {_shown(outcomes.rmse)}, measured less predicted {_shown(outcomes.mean_error)} in "
        "the mean"
    )


def verdict_line(verdict: Verdict | None, outcomes: Outcomes) -> str:
    """Whether a run's verdict came true, and by what.

    Args:
        verdict: Of the run; None where it has left none.
        outcomes: Of the candidates that were measured.
    """
    if verdict is not None and verdict.least_share is not None:
        return _outlook_line(verdict, outcomes)
    better = "worse" if outcomes.shortfall > 0 else "better"
    by = (
        f"in the mean the candidates are {_shown(abs(outcomes.shortfall))} {better} than "
        f"predicted, where the oracle's own error allows for {_shown(outcomes.allowed_shortfall)} "
        "worse"
    )
    if verdict is None or verdict.rating not in _CAME_TRUE:
        return f"The run has left no verdict: {by}"
    came_true = _CAME_TRUE[verdict.rating][outcomes.as_predicted]
    return f"The verdict, {verdict.rating}, {came_true}: {by}"


def _outlook_line(verdict: Verdict, outcomes: Outcomes) -> str:
    least, greatest = verdict.least_share or 0.0, verdict.greatest_share or 0.0
    share = outcomes.num_better / len(outcomes.measured)
    held = "came true" if least <= share <= greatest else "was too good" if share < least else ""
    return (
        f"The verdict, {verdict.rating}, {held or 'was too modest'}: {100 * share:.0f} % of the "
        f"measured beat the best row, where {100 * least:.0f} to {100 * greatest:.0f} % should"
    )


def _how_it_held(outcomes: Outcomes, bound: str) -> str:
    num, kept = len(outcomes.measured), outcomes.kept(bound)
    if not kept.total:
        return "is infinite for all, so that nothing was promised"
    where = "above" if promise_of(bound)[0] == "lower" else "below"
    held = "held" if kept.as_promised else "did not hold"
    of_others = f"; of {num - kept.total} others it is infinite" * (kept.total < num)
    return (
        f"{held}: {kept.held} of {kept.total} measured are at or {where} it, of at least "
        f"{100 * kept.promised:.0f} % promised{of_others}"
    )


def _shown(value: float) -> str:
    return "not known" if math.isnan(value) else shown_number(value)
