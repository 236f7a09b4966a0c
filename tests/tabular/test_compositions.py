"""Columns of formulas are designed by the amounts of their elements, and come back as formulas."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.formulas import read_formula

METALS = ["Fe", "Ni", "Cr", "Mo", "Nb", "Sn", "Ti"]


def alloys(num_rows: int = 60, num: int = 3) -> pd.DataFrame:
    """Two to `num` metals in each row, by whole shares."""
    rng = np.random.default_rng(0)
    formulas = []
    for _ in range(num_rows):
        chosen = rng.choice(METALS, rng.integers(2, num + 1), replace=False)
        formulas.append("".join(f"{metal}{rng.integers(1, 9)}" for metal in chosen))
    table = pd.DataFrame({"alloy": formulas, "temp": rng.uniform(300, 900, num_rows).round()})
    return table.assign(y=rng.normal(size=num_rows).round(3))


def read(table: pd.DataFrame, given: Any = "formula", **options: Any) -> CSV:
    data = CSV(table, target="y", columns={"alloy": given}, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.setup("fit")
    return data


def drawn(data: CSV, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, *data.design_shape, generator=generator, dtype=torch.float64)
    return data.nearest_allowed(scale * noise)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_designs_are_formulas_of_few_elements(scale: float) -> None:
    data = read(alloys())
    designs = drawn(data, scale)
    assert data.feasible(designs).all()
    found = data.to_user_units(designs)
    assert list(found) == ["alloy", "temp"]
    for text in found["alloy"]:
        amounts = read_formula(text)
        assert set(amounts) <= set(METALS)
        assert len(amounts) <= 3
        assert sum(amounts.values()) == pytest.approx(100, abs=1e-9)
        assert all(amount * 10 == pytest.approx(round(amount * 10)) for amount in amounts.values())
    # What is written is the very design.
    torch.testing.assert_close(data._layout.encode(found), designs, rtol=0, atol=1e-9)


def test_the_same_composition_is_one_design() -> None:
    table = alloys(40)
    table.loc[:3, "alloy"] = ["Nb3Sn", "Nb75Sn25", "Sn Nb₃", "(Nb3Sn)2"]
    table.loc[:3, "temp"] = 500.0
    data = read(table)
    assert len(data.known_designs) == len(table) - 3
    assert data.to_user_units(data.known_designs[:1])["alloy"].tolist() == ["Nb75Sn25"]


@pytest.mark.parametrize(("dopant", "step"), [(0.3, "0.1"), (0.03, "0.01"), (0.003, "0.001")])
def test_small_amounts_keep_their_size(
    dopant: float, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = np.tile(dopant * np.array([1, 1.25, 1.5, 1.75, 2]), 10)
    nickel = np.repeat(np.arange(10), 5)
    formulas = [f"Fe10Ti{s:g}Ni{n}" for s, n in zip(shares, nickel, strict=True)]
    data = read(pd.DataFrame({"alloy": formulas, "y": np.random.default_rng(1).normal(size=50)}))
    assert f"in steps of {step} at.%" in " ".join(capsys.readouterr().out.split())
    found = [read_formula(text) for text in data.to_user_units(data.known_designs)["alloy"]]
    expected = shares / (10 + shares + nickel) * 100
    np.testing.assert_allclose([one["Ti"] for one in found], expected, rtol=0.05)


def test_constraints_and_limits_of_elements() -> None:
    data = read(alloys(), constraints=["`alloy Fe` <= 20"], laws=["equalities"])
    designs = drawn(data)
    designs = designs[data.feasible(designs)]
    amounts = [read_formula(text) for text in data.to_user_units(designs)["alloy"]]
    assert len(amounts) > 10
    assert max(one.get("Fe", 0) for one in amounts) <= 20
    assert max(map(len, amounts)) > 3


def test_it_is_noticed_where_it_is_the_design(capsys: pytest.CaptureFixture[str]) -> None:
    data = CSV(alloys(), target="y")
    data.setup("fit")
    assert data.space.num_numbers == len(METALS) + 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "'alloy' reads as chemical formulas and is designed" in printed
    assert "--data.columns '{alloy: ignore}'" in printed
    assert "7 elements, at most 3 together" in printed
    assert "'alloy' has at most 3 of 7 elements in every row" in printed


def test_it_is_asked_for_where_it_may_be_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    table = alloys()
    rng = np.random.default_rng(2)
    table[["a", "b", "c"]] = rng.normal(size=(len(table), 3))
    data = CSV(table, target="y")
    data.setup("fit")
    assert data.space.num_numbers == 4
    printed = " ".join(capsys.readouterr().out.split())
    assert "question: 'alloy' reads as chemical formulas" in printed
    assert "--data.columns '{alloy: formula}'" in printed


def test_a_name_that_goes_with_it_is_left_out() -> None:
    table = alloys(12).loc[np.repeat(np.arange(12), 4)].reset_index(drop=True)
    table["temp"] = np.tile([300, 400, 500, 600], 12)
    table["name"] = [f"alloy {i}" for i in np.repeat(np.arange(12), 4)]
    table["y"] = np.random.default_rng(0).normal(size=48)
    assert list(read(table).to_user_units(torch.zeros(1, 8))) == ["alloy", "temp"]


def test_what_cannot_be_read_is_counted_and_can_be_dropped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = alloys(60)
    table.loc[[3, 8, 11], "alloy"] = ["Fe3Xx", "steel", "YBCO"]
    with pytest.raises(DataError) as caught:
        read(table)
    assert "column 'alloy', data row 4: formula 'Fe3Xx', character 4" in str(caught.value)
    assert "(3 such entries in all)" in str(caught.value)
    assert "--data.columns '{alloy: {kind: formula, missing: drop}}'" in str(caught.value)
    data = read(table, {"kind": "formula", "missing": "drop"})
    assert len(data.known_designs) == 57
    assert "(3 such entries in all)" in " ".join(capsys.readouterr().out.split())


def test_capitals_among_others_are_refused() -> None:
    table = alloys()
    table.loc[5, "alloy"] = "NB3SN"
    with pytest.raises(DataError, match="data row 6: formula 'NB3SN': is Nb3Sn in capitals"):
        read(table)


def test_doubtful_formulas_are_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    table = alloys()
    table["alloy"] = [f"N{i}B{j}SN" for i in range(1, 7) for j in range(1, 11)]
    table.loc[7, "alloy"] = "N3B2O318"
    read(table)
    printed = " ".join(capsys.readouterr().out.split())
    assert "question: 'alloy', data row 8: N3B2O318 has an amount of 318" in printed
    assert "SN is read as" not in printed  # one pair of letters may well be two elements
    table["alloy"] = [f"NB{i}SN{j}" for i in range(1, 7) for j in range(1, 11)]
    read(table)
    printed = " ".join(capsys.readouterr().out.split())
    assert "data row 1: NB1SN1 is read as N 2 B 1 S 1. If Nb1Sn1 is meant" in printed


def test_columns_of_its_elements_may_have_its_name() -> None:
    table = alloys()
    table["alloy Fe"] = np.random.default_rng(0).normal(size=len(table))
    found = read(table).to_user_units(torch.zeros(2, 9))
    assert list(found) == ["alloy", "temp", "alloy Fe"]


def test_the_level_of_what_is_missing_is_no_formula() -> None:
    with pytest.raises(ConfigurationError, match="missing must be drop"):
        read(alloys(), {"kind": "formula", "missing": "Fe"})
