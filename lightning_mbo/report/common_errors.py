"""Whether errors of several results go together, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from lightning_mbo.common_error import FEWEST_ROWS, CommonError
from lightning_mbo.goals import Goal

_LEAST_TOLD = 0.05


def common_error_line(figures: Mapping[str, float], goals: Sequence[Goal]) -> str | None:
    """Which errors are correlated, and how that is known; None where errors are of one result.

    Args:
        figures: Of a design iteration.
        goals: Of several results; none of one property.
    """
    names = [goal.name for goal in goals]
    common = CommonError.of_figures(figures, names)
    if common is None:
        return None
    pairs = list(combinations(range(len(names)), 2))
    found = [(common.loadings[i] * common.loadings[j]).item() for i, j in pairs]
    told = [
        f"errors of {names[i]} and {names[j]} are correlated by {correlation:.1f}"
        for (i, j), correlation in zip(pairs, found, strict=True)
        if abs(correlation) >= _LEAST_TOLD
    ]
    counts = sorted(int(common.num_rows[i, j]) for i, j in pairs)
    fewest = f"{counts[0]:,} to " * (counts[0] < counts[-1])
    rows = f"{fewest}{counts[-1]:,} rows"
    if told:
        return f"{'; '.join(told)}; estimated from {rows}"
    if counts[-1] == 0:
        why = "the oracles have not been judged by rows that they had not seen"
    elif counts[-1] < FEWEST_ROWS:
        why = f"{rows} are too few to tell"
    else:
        why = f"in {rows} no correlation differs from 0"
    return f"errors of the results are taken as independent: {why}"
