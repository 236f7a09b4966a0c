"""What the numbers of a table satisfy in every row: sums that are equal, and totals."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.tabular.chance import CERTAIN, sampled_rows
from lightning_mbo.tabular.constraints import LinearConstraint

TOTALS = (1.0, 100.0)
"""What amounts sum to."""

_MOST_COLUMNS = 600
_MOST_DIGITS = 9
_SPARE_ROWS = 10
_SPREADS = (1e-7, 0.02)
"""Of a combination of standardised columns that is constant: computed, and rounded numbers."""
_LARGEST_COEFFICIENT = 12.0
_SIGNIFICANT = 6
_NEAR_TOTAL = 0.01
_REACHED = 0.95
_NUM_DRAWN = 2000
"""Rows of independent columns, of which a total that means something would not be kept."""


def find_equalities(table: pd.DataFrame) -> list[LinearConstraint]:
    """Sums of columns, each times a coefficient, that are the same in every row.

    The combinations that hardly vary, reduced to few columns each, are held against all rows: a
    sum may miss its bound by no more than the rounding of its terms. Rounded numbers are only
    believed where the coefficients are small whole ones. Amounts that all together come within a
    hundredth of 1 or 100 are taken to sum to it.

    Args:
        table: The columns of numbers, none of them constant, one row for each design.
    """
    if not 2 <= len(table.columns) <= _MOST_COLUMNS:
        return []
    values = table.to_numpy(np.float64)
    shown = values[sampled_rows(len(values), max(2000, 2 * values.shape[1]))]
    found: list[tuple[NDArray[np.float64], float]] = []
    if len(shown) >= values.shape[1] + _SPARE_ROWS:
        resolutions = np.array([_resolution(column) for column in shown.T])
        variances = _variances(shown)
        for spread in _SPREADS:
            for vector in _nearly_constant(*variances, shown.std(0), spread):
                law = _tidied(vector, shown, values, resolutions, spread == _SPREADS[0])
                if law is not None and _is_new(law[0], [one for one, _ in found]):
                    found.append(law)
    if not found:
        found = _near_totals(values)
    return [_constraint(table.columns, law, "==") for law in found]


def find_totals(table: pd.DataFrame) -> list[LinearConstraint]:
    """Amounts, neighbours in the table, whose sum comes up to 1 or 100 and never exceeds it.

    Args:
        table: Columns of numbers that are in no equality.
    """
    rows = sampled_rows(len(table))
    columns = {name: table[name].to_numpy(np.float64) for name in table}
    largest = {
        name: most
        for name, values in columns.items()
        if values.min() >= 0 and not ((most := values.max()) == 1 and _binary(values))
    }
    laws = []
    for total in TOTALS:
        amounts = [str(name) for name, most in largest.items() if most <= total]
        limit = total * (1 + 1e-9)
        none = sums = np.zeros(len(rows) + _NUM_DRAWN)
        start = end = 0
        while start < len(amounts) - 1:
            # A group that begins later does not end earlier.
            while end < len(amounts):
                more = sums + _entries(columns[amounts[end]], rows, end)
                if more[: len(rows)].max() > limit:
                    break
                sums, end = more, end + 1
            of_rows, of_drawn = np.split(sums, [len(rows)])
            # Kept by all rows, though it would not be if the columns were independent.
            share = (of_drawn <= limit).mean()
            if (
                end - start > 1
                and of_rows.max() >= _REACHED * total
                and len(table) * math.log(max(share, 1e-9)) < CERTAIN
                and table[amounts[start:end]].to_numpy(np.float64).sum(1).max() <= limit
            ):
                ones = np.ones(end - start)
                laws.append(_constraint(amounts[start:end], (ones, total), "<="))
                sums, start = none, end
            else:
                sums = sums - _entries(columns[amounts[start]], rows, start)
                start += 1
    return laws


def _variances(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    standard = (values - values.mean(0)) / values.std(0)
    variances, directions = np.linalg.eigh(standard.T @ standard / len(values))
    return variances, directions


def _nearly_constant(
    variances: NDArray[np.float64],
    directions: NDArray[np.float64],
    scale: NDArray[np.float64],
    spread: float,
) -> list[NDArray[np.float64]]:
    """Coefficients ``(d,)`` whose sums hardly vary, each with as many zeros as can be."""
    space = directions[:, np.sqrt(np.maximum(variances, 0)) < spread].T
    return [row / scale for row in _echelon(space, spread)]


def _echelon(rows: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """The reduced row echelon form, by the largest pivot of each row in turn."""
    rows = rows.copy()
    for k in range(len(rows)):
        i, j = divmod(int(np.abs(rows[k:]).argmax()), rows.shape[1])
        rows[[k, k + i]] = rows[[k + i, k]]
        rows[k] /= rows[k, j]
        others = np.arange(len(rows)) != k
        rows[others] -= rows[others, j, None] * rows[k]
    rows[np.abs(rows) < 10 * spread] = 0.0
    return rows


def _tidied(
    vector: NDArray[np.float64],
    shown: NDArray[np.float64],
    values: NDArray[np.float64],
    resolutions: NDArray[np.float64],
    is_exact: bool,
) -> tuple[NDArray[np.float64], float] | None:
    """Small whole coefficients where they do, and the bound; None where no row may rely on it."""
    used = np.flatnonzero(vector)
    if len(used) < 2 or not _is_tested(shown[:, used]):
        return None
    smallest = np.abs(vector[used]).min()
    for unit in (1, 2, 3, 4, 5):
        whole = np.round(vector / smallest * unit)
        near = np.abs(vector / smallest * unit - whole)[used] < 0.05 * unit
        if not near.all() or np.abs(whole).max() > _LARGEST_COEFFICIENT:
            continue
        law = _held(whole / np.gcd.reduce(np.abs(whole[used]).astype(int)), shown, resolutions)
        if law is not None and _held(law[0], values, resolutions, law[1]) is not None:
            return law
    if not is_exact:
        return None
    lead = vector[used[0]]
    digits = [float(f"{c / lead:.{_SIGNIFICANT}g}") for c in vector]
    law = _held(np.array(digits), shown, resolutions)
    return law if law and _held(law[0], values, resolutions, law[1]) is not None else None


def _held(
    coefficients: NDArray[np.float64],
    values: NDArray[np.float64],
    resolutions: NDArray[np.float64],
    bound: float | None = None,
) -> tuple[NDArray[np.float64], float] | None:
    sums = values @ coefficients
    slack = float(np.abs(coefficients) @ (resolutions / 2))
    slack += 1e-9 * float(np.abs(values * coefficients).max())
    if bound is None:
        middle = (sums.max() + sums.min()) / 2
        digits = max(0, math.ceil(-math.log10(max(slack, 1e-12))))
        bound = next(
            (
                rounded
                for d in range(digits + 1)
                if np.abs(sums - (rounded := float(round(middle, d)))).max() <= slack
            ),
            float(middle),
        )
    if np.abs(sums - bound).max() > slack:
        return None
    leads = bound if abs(bound) > slack else coefficients[np.flatnonzero(coefficients)[0]]
    sign = -1.0 if leads < 0 else 1.0
    return sign * coefficients, sign * bound + 0.0


def _is_tested(values: NDArray[np.float64]) -> bool:
    """Whether enough rows say something of a sum of these columns, of which most may be 0."""
    distinct, counts = np.unique(values, axis=0, return_counts=True)
    num_terms = values.shape[1]
    num_telling = len(values) - counts.max()
    return bool(min(len(distinct) - 1, num_telling - _SPARE_ROWS // 2) >= num_terms)


def _resolution(column: NDArray[np.float64]) -> float:
    """The last decimal that the numbers are given to, or 0 for all that there are."""
    for digits in range(_MOST_DIGITS):
        if np.abs(column - column.round(digits)).max() <= 1e-12 * np.abs(column).max():
            return float(10.0**-digits)
    return 0.0


def _is_new(vector: NDArray[np.float64], found: Sequence[NDArray[np.float64]]) -> bool:
    rows = np.stack([*found, vector])
    rows /= np.abs(rows).max(1, keepdims=True)
    return bool(np.linalg.matrix_rank(rows, tol=1e-6) == len(rows))


def _near_totals(values: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], float]]:
    for total in TOTALS:
        amounts = ((values >= 0) & (values <= total * (1 + _NEAR_TOTAL))).all(0)
        sums = values[:, amounts].sum(1)
        near = np.abs(sums - total).max() <= _NEAR_TOTAL * total
        if near and amounts.sum() > 2 and values[:, amounts].std(0).max() > _NEAR_TOTAL * total:
            return [(np.where(amounts, 1.0, 0.0), total)]
    return []


def _entries(values: NDArray[np.float64], rows: NDArray[np.intp], seed: int) -> NDArray[np.float64]:
    """Of a column in some rows, and then where it does not depend on columns of other seeds."""
    drawn = np.random.default_rng(seed).integers(len(values), size=_NUM_DRAWN)
    found: NDArray[np.float64] = values[np.concatenate([rows, drawn])]
    return found


def _binary(values: NDArray[np.float64]) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _constraint(
    names: Collection[str], law: tuple[NDArray[np.float64], float], sense: str
) -> LinearConstraint:
    coefficients, bound = law
    terms = {str(name): float(c) for name, c in zip(names, coefficients, strict=True) if c != 0}
    return linear_constraint(terms, sense, bound)


def linear_constraint(terms: dict[str, float], sense: str, bound: float) -> LinearConstraint:
    """A constraint with the text that a user would write.

    Args:
        terms: Coefficients by column.
        sense: `==` or `<=`.
        bound: In the user's units.
    """
    text = f"{_text(terms)} {sense} {bound:g}"
    return LinearConstraint(text, terms, "==" if sense == "==" else "<=", bound)


def _text(terms: dict[str, float]) -> str:
    words = []
    for name, coefficient in terms.items():
        sign = "-" if coefficient < 0 else "+"
        times = "" if abs(coefficient) == 1 else f"{abs(coefficient):g}*"
        quoted = name if re.fullmatch(r"[^\W\d]\w*", name) else f"`{name}`"
        words += [sign, f"{times}{quoted}"]
    return " ".join(words[1:] if words[0] == "+" else words)


def shortened(law: LinearConstraint) -> str:
    """A law's text, of many columns the first and the last."""
    terms = list(law.coefficients)
    if len(terms) <= 8:
        return law.text
    bound = law.text.rpartition(law.sense)[2]
    return f"{terms[0]} + {terms[1]} + ... + {terms[-1]} ({len(terms)} columns) {law.sense}{bound}"
