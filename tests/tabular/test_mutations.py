"""Columns of mutations are designed place by place, and come back in the parent's order."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.mutations import reads_as_mutations

PARENT = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEV"
PLACES = [3, 5, 10, 15, 21]


def variants(num_rows: int = 80, shift: int = 0, separator: str = ":") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(num_rows):
        chosen = rng.choice(PLACES, rng.integers(0, 4), replace=False)
        words = [f"{PARENT[p - 1]}{p + shift}{rng.choice(list('GLW'))}" for p in chosen]
        texts.append(separator.join(words) or "WT")
    table = pd.DataFrame({"mutant": texts, "temp": rng.uniform(20, 60, num_rows).round(1)})
    return table.assign(y=rng.normal(size=num_rows).round(3))


def read(table: pd.DataFrame, **given: Any) -> CSV:
    options = {"kind": "mutations", "parent": PARENT} | given
    data = CSV(table, target="y", columns={"mutant": options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.setup("fit")
    return data


def drawn(data: CSV) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, *data.design_shape, generator=generator, dtype=torch.float64)
    return data.nearest_allowed(noise)


@pytest.mark.parametrize("separator", [":", ";", ",", "/", "+", " ", ", "])
def test_designs_are_mutations_of_the_places_that_vary(separator: str) -> None:
    data = read(variants(separator=separator))
    assert data.space.groups == (4,) * len(PLACES)
    designs = drawn(data)
    found = data.to_user_units(designs)
    assert list(found) == ["mutant", "temp"]
    for text in found["mutant"]:
        words = [] if text == "WT" else text.split(":")
        places = [int(word[1:-1]) for word in words]
        assert places == sorted(places)
        assert set(places) <= set(PLACES)
        assert all(word[0] == PARENT[int(word[1:-1]) - 1] for word in words)
        assert all(word[-1] in "GLW" for word in words)
    torch.testing.assert_close(data._layout.encode(found), designs)


def test_all_letters_of_the_parent_are_the_parent() -> None:
    table = variants()
    table.loc[:5, "mutant"] = ["WT", "wt", "A4A", None, "", " "]
    table.loc[:5, "temp"] = 30.0
    data = read(table)
    assert data.to_user_units(data.known_designs[:1])["mutant"].tolist() == ["WT"]
    assert len(data.known_designs) == len(table) - 5


def test_another_order_is_the_same_design() -> None:
    table = variants()
    table.loc[:1, "mutant"] = ["T3G:R10W", "R10W T3G"]
    table.loc[:1, "temp"] = 30.0
    data = read(table)
    assert data.to_user_units(data.known_designs[:1])["mutant"].tolist() == ["T3G:R10W"]
    assert len(data.known_designs) == len(table) - 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("A3V", "A3V: the parent has T at 3, not A"),
        ("M99V", "the parent has the places 1 to 32, and no 99"),
        ("T3G:T3W", "two letters at 3"),
        ("T3del", "is a deletion"),
        ("T3-", "is a deletion"),
        ("T3_A4insG", "is an insertion"),
        ("p.Thr3Gly", "no names of three"),
        ("T3", "is no mutation such as A5V"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, part: str) -> None:
    table = variants()
    table.loc[[6, 9], "mutant"] = text
    with pytest.raises(DataError) as caught:
        read(table)
    message = str(caught.value)
    assert f"column 'mutant', data row 7: {text!r}: " in message
    assert part in message
    assert "(2 such entries in all)" in message
    assert len(read(table, missing="drop").known_designs) == 78


@pytest.mark.parametrize("shift", [-1, 20])
def test_another_numbering(shift: int) -> None:
    table = variants(shift=shift)
    with pytest.raises(DataError, match=f"number {1 + shift}: give its option offset: {shift}"):
        read(table)
    data = read(table, offset=shift)
    places = data.to_user_units(drawn(data))["mutant"].str.extractall(r"(\d+)")[0].astype(int)
    assert set(places) == {place + shift for place in PLACES}


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"parent": None}, "give the parent too"),
        ({"parent": "mktay"}, "give the parent too"),
        ({"offset": "two"}, "offset must be a whole number"),
        ({"missing": "WT"}, "missing must be drop"),
    ],
)
def test_options(given: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        read(variants(), **given)


def test_a_column_of_mutations_is_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    table = variants()
    table["mutant"] = [f"T3{a}:Y5{b}" for a in "GAVLIWFH" for b in "GAVLIWFHKR"]
    CSV(table, target="y").setup("fit")
    printed = " ".join(capsys.readouterr().out.split())
    assert "question: 'mutant' reads as mutations of a parent" in printed
    assert "--data.columns '{mutant: {kind: mutations, parent: MKTAY...}}'" in printed


@pytest.mark.parametrize(
    "texts",
    [
        [f"B{i}C" for i in range(30)] + [f"D{i}C" for i in range(30)],
        [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)],
        [f"A{i}" for i in range(40)],
        ["C1CC", "C1CN", "C1CO", "C2CC"] * 4,
    ],
)
def test_codes_are_no_mutations(texts: list[str]) -> None:
    assert not reads_as_mutations(texts)
