"""Tables of paired trials: averages by arm, and differences between arms."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lightning_mbo.benchmark.comparison import averages, compare, finished
from lightning_mbo.report.headings import decimals_for, heading

if TYPE_CHECKING:
    import pandas as pd

_FEWEST_FOR_A_STAR = 6
_UNKNOWN = "–"


def markdown_tables(
    rows: pd.DataFrame, metrics: Sequence[str], grid: Sequence[str], arms: Sequence[str]
) -> str:
    """A table in Markdown for each method and cell of the grid, in the form of the paper's.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, table 1.

    Args:
        rows: One a run, as in `lightning_mbo.benchmark.comparison`.
        metrics: Columns of `rows`.
        grid: Columns of `rows` that set the cells of the grid apart.
        arms: In order: a later one is compared with the earlier ones.
    """
    header = _header(metrics)
    parts = [
        f"### {title}\n\n{markdown_table(header, body)}"
        for title, body in _tables(rows, metrics, grid, arms)
    ]
    return "\n\n".join([*parts, _notes(rows)]) + "\n"


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_padded(cells, widths) for cells in (header, rule, *body))


def terminal_tables(
    rows: pd.DataFrame, metrics: Sequence[str], grid: Sequence[str], arms: Sequence[str]
) -> Group:
    """What `markdown_tables` says, for a `rich` console; the arguments are the same."""
    tables = []
    for title, body in _tables(rows, metrics, grid, arms):
        table = Table(title=title, title_justify="left", box=box.HORIZONTALS, pad_edge=False)
        for name in _header(metrics):
            table.add_column(name, justify="right" if name else "left")
        for number, cells in enumerate(body, start=1):
            table.add_row(*cells, end_section=number == len(arms))
        tables.append(table)
    return Group(*tables, Text(_notes(rows)))


def _header(metrics: Sequence[str]) -> list[str]:
    return ["", "trials", *map(heading, metrics), "seconds"]


def _tables(
    rows: pd.DataFrame, metrics: Sequence[str], grid: Sequence[str], arms: Sequence[str]
) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and body of each method's and cell's table: the arms, then their differences."""
    for (method, *cell), runs in rows.groupby(["method", *grid], sort=False, dropna=False):
        # Every finished run has its seconds: their n counts runs, and pairs of runs.
        columns = [*metrics, "seconds"]
        means = averages(runs, columns, [], arms)
        differences = compare(runs, columns, [], arms)
        decimals = means["mean"].abs().groupby(means["metric"]).max().map(decimals_for)
        for table in (means, differences):
            table["decimals"] = table["metric"].map(decimals)
        body = []
        for _, group in means.groupby("arm", sort=False):
            *figures, seconds = group.to_dict("records")
            trials = seconds["n"]
            cells = [_average(figure, trials) for figure in figures]
            duration = f"{seconds['mean']:.{seconds['decimals']}f}" if trials else _UNKNOWN
            body.append([seconds["arm"], str(trials), *cells, duration])
        for _, group in differences.groupby(["arm", "reference"], sort=False):
            *figures, seconds = group.to_dict("records")
            title, pairs = f"{seconds['arm']} − {seconds['reference']}", seconds["n"]
            cells = [_difference(figure, pairs) for figure in figures]
            body.append([title, str(pairs), *cells, ""])
        settings = (f"{name} = {value}" for name, value in zip(grid, cell, strict=True))
        yield ", ".join([str(method), *settings]), body


def _average(figure: dict[Hashable, Any], trials: int) -> str:
    n, decimals = figure["n"], figure["decimals"]
    if n == 0:
        return _UNKNOWN
    spread = f" ± {figure['std']:.{decimals}f}" if n > 1 else ""
    return f"{figure['mean']:.{decimals}f}{spread}{_fewer(n, trials)}"


def _difference(figure: dict[Hashable, Any], pairs: int) -> str:
    n, decimals = figure["n"], figure["decimals"]
    if n == 0:
        return _UNKNOWN
    signed = f"{figure['mean_difference']:+.{decimals}f} {figure['stars']}".rstrip()
    return f"{signed}{_fewer(n, pairs)}"


def _fewer(n: int, trials: int) -> str:
    return f" ({n})" if n < trials else ""


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
    return f"| {' | '.join([first.ljust(widths[0]), *right])} |"


def _notes(rows: pd.DataFrame) -> str:
    """What the figures and stars mean, and what is left out."""
    lines = [
        "Mean ± standard deviation over trials, and mean differences over the trials that both "
        "arms finished: * p < 0.05, ** p < 0.01 in the two-sided Wilcoxon signed-rank test. In "
        "brackets, where a figure is not known of every trial, how many trials have it. Seconds "
        "are the mean of a run."
    ]
    good = finished(rows)
    if good["trial"].nunique() < _FEWEST_FOR_A_STAR:
        lines.append(f"Fewer than {_FEWEST_FOR_A_STAR} trials cannot earn a star.")
    if failures := len(rows) - len(good):
        lines.append(f"{failures} of {len(rows)} runs failed and are left out.")
    if "cpu_seconds" in rows:
        lines.append(f"All runs together took {rows['cpu_seconds'].sum():,.0f} s of CPU time.")
    return "\n".join(lines)
