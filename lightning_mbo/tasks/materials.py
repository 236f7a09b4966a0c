"""Chemical formulas as numbers: element amounts, and the 81 superconductor features made from them.

Source of the features: [H18] Hamidieh, "A data-driven statistical model for predicting the critical
temperature of a superconductor", Computational Materials Science 154, 2018. Where the element
properties come from, with their licences: `tables/README.md`.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.errors import DataError
from lightning_mbo.tabular import formulas
from lightning_mbo.tabular.formulas import SYMBOLS

ELEMENTS: tuple[str, ...] = SYMBOLS[:86]
"""Symbols of the elements 1 (H) to 86 (Rn), the columns of every table of amounts."""

PROPERTIES: tuple[str, ...] = (
    "atomic_mass",
    "fie",
    "atomic_radius",
    "Density",
    "ElectronAffinity",
    "FusionHeat",
    "ThermalConductivity",
    "Valence",
)
"""Element properties, in the order and spelling of the published table."""

_STATISTICS = tuple(
    f"{weighted}{name}"
    for name in ("mean", "gmean", "entropy", "range", "std")
    for weighted in ("", "wtd_")
)

FEATURE_NAMES: tuple[str, ...] = (
    "number_of_elements",
    *(f"{statistic}_{name}" for name in PROPERTIES for statistic in _STATISTICS),
)
"""Names of the 81 features, in the order and spelling of the published table."""

_INDEX = {symbol: i for i, symbol in enumerate(ELEMENTS)}
# The published electron affinities are the source's plus this, which keeps the geometric means of
# materials with an element of zero affinity above zero. kJ/mol.
_ELECTRON_AFFINITY_SHIFT = 1.5


def parse_formula(formula: str) -> dict[str, float]:
    """Read a chemical formula of elements that have features.

    Args:
        formula: Of the elements H to Rn, see `lightning_mbo.tabular.formulas.parse_formula`.

    Raises:
        DataError: As there, or it has an element past Rn.
    """
    return formulas.parse_formula(formula, ELEMENTS)


def compositions(texts: Sequence[str]) -> NDArray[np.float64]:
    """Read a column of chemical formulas.

    Args:
        texts: `n` formulas, see `parse_formula`.

    Returns:
        Shape `(n, 86)`: amounts of the elements, columns as in `ELEMENTS`, not normalised.

    Raises:
        DataError: A formula cannot be read; the message also gives its row, from 1.
    """
    amounts = np.zeros((len(texts), len(ELEMENTS)))
    for i, text in enumerate(texts):
        try:
            parsed = parse_formula(text)
        except DataError as error:
            raise DataError(f"row {i + 1}: {error}") from error
        for symbol, amount in parsed.items():
            amounts[i, _INDEX[symbol]] = amount
    return amounts


@functools.cache
def read_elements() -> NDArray[np.float64]:
    """Read the shipped element properties, once.

    Returns:
        Shape `(86, 8)`, read-only: rows as in `ELEMENTS`, columns as in `PROPERTIES`. Units: u,
        kJ/mol, pm, kg/m³, kJ/mol, kJ/mol, W/(m K), none.

    Raises:
        DataError: The shipped table does not list the elements H to Rn in order.
    """
    path = resources.files("lightning_mbo.tasks") / "tables" / "elements.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    if tuple(row["symbol"] for row in rows) != ELEMENTS:
        raise DataError(f"{path}, column symbol: not the elements H to Rn; reinstall the package")
    table = np.array([[float(row[name]) for name in PROPERTIES] for row in rows])
    table.flags.writeable = False
    return table


def superconductor_features(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the 81 features of [H18] from element amounts.

    For each property: arithmetic and geometric mean, entropy, range and standard deviation of the
    element values, over the elements equally and weighted by their share of the atoms.

    Args:
        amounts: Shape `(n, 86)`, not negative, on any scale; columns as in `ELEMENTS`.

    Returns:
        Shape `(n, 81)`, columns as in `FEATURE_NAMES`. Entropies are in nats; the other columns
        have the unit of their property (see `read_elements`).

    Raises:
        DataError: The shape is wrong, an amount is negative or not finite, or a row is all zero.
    """
    table = read_elements().copy()
    table[:, PROPERTIES.index("ElectronAffinity")] += _ELECTRON_AFFINITY_SHIFT
    return _features(amounts, table)


def _features(amounts: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the features with the element properties `table`, shape `(86, 8)`."""
    _check_amounts(amounts)
    count = np.count_nonzero(amounts, axis=1)
    width = int(count.max(initial=1))
    # A material has a handful of elements: gather those, (n, width), rather than work on all 86.
    order = np.argsort(amounts == 0.0, axis=1, kind="stable")[:, :width]
    # Scaled by the largest first, so that the sum cannot overflow.
    share = np.take_along_axis(amounts, order, axis=1).astype(np.float64)
    share /= share.max(axis=1, keepdims=True, initial=0.0)
    share /= share.sum(axis=1, keepdims=True)
    present = np.arange(width) < count[:, None]
    equal = present / count[:, None]
    columns = [count.astype(np.float64)]
    for j in range(table.shape[1]):
        values = np.where(present, table[order, j], 0.0)
        plain = _statistics(values, equal, values, present)
        weighted = _statistics(values, share, share * values, present)
        columns += [column for pair in zip(plain, weighted, strict=True) for column in pair]
    return np.stack(columns, axis=1)


def _statistics(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    ranged: NDArray[np.float64],
    present: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], ...]:
    """Mean, geometric mean, entropy, range (of `ranged`) and deviation; all inputs `(n, width)`."""
    mean = np.sum(weights * values, axis=1)
    with np.errstate(divide="ignore"):
        # A value of zero makes the geometric mean zero: exp(-inf).
        logs = np.log(np.where(present, values, 1.0))
    # A share may underflow to zero, and 0 · -inf is not a number.
    gmean = np.exp(np.sum(weights * np.where(weights > 0.0, logs, 0.0), axis=1))
    # All values zero (noble gases have no valence) leaves no distribution: entropy 0.
    parts = weights * values / np.where(mean > 0.0, mean, 1.0)[:, None]
    entropy = 0.0 - np.sum(parts * np.log(np.where(parts > 0.0, parts, 1.0)), axis=1)
    highest = np.max(ranged, axis=1, where=present, initial=-np.inf)
    lowest = np.min(ranged, axis=1, where=present, initial=np.inf)
    variance = np.sum(weights * (values - mean[:, None]) ** 2, axis=1)
    return mean, gmean, entropy, highest - lowest, np.sqrt(variance)


def _check_amounts(amounts: NDArray[np.float64]) -> None:
    if amounts.ndim != 2 or amounts.shape[1] != len(ELEMENTS):
        raise DataError(f"element amounts: shape {amounts.shape}, expected (n, {len(ELEMENTS)})")
    bad = ~(np.isfinite(amounts) & (amounts >= 0.0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"row {row + 1}, column {ELEMENTS[column]}: amount {amounts[row, column]} must be "
            "finite and not negative"
        )
    empty = np.flatnonzero(~amounts.any(axis=1))
    if empty.size:
        raise DataError(f"row {int(empty[0]) + 1}: all element amounts are zero")
