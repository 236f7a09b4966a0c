"""Formulas are read as people write them, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.formulas import (
    SYMBOLS,
    in_small_letters,
    parse_formula,
    read_formula,
    reads_as_formulas,
)

HYDRATE = {"Cu": 1, "S": 1, "O": 9, "H": 10}


def test_all_elements() -> None:
    assert len(set(SYMBOLS)) == 118
    assert [SYMBOLS[z - 1] for z in (1, 6, 86, 90, 92, 118)] == ["H", "C", "Rn", "Th", "U", "Og"]
    assert parse_formula("UO2") == {"U": 1, "O": 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CuSO4.5H2O", HYDRATE),
        ("CuSO4·5H2O", HYDRATE),
        ("CuSO4*5H2O", HYDRATE),
        ("CuSO4 • 5 H2O", HYDRATE),
        ("CaSO4.0.5H2O", {"Ca": 1, "S": 1, "O": 4.5, "H": 1}),
        ("BaCl2.H2O", {"Ba": 1, "Cl": 2, "H": 2, "O": 1}),
        ("3Al2O3·2SiO2", {"Al": 6, "O": 13, "Si": 2}),
        ("Nb3 Sn", {"Nb": 3, "Sn": 1}),
        ("Nb₃Sn", {"Nb": 3, "Sn": 1}),
        ("O4.5H2", {"O": 4.5, "H": 2}),
        ("Li0.5H2O", {"Li": 0.5, "H": 2, "O": 1}),
        ("HCN", {"H": 1, "C": 1, "N": 1}),
        ("ThCr2Si2", {"Th": 1, "Cr": 2, "Si": 2}),
    ],
)
def test_as_people_write(text: str, expected: dict[str, float]) -> None:
    assert read_formula(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("YBCO", "is an abbreviation"),
        ("BSCCO", "is an abbreviation"),
        ("ZRO2", "go on with a small letter: Nb3Sn"),
        ("nb3sn", "go on with a small letter: Nb3Sn"),
        ("YBa2Cu3O7-x", "Write each amount as a number"),
        ("YBa2Cu3Ox", "Write each amount as a number"),
        ("Na2CO3·xH2O", "Write each amount as a number"),
        ("3Al2O3.2SiO2", "with a dot between them"),
        ("Cu·", "is empty"),
    ],
)
def test_a_helpful_word(text: str, part: str) -> None:
    with pytest.raises(DataError) as caught:
        read_formula(text)
    assert part in str(caught.value)
    assert "formula" in str(caught.value)


def test_capitals() -> None:
    assert in_small_letters("NB3SN") == "Nb3Sn"
    assert in_small_letters("Nb3Sn") is None
    assert in_small_letters("C8H18") is None


ALLOYS = [f"Fe{90 - i}Ni{i}{element}10" for i in range(1, 12) for element in ("Cr", "Mo", "Si")]


def test_what_reads_as_formulas() -> None:
    assert reads_as_formulas(ALLOYS)
    assert reads_as_formulas([*ALLOYS, "steel 316"])
    assert not reads_as_formulas([*ALLOYS, *(f"alloy {i}" for i in range(5))])
    assert not reads_as_formulas(ALLOYS[:5])


@pytest.mark.parametrize(
    "texts",
    [
        # Molecules, by SMILES and by formula.
        ["CCO", "CN", "C1CCCCC1", "CCCl", "CCBr", "C1CCNCC1", "CC(C)C", "OCCO", "CCN", "CCF", "CI"],
        [f"C{i}H{2 * i + 2}{x}" for i in range(1, 9) for x in ("", "O", "Cl", "Br", "S", "N")],
        # Genes, codes, names.
        ["Nos3", "Cd4", "Cd8", "Pten", "Trp53", "Ins2", "Sox2", "Pax6", "Myc", "Fos", "Cs1", "In5"],
        [*(f"B{i}" for i in range(1, 30)), *(f"H{i}" for i in range(1, 30))],
        ["Co", "Ni", "Fe", "Cu", "Zn", "Mn", "Cr", "V", "Ti", "Sc", "CO", "NO"],
        [f"{a}{b}{i}" for i in range(1, 9) for a in "NCO" for b in "HSI"],
        [f"Sample {i}" for i in range(30)],
        ["Pr1A", "Pr2B", "Ho1C", "Co3B", "Ni2F", "Xa3", "Pr3A", "Ho2C", "Co4B", "Ni3F", "Tz1"],
    ],
)
def test_what_does_not(texts: list[str]) -> None:
    assert not reads_as_formulas(texts)
