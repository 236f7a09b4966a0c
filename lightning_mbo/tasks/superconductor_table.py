"""Tables of superconductors: the shipped one, UCI's two files, or formulas of the user's."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import lightning_mbo.tasks.materials as materials
from lightning_mbo.errors import DataError

TARGET = "critical_temp"

Representation = Literal["features", "composition"]
"""What a design is: 81 features of a composition, or the amounts of its elements."""


class SuperconductorTable(NamedTuple):
    """A table of superconductors.

    Attributes:
        source: What to call it in messages.
        features: Shape ``(N, 81)``, or None where the table holds compositions.
        amounts: Of the 86 elements, shape ``(N, 86)``, or None where it holds features.
        temperatures: Critical temperatures, K, shape ``(N,)``.
        formulas: Shape ``(N,)``, or None where the table has none.
    """

    source: str
    features: NDArray[np.float64] | None
    amounts: NDArray[np.float64] | None
    temperatures: NDArray[np.float64]
    formulas: NDArray[np.str_] | None

    def represented(self, representation: Representation) -> tuple[list[str], NDArray[np.float64]]:
        """Column names and designs.

        Raises:
            DataError: If compositions are wanted of a table that has none.
        """
        if representation == "composition":
            if self.amounts is None:
                raise DataError(
                    f"{self.source} holds features, from which compositions cannot be told. "
                    "Give UCI's unique_m.csv, or data.representation features"
                )
            return list(materials.ELEMENTS), self.amounts
        features = self.features
        if features is None:
            assert self.amounts is not None
            features = materials.superconductor_features(self.amounts)
        return list(materials.FEATURE_NAMES), features


def read_superconductors(path: Path | None) -> SuperconductorTable:
    """Read a table of superconductors; the columns tell which kind it is.

    Args:
        path: See `SimulatedSuperconductors`; None for the shipped subset.

    Raises:
        DataError: If it is none, or an entry cannot be used.
    """
    from lightning_mbo.tabular.reading import numbers, read_csv

    if path is None:
        subset = files("lightning_mbo.tasks") / "tables" / "superconductor_subset.csv.gz"
        with as_file(subset) as shipped:
            return read_superconductors(shipped)
    table = read_csv(path)
    columns = [str(column) for column in table.columns]
    if set(materials.FEATURE_NAMES) | {TARGET} <= set(columns):
        values = numbers(table, [*materials.FEATURE_NAMES, TARGET], path)
        return SuperconductorTable(str(path), values[:, :-1], None, values[:, -1], None)
    if set(materials.ELEMENTS) | {TARGET} <= set(columns):
        values = numbers(table, [*materials.ELEMENTS, TARGET], path)
        _check_amounts(values[:, :-1], path)
        formulas = table["material"].to_numpy(str) if "material" in columns else None
        return SuperconductorTable(str(path), None, values[:, :-1], values[:, -1], formulas)
    if {"formula", TARGET} <= set(columns):
        temperatures = numbers(table, [TARGET], path)[:, 0]
        formulas = table["formula"].fillna("").to_numpy(str)
        try:
            amounts = materials.compositions(formulas.tolist())
        except DataError as error:
            raise DataError(f"{path}, column 'formula': {error}") from error
        return SuperconductorTable(str(path), None, amounts, temperatures, formulas)
    raise DataError(_unknown_columns(path, columns))


def _check_amounts(amounts: NDArray[np.float64], path: Path) -> None:
    bad = np.flatnonzero((amounts < 0).any(1) | (amounts.sum(1) <= 0))
    if len(bad):
        raise DataError(
            f"{path}, data row {bad[0] + 1}: amounts of elements must not be "
            "negative, and not all be zero"
        )


def _unknown_columns(path: Path, columns: list[str]) -> str:
    known = {
        "UCI's train.csv": (*materials.FEATURE_NAMES, TARGET),
        "UCI's unique_m.csv": (*materials.ELEMENTS, TARGET),
        "a table of formulas": ("formula", TARGET),
    }
    missing = {kind: [c for c in names if c not in columns] for kind, names in known.items()}
    nearest = min(missing, key=lambda k: (len(missing[k]) / len(known[k]), len(missing[k])))
    lacking = missing[nearest]
    shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" * (len(lacking) > 5))
    return (
        f"{path} is not a table of superconductors: it should be one of {', '.join(known)}; to be "
        f"{nearest} it lacks the columns {shown}"
    )
