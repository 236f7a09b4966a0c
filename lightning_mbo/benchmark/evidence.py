"""Whether what runs said of their batches came true: by problem, by group of them, by verdict."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightning_mbo.benchmark.comparison import finished
from lightning_mbo.benchmark.tables import markdown_table
from lightning_mbo.report.headings import heading

if TYPE_CHECKING:
    import pandas as pd

_OF_BOUNDS = ("bound_held", "bound_distance", "infinite_bounds")
_OF_OUTLOOKS = ("predicted_share", "realised_share", "brier_score")
EVIDENCE = frozenset(
    {
        *(*_OF_BOUNDS, *_OF_OUTLOOKS, "realised_share_by_truth"),
        *("least_predicted_share", "greatest_predicted_share"),
    }
)
"""Columns of the rows that say whether something came true, not how good a design is."""

_HEADER = ["", "runs", *map(heading, _OF_BOUNDS), "outlooks", *map(heading, _OF_OUTLOOKS)]

_NOTE = """\
Means over runs; of the distance, in ranges of the labels, the median. Shares are of the designs of
a batch: those that are measured at or above their bound, in expectation over the noise; that have
an infinite one; that are better than the best label, as predicted and by the truth, both of the
runs that give an outlook. The Brier score is the mean squared difference of these two."""


def has_evidence(rows: pd.DataFrame) -> bool:
    """Whether a run's batch has been judged."""
    return "realised_share" in rows and bool(finished(rows)["realised_share"].notna().any())


def evidence_tables(
    rows: pd.DataFrame, grid: Sequence[str], arms: Sequence[str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The title of each table, and what it has.

    Args:
        rows: One a run, as in `lightning_mbo.benchmark.comparison`, with a column `group`.
        grid: Columns of `rows` that set the cells of the grid apart.
        arms: By name; where there are several, they are told apart.

    Yields:
        Of each problem, group and verdict that occurs, by its name: `runs`, `outlooks` (runs that
        give one), `bound_held`, `bound_distance`, `infinite_bounds`, `predicted_share`,
        `realised_share` and `brier_score`.
    """
    rows = finished(rows)
    rows = rows[rows["realised_share"].notna()]
    apart = ["arm"] * (len(arms) > 1)
    yield "problem", _summed_up(rows, ["method", *grid, *apart])
    groups = [rows[rows["group"] != ""], rows.assign(group="all")]
    import pandas as pd

    yield "group", _summed_up(pd.concat(groups), ["group", *apart])
    if "verdict" in rows:
        yield "verdict", _summed_up(rows[rows["verdict"].fillna("") != ""], ["verdict", *apart])


def _summed_up(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    found = {}
    for key, runs in rows.groupby(list(by), sort=False, dropna=False):
        told = runs.reindex(columns=["predicted_share"])["predicted_share"].notna()
        bounds, outlooks = (
            of.reindex(columns=list(names)).astype(float)
            for of, names in ((runs, _OF_BOUNDS), (runs[told], _OF_OUTLOOKS))
        )
        figures = {**bounds.mean(), **outlooks.mean()}
        figures["bound_distance"] = bounds["bound_distance"].median()
        numbers = {"runs": float(len(runs)), "outlooks": float(told.sum())}
        found[_name(key, by)] = numbers | figures
    return pd.DataFrame.from_dict(found, orient="index")


def _name(key: Hashable, by: Sequence[str]) -> str:
    first, *others = key if isinstance(key, tuple) else (key,)
    settings = zip(by[1:], others, strict=True)
    return ", ".join([str(first), *(f"{name} = {value}" for name, value in settings)])


def evidence_markdown(tables: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """These tables, and what is in them, in Markdown."""
    parts = [
        f"### What was said of the batches, by {title}\n\n{markdown_table(_HEADER, _body(table))}"
        for title, table in tables
    ]
    return "\n\n".join([*parts, _NOTE]) + "\n"


def _body(table: pd.DataFrame) -> list[list[str]]:
    return [[str(name), *_cells(figures)] for name, figures in table.to_dict("index").items()]


def _cells(figures: Mapping[Hashable, Any]) -> Iterator[str]:
    for number, names in (("runs", _OF_BOUNDS), ("outlooks", _OF_OUTLOOKS)):
        yield f"{figures[number]:.0f}"
        for name in names:
            value = figures[name]
            yield f"{value:.3f}" if value == value else "–"
