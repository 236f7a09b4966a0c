"""Methods against tasks: what each method finds on each task, and how it ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning_mbo.benchmark.comparison import averages
from lightning_mbo.benchmark.tables import markdown_table
from lightning_mbo.report.headings import heading

if TYPE_CHECKING:
    import pandas as pd

RANKED = ("best_128", "median_128")
"""What methods are ranked by: shares of a task's whole range."""

_UNKNOWN = "–"
_NOTE = """\
Mean ± standard deviation over trials, as shares of the range of each task's whole table, hidden
designs included. The mean rank is over the tasks that a method was run on, in brackets how many
where these are not all; seconds are the mean of a run."""


def by_task(rows: pd.DataFrame, metric: str, arms: Sequence[str]) -> pd.DataFrame:
    """What each method finds on each task.

    Args:
        rows: One a run, as in `lightning_mbo.benchmark.comparison`, with a column `task`.
        metric: Column of `rows`, of which more is better.
        arms: In order.

    Returns:
        One row for each method in each arm on each task: `name` (of the method, and of the arm
        where there are several), `task`, `n` (trials), `mean`, `std`, and `rank` among the means on
        that task, 1 the best; those without a mean have none.
    """
    found = averages(rows, [metric], ["task"], arms)
    several = len(arms) > 1
    found["name"] = [
        f"{method}, {arm}" if several else method
        for method, arm in zip(found["method"], found["arm"], strict=True)
    ]
    found["rank"] = found.groupby("task")["mean"].rank(ascending=False)
    return found[["name", "task", "n", "mean", "std", "rank"]]


def has_tasks(rows: pd.DataFrame) -> bool:
    """Whether methods can be ranked by tasks."""
    return "task" in rows and set(RANKED) <= set(rows.columns)


def best_rows(rows: pd.DataFrame) -> pd.Series | None:
    """What the best visible row of each task has, by its name; None where nobody has said."""
    if "best_visible" not in rows:
        return None
    return rows.groupby("task")["best_visible"].mean()


def task_markdown(rows: pd.DataFrame, arms: Sequence[str]) -> str:
    """A table in Markdown for each of `RANKED`: a row a method, a column a task.

    Args:
        rows: One a run, with a column `task`.
        arms: In order.
    """
    parts, best, seconds = [], best_rows(rows), _seconds(rows, arms)
    for metric in RANKED:
        found = by_task(rows, metric, arms)
        tasks = list(found["task"].unique())
        body = []
        if best is not None:
            body = [["best row", *(_cell(best[task], math.nan) for task in tasks), "", ""]]
        for name in found["name"].unique():
            own = found[found["name"] == name]
            cells = own.set_index("task").reindex(tasks)
            ranks = cells["rank"].dropna()
            some = f" ({len(ranks)})" if len(ranks) < len(tasks) else ""
            body.append(
                [
                    name,
                    *map(_cell, cells["mean"], cells["std"]),
                    f"{ranks.mean():.1f}{some}" if len(ranks) else _UNKNOWN,
                    f"{seconds[name]:.0f}" if name in seconds else _UNKNOWN,
                ]
            )
        table = markdown_table(["", *tasks, "mean rank", "seconds"], body)
        parts.append(f"### {heading(metric).capitalize()}, by task\n\n{table}")
    return "\n\n".join([*parts, _NOTE]) + "\n"


def _cell(mean: float, std: float) -> str:
    if mean != mean:
        return _UNKNOWN
    return f"{mean:.3f}" + (f" ± {std:.3f}" if std == std else "")


def _seconds(rows: pd.DataFrame, arms: Sequence[str]) -> dict[str, float]:
    found = by_task(rows, "seconds", arms)
    return dict(found.groupby("name")["mean"].mean().dropna())
