"""Designs that are not in the table are understood as its rows were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.column_options import parse_columns
from lightning_mbo.tabular.column_roles import Roles
from lightning_mbo.tabular.encoding import check_complete, entries_of, readable_entries
from lightning_mbo.tabular.layout import TableLayout
from lightning_mbo.tabular.preparation import prepare

ACIDS = {"KOAc": 4.76, "KOPiv": 5.03, "CsOAc": 4.75}


def table() -> pd.DataFrame:
    """A column of each kind: also dummies, a flag, a constant and one that follows."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"temp": rng.uniform(20, 120, 90).round(1)})
    frame["hours"] = rng.integers(1, 25, 90)
    frame["base"] = rng.choice(list(ACIDS), 90)
    frame["pKa"] = frame["base"].map(ACIDS)
    frame["ligand"] = np.where(rng.uniform(size=90) < 0.3, None, rng.choice(["L1", "L2"], 90))
    frame["dry"] = np.where(rng.uniform(size=90) < 0.3, True, None)
    frame[["in_A", "in_B", "in_C"]] = np.eye(3, dtype=int)[rng.integers(0, 3, 90)]
    frame["batch size"] = 5
    frame["tag"] = ["".join(word) for word in rng.choice(list("ACGT"), (90, 8))]
    frame["y"] = rng.normal(size=90)
    return frame


def layout_of(frame: pd.DataFrame, **columns: Any) -> TableLayout:
    return prepare(frame, "the table", Roles("y"), parse_columns(columns), None).layout


@pytest.fixture
def layout() -> TableLayout:
    with pytest.warns(UserWarning, match="constant columns are left out"):
        return layout_of(table())


def test_rows_of_the_table_are_its_designs(layout: TableLayout) -> None:
    """Also without what is constant or follows, in another order, and with further columns."""
    frame = table()
    entries = entries_of(frame, layout, "list")
    assert list(entries) == ["temp", "hours", "base", "ligand", "dry", "tag", "in"]
    designs = layout.encode(entries)
    assert designs.shape == (90, 2 + 3 + 3 + 2 + 3 + 8 * 4)
    np.testing.assert_allclose(
        designs[:, 0].numpy(), (frame["temp"] - frame["temp"].mean()) / frame["temp"].std(ddof=0)
    )
    # Entries of the category `ligand`: L1, L2 and none.
    place = 2 + 3
    names = np.array(["L1", "L2", None], object)
    found = names[designs[:, place : place + 3].argmax(1).numpy()]
    assert [*found] == [None if pd.isna(v) else v for v in frame["ligand"]]
    fewer = frame.drop(columns=["batch size", "pKa", "y"])[::-1].reset_index(drop=True)
    fewer.insert(0, "catalogue number", range(90))
    shuffled = fewer.sample(frac=1, axis=1, random_state=0)
    assert torch.equal(layout.encode(entries_of(shuffled, layout, "list")), designs.flip(0))


def changed(name: str, row: int, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        column = frame[name].astype(object)
        column[row] = value
        return frame.assign(**{name: column})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("temp", 3, "warm"), "list, column 'temp', data row 4: 'warm' is not a finite"),
        (
            changed("base", 7, "CsOPiv"),
            "list, column 'base', data row 8: 'CsOPiv' is no level in the table, and the oracle "
            "knows no other. Did you mean KOPiv",
        ),
        (changed("ligand", 2, "L3"), "column 'ligand', data row 3: 'L3' is no level"),
        (changed("tag", 4, "ACGTACGTA"), "column 'tag', data row 5: 9 letters, .* have 8"),
        (changed("tag", 4, "ACGT"), "column 'tag', data row 5: 4 letters, .* have 8"),
        (changed("tag", 4, "ACGTNCGT"), "column 'tag', data row 5: the letter 'N'.*ACGT"),
        (changed("batch size", 9, 6), "column 'batch size', data row 10: '6', .* has 5 throughout"),
        (changed("in_A", 5, 2), "list, data row 6: of 'in_A', 'in_B' and 'in_C' exactly one is 1"),
        (changed("pKa", 6, 9.9), "column 'pKa', data row 7: '9.9', where the table has '.*' for"),
        (
            lambda frame: frame.rename(columns={"temp": "temp."}),
            "list has no column 'temp'. Did you mean temp.?",
        ),
        (lambda frame: frame.drop(columns="in_B"), "list has no column 'in_B'"),
    ],
)
def test_what_the_table_could_not_have_is_named(
    change: Callable[[pd.DataFrame], pd.DataFrame], message: str, layout: TableLayout
) -> None:
    with pytest.raises(DataError, match=message) as found:
        entries_of(change(table()), layout, "list")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["temp", "base", "tag", "in_C"])
def test_empty_entries_without_a_meaning_are_missing(name: str, layout: TableLayout) -> None:
    entries = entries_of(changed(name, 3, None)(table()), layout, "list")
    missing = {"in_C": "in"}.get(name, name)
    assert entries.columns[entries.isna().any()].tolist() == [missing]
    assert entries.index[entries.isna().any(axis=1)].tolist() == [3]
    with pytest.raises(DataError, match=f"list, column '{missing}', data row 4: empty"):
        check_complete(entries, "list")


def test_numbers_beyond_the_table_are_understood(layout: TableLayout) -> None:
    frame = changed("temp", 0, 400.0)(changed("hours", 1, 2.5)(table()))
    entries = entries_of(frame, layout, "list")
    assert entries["temp"][0] == 400
    assert entries["hours"][1] == 2.5


def test_levels_are_the_same_however_they_are_written() -> None:
    """As texts, numbers and truth values, with blanks."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"code": rng.choice(["1", "2", "B"], 60), "x": rng.uniform(size=60)})
    frame["hot"] = rng.integers(0, 2, 60).astype(bool)
    frame["y"] = rng.normal(size=60)
    layout = layout_of(frame, code="category")
    assert layout.text_columns == {"code"}
    one = pd.DataFrame({"code": [1, 2], "x": [0.1, 0.2], "hot": ["True", "False"]})
    other = pd.DataFrame({"code": ["1 ", "2"], "x": ["0.1", "0.2"], "hot": [1, 0]})
    entries = entries_of(one, layout, "list")
    assert entries.to_numpy().tolist() == [["1", 0.1, True], ["2", 0.2, False]]
    pd.testing.assert_frame_equal(entries_of(other, layout, "list"), entries)


def test_a_fixed_column_need_not_be_there() -> None:
    frame = table()[["temp", "base", "y"]]
    layout = layout_of(frame, base={"fixed": "KOPiv"}, temp={"fixed": 50})
    entries = entries_of(pd.DataFrame({"number": [1, 2]}), layout, "list")
    assert entries.to_numpy().tolist() == [[50.0, "KOPiv"]] * 2
    given = entries_of(pd.DataFrame({"temp": [60], "base": ["KOAc"]}), layout, "list")
    assert given.to_numpy().tolist() == [[60.0, "KOAc"]]


def test_rows_that_are_no_designs_are_told_and_the_others_read(layout: TableLayout) -> None:
    frame = table()
    frame.loc[[7, 40], "base"] = "NaOH"
    frame.loc[8, "temp"] = None
    entries, reasons = readable_entries(frame, layout, "list")
    assert sorted(reasons) == [7, 8, 40]
    assert "list, column 'base', data row 8: 'NaOH' is no level" in reasons[7]
    assert "data row 9: empty" in reasons[8]
    expected = entries_of(table(), layout, "list").drop(index=[7, 8, 40])
    pd.testing.assert_frame_equal(entries, expected)


def test_a_table_without_a_single_design_is_refused(layout: TableLayout) -> None:
    with pytest.raises(DataError, match="list has no column 'hours'"):
        readable_entries(table().drop(columns="hours"), layout, "list")
