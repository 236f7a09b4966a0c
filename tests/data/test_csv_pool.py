"""Designs of the user's that are not in the table, as the table's designs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV, Quadratic
from lightning_mbo.errors import ConfigurationError, DataError, MBOWarning


def table(num_rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "temp": rng.uniform(20, 90, num_rows).round(1),
            "solvent": rng.choice(["water", "oil"], num_rows),
            "cycles": rng.integers(1, 9, num_rows),
            "yield": rng.normal(size=num_rows).round(3),
        }
    )


def loaded(frame: pd.DataFrame | Path, **options: Any) -> CSV:
    data = CSV(frame, target="yield", **options)
    data.setup("fit")
    return data


def test_a_frame_s_designs_are_those_of_the_table() -> None:
    frame = table()
    data = CSV(frame, target="yield", held_out_fraction=0.3)
    # It loads the table by itself, and held-out rows are in the table.
    designs = data.encode(frame[["solvent", "cycles", "temp"]])
    assert torch.equal(designs, data.known_designs)
    assert designs.dtype == torch.float64
    decoded = data.to_user_units(data.encode(frame.iloc[5:9]))
    pd.testing.assert_frame_equal(
        decoded, frame.iloc[5:9, :3].reset_index(drop=True), check_dtype=False
    )


def test_a_frame_is_refused_by_row() -> None:
    data = loaded(table())
    frame = table().astype({"temp": object})
    frame.loc[3, "temp"] = None
    with pytest.raises(DataError, match="the data frame, column 'temp', data row 4: empty"):
        data.encode(frame)
    frame.loc[3, "temp"] = "warm"
    with pytest.raises(DataError, match="the data frame, column 'temp', data row 4: 'warm'"):
        data.encode(frame)
    with pytest.raises(DataError, match=r"no column 'solvent'\. Did you mean solvents"):
        data.encode(table().rename(columns={"solvent": "solvents"}))


def test_what_a_list_has_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = loaded(table(), columns={"temp": {"upper": 100}}, constraints=["cycles <= 20"])
    more = pd.DataFrame(
        {
            "number": ["A1", "A2", "A3", "A4"],
            "temp": [50.0, 120.0, 95.0, 50.0],
            "solvent": ["oil", "water", "oil", "oil"],
            "cycles": [3, 4, 30, 3],
        }
    )
    pd.concat([table().iloc[:6], more]).to_csv(tmp_path / "list.tsv", sep="\t", index=False)
    capsys.readouterr()
    pool = data.read_pool(tmp_path / "list.tsv")
    printed = capsys.readouterr().out
    assert "list.tsv: 1 of 10 rows have the design of a row above and are left out" in printed
    assert "list.tsv: 6 of 9 designs are in the table and not handed out" in printed
    assert "2 of 9 designs lie outside the range of the table, in 'temp' and 'cycles'" in printed
    assert "2 of 9 designs are out of the bounds, steps or constraints" in printed
    assert "the first is data row 8" in printed
    assert list(pool.rows) == ["temp", "solvent", "cycles", "number"]
    assert pool.rows["number"].tolist()[6:] == ["A1", "A2", "A3"]
    assert torch.equal(pool.designs[:6], data.known_designs[:6])


def test_texts_of_a_file_stay_texts(tmp_path: Path) -> None:
    frame = table().assign(code=np.where(np.arange(40) % 2, "01", "A1"))
    data = loaded(frame, columns={"code": "category"})
    frame[frame["code"] == "01"].head(3).to_csv(tmp_path / "list.csv", index=False)
    pool = data.read_pool(tmp_path / "list.csv")
    assert pool.rows["code"].tolist() == ["01"] * 3
    assert torch.equal(pool.designs, data.known_designs[1:6:2])


@pytest.mark.parametrize("as_file", [True, False])
def test_rows_without_a_target(as_file: bool, tmp_path: Path) -> None:
    frame = table()
    frame.loc[[3, 8, 20], "yield"] = np.nan
    frame.loc[8, "temp"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(UserWarning, match="3 of 40 rows are left out for missing entries"):
        data = loaded(tmp_path / "t.csv" if as_file else frame)
    with pytest.warns(UserWarning, match="1 of 3 rows are left out for missing entries: temp 1"):
        pool = data.read_pool(None)
    assert pool.row_numbers == [4, 21]
    assert torch.equal(pool.designs, data.encode(frame.iloc[[3, 20]]))
    assert list(pool.rows) == ["temp", "solvent", "cycles"]
    # The table itself is a list as well: what was measured is known.
    with pytest.warns(UserWarning, match="1 of 40 rows are left out"):
        whole = data.read_pool(frame)
    assert len(whole.designs) == 39
    with pytest.raises(DataError, match=r"all rows have a yield, .* --search\.path FILE"):
        loaded(table()).read_pool(None)


def test_empty_entries_are_refused_where_the_table_s_are() -> None:
    data = loaded(table(), missing="refuse")
    frame = table()
    frame.loc[4, "temp"] = np.nan
    with pytest.raises(DataError, match="column 'temp', data row 5: empty"):
        data.read_pool(frame)


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x.csv is missing: --candidates or --search.path must"):
        loaded(table()).read_pool(tmp_path / "x.csv")
    data = Quadratic()
    with pytest.raises(ConfigurationError, match="with --data CSV: Quadratic has none"):
        data.read_pool(tmp_path / "x.csv")


def test_of_several_results_rows_without_any_are_left_to_rank() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"heat": rng.uniform(0, 1, 40), "load": rng.uniform(0, 1, 40)})
    table["rate"], table["cost"] = rng.normal(size=40), rng.normal(size=40)
    table.loc[:4, ["rate", "cost"]] = np.nan
    table.loc[5:7, "cost"] = np.nan
    data = CSV(table, targets={"rate": "maximize", "cost": "minimize"})
    with pytest.warns(MBOWarning, match=r"5 rows have none of data\.targets"):
        data.setup("fit")
    assert len(data.read_pool(None).designs) == 5
    ranked = data.read_pool(table[["heat", "load", "rate"]].head(3))
    assert list(ranked.rows_of(ranked.designs)) == ["heat", "load"]
    whole = CSV(table.dropna(), targets={"rate": "maximize", "cost": "minimize"})
    whole.setup("fit")
    with pytest.raises(DataError, match="all rows have a rate or cost, and none is left to rank"):
        whole.read_pool(None)
