"""The shipped superconductors, and the formats that are recognised."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.errors import DataError
from lightning_mbo.tasks.materials import ELEMENTS, FEATURE_NAMES
from lightning_mbo.tasks.superconductor_table import read_superconductors
from tests.tasks.superconductors import amount_table, feature_table, formula_table


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("reverse", [False, True])
def test_formats_are_recognised_by_columns(tmp_path: Path, suffix: str, reverse: bool) -> None:
    step = -1 if reverse else 1
    path = tmp_path / f"table{suffix}"

    features = feature_table()
    features.iloc[:, ::step].to_csv(path, index=False)
    result = read_superconductors(path)
    assert result.amounts is None
    np.testing.assert_allclose(result.features, features[list(FEATURE_NAMES)])
    np.testing.assert_allclose(result.temperatures, features["critical_temp"])

    amounts = amount_table()
    amounts.iloc[:, ::step].to_csv(path, index=False)
    result = read_superconductors(path)
    assert result.features is None
    np.testing.assert_allclose(result.amounts, amounts[list(ELEMENTS)])
    np.testing.assert_allclose(result.temperatures, amounts["critical_temp"])

    formula_table().iloc[:, ::step].to_csv(path, index=False)
    result = read_superconductors(path)
    assert result.features is None
    expected = np.zeros((4, 86))
    for row, amount in enumerate([{"Mg": 1, "B": 2}, {"Nb": 1, "N": 1}, {"Nb": 1}, {"Hg": 1}]):
        for element, value in amount.items():
            expected[row, ELEMENTS.index(element)] = value
    np.testing.assert_array_equal(result.amounts, expected)
    np.testing.assert_array_equal(result.temperatures, [39, 16, 9, 4.2])


def test_the_shipped_subset() -> None:
    result = read_superconductors(None)
    assert result.amounts is not None
    assert result.amounts.shape == (6197, 86)
    assert result.temperatures.shape == (6197,)
    names, values = result.represented("features")
    assert names == list(FEATURE_NAMES)
    assert values.shape == (6197, 81)
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("formula", "reason"), [("Mg3Xx", "unknown element symbol 'Xx'"), ("", "is empty")]
)
def test_a_bad_formula_is_named(tmp_path: Path, formula: str, reason: str) -> None:
    path = tmp_path / "formulas.csv"
    frame = formula_table()
    frame.loc[2, "formula"] = formula
    frame.to_csv(path, index=False)
    with pytest.raises(DataError) as caught:
        read_superconductors(path)
    message = str(caught.value)
    for part in (str(path), "column 'formula'", "row 3", repr(formula), reason):
        assert part in message


@pytest.mark.parametrize("make", [feature_table, amount_table, formula_table])
def test_a_bad_number_is_named(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "table.csv"
    frame = make().astype({"critical_temp": object})
    frame.loc[1, "critical_temp"] = "cold"
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"column 'critical_temp', data row 2: 'cold'"):
        read_superconductors(path)


@pytest.mark.parametrize("row", [{"Cu": -1.0}, dict.fromkeys(ELEMENTS, 0.0)])
def test_bad_amounts_are_named(tmp_path: Path, row: dict[str, float]) -> None:
    path = tmp_path / "unique_m.csv"
    frame = amount_table()
    frame.loc[2, list(row)] = list(row.values())
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}, data row 3: amounts"):
        read_superconductors(path)


@pytest.mark.parametrize(
    ("frame", "nearest", "lacking"),
    [
        (pd.DataFrame({"formula": ["Nb"], "Tc": [9]}), "a table of formulas", "critical_temp"),
        (
            feature_table().drop(columns=["mean_fie", "range_fie"]),
            "UCI's train.csv",
            "mean_fie, range_fie",
        ),
        (amount_table().drop(columns=["Cu"]), "UCI's unique_m.csv", "Cu"),
        (amount_table().iloc[:, 20:], "UCI's unique_m.csv", "H, He, Li, Be, B and 15 more"),
    ],
)
def test_unknown_columns(tmp_path: Path, frame: pd.DataFrame, nearest: str, lacking: str) -> None:
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(DataError) as caught:
        read_superconductors(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is not a table of superconductors")
    assert message.endswith(f"to be {nearest} it lacks the columns {lacking}")
