"""Methods ranked on tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.benchmark.by_task import by_task, has_tasks, task_markdown

FOUND = {
    ("A", "easy"): [0.9, 0.7],
    ("A", "hard"): [0.2, 0.4],
    ("B", "easy"): [0.5, 0.5],
    ("B", "hard"): [0.5, 0.7],
    ("C", "hard"): [0.1, np.nan],
}


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": method,
            "task": task,
            "arm": "as configured",
            "trial": trial,
            "best_128": value,
            "median_128": value / 2,
            "best_visible": {"easy": 0.4, "hard": 0.3}[task],
            "seconds": 10.0,
            "error": "" if value == value else "failed",
        }
        for (method, task), values in FOUND.items()
        for trial, value in enumerate(values)
    )


def test_ranks_are_among_the_means_on_a_task(rows: pd.DataFrame) -> None:
    found = by_task(rows, "best_128", ["as configured"]).set_index(["name", "task"])
    means = {key: np.nanmean(values) for key, values in FOUND.items()}
    assert found["mean"].dropna().to_dict() == pytest.approx(means)
    ranks = found["rank"].dropna().to_dict()
    assert ranks == {
        ("A", "easy"): 1,
        ("B", "easy"): 2,
        ("B", "hard"): 1,
        ("A", "hard"): 2,
        ("C", "hard"): 3,
    }
    assert found.loc[("C", "hard"), "n"] == 1


def test_arms_are_told_apart_where_there_are_several(rows: pd.DataFrame) -> None:
    both = pd.concat([rows.assign(arm=arm) for arm in ("off", "on")])
    names = set(by_task(both, "best_128", ["off", "on"])["name"])
    assert names == {f"{method}, {arm}" for method in "ABC" for arm in ("off", "on")}


def test_the_table_has_a_row_a_method_and_a_column_a_task(rows: pd.DataFrame) -> None:
    best, median = task_markdown(rows, ["as configured"]).split("### ")[1:]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in best.splitlines()]
    table = {cells[0]: cells[1:] for cells in lines if cells}
    assert table[""] == ["easy", "hard", "mean rank", "seconds"]
    assert table["best row"] == ["0.400", "0.300", "", ""]
    assert table["A"] == ["0.800 ± 0.141", "0.300 ± 0.141", "1.5", "10"]
    assert table["B"] == ["0.500 ± 0.000", "0.600 ± 0.141", "1.5", "10"]
    assert table["C"] == ["–", "0.100", "3.0 (1)", "10"]
    assert "| A        | 0.400 ± 0.071 |" in median


def test_methods_are_ranked_only_where_shares_of_a_range_are_known(rows: pd.DataFrame) -> None:
    assert has_tasks(rows)
    assert not has_tasks(rows.drop(columns="best_128"))
    assert not has_tasks(rows.drop(columns="task"))
