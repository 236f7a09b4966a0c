"""Lines to paste are understood by a shell and the command line, whatever the column's name."""

from __future__ import annotations

import shlex

import pytest
import yaml

from lightning_mbo.tabular.column_options import pasted, pasted_list

NAMES = [
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


@pytest.mark.parametrize("name", NAMES)
def test_columns(name: str) -> None:
    option, text = shlex.split(pasted(name, "ignore"))
    assert option == "--data.columns"
    assert yaml.safe_load(text) == {name: "ignore"}


def test_plain_names_are_plain() -> None:
    assert pasted("x", "number") == "--data.columns '{x: number}'"


@pytest.mark.parametrize("names", [[name] for name in NAMES] + [NAMES, ["a", "b c"], ["-999"]])
def test_lists(names: list[str]) -> None:
    words = shlex.split(pasted_list("other_results", names))
    option, text = words if len(words) == 2 else words[0].split("=", 1)
    assert option == "--data.other_results"
    found = yaml.safe_load(text) if text.startswith("[") else text.split(",")
    assert [name.strip() for name in found] == names
