"""Formulas, element amounts and the 81 superconductor features."""

from __future__ import annotations

import csv
import gzip
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.errors import DataError
from lightning_mbo.tasks import materials
from lightning_mbo.tasks.materials import (
    ELEMENTS,
    FEATURE_NAMES,
    PROPERTIES,
    compositions,
    parse_formula,
    read_elements,
    superconductor_features,
)

UCI = Path(__file__).parents[2] / ".." / "shared" / "data"


def feature(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, FEATURE_NAMES.index(name)]


def test_names_are_the_published_ones_in_order() -> None:
    assert len(ELEMENTS) == len(set(ELEMENTS)) == 86
    assert [ELEMENTS[z - 1] for z in (1, 8, 29, 43, 57, 72, 86)] == [
        "H",
        "O",
        "Cu",
        "Tc",
        "La",
        "Hf",
        "Rn",
    ]
    assert len(FEATURE_NAMES) == len(set(FEATURE_NAMES)) == 81
    assert FEATURE_NAMES[:4] == (
        "number_of_elements",
        "mean_atomic_mass",
        "wtd_mean_atomic_mass",
        "gmean_atomic_mass",
    )
    assert FEATURE_NAMES[31] == "mean_Density"
    assert FEATURE_NAMES[68] == "wtd_range_ThermalConductivity"
    assert FEATURE_NAMES[-1] == "wtd_std_Valence"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("H", {"H": 1.0}),
        ("MgB2", {"Mg": 1.0, "B": 2.0}),
        ("Ba0.2La1.8Cu1O4", {"Ba": 0.2, "La": 1.8, "Cu": 1.0, "O": 4.0}),
        ("(Ca0.5Sr0.5)2Cu1O4", {"Ca": 1.0, "Sr": 1.0, "Cu": 1.0, "O": 4.0}),
        ("[Y(Ba0.5Sr0.5)2]2{CuO}.5", {"Y": 2.0, "Ba": 2.0, "Sr": 2.0, "Cu": 0.5, "O": 0.5}),
        ("(Fe)(Se)", {"Fe": 1.0, "Se": 1.0}),
        ("CuOCu2O3.", {"Cu": 3.0, "O": 4.0}),
        ("CoCO", {"Co": 1.0, "C": 1.0, "O": 1.0}),
        ("CuF0O2", {"Cu": 1.0, "O": 2.0}),
        ("Cu(F2)0O2", {"Cu": 1.0, "O": 2.0}),
        (" NbN\n", {"Nb": 1.0, "N": 1.0}),
    ],
)
def test_parse_formula(formula: str, expected: dict[str, float]) -> None:
    assert parse_formula(formula) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("formula", "position", "reason"),
    [
        ("Cu1Xx2", 4, "unknown element symbol 'Xx'"),
        ("Nd1.85Th0.15CuO4", 7, "element 'Th' is past Rn"),
        ("Cu(CaO2", 3, "'(' is never closed"),
        ("Cu(Ca[O2)", 9, "')' does not match '[' at character 6"),
        ("CuO2)3", 5, "')' was never opened"),
        ("Cu()2", 4, "nothing between the brackets"),
        ("Cu0O0", 1, "add up to zero"),
        ("(CuO)0", 1, "add up to zero"),
        ("H" + "9" * 400, 1, "too large"),
        ("YBa2Cu3O7-x", 10, "stray '-'"),
        ("2MgB", 1, "stray '2'"),
        ("Mg B2", 3, "stray ' '"),
        ("Cu1.2.3", 6, "stray '.'"),
        ("cuO", 1, "stray 'c'"),
        ("Cu\u0662", 3, "stray '\u0662'"),
    ],
)
def test_bad_formula_is_named_with_place_and_reason(
    formula: str, position: int, reason: str
) -> None:
    with pytest.raises(DataError) as caught:
        parse_formula(formula)
    message = str(caught.value)
    assert message.startswith(f"formula {formula!r}, character {position}: ")
    assert reason in message


@pytest.mark.parametrize("formula", ["", "  ", float("nan")])
def test_empty_formula(formula: str) -> None:
    with pytest.raises(DataError, match=r"formula .*: is empty"):
        parse_formula(formula)


def test_compositions() -> None:
    amounts = compositions(["MgB2", "HRnH"])
    assert amounts.shape == (2, 86)
    assert amounts.dtype == np.float64
    assert {ELEMENTS[i]: amounts[0, i] for i in np.flatnonzero(amounts[0])} == {"B": 2, "Mg": 1}
    assert {ELEMENTS[i]: amounts[1, i] for i in np.flatnonzero(amounts[1])} == {"H": 2, "Rn": 1}
    assert compositions([]).shape == (0, 86)


def test_compositions_name_the_row() -> None:
    with pytest.raises(DataError, match=r"row 3: formula 'Qq', character 1: unknown"):
        compositions(["MgB2", "NbN", "Qq"])


def test_known_material() -> None:
    # Ba0.2La1.8Cu1O4, the first row of the published table.
    features = superconductor_features(compositions(["Ba0.2La1.8Cu1O4"]))
    assert features.shape == (1, 81)
    expected = {
        "number_of_elements": 4,
        "mean_atomic_mass": 88.944468,
        "wtd_mean_atomic_mass": 57.862692,
        "gmean_atomic_mass": 66.361592,
        "wtd_gmean_atomic_mass": 36.116612,
        "entropy_atomic_mass": 1.181795,
        "wtd_entropy_atomic_mass": 1.062396,
        "range_atomic_mass": 122.90607,
        "wtd_range_atomic_mass": 31.794921,
        "std_atomic_mass": 51.968828,
        "wtd_std_atomic_mass": 53.622535,
        "mean_ElectronAffinity": 81.8375,
        "gmean_ElectronAffinity": 60.123179,
        "wtd_range_Valence": 1.085714,
        "mean_atomic_radius": 160.25,
    }
    for name, value in expected.items():
        assert feature(features, name)[0] == pytest.approx(value, rel=1e-6), name


def test_binary_compound_by_hand() -> None:
    # Invented properties: A has 2, B has 8; amounts 3 and 1, shares 3/4 and 1/4. The weighted
    # terms p·t are 1.5 and 2, their shares 3/7 and 4/7; the plain shares are 1/5 and 4/5.
    table = np.ones((86, 8))
    table[0], table[1] = 2.0, 8.0
    amounts = np.zeros((1, 86))
    amounts[0, :2] = 3.0, 1.0
    features = materials._features(amounts, table)
    expected = {
        "mean": 5.0,
        "wtd_mean": 3.5,
        "gmean": 4.0,
        "wtd_gmean": 2.0 * math.sqrt(2.0),
        "entropy": math.log(5.0) - 0.8 * math.log(4.0),
        "wtd_entropy": math.log(7.0) - 3 / 7 * math.log(3.0) - 4 / 7 * math.log(4.0),
        "range": 6.0,
        "wtd_range": 0.5,
        "std": 3.0,
        "wtd_std": math.sqrt(6.75),
    }
    assert features[0, 0] == 2.0
    for name in PROPERTIES:
        for statistic, value in expected.items():
            column = f"{statistic}_{name}"
            assert feature(features, column)[0] == pytest.approx(value, rel=1e-14), column


def test_rhenium_zirconium_by_hand() -> None:
    # Thermal conductivities 48 and 23 W/(m K), shares 6/7 and 1/7; figures to two decimals.
    features = superconductor_features(compositions(["Re6Zr1"]))
    expected = {
        "mean": 35.5,
        "wtd_mean": 44.43,
        "gmean": 33.23,
        "wtd_gmean": 43.21,
        "entropy": 0.63,
        "wtd_entropy": 0.26,
        "range": 25.0,
        "wtd_range": 37.86,
        "std": 12.5,
        "wtd_std": 8.75,
    }
    for statistic, value in expected.items():
        column = f"{statistic}_ThermalConductivity"
        assert feature(features, column)[0] == pytest.approx(value, abs=0.0051), column


def test_a_property_of_zero() -> None:
    table = np.ones((86, 8))
    table[:2, 7] = 0.0, 4.0
    amounts = np.zeros((2, 86))
    amounts[0, :2] = 1.0, 1.0
    amounts[1, 0] = 1.0
    features = materials._features(amounts, table)
    assert np.isfinite(features).all()
    for name in ("gmean_Valence", "wtd_gmean_Valence", "entropy_Valence", "wtd_entropy_Valence"):
        np.testing.assert_array_equal(feature(features, name), 0.0)
    np.testing.assert_array_equal(feature(features, "wtd_range_Valence"), [2.0, 0.0])


def test_single_elements() -> None:
    features = superconductor_features(np.diag(np.linspace(0.1, 7.0, 86)))
    table = read_elements()
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(feature(features, "number_of_elements"), 1.0)
    for j, name in enumerate(PROPERTIES):
        shift = 1.5 if name == "ElectronAffinity" else 0.0
        for statistic in ("mean", "wtd_mean", "gmean", "wtd_gmean"):
            column = feature(features, f"{statistic}_{name}")
            np.testing.assert_allclose(column, table[:, j] + shift, rtol=1e-13)
        for statistic in ("entropy", "range", "std"):
            for prefix in ("", "wtd_"):
                column = feature(features, f"{prefix}{statistic}_{name}")
                np.testing.assert_array_equal(column, 0.0)


@pytest.mark.parametrize("scale", [1e-300, 0.1, 4e307])
def test_features_do_not_depend_on_the_scale_of_the_amounts(scale: float) -> None:
    amounts = compositions(["Ba0.2La1.8Cu1O4", "MgB2"])
    expected = superconductor_features(amounts)
    np.testing.assert_allclose(superconductor_features(amounts * scale), expected, rtol=1e-11)


def test_rows_do_not_depend_on_each_other() -> None:
    amounts = compositions(["Nb", "Ba0.2La1.8Cu1O4", "HRn2"])
    amounts = np.vstack([amounts, np.linspace(0.1, 1.0, 86)])
    alone = np.vstack([superconductor_features(row[None]) for row in amounts])
    np.testing.assert_allclose(superconductor_features(amounts), alone, rtol=1e-13, atol=1e-15)
    assert superconductor_features(amounts[:0]).shape == (0, 81)


def test_a_vanishing_share_stays_finite() -> None:
    amounts = np.zeros((1, 86))
    amounts[0, [ELEMENTS.index("He"), ELEMENTS.index("Cu")]] = 5e-324, 1e10
    features = superconductor_features(amounts)
    assert np.isfinite(features).all()
    assert feature(features, "number_of_elements")[0] == 2.0
    assert feature(features, "wtd_gmean_Valence")[0] == 2.0


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_bad_amounts_are_named(value: float) -> None:
    amounts = compositions(["MgB2", "NbN"])
    amounts[1, ELEMENTS.index("Ti")] = value
    with pytest.raises(DataError, match=rf"row 2, column Ti: amount {value} must be finite"):
        superconductor_features(amounts)


def test_empty_rows_and_wrong_shapes_are_named() -> None:
    amounts = compositions(["MgB2", "NbN"])
    amounts[1] = 0.0
    with pytest.raises(DataError, match="row 2: all element amounts are zero"):
        superconductor_features(amounts)
    for wrong in (amounts[:, :85], amounts[0]):
        with pytest.raises(DataError, match=r"shape .*expected \(n, 86\)"):
            superconductor_features(wrong)


def test_elements_table() -> None:
    table = read_elements()
    assert table.shape == (86, 8)
    assert np.isfinite(table).all()
    assert not table.flags.writeable
    positive = [
        j for j, name in enumerate(PROPERTIES) if name not in ("ElectronAffinity", "Valence")
    ]
    assert (table[:, positive] > 0.0).all()
    assert (table >= 0.0).all()
    # Handbook values, in the stated units.
    iron = dict(zip(PROPERTIES, table[ELEMENTS.index("Fe")], strict=True))
    assert iron == pytest.approx(
        {
            "atomic_mass": 55.845,
            "fie": 762.5,
            "atomic_radius": 156.0,
            "Density": 7874.0,
            "ElectronAffinity": 15.0,
            "FusionHeat": 13.8,
            "ThermalConductivity": 80.0,
            "Valence": 3.0,
        },
        rel=0.05,
    )


def test_shipped_subset() -> None:
    path = resources.files("lightning_mbo.tasks") / "tables" / "superconductor_subset.csv.gz"
    with path.open("rb") as raw, gzip.open(raw, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["formula", "critical_temp"]
    assert len(rows) == 6197
    assert rows[0] == {"formula": "Ba0.4K0.6Fe2As2", "critical_temp": "31.2"}
    temperatures = np.array([float(row["critical_temp"]) for row in rows])
    assert temperatures.min() == 10.0
    assert temperatures.max() == 143.0
    features = superconductor_features(compositions([row["formula"] for row in rows]))
    assert np.isfinite(features).all()


@pytest.fixture(scope="module")
def uci() -> tuple[np.ndarray, np.ndarray]:
    """Element amounts (21263, 86) and the published features (21263, 81)."""
    paths = [UCI / f"superconductor_{name}.csv.gz" for name in ("unique_m", "train")]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"the UCI tables are not at {UCI}")
    amounts, train = (pd.read_csv(path) for path in paths)
    assert tuple(train.columns[:81]) == FEATURE_NAMES
    return amounts.iloc[:, :86].to_numpy(np.float64), train.iloc[:, :81].to_numpy(np.float64)


def test_shipped_elements_against_the_uci_table(uci: tuple[np.ndarray, np.ndarray]) -> None:
    amounts, published = uci
    features = superconductor_features(amounts)
    np.testing.assert_array_equal(features[:, 0], published[:, 0])
    # Largest differences in units of the column's mean magnitude: what the sources allow.
    tolerances = {
        "atomic_mass": 3e-4,
        "atomic_radius": 0.02,
        "ElectronAffinity": 0.02,
        "ThermalConductivity": 0.04,
        "Density": 0.12,
        "fie": 0.2,
    }
    error = np.abs(features - published).max(axis=0) / np.abs(published).mean(axis=0)
    for name, tolerance in tolerances.items():
        columns = [i for i, column in enumerate(FEATURE_NAMES) if column.endswith(f"_{name}")]
        assert len(columns) == 10
        assert error[columns].max() < tolerance, name


def test_definitions_against_the_uci_table(uci: tuple[np.ndarray, np.ndarray]) -> None:
    # The element values that the published means imply must give all other columns.
    amounts, published = uci
    present = (amounts > 0.0).astype(np.float64)
    used = present.any(axis=0)
    means = published[:, 1:81:10] * published[:, :1]
    table = np.ones((86, 8))
    table[used] = np.linalg.lstsq(present[:, used], means, rcond=None)[0]
    features = materials._features(amounts, table)
    scale = np.abs(published) + 0.01 * np.abs(published).mean(axis=0)
    worst = (np.abs(features - published) / scale).max(axis=0)
    assert worst.max() < 1e-6, FEATURE_NAMES[int(worst.argmax())]
