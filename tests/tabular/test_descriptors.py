"""Categories of whose levels more is known than their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import CheckpointError, ConfigurationError, DataError
from lightning_mbo.tabular.column_options import parse_columns

SOLVENTS = {
    "solvent": ["water", "ethanol", "toluene", "anisole"],
    "boiling_point": [100.0, 78.0, 111.0, 154.0],
    "log_p": [-1.4, -0.3, 2.7, 2.1],
}
GRADES = {"levels": ["low", "medium", "high"], "ordered": True}


@pytest.fixture(autouse=True)
def solvents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(SOLVENTS)
    frame.to_csv("solvents.csv", index=False)
    return frame


@pytest.fixture
def table() -> pd.DataFrame:
    """60 rows, none of them of anisole or of a medium grade."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"temp": rng.uniform(20, 120, 60).round(1)})
    frame["solvent"] = rng.choice(SOLVENTS["solvent"][:3], 60)
    frame["grade"] = rng.choice(["high", "low"], 60)
    frame["yield"] = frame["temp"] / 3 + rng.normal(0, 2, 60).round(2)
    return frame


def loaded(table: pd.DataFrame, **columns: Any) -> CSV:
    data = CSV(table, target="yield", columns=columns)
    data.setup("fit")
    return data


def shown(data: CSV) -> dict[str, str]:
    names, _, values, _ = (list(column.cells) for column in data.columns_read.columns)
    return dict(zip(map(str, names), map(str, values), strict=True))


def test_levels_have_the_descriptors_of_the_file(table: pd.DataFrame) -> None:
    data = loaded(table, solvent={"descriptors": "solvents.csv"})
    assert data.space.groups == (4, 2)
    found, of_grades = data.space.descriptors
    assert of_grades == ()
    expected = pd.DataFrame(SOLVENTS).set_index("solvent").sort_index()
    expected = (expected - expected.mean()) / expected.std(ddof=0)
    np.testing.assert_allclose(found, expected.to_numpy())
    assert shown(data)["solvent"] == (
        "4 levels: anisole, ethanol, toluene, water; described by boiling_point, log_p; anisole "
        "never seen"
    )
    assert [line for line in data.remarks if "'anisole'" in line] == [
        "in 'solvent' no row has 'anisole', of which the oracle knows the descriptors alone, and "
        "candidates may"
    ]


def test_levels_in_an_order_have_their_ranks(table: pd.DataFrame) -> None:
    data = loaded(table, grade=GRADES)
    ((low,), (medium,), (high,)) = next(of for of in data.space.descriptors if of)
    assert medium == 0
    assert high == -low == pytest.approx(np.sqrt(1.5))
    assert shown(data)["grade"] == "3 levels: low < medium < high; medium never seen"
    decoded = data.to_user_units(data.encode(table.assign(grade="medium")))
    assert (decoded["grade"] == "medium").all()
    assert any("the place in the order alone" in line for line in data.remarks)


def test_without_descriptors_there_are_none(table: pd.DataFrame) -> None:
    assert loaded(table).space.descriptors == ()


@pytest.mark.parametrize("suffix", ["tsv", "xlsx", "parquet"])
def test_files_of_all_kinds_and_data_frames_say_the_same(
    suffix: str, table: pd.DataFrame, solvents: pd.DataFrame
) -> None:
    path = Path(f"solvents.{suffix}")
    if suffix == "tsv":
        solvents.to_csv(path, sep="\t", index=False)
    else:
        getattr(solvents, {"xlsx": "to_excel", "parquet": "to_parquet"}[suffix])(path, index=False)
    data = loaded(table, solvent={"descriptors": str(path)})
    assert data.space == loaded(table, solvent={"descriptors": solvents}).space
    assert data.space == loaded(table, solvent={"descriptors": Path("solvents.csv")}).space


def test_levels_stand_first_or_under_the_category_s_name(
    table: pd.DataFrame, solvents: pd.DataFrame
) -> None:
    named = loaded(table, solvent={"descriptors": solvents})
    turned = loaded(table, solvent={"descriptors": solvents[["boiling_point", "log_p", "solvent"]]})
    assert turned.space == named.space
    renamed = solvents.rename(columns={"solvent": "name"})
    assert loaded(table, solvent={"descriptors": renamed}).space == named.space


def test_levels_are_the_same_but_for_blanks_and_case(
    table: pd.DataFrame, solvents: pd.DataFrame
) -> None:
    solvents["solvent"] = [" Water", "ethanol ", "TOLUENE", "anisole"]
    data = loaded(table, solvent={"descriptors": solvents})
    assert data.space == loaded(table, solvent={"descriptors": "solvents.csv"}).space


def test_names_that_are_numbers_stay_names(table: pd.DataFrame) -> None:
    table["well"] = np.tile([1, 2, 3], 20)
    wells = pd.DataFrame({"well": [3, 2, 1, 12], "depth": [0.5, 1.5, 1.0, 2.0]})
    wells.to_csv("wells.csv", index=False)
    table.to_csv("table.csv", index=False)
    columns = {"well": {"kind": "category", "descriptors": "wells.csv"}}
    data = CSV("table.csv", target="yield", columns=columns)
    data.setup("fit")
    assert shown(data)["well"].startswith("4 levels: 1, 12, 2, 3; described by depth; 12 never")
    frames = loaded(table, well={"kind": "category", "descriptors": wells})
    assert frames.space == data.space
    assert frames.to_user_units(frames.encode(table.assign(well=12)))["well"].tolist() == [12] * 60


def test_short_names_are_no_sequences_or_formulas(table: pd.DataFrame) -> None:
    names = ["H2O", "CH4O", "C7H8", "CHCl3", "C6H6", "CCl4"] * 10
    table["solvent"] = names
    file = pd.DataFrame({"solvent": names[:6], "polarity": range(6)})
    assert loaded(table, solvent={"descriptors": file}).space.groups.count(6) == 1


def test_constant_descriptors_are_left_out(table: pd.DataFrame, solvents: pd.DataFrame) -> None:
    with pytest.warns(match="the descriptors of 'solvent': constant .* are left out: 'phase'$"):
        data = loaded(table, solvent={"descriptors": solvents.assign(phase=1)})
    assert data.space == loaded(table, solvent={"descriptors": solvents}).space


def test_an_unseen_level_can_be_fixed(table: pd.DataFrame) -> None:
    data = loaded(table, solvent={"descriptors": "solvents.csv", "fixed": "anisole"})
    nearest = data.nearest_allowed(data.known_designs)
    assert (data.to_user_units(nearest)["solvent"] == "anisole").all()


def test_what_follows_from_an_unseen_level_is_left_open(table: pd.DataFrame) -> None:
    smiles = {"water": "O", "ethanol": "CCO", "toluene": "Cc1ccccc1"}
    table.insert(1, "smiles", table["solvent"].map(smiles))
    data = loaded(table, solvent={"descriptors": "solvents.csv"})
    assert shown(data)["smiles"] == "from solvent"
    rows = table.iloc[:2].assign(solvent=["anisole", "water"], smiles=["COc1ccccc1", "O"])
    decoded = data.to_user_units(data.encode(rows))
    assert decoded["solvent"].tolist() == ["anisole", "water"]
    assert decoded["smiles"].isna().tolist() == [True, False]


def changed(row: int, column: str, entry: Any) -> pd.DataFrame:
    frame = pd.DataFrame(SOLVENTS).astype(object)
    frame.loc[row, column] = entry
    return frame


BAD_FILES = {
    "text": (
        changed(2, "boiling_point", "high"),
        r"^f.csv, column 'boiling_point', data row 3: 'high' is not .* number\..*leave it out$",
    ),
    "empty": (
        changed(1, "log_p", None),
        r"^f.csv, column 'log_p', data row 2: empty is not a finite number\.",
    ),
    "no name": (changed(3, "solvent", None), r"^f.csv, column 'solvent', data row 4: empty\. Name"),
    "twice": (
        changed(3, "solvent", "Water"),
        r"^f.csv, column 'solvent', data row 4: 'water' stands in data row 1 already\.",
    ),
    "no level": (
        changed(0, "solvent", "wader"),
        r"^f.csv, column 'solvent': no row is 'water', a level of 'solvent'.*wader.*Add it",
    ),
    "one column": (pd.DataFrame(SOLVENTS)[["solvent"]], r"^f.csv has 1 columns: it must have one"),
    "constant": (
        pd.DataFrame({"solvent": SOLVENTS["solvent"], "phase": 1.0}),
        r"^f.csv: no descriptor differs between levels\.",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_by_row(name: str, table: pd.DataFrame) -> None:
    frame, message = BAD_FILES[name]
    frame.to_csv("f.csv", index=False)
    with pytest.raises(DataError, match=message) as raised:
        loaded(table, solvent={"descriptors": "f.csv"})
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named_with_its_option(table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"none.csv is missing: data.columns.solvent.descriptors"):
        loaded(table, solvent={"descriptors": "none.csv"})


@pytest.mark.parametrize(
    ("column", "said", "message"),
    [
        ("temp", {"descriptors": "solvents.csv"}, "descriptors are of categories, and the column "),
        ("temp", {"kind": "number", "descriptors": "solvents.csv"}, "descriptors does not go with"),
        ("temp", {"levels": [1, 2], "ordered": True}, "levels are of categories, and the column"),
        ("solvent", {"descriptors": 3}, "descriptors must be a file"),
        ("grade", {"levels": ["low", "high"]}, "give the levels of an ordered category"),
        ("grade", {"ordered": True}, "give the levels of an ordered category"),
        ("grade", {"levels": ["low", "low"], "ordered": True}, "give the levels of an ordered"),
        ("grade", {**GRADES, "descriptors": "solvents.csv"}, "levels and ordered do not go with"),
        ("grade", {**GRADES, "fixed": "top"}, "fixed 'top' is none of the levels"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    column: str, said: dict[str, Any], message: str, table: pd.DataFrame
) -> None:
    with pytest.raises(ConfigurationError, match=f"^data.columns.{column}: {message}"):
        loaded(table, **{column: said})


def test_an_entry_that_is_no_ordered_level_is_refused_by_row(table: pd.DataFrame) -> None:
    table.loc[7, "grade"] = "hihg"
    with pytest.raises(DataError, match=r"column 'grade', data row 8: 'hihg' is none of .*high"):
        loaded(table, grade=GRADES)


def test_a_list_may_have_unseen_levels_of_the_file_and_no_others(table: pd.DataFrame) -> None:
    data = loaded(table, solvent={"descriptors": "solvents.csv"}, grade=GRADES)
    listed = table.drop(columns="yield").iloc[:3].assign(solvent="anisole", grade="medium")
    pool = data.read_pool(listed)
    assert data.to_user_units(pool.designs)["solvent"].tolist() == ["anisole"] * 3
    with pytest.raises(DataError, match=r"data row 2: 'benzene' is no level"):
        data.read_pool(listed.assign(solvent=["anisole", "benzene", "water"]))


def test_a_checkpoint_of_other_descriptors_is_refused(
    table: pd.DataFrame, solvents: pd.DataFrame
) -> None:
    state = loaded(table, solvent={"descriptors": solvents}).state_dict()
    loaded(table, solvent={"descriptors": "solvents.csv"}).load_state_dict(state)
    solvents.loc[3, "log_p"] = 2.0
    with pytest.raises(CheckpointError, match="with other training data"):
        loaded(table, solvent={"descriptors": solvents}).load_state_dict(state)


def test_options_of_levels_make_a_setting() -> None:
    parsed = parse_columns({"a": {"descriptors": "f.csv"}, "b": GRADES, "c": {"kind": "group"}})
    assert [given.is_setting for given in parsed.values()] == [True, True, False]


def test_huge_descriptors_do_not_overflow(table: pd.DataFrame, solvents: pd.DataFrame) -> None:
    solvents["log_p"] *= 1e300
    data = loaded(table, solvent={"descriptors": solvents})
    assert torch.tensor(data.space.descriptors[-1]).isfinite().all()
