"""The tables and figures of a benchmark."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from lightning_mbo.benchmark.by_task import RANKED, best_rows, by_task, has_tasks, task_markdown
from lightning_mbo.benchmark.comparison import averages, compare, finished, improvement
from lightning_mbo.benchmark.evidence import (
    EVIDENCE,
    evidence_markdown,
    evidence_tables,
    has_evidence,
)
from lightning_mbo.benchmark.figures import (
    draw_averages,
    draw_heat_map,
    draw_reliability,
    draw_tasks,
    draw_trajectories,
)
from lightning_mbo.benchmark.plan import Benchmark
from lightning_mbo.benchmark.results import FACTS
from lightning_mbo.benchmark.tables import markdown_tables, terminal_tables
from lightning_mbo.files import dispensable, write_text
from lightning_mbo.report.headings import metric_label

_DRAWN = {"oracle_p80", "ground_truth_p80"}


def write_report(
    folder: Path,
    plan: Benchmark,
    rows: pd.DataFrame,
    trajectories: pd.DataFrame,
    property_name: str,
) -> None:
    """Print the tables, and write them and the figures.

    Args:
        folder: Of the benchmark.
        plan: Of the benchmark.
        rows: One a run, in the plan's order.
        trajectories: One row a design iteration of a run that went well.
        property_name: With its unit.
    """
    arms, grid = list(plan.arms), plan.cell_names
    metrics = [name for name in rows.columns if name not in {*FACTS, "method", "arm", *grid}]
    compared = [name for name in metrics if name not in EVIDENCE]
    console = Console()
    if not console.is_terminal:
        console.width = 160
    if finished(rows).empty or not metrics:
        console.print("There is nothing to compare: no run has scores.")
        return
    means = averages(rows, metrics, grid, arms)
    write_text(folder / "averages.csv", means.to_csv(index=False))
    differences = compare(rows, metrics, grid, arms)
    write_text(folder / "differences.csv", differences.to_csv(index=False))
    text = markdown_tables(rows, compared, grid, arms)
    if has_tasks(rows):
        ranked = _rank(folder, rows, arms)
        console.print(ranked, soft_wrap=True, highlight=False, markup=False)
        text = f"{ranked}\n{text}"
    elif len(grid) == 2 and len(arms) > 1:
        _draw_maps(folder, plan, rows, compared, property_name)
    else:
        console.print(terminal_tables(rows, compared, grid, arms))
        if len(grid) < 2:
            shown = means[means["metric"].isin(compared)]
            _draw_averages(folder, shown, arms, grid, property_name)
    if has_evidence(rows):
        judged = _judge(folder, rows.assign(group=rows["method"].map(plan.group_of)), grid, arms)
        console.print(judged, soft_wrap=True, highlight=False, markup=False)
        text = f"{text}\n{judged}"
    write_text(folder / "tables.md", text)
    if not grid and set(trajectories.columns) >= _DRAWN:
        path = folder / "trajectories.png"
        with dispensable(path):
            draw_trajectories(trajectories, arms, property_name, path)
    console.print(f"Tables and figures: {folder}", soft_wrap=True, highlight=False)


def _judge(folder: Path, rows: pd.DataFrame, grid: list[str], arms: list[str]) -> str:
    """Draw whether what was said of the batches came true, and tabulate it in Markdown."""
    if "predicted_share" in rows:
        path = folder / "reliability.png"
        with dispensable(path):
            draw_reliability(finished(rows), arms, path)
    return evidence_markdown(list(evidence_tables(rows, grid, arms)))


def _rank(folder: Path, rows: pd.DataFrame, arms: list[str]) -> str:
    """Draw what methods find on tasks, and tabulate it in Markdown."""
    path = folder / "tasks.png"
    with dispensable(path):
        draw_tasks([by_task(rows, metric, arms) for metric in RANKED], best_rows(rows), path)
    return task_markdown(rows, arms)


def _draw_averages(
    folder: Path, means: pd.DataFrame, arms: list[str], grid: list[str], property_name: str
) -> None:
    if not grid:
        path = folder / "averages.png"
        with dispensable(path):
            draw_averages(means, arms, "method", property_name, path)
        return
    for method, of_method in means.groupby("method", sort=False):
        path = folder / f"averages_{method}.png"
        with dispensable(path):
            draw_averages(of_method, arms, grid[0], property_name, path)


def _draw_maps(
    folder: Path, plan: Benchmark, rows: pd.DataFrame, metrics: list[str], property_name: str
) -> None:
    arms, grid = list(plan.arms), plan.cell_names
    for metric in metrics:
        gains = improvement(rows, metric, grid, arms)
        write_text(folder / f"improvement_{metric}.csv", gains.to_csv(index=False))
        for method, of_method in gains.groupby("method", sort=False):
            title = f"{method}, {arms[-1]} − {arms[0]}: {metric_label(metric, property_name)}"
            path = folder / f"improvement_{metric}_{method}.png"
            with dispensable(path):
                draw_heat_map(of_method, grid, title, path)
