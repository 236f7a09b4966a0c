"""Which measured rows are of which candidates, and the table that they make longer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.data import CSV
from lightning_mbo.data.measurements import (
    Measurements,
    candidate_means,
    longer_table,
    measurements_of,
)
from lightning_mbo.errors import DataError

CANDIDATES = pd.DataFrame(
    {
        "oracle_mean": [9.0, 8.0, 7.0],
        "dose": [61.234567891, 71.0, 81.5],
        "cycles": [13, 14, 15],
        "solvent": ["water", "toluene", "water"],
    }
)


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"dose": rng.uniform(20, 60, 30).round(2)})
    frame["cycles"] = rng.integers(1, 12, 30)
    frame["solvent"] = rng.choice(["water", "toluene"], 30)
    frame["yield"] = rng.normal(size=30).round(3)
    return frame


def data_of(frame: pd.DataFrame, folder: Path, **options: Any) -> CSV:
    frame.to_csv(folder / "table.csv", index=False)
    options = options if "targets" in options else {"target": "yield", **options}
    data = CSV(folder / "table.csv", **options)
    data.setup("fit")
    return data


@pytest.fixture
def data(tmp_path: Path) -> CSV:
    return data_of(table(), tmp_path)


def made(places: list[int], values: list[float | None], **columns: Any) -> pd.DataFrame:
    """Candidates, with what was measured of them."""
    rows = CANDIDATES.iloc[places].drop(columns="oracle_mean").reset_index(drop=True)
    return rows.assign(**{"yield": values}, **columns)


def found_in(data: CSV, rows: pd.DataFrame) -> Measurements:
    return measurements_of(data, rows, CANDIDATES, "new.csv")


def test_replicates_of_a_candidate_become_one(data: CSV) -> None:
    found = found_in(data, made([2, 0, 2, 2], [1.0, 5.0, 2.0, 6.0]))
    assert found.candidates.tolist() == [2, 0, 2, 2]
    assert found.others == []
    assert candidate_means(data, found, "new.csv", data.roles.target).to_dict() == {0: 5.0, 2: 3.0}


def test_measurements_with_errors_are_averaged_by_them(tmp_path: Path) -> None:
    data = data_of(table().assign(err=0.5), tmp_path, error_column="err")
    found = found_in(data, made([1, 1], [1.0, 4.0], err=[1.0, 2.0]))
    # Weights 1 and 1/4.
    assert candidate_means(data, found, "new.csv", data.roles.target).to_dict() == {
        1: pytest.approx(8 / 5)
    }
    with pytest.raises(DataError, match=r"--measured: new.csv has no column 'err'"):
        found_in(data, made([1], [1.0]))


def test_each_of_several_results_is_averaged_by_its_own_errors(tmp_path: Path) -> None:
    errors = {"yield": "err", "ee": "off"}
    frame = table().assign(ee=lambda f: f["dose"] % 7, err=0.5, off=0.1)
    targets = {"yield": "maximize", "ee": ">= 3"}
    data = data_of(frame, tmp_path, targets=targets, error_column=errors)
    rows = made([1, 1], [1.0, 4.0], err=[1.0, 2.0], off=[1.0, 1.0], ee=[2.0, 4.0])
    found = found_in(data, rows)
    means = [candidate_means(data, found, "new.csv", name)[1] for name in targets]
    assert means == pytest.approx([8 / 5, 3])
    with pytest.raises(DataError, match=r"new.csv has no column 'off'"):
        found_in(data, rows.drop(columns="off"))


def test_digits_that_a_spreadsheet_loses_do_not_matter_and_others_do(data: CSV) -> None:
    rows = made([0, 0, 0], [1.0, 2.0, 3.0], dose=[61.23456789, 61.234567, 61.23])
    found = found_in(data, rows)
    assert found.candidates.tolist() == [0, 0, -1]
    assert found.others == [2]
    assert found.nearest.tolist() == [0, 0, 0]


def test_rows_of_other_designs_are_named_with_what_they_are_near_to(data: CSV) -> None:
    rows = made([1, 2, 0, 1], [1.0, 2.0, None, 3.0])
    rows.loc[1, "cycles"] = 16
    rows.loc[3, "solvent"] = "acetone"
    found = found_in(data, rows)
    assert found.candidates.tolist() == [1, -1, -1]
    assert found.others == [1, 3]
    assert found.nearest.tolist() == [1, 2, -1]
    assert "data row 4: 'acetone' is no level in the table" in found.reasons[3]
    assert found.num_empty == 1


def test_the_tables_own_rows_are_no_news(data: CSV) -> None:
    """Whoever gives the longer table has the new rows compared."""
    longer = pd.concat([table(), made([0, 1], [1.0, 2.0])], ignore_index=True)
    found = found_in(data, longer)
    assert found.candidates.tolist() == [0, 1]
    assert found.rows.index.tolist() == [30, 31]
    assert (found.num_known, found.num_empty) == (30, 0)
    # A design of the table that was measured again is news.
    again = table().iloc[[3]].assign(**{"yield": 9.0})
    assert found_in(data, pd.concat([longer, again], ignore_index=True)).others == [32]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            made([0], [1.0]).rename(columns={"yield": "yeild"}),
            "--measured: new.csv has no column 'yield'. Did you mean yeild?",
        ),
        (made([0], [1.0]).drop(columns="cycles"), "new.csv has no column 'cycles'"),
        (made([0], [None]), "new.csv: no row has a new yield"),
        (made([0], ["lost"]), "new.csv, column 'yield', data row 1: 'lost'"),
    ],
    ids=["target", "design", "empty", "text"],
)
def test_what_cannot_be_compared_is_named(data: CSV, rows: pd.DataFrame, expected: str) -> None:
    with pytest.raises(DataError) as refused:
        found_in(data, rows)
    assert expected in str(refused.value)


def test_the_longer_table_has_all_rows_in_the_tables_columns(data: CSV) -> None:
    rows = made([2, 0], [1.0, 5.0], remark=["fine", "cloudy"])
    longer, behind = longer_table(data, found_in(data, rows))
    assert behind == []
    assert list(longer) == ["dose", "cycles", "solvent", "yield"]
    expected = pd.concat([table(), rows[list(longer)]], ignore_index=True)
    pd.testing.assert_frame_equal(longer.infer_objects(), expected)


def test_what_follows_from_a_design_is_filled_in(tmp_path: Path) -> None:
    """And what the run made no use of stays behind, unless the user has named it."""
    frame = table().assign(
        id=range(1, 31), volume=5, boiling=table()["solvent"].map({"water": 100, "toluene": 111})
    )
    frame["operator"] = ["A", "B", "C"] * 10
    with pytest.warns(UserWarning, match="constant columns are left out"):
        data = data_of(frame, tmp_path, columns={"oper*": "ignore"})
    longer, behind = longer_table(data, found_in(data, made([2, 1], [1.0, 5.0])))
    assert behind == ["id"]
    new = longer.iloc[30:]
    assert new["volume"].tolist() == [5, 5]
    assert new["boiling"].tolist() == [100, 111]
    assert new["operator"].isna().all()
    # The next run loses none of them.
    longer.to_csv(tmp_path / "longer.csv", index=False)
    following = CSV(tmp_path / "longer.csv", "yield", columns={"oper*": "ignore"})
    with pytest.warns(UserWarning, match="constant columns are left out"):
        following.setup("fit")
    assert len(following.designs) == 32
    assert {"dose", "cycles", "volume"} <= set(following.to_user_units(following.designs))


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    data = data_of(table().assign(plate=[1, 2, 3] * 10), tmp_path, columns={"plate": "group"})
    longer, _ = longer_table(data, found_in(data, made([0], [1.0])))
    assert longer.to_csv(index=False).splitlines()[-1] == "61.234567891,13,water,1.0,"
    assert longer["plate"].tolist()[:3] == [1, 2, 3]
    assert longer.to_csv(index=False).splitlines()[1].endswith(",1")
