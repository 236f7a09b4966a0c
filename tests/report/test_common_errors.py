"""Whether errors of several results go together, in words."""

from __future__ import annotations

from itertools import combinations

import pytest

from lightning_mbo.goals import Goal
from lightning_mbo.report.common_errors import common_error_line

NAMES = ["yield", "ee", "cost"]


def line(correlations: list[float], rows: list[int]) -> str | None:
    figures = {"oracle_p80": 1.0}
    for pair, correlation, number in zip(combinations(NAMES, 2), correlations, rows, strict=True):
        figures[f"error_correlation/{'_'.join(pair)}"] = correlation
        figures[f"error_correlation_rows/{'_'.join(pair)}"] = float(number)
    return common_error_line(figures, [Goal.of_words(name, "maximize") for name in NAMES])


@pytest.mark.parametrize(
    ("correlations", "rows", "expected"),
    [
        ([0.6, 0, 0], [1800] * 3, "errors of yield and ee are correlated by 0.6; from 1,800 rows"),
        (
            [0.48, 0.6, 0.8],
            [50, 60, 50],
            "errors of yield and ee are correlated by 0.5; errors of yield and cost are correlated "
            "by 0.6; errors of ee and cost are correlated by 0.8; from 50 to 60 rows",
        ),
        ([0, 0, 0], [12] * 3, "as independent: 12 rows are too few to tell"),
        ([0, 0, 0], [12, 90, 12], "as independent: in 12 to 90 rows no correlation differs from 0"),
        ([0, 0, 0], [0] * 3, "as independent: the oracles have not been judged by rows"),
    ],
)
def test_what_was_estimated_and_from_what(
    correlations: list[float], rows: list[int], expected: str
) -> None:
    found = line(correlations, rows)
    assert found is not None
    assert expected in found.replace("estimated from", "from")


def test_of_one_property_nothing_is_said() -> None:
    assert common_error_line({"oracle_p80": 1.0}, []) is None
    assert common_error_line({}, [Goal.of_words("yield", ">= 3")]) is None
