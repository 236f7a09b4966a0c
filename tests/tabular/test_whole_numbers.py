"""Numbers are whole where they are written so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.data import CSV
from lightning_mbo.tabular.column_kinds import inferred_kind
from lightning_mbo.tabular.reading import FileOptions, plain, read_table
from lightning_mbo.tabular.whole_numbers import as_whole, floating, without


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        (["0", "5", "10"], "integer"),
        (["0.0", "5.0", "10.0"], "number"),
        (["0", "5.0", "10"], "number"),
        (["0", "", "10"], "integer"),
        (["0.0", "", "10.0"], "number"),
        (["0", "", "10.0"], "number"),
        (["0.0", "1.0", "0.0"], "integer"),
        (["0", "n.d.", "10"], "integer"),
        (["0.0", "n.d.", "10.0"], "number"),
        (["1e2", "5", "7"], "number"),
        (["1,0", "5,0", ""], "number"),
    ],
)
def test_texts(tmp_path: Path, entries: list[str], kind: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a;b", *(f"{entry};x" for entry in entries)]), encoding="utf-8")
    table = read_table(path, options=FileOptions(missing_values=("n.d.",)))
    assert inferred_kind(table["a"], "t") == kind
    values = [float(e.replace(",", ".")) if e not in ("", "n.d.") else np.nan for e in entries]
    np.testing.assert_array_equal(floating(table)["a"].astype(np.float64), values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 4], "integer"),
        ([1.0, 2.0, 4.0], "number"),
        ([1.0, None, 4.0], "integer"),
        ([1.5, None, 4.0], "number"),
        (pd.array([1, None, 4], dtype="Int64"), "integer"),
        (pd.array([1, 2, 4], dtype="Int8"), "integer"),
        (pd.array([1.0, 2.0, 4.0], dtype="Float64"), "number"),
    ],
)
def test_frames_and_parquet(tmp_path: Path, values: list[object], kind: str) -> None:
    frame = pd.DataFrame({"a": values})
    frame.to_parquet(tmp_path / "t.parquet")
    for table in (as_whole(plain(frame, "t")), read_table(tmp_path / "t.parquet")):
        assert inferred_kind(table["a"], "t") == kind


@pytest.mark.parametrize(
    ("values", "kind"), [([1, None, "4"], "integer"), ([1.0, "?", 4.0], "number")]
)
def test_frames_of_objects(values: list[object], kind: str) -> None:
    table = as_whole(without(plain(pd.DataFrame({"a": values}), "t"), ["?"]))
    assert inferred_kind(table["a"], "t") == kind


def test_sheets(tmp_path: Path) -> None:
    frame = pd.DataFrame({"whole": [1, None, 4], "number": [1.5, None, 4], "text": [1, "?", 3]})
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    table = read_table(tmp_path / "t.xlsx", options=FileOptions(missing_values=("?",)))
    kinds = [inferred_kind(table[name], "t") for name in table]
    assert kinds == ["integer", "number", "integer"]


def test_what_stands_for_a_missing_entry() -> None:
    frame = pd.DataFrame(
        {"a": [1, -999, 3], "b": ["x", " n.d. ", "-999"], "c": [True, False, True]}
    )
    table = without(frame, ["n.d.", "-999"])
    assert table.isna().to_numpy().tolist() == [
        [False, False, False],
        [True, True, False],
        [False, True, False],
    ]
    assert not frame.isna().to_numpy().any()


def test_what_is_counted_in_decimals_is_still_a_counter(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"run": np.arange(1.0, 41.0), "x": rng.normal(size=40)})
    frame["rep"] = np.tile([1.0, 2.0], 20)
    frame["x"] = np.repeat(frame["x"].to_numpy()[:20], 2)
    frame["y"] = frame["x"] + rng.normal(0, 0.1, 40)
    data = CSV(frame, target="y")
    data.setup("fit")
    assert list(data.to_user_units(data.designs)) == ["x"]
    printed = capsys.readouterr().out
    assert "'run' counts the rows" in printed
    assert "--data.columns '{run: number}'" in printed
    assert "'rep' only tells apart rows of the same design" in printed


def test_amounts_may_have_decimals() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"amount": rng.choice([0.0, 5.0, 10.0], 40), "x": rng.normal(size=40)})
    frame["flag"] = rng.choice([0.0, 1.0], 40)
    frame["y"] = frame["amount"] + frame["x"]
    data = CSV(frame, target="y")
    data.setup("fit")
    made = data.to_user_units(data.nearest_allowed(data.designs + 0.37))
    assert (made["amount"] % 1 != 0).any()
    assert set(made["flag"]) == {0, 1}
