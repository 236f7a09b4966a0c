"""What is said of a table's columns."""

from __future__ import annotations

from rich.table import Table

from lightning_mbo.tabular.column_roles import in_short


def _shown(number: int) -> Table:
    shown = Table(title="Columns")
    for header in ("column", "kind", "values", "missing"):
        shown.add_column(header)
    for place in range(number):
        shown.add_row(f"c{place}", "number", "0 to 1", "")
    shown.add_row("solvent", "category", "3 levels", "2")
    shown.add_row("y", "target", "0 to 9", "")
    return shown


def test_few_columns_are_told_one_by_one() -> None:
    assert in_short(_shown(58)).row_count == 60


def test_of_thousands_of_a_kind_the_first_are_told_and_the_others_counted() -> None:
    names, kinds, values, missing = (list(c.cells) for c in in_short(_shown(5000)).columns)
    assert names == [*(f"c{place}" for place in range(20)), "solvent", "y", "4,980 more"]
    assert kinds[-3:] == ["category", "target", "number"]
    assert values[-1] == "all of them are in report.html"
    assert missing[-3:] == ["2", "", ""]
