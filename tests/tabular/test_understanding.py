"""What the columns of a table mean is found by their values, said, and can be said otherwise."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.column_options import parse_columns
from lightning_mbo.tabular.column_roles import Roles
from lightning_mbo.tabular.preparation import PreparedTable, prepare
from lightning_mbo.tabular.wording import LAWS


def prepared(frame: pd.DataFrame, columns: dict[str, Any] | None = None, **more: Any) -> Any:
    more = {"missing": None, "laws": LAWS} | more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return prepare(frame, "the table", Roles("y"), parse_columns(columns or {}), **more)


def designed(table: PreparedTable) -> list[str]:
    return [column.name for column in table.layout.columns]


def drawn(frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Designs far and wide, as they would be handed out."""
    data = CSV(frame, target="y", **options)
    data.setup("fit")
    noise = torch.randn(200, *data.design_shape, generator=torch.Generator().manual_seed(0))
    designs = data.nearest_allowed(2 * noise.double())
    return data.to_user_units(designs[data.feasible(designs)])


def settings(num_rows: int = 40) -> pd.DataFrame:
    """Two numbers and a category, and what they have to do with y."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(0, 10, (num_rows, 2)).round(2), columns=["a", "b"])
    frame["s"] = rng.choice(["oil", "tea", "water"], num_rows)
    frame["y"] = (frame["a"] - frame["b"] + rng.normal(size=num_rows)).round(2)
    return frame


def repeated(**more: Any) -> pd.DataFrame:
    """12 designs, each measured three times."""
    rng = np.random.default_rng(1)
    frame = settings(12).loc[np.repeat(np.arange(12), 3)].reset_index(drop=True)
    frame["y"] = (3 * frame["y"] + rng.normal(0, 0.1, 36)).round(3)
    return frame.assign(**more)


Trap = Callable[[], pd.DataFrame]


@pytest.mark.parametrize(
    ("trap", "left", "said"),
    [
        (lambda: settings().assign(sample=range(101, 141)), "sample", "counts the rows"),
        (
            lambda: settings().assign(n=range(1, 41)).drop(index=[3, 7]).reset_index(drop=True),
            "n",
            "counts the rows",
        ),
        (
            lambda: settings().assign(run=np.random.default_rng(0).permutation(40) + 1),
            "run",
            "counts the rows",
        ),
        (lambda: repeated(k=[1, 2, 3] * 12), "k", "tells apart rows of the same design"),
        (lambda: repeated(k=[0, 1, 2] * 12), "k", "tells apart rows of the same design"),
        (
            lambda: repeated(k=[1, 2, 3] * 12).drop(index=[2, 4, 5]).reset_index(drop=True),
            "k",
            "tells apart rows of the same design",
        ),
        (
            lambda: repeated(replicate=["A", "B", "C"] * 12),
            "replicate",
            "tells apart rows of the same design",
        ),
        (lambda: settings().assign(per_cent=lambda f: f["y"] * 100), "per_cent", "the same as 'y'"),
        (lambda: settings().assign(loss=lambda f: -f["y"].round(1)), "loss", "the same as 'y'"),
        (
            lambda: settings().assign(score=lambda f: pd.qcut(f["y"], 5, labels=False)),
            "score",
            "the same as 'y'",
        ),
        (
            lambda: settings().assign(grade=lambda f: pd.qcut(f["y"], 5, labels=list("EDCBA"))),
            "grade",
            "the same as 'y'",
        ),
    ],
)
def test_what_is_left_out(trap: Trap, left: str, said: str) -> None:
    frame = trap()
    table = prepared(frame)
    assert designed(table) == ["a", "b", "s"]
    (note,) = table.notes
    assert note.startswith(f"'{left}'")
    assert said in note
    assert not table.questions
    # As the note says.
    kind = "integer" if pd.api.types.is_integer_dtype(frame[left]) else None
    kind = kind or ("number" if pd.api.types.is_numeric_dtype(frame[left]) else "category")
    assert f"--data.columns '{{{left}: {kind}}}'" in note
    kept = prepared(frame, {left: kind})
    assert left in designed(kept)
    assert not kept.notes


def test_repeats_become_one_design() -> None:
    table = prepared(repeated(k=[1, 2, 3] * 12))
    assert table.num_rows == 36
    assert len(table.designs) == 12
    np.testing.assert_allclose(table.properties, repeated()["y"].to_numpy().reshape(12, 3).mean(1))


@pytest.mark.parametrize(
    ("trap", "asked"),
    [
        (
            lambda: settings().assign(k=np.random.default_rng(0).permutation(40) + 1),
            "If it only counts the rows: --data.columns '{k: ignore}'",
        ),
        (
            lambda: repeated(machine=[7, 9, 12] * 12),
            "If it is no setting: --data.columns '{machine: replicate}'",
        ),
        (
            lambda: settings().assign(plate=[1, 1, 2, 2, 3] * 8),
            "If rows only belong together by it: --data.columns '{plate: group}'",
        ),
        (
            lambda: settings(80).assign(
                hardness=lambda f: f["y"] + np.random.default_rng(0).normal(0, 0.2, 80)
            ),
            '--data.other_results "hardness"',
        ),
        (
            lambda: settings(80).assign(
                **{"y (top)": lambda f: f["y"] + np.random.default_rng(0).normal(0, 2, 80)}
            ),
            '--data.other_results "y (top)"',
        ),
        (
            lambda: settings().assign(passed=lambda f: (f["y"] > f["y"].median()) * 1),
            '--data.other_results "passed"',
        ),
    ],
)
def test_what_is_asked(trap: Trap, asked: str) -> None:
    frame = trap()
    table = prepared(frame)
    name = next(name for name in frame if name not in ("a", "b", "s", "y"))
    assert designed(table) == ["a", "b", "s", name]
    (question,) = table.questions
    assert asked in question
    assert repr(name) in question
    assert not prepared(frame, {name: "result"}).questions
    kept = prepared(frame, {name: "number"}).questions
    assert not any(repr(name) in question.split(",")[0] for question in kept)


def test_a_turnover_number_is_asked_about() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"loading": rng.uniform(0.5, 2.5, 80).round(3), "a": rng.normal(size=80)})
    frame["y"] = (50 + 20 * frame["a"] + rng.normal(0, 20, 80)).clip(0.5, 100).round(1)
    frame["ton"] = (frame["y"] / frame["loading"]).round(1)
    (question,) = prepared(frame).questions
    assert question.startswith("'ton' goes with 'y'")
    assert '--data.other_results "ton"' in question


@pytest.mark.parametrize("name", ["named", "follows"])
def test_a_category_by_other_words(name: str) -> None:
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 5, 60)
    frame = settings(60).assign(
        base=np.array(["KOH", "K2CO3", "Cs2CO3", "NEt3", "DBU"])[levels],
        pKa=np.array([15.7, 10.3, 10.3, 10.8, 13.5])[levels],
        metal=np.array([True, True, True, False, False])[levels],
    )
    columns = {"follows": {"pKa": "follows", "metal": {"follows": "base"}}}.get(name)
    table = prepared(frame, columns)
    assert designed(table) == ["a", "b", "s", "base"]
    rows = drawn(frame, columns=columns)
    assert list(rows) == ["a", "b", "s", "base", "pKa", "metal"]
    of_base = frame.drop_duplicates("base").set_index("base")
    assert rows["pKa"].tolist() == of_base.loc[rows["base"], "pKa"].tolist()
    assert rows["metal"].tolist() == of_base.loc[rows["base"], "metal"].tolist()
    assert designed(prepared(frame, {"pKa": "number"})) == ["a", "b", "s", "base", "pKa"]


def test_numbers_by_other_units() -> None:
    frame = settings(60).assign(kelvin=lambda f: (f["a"] + 273.15).round(2))
    frame["log"] = np.log(frame["b"] + 1)
    assert designed(prepared(frame)) == ["a", "b", "s"]
    rows = drawn(frame)
    np.testing.assert_allclose(rows["kelvin"], rows["a"] + 273.15)
    inside = rows["b"].between(frame["b"].min(), frame["b"].max())
    assert inside.sum() > 20
    np.testing.assert_allclose(rows["log"][inside], np.log(rows["b"][inside] + 1), atol=0.02)


def test_numbers_that_describe_a_thing_are_one_category() -> None:
    levels = np.random.default_rng(3).integers(0, 4, 60)
    frame = settings(60).assign(
        mass=np.array([102.5, 240.1, 88.0, 150.2])[levels],
        logP=np.array([2.2, 1.1, 3.0, 0.4])[levels],
    )
    (question,) = prepared(frame).questions
    assert """--data.columns '{logP: {follows: "mass"}}'""" in question
    rows = drawn(frame, columns={"logP": {"follows": "mass"}})
    pairs = frame[["mass", "logP"]].drop_duplicates()
    assert len(rows[["mass", "logP"]].merge(pairs)) == len(rows)
    assert rows["mass"].nunique() == 4


def test_a_name_of_mixtures_is_left_out() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 8).round(2)[np.repeat(range(8), 6)]
    frame = settings(48).assign(alloy=[f"alloy {j}" for j in np.repeat(range(8), 6)])
    frame["Fe"], frame["Ni"] = shares[:, 0], shares[:, 1]
    frame["Co"] = (1 - frame["Fe"] - frame["Ni"]).round(2)
    table = prepared(frame)
    assert designed(table) == ["a", "b", "s", "Fe", "Ni", "Co"]
    assert any("'alloy' names what other columns say" in note for note in table.notes)


def test_a_column_that_does_not_follow() -> None:
    with pytest.raises(ConfigurationError, match=r"data.columns.a: it does not follow from 's'"):
        prepared(settings(), {"a": {"follows": "s"}})


def test_groups_are_held_out_together() -> None:
    frame = settings(60).assign(day=np.repeat(range(12), 5))
    data = CSV(frame, target="y", held_out_fraction=0.25, columns={"day": "group"})
    data.setup("fit")
    day_of = dict(zip(frame["y"], frame["day"], strict=True))
    out = {day_of[y] for y in data.held_out_properties.tolist()}
    assert len(out) == 3
    assert not out.intersection(day_of[y] for y in data.properties.tolist())


def test_laws_can_be_switched_off() -> None:
    rng = np.random.default_rng(0)
    frame = settings(60).assign(**dict.fromkeys(["u", "v", "w"], 0.0))
    frame[["u", "v", "w"]] = (rng.dirichlet(np.ones(3), 60) * 100).round(4)
    frame[["p_1", "p_2", "p_3"]] = np.eye(3, dtype=int)[rng.integers(0, 3, 60)]
    rows = drawn(frame)
    np.testing.assert_allclose(rows[["u", "v", "w"]].sum(axis=1), 100, atol=1e-4)
    assert (rows[["p_1", "p_2", "p_3"]].sum(axis=1) == 1).all()
    data = CSV(frame, target="y", constraints=["u + v + w == 100"])
    data.setup("fit")
    assert [constraint.text for constraint in data.constraints] == ["u + v + w == 100"]
    rows = drawn(frame, laws=["dummies"])
    assert (rows[["u", "v", "w"]].sum(axis=1) - 100).abs().max() > 1
    assert (rows[["p_1", "p_2", "p_3"]].sum(axis=1) == 1).all()
    rows = drawn(frame, laws=False)
    assert (rows[["p_1", "p_2", "p_3"]].sum(axis=1) != 1).any()
    with pytest.raises(ConfigurationError, match=r"data.laws: there is no sums"):
        CSV(frame, target="y", laws=["sums"])


def test_what_the_user_says_of_a_column_is_not_doubted() -> None:
    frame = settings().assign(per_cent=lambda f: f["y"] * 100)
    data = CSV(frame, target="y", constraints=["per_cent <= 300"])
    with pytest.warns(UserWarning, match="out of the bounds, steps or constraints"):
        data.setup("fit")
    assert "per_cent" in data.to_user_units(data.designs)


@pytest.mark.parametrize(
    ("column", "kind", "level"),
    [
        ([None, "x", "y", "x"] * 10, "category", "none"),
        ([None, "none", "y", "x"] * 10, "category", "(none)"),
        ([None, None, None, "yes"] * 10, "category", "none"),
        ([None, None, None, True] * 10, "category", False),
    ],
)
def test_empty_entries_that_are_a_level(column: list[Any], kind: str, level: Any) -> None:
    frame = settings().assign(c=pd.Series(column, dtype=object))
    table = prepared(frame)
    (note,) = table.notes
    assert f"a level of its own, {level}" in note
    assert len(table.designs) == 40
    found = next(column for column in table.layout.columns if column.name == "c")
    assert found.kind == kind
    assert set(found.levels) == {*pd.Series(column).dropna(), level}
    dropped = prepared(frame, {"c": {"kind": "category", "missing": "drop"}}, missing="drop")
    assert len(dropped.designs) == sum(entry is not None for entry in column)


def test_a_level_of_the_users_own() -> None:
    frame = settings().assign(c=["x", "y", None, "x"] * 10)
    table = prepared(frame, {"c": {"missing": "air"}})
    assert set(table.designs["c"]) == {"x", "y", "air"}


@pytest.mark.parametrize("column", [[None] * 30 + [1.5, 2.5] * 5, [None] * 8 + [3.0] * 32])
def test_columns_that_would_cost_the_rows(column: list[float | None]) -> None:
    table = prepared(settings().assign(c=column))
    assert designed(table) == ["a", "b", "s"]
    assert len(table.designs) == 40
    assert "'c' is empty in" in table.notes[0]


def test_too_many_rows_lost() -> None:
    frame = settings().assign(c=np.where(np.arange(40) % 8 == 0, np.nan, np.arange(40) % 7))
    with pytest.raises(DataError) as caught:
        prepared(frame)
    message = str(caught.value)
    assert "5 of 40 measured rows lack an entry" in message
    assert "--data.columns '{c: ignore}'" in message
    assert len(prepared(frame, missing="drop").designs) == 35
    # Rows that were not measured are no loss.
    frame = settings()
    frame.loc[frame.index % 2 == 0, "y"] = np.nan
    assert len(prepared(frame).designs) == 20


def grid(*levels: list[float]) -> pd.DataFrame:
    names = [f"x{j}" for j in range(len(levels))]
    return pd.DataFrame(list(itertools.product(*levels)), columns=names)


@pytest.mark.parametrize(
    "designs",
    [
        grid(*[[-1, 1]] * 5),
        grid([40, 60, 80], [1, 2, 3], [0.5, 1, 2]),
        grid([1, 2, 3, 4], [1, 2, 3], [0, 1]),
        pd.concat([grid([0, 1, 2, 3], [0, 1, 2, 3])] * 3, ignore_index=True),
        pd.DataFrame(np.random.default_rng(0).integers(0, 2, (80, 6))),
        pd.DataFrame(np.random.default_rng(0).uniform(size=(30, 8)).round(2)),
        pd.DataFrame(np.array([np.random.default_rng(j).permutation(30) for j in range(3)]).T),
        grid(*[[-1, 1]] * 4).assign(x4=lambda f: f["x0"] * f["x1"] * f["x2"]),
    ],
)
@pytest.mark.parametrize("num_active", [1, 3])
def test_ordinary_tables_are_left_alone(designs: pd.DataFrame, num_active: int) -> None:
    rng = np.random.default_rng(1)
    frame = designs.rename(columns=str)
    slopes = rng.uniform(1, 2, frame.shape[1]) * (np.arange(frame.shape[1]) < num_active)
    standard = (frame - frame.mean()) / frame.std()
    table = prepared(frame.assign(y=standard @ slopes + rng.normal(0, 0.5, len(frame))))
    assert designed(table) == list(frame)
    assert not table.notes
    assert not table.questions


@pytest.mark.filterwarnings("ignore:.*out of the bounds, steps or constraints")
def test_an_equality_on_a_log_scale_is_said_and_not_held() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 60).round(3).clip(0.001)
    frame = pd.DataFrame(shares, columns=["u", "v", "w"])
    frame["w"] = (1 - frame["u"] - frame["v"]).round(3)
    frame = frame[frame["w"] > 0].reset_index(drop=True)
    frame["y"] = rng.normal(size=len(frame)).round(2)
    assert [law.text for law in prepared(frame).laws] == ["u + v + w == 1"]
    table = prepared(frame, {"u": {"scale": "log"}})
    assert table.laws == []
    assert "u + v + w == 1 holds in every row, and candidates are not held to it" in table.notes
    with pytest.raises(ConfigurationError, match="'u' is on a log scale: leave scale out"):
        drawn(frame, columns={"u": {"scale": "log"}}, constraints=["u + v + w == 1"])
    found = drawn(frame, columns={"u": {"scale": "log"}}, constraints=["u + v <= 0.9"])
    assert (found["u"] + found["v"] <= 0.9 + 1e-9).all()
    assert (found["u"] > 0).all()


def test_figures_of_candidates_that_were_appended_are_no_settings() -> None:
    frame = settings().assign(oracle_mean=0.5, lower_95=np.nan, nearest_y=range(40), nearest_row=3)
    table = prepared(frame)
    assert designed(table) == ["a", "b", "s"]
    (note,) = table.notes
    assert note.startswith("'oracle_mean', 'lower_95', 'nearest_y' and 'nearest_row' have the name")
    with pytest.raises(ConfigurationError, match=r"data.columns.nearest_y: .* Rename the column"):
        prepared(frame, {"nearest_y": "number"})


def test_counts_of_letters_are_no_settings() -> None:
    rng = np.random.default_rng(0)
    words = [list("MKTAYIAKQR") for _ in range(60)]
    for word in words:
        for place in rng.choice(10, rng.integers(0, 4), replace=False):
            word[place] = "W"
    frame = pd.DataFrame({"protein": ["".join(word) for word in words]})
    frame["changed"] = [word.count("W") for word in words]
    frame["temp"] = rng.integers(20, 40, 60)
    frame["y"] = rng.normal(size=60)
    table = prepared(frame)
    assert designed(table) == ["protein", "temp"]
    assert table.notes[0].startswith("'changed' counts letters of 'protein' and is left out")
    frame["protein"] = [word[: 5 + row % 5] for row, word in enumerate(frame["protein"])]
    frame["length"] = frame["protein"].str.len()
    assert designed(prepared(frame)) == ["protein", "changed", "temp"]
    assert "length" in designed(prepared(frame, {"length": "integer"}))
