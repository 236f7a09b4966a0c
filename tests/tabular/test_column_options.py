"""What is said of columns, one by one or by patterns of their names, and as it is to be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.column_options import (
    ColumnOptions,
    TextColumns,
    for_columns,
    parse_columns,
    pasted,
    pasted_list,
)

NAMES = ["dose_a", "dose_b", "temp", "x*"]


def said(**columns: Any) -> dict[str, str | None]:
    found = for_columns(parse_columns(columns), NAMES, "the table")
    return {name: given.kind for name, given in found.items()}


def test_a_pattern_stands_for_what_is_not_named() -> None:
    assert said(**{"*": "number"}) == dict.fromkeys(NAMES, "number")
    assert said(**{"dose_?": "number", "dose_b": "integer"}) == {
        "dose_a": "number",
        "dose_b": "integer",
    }
    assert said(temp="ignore") == {"temp": "ignore"}


def test_the_last_pattern_counts() -> None:
    assert said(**{"*": "number", "dose_*": "integer"})["dose_a"] == "integer"
    assert said(**{"dose_*": "integer", "*": "number"})["dose_a"] == "number"


def test_a_column_may_be_called_like_a_pattern() -> None:
    assert said(**{"x*": "category"}) == {"x*": "category"}


def test_a_pattern_that_no_column_matches() -> None:
    with pytest.raises(ConfigurationError, match=r"no column like 'doze_\*'.*dose_a"):
        said(**{"doze_*": "number"})


def test_patterns_say_nothing_of_roles() -> None:
    options = parse_columns({"*": {"kind": "number", "upper": 9}})
    assert options["*"].is_setting
    of_column = for_columns(options, NAMES, "the table")["temp"]
    assert of_column == ColumnOptions(kind="number", upper=9.0, is_pattern=True)
    assert not of_column.is_setting


def test_is_pattern_cannot_be_said() -> None:
    with pytest.raises(ConfigurationError, match=r"data\.columns\.a has no option is_pattern"):
        parse_columns({"a": {"is_pattern": True}})


def test_texts_by_pattern() -> None:
    texts = TextColumns(parse_columns({"code_*": "category", "code_n": "number"}), ["code_y"])
    assert "code_a" in texts
    assert "code_n" not in texts
    assert "code_y" not in texts
    assert "a" not in texts


def amounts() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 9, (40, 3)) * 5, columns=["part a", "part b", "temp"])
    frame["code"] = rng.choice(["007", "010"], 40)
    frame["y"] = rng.normal(size=40)
    return frame


def loaded(table: Any, **columns: Any) -> CSV:
    data = CSV(table, target="y", columns=columns)
    data.setup("fit")
    return data


def test_kinds_of_many_columns(tmp_path: Path) -> None:
    amounts().to_csv(tmp_path / "t.csv", index=False)
    columns = {"part *": {"kind": "number", "upper": 50}, "co*": "category"}
    data = loaded(tmp_path / "t.csv", **columns)
    designs = data.nearest_allowed(data.designs * 3)
    shown = data.to_user_units(designs)
    assert shown[["part a", "part b"]].max(axis=None) == 50
    assert (shown["part a"] % 1 != 0).any()
    assert shown["temp"].dtype == np.int64
    assert set(shown["code"]) <= {"007", "010"}


@pytest.mark.filterwarnings("ignore:.*is empty and left out")
def test_roles_are_found_among_columns_of_a_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    frame = amounts().drop(columns="code")
    frame = frame.loc[np.repeat(np.arange(40), 2)].reset_index(drop=True)
    frame.insert(0, "Unnamed: 0", np.arange(80))
    frame["replicate"] = np.tile([1, 2], 40)
    frame["empty"] = np.nan
    data = loaded(frame, **{"*": "number"})
    assert list(data.to_user_units(data.designs)) == ["part a", "part b", "temp"]
    assert "'replicate' only tells apart rows" in capsys.readouterr().out
    kept = loaded(frame, **{"*": "number", "replicate": "number"})
    assert "replicate" in kept.to_user_units(kept.designs)


ODD_NAMES = [
    "x",
    "Run date [UTC]",
    "Jim's yield",
    'the "best" one',
    "größe (µm)",
    "a: b",
    "{a}, $HOME `ls` \\n !1",
    "no",
    "True",
    "12",
    "- x",
    "#",
    "two\nlines",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_column_to_paste(name: str) -> None:
    option, text = shlex.split(pasted(name, "ignore"))
    assert option == "--data.columns"
    assert yaml.safe_load(text) == {name: "ignore"}


def test_plain_names_are_pasted_plain() -> None:
    assert pasted("x", "number") == "--data.columns '{x: number}'"


@pytest.mark.parametrize(
    "names", [[name] for name in ODD_NAMES] + [ODD_NAMES, ["a", "b c"], ["-999"]]
)
def test_lists_to_paste(names: list[str]) -> None:
    words = shlex.split(pasted_list("other_results", names))
    option, text = words if len(words) == 2 else words[0].split("=", 1)
    assert option == "--data.other_results"
    found = yaml.safe_load(text) if text.startswith("[") else text.split(",")
    assert [name.strip() for name in found] == names
