"""Whether what runs said of their batches came true, summed up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.benchmark.evidence import (
    evidence_markdown,
    evidence_tables,
    has_evidence,
)


def row(method: str, group: str, trial: int, **figures: object) -> dict[str, object]:
    told = {
        "bound_held": 0.9,
        "bound_distance": 0.2,
        "infinite_bounds": 0.0,
        "predicted_share": 0.8,
        "realised_share": 0.6,
        "brier_score": 0.04,
        "verdict": "caution",
    }
    named = {"method": method, "arm": "as is", "group": group, "trial": trial, "error": ""}
    return {**named, **told, **figures}


@pytest.fixture
def rows() -> pd.DataFrame:
    """Three problems in two groups; of a run nothing was told, one has failed."""
    nothing = dict.fromkeys(
        ("predicted_share", "brier_score", "bound_held", "bound_distance", "infinite_bounds"),
        np.nan,
    )
    return pd.DataFrame(
        [
            row("a", "smooth", 0),
            row("a", "smooth", 1, bound_held=0.7, bound_distance=0.3, verdict="trust"),
            row("b", "smooth", 0, bound_distance=2.0, predicted_share=0.5, brier_score=0.01),
            row("b", "smooth", 1, **nothing, realised_share=0.0),
            row("c", "", 0, infinite_bounds=1.0, bound_distance=np.nan, verdict=None),
            row("c", "", 1, error="it broke", bound_held=0.0),
        ]
    )


def tables(rows: pd.DataFrame, *arms: str) -> dict[str, pd.DataFrame]:
    return dict(evidence_tables(rows, [], arms or ("as is",)))


def test_by_problem(rows: pd.DataFrame) -> None:
    table = tables(rows)["problem"]
    assert list(table.index) == ["a", "b", "c"]
    assert table.loc["a"].to_dict() == pytest.approx(
        {
            "runs": 2,
            "outlooks": 2,
            "bound_held": 0.8,
            "bound_distance": 0.25,
            "infinite_bounds": 0,
            "predicted_share": 0.8,
            "realised_share": 0.6,
            "brier_score": 0.04,
        }
    )
    # The realised share is of the runs that have predicted one.
    assert table.loc["b", ["runs", "outlooks", "realised_share"]].tolist() == [2, 1, 0.6]
    assert table.loc["c", "runs"] == 1
    assert np.isnan(table.loc["c", "bound_distance"])


def test_by_group_and_by_verdict(rows: pd.DataFrame) -> None:
    by = tables(rows)
    assert by["group"]["runs"].to_dict() == {"smooth": 4, "all": 5}
    # The median of 0.2, 0.3 and 2.
    assert by["group"].loc["smooth", "bound_distance"] == 0.3
    assert by["group"].loc["all", "predicted_share"] == pytest.approx((3 * 0.8 + 0.5) / 4)
    assert by["verdict"]["runs"].to_dict() == {"caution": 3, "trust": 1}
    assert by["verdict"].loc["trust", "bound_held"] == 0.7
    assert "verdict" not in tables(rows.drop(columns="verdict"))


def test_arms_are_told_apart(rows: pd.DataFrame) -> None:
    rows.loc[1, "arm"] = "other"
    table = tables(rows, "as is", "other")["problem"]
    assert list(table.index)[:2] == ["a, arm = as is", "a, arm = other"]


def test_without_outlooks_and_bounds(rows: pd.DataFrame) -> None:
    assert has_evidence(rows)
    assert not has_evidence(rows.drop(columns="realised_share"))
    assert not has_evidence(rows.assign(error="it broke"))
    bare = rows[["method", "arm", "group", "trial", "error", "realised_share"]]
    (first, *_) = evidence_tables(bare, [], ["as is"])
    assert first[1]["outlooks"].tolist() == [0, 0, 0]
    assert "nan" not in evidence_markdown([first])


def test_in_markdown(rows: pd.DataFrame) -> None:
    text = evidence_markdown(list(evidence_tables(rows, [], ["as is"])))
    lines = text.splitlines()
    assert "### What was said of the batches, by verdict" in lines
    (of_c,) = (line for line in lines if line.startswith("| c "))
    cells = [cell.strip() for cell in of_c.strip("|").split("|")]
    assert cells == ["c", "1", "0.900", "–", "1.000", "1", "0.800", "0.600", "0.040"]
    assert "The Brier score is the mean squared difference" in text
