"""Tables of paired trials, read back."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lightning_mbo.benchmark.tables import markdown_tables, terminal_tables
from lightning_mbo.report.headings import decimals_for, metric_label

ARMS = ["original", "retrained", "autofocused"]
METRICS = ["median", "pci", "num_modes"]


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two methods, eight trials, three arms that differ by 10 and by the number of the trial."""
    table = pd.DataFrame(
        [
            {
                "method": method,
                "arm": arm,
                "trial": trial,
                "seconds": 30.0 + 10 * place,
                "error": "",
                "median": 50.0 + 10 * place + place * trial,
                "pci": 0.25 * place,
                "num_modes": 1200.0 + trial,
            }
            for method in ("RWR", "CbAS")
            for trial in range(8)
            for place, arm in enumerate(ARMS)
        ]
    )
    failed = (table["method"] == "CbAS") & (table["arm"] == "retrained") & (table["trial"] == 0)
    table.loc[failed, "error"] = "out of memory"
    table.loc[failed, ["seconds", *METRICS]] = np.nan
    unknown = (table["method"] == "CbAS") & (table["arm"] == "autofocused") & (table["trial"] < 2)
    table.loc[unknown, "pci"] = np.nan
    return table


def blocks(markdown: str) -> dict[str, list[list[str]]]:
    """The cells of each table by its heading."""
    found: dict[str, list[list[str]]] = {}
    for line in markdown.splitlines():
        if line.startswith("### "):
            found[line.removeprefix("### ")] = body = []
        elif line.startswith("| "):
            body.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_a_table_for_each_method(rows: pd.DataFrame) -> None:
    tables = blocks(markdown_tables(rows, METRICS, [], ARMS))
    assert list(tables) == ["RWR", "CbAS"]
    header, rule, *body = tables["RWR"]
    assert header == ["", "trials", "median", "PCI %", "num_modes", "seconds"]
    assert all(set(cell) <= {"-", ":"} for cell in rule)
    # The trials 0, ..., 7 have the standard deviation 2.449 and the mean 3.5.
    assert body == [
        ["original", "8", "50.0 ± 0.0", "0.000 ± 0.000", "1204 ± 2", "30.0"],
        ["retrained", "8", "63.5 ± 2.4", "0.250 ± 0.000", "1204 ± 2", "40.0"],
        ["autofocused", "8", "77.0 ± 4.9", "0.500 ± 0.000", "1204 ± 2", "50.0"],
        ["retrained − original", "8", "+13.5 **", "+0.250 **", "+0", ""],
        ["autofocused − original", "8", "+27.0 **", "+0.500 **", "+0", ""],
        ["autofocused − retrained", "8", "+13.5 **", "+0.250 **", "+0", ""],
    ]


def test_numbers_of_trials(rows: pd.DataFrame) -> None:
    body = blocks(markdown_tables(rows, METRICS, [], ARMS))["CbAS"][2:]
    # With seven pairs of one sign p = 2 / 2^7; with six 2 / 2^6.
    assert [[trials, median, pci] for _, trials, median, pci, *_ in body] == [
        ["8", "50.0 ± 0.0", "0.000 ± 0.000"],
        ["7", "64.0 ± 2.2", "0.250 ± 0.000"],
        ["8", "77.0 ± 4.9", "0.500 ± 0.000 (6)"],
        ["7", "+14.0 *", "+0.250 *"],
        ["8", "+27.0 **", "+0.500 * (6)"],
        ["7", "+14.0 *", "+0.250 * (6)"],
    ]


def test_notes(rows: pd.DataFrame) -> None:
    text = markdown_tables(rows, METRICS, [], ARMS)
    assert "* p < 0.05, ** p < 0.01 in the two-sided Wilcoxon signed-rank test" in text
    assert "1 of 48 runs failed and are left out." in text
    assert "Fewer than" not in text
    few = rows[(rows["trial"] < 5) & rows["error"].eq("")]
    text = markdown_tables(few, METRICS, [], ARMS)
    assert "Fewer than 6 trials cannot earn a star." in text
    assert "failed" not in text


def test_what_all_runs_took_of_the_processor(rows: pd.DataFrame) -> None:
    text = markdown_tables(rows.assign(cpu_seconds=25.0), METRICS, [], ARMS)
    assert "All runs together took 1,200 s of CPU time." in text


def test_columns_are_aligned(rows: pd.DataFrame) -> None:
    lines = [
        line for line in markdown_tables(rows, METRICS, [], ARMS).splitlines() if line[:1] == "|"
    ]
    for table in (lines[:8], lines[8:]):
        bars = [[place for place, letter in enumerate(line) if letter == "|"] for line in table]
        assert all(places == bars[0] for places in bars)


def test_one_trial_and_none(rows: pd.DataFrame) -> None:
    one = rows[(rows["trial"] == 0) & (rows["method"] == "CbAS")]
    body = blocks(markdown_tables(one, ["median", "pci"], [], ARMS))["CbAS"][2:]
    assert body == [
        ["original", "1", "50.0", "0.0", "30.0"],
        ["retrained", "0", "–", "–", "–"],
        ["autofocused", "1", "70.0", "–", "50.0"],
        ["retrained − original", "0", "–", "–", ""],
        ["autofocused − original", "1", "+20.0", "–", ""],
        ["autofocused − retrained", "0", "–", "–", ""],
    ]


def test_cells_of_a_grid(rows: pd.DataFrame) -> None:
    rows["data.noise_std"] = np.where(rows["trial"] < 4, 0.5, 0.1)
    tables = blocks(markdown_tables(rows, ["median"], ["data.noise_std"], ARMS))
    assert list(tables) == [
        "RWR, data.noise_std = 0.5",
        "RWR, data.noise_std = 0.1",
        "CbAS, data.noise_std = 0.5",
        "CbAS, data.noise_std = 0.1",
    ]
    assert tables["RWR, data.noise_std = 0.1"][4] == ["autofocused", "4", "81.0 ± 2.6", "50.0"]


def test_the_terminal_shows_the_same(rows: pd.DataFrame) -> None:
    console = Console(file=io.StringIO(), width=140)
    console.print(terminal_tables(rows, METRICS, [], ARMS))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    words = " ".join(shown.split())
    for body in blocks(markdown_tables(rows, METRICS, [], ARMS)).values():
        for cells in (body[0], *body[2:]):
            assert " ".join(cell for cell in cells if cell) in words
    assert "1 of 48 runs failed and are left out." in words


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(27493.0, 0), (1000.0, 0), (119.8, 1), (12.9, 1), (4.4, 2), (0.56, 3), (0.01, 4), (0.0, 1)],
)
def test_decimals(largest: float, expected: int) -> None:
    assert decimals_for(largest) == decimals_for(float(np.float64(largest))) == expected


def test_no_figure_needs_no_decimals() -> None:
    assert decimals_for(np.nan) == 1


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("median", "median of critical temperature (K)"),
        ("max", "maximum of critical temperature (K)"),
        ("rmse", "RMSE of critical temperature (K)"),
        ("pci", "PCI %"),
        ("rho", "Spearman's ρ"),
        ("effective_sample_size", "effective_sample_size"),
    ],
)
def test_labels_have_units(metric: str, expected: str) -> None:
    assert metric_label(metric, "critical temperature (K)") == expected
