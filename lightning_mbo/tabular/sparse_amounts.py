"""Many amounts of which most are zero in most rows: the ingredients of recipes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lightning_mbo.tabular.constraints import LinearConstraint
from lightning_mbo.tabular.laws import TOTALS, find_equalities, find_totals, linear_constraint

_MOST_PRESENT = 0.5
"""Of the rows in which a sparse amount is not zero."""
_FEWEST = 8
"""Fewer columns are looked at one by one."""
_MOST_APART = 60
"""Amounts that are not all taken for ingredients of the same mixture."""
_SAME = 0.01
_IN_ROWS = 0.95
"""A sum of ingredients is off by a hundredth in a twentieth of the rows at most."""
_SUM = "their sum"


def sparse_amounts(table: pd.DataFrame) -> list[str]:
    """The columns of a table that are amounts, zero in most rows; none if they are few.

    By single rows that have two of them, neither would seem to follow from the other, nor would
    sums of some of them that are never there together seem to be a law.

    Args:
        table: Columns of numbers.
    """
    values = table.to_numpy(np.float64)
    present = (values > 0).mean(0)
    sparse = (values >= 0).all(0) & (present <= _MOST_PRESENT) & (values.max(0, initial=0) != 1)
    names = [str(name) for name, is_sparse in zip(table, sparse, strict=True) if is_sparse]
    return names if len(names) >= _FEWEST else []


def equalities_with_sparse(table: pd.DataFrame, sparse: Sequence[str]) -> list[LinearConstraint]:
    """As `find_equalities`, where sparse amounts stand in sums of mixtures or in none.

    Several mixtures are told apart where there are not many amounts; otherwise all are taken for
    ingredients of one.
    """
    if len(sparse) <= _MOST_APART:
        laws = find_equalities(table)
        if (laws or not sparse) and all(_is_mixture(law, sparse) for law in laws):
            return laws
    pooled = _pooled(table, sparse)
    sums = pooled[_SUM]
    total = float(sums.median())
    if total > 0 and (np.abs(sums - total) <= _SAME * total).mean() >= _IN_ROWS:
        alone = linear_constraint(dict.fromkeys(sparse, 1.0), "==", _tidy(total))
        return [alone, *find_equalities(pooled.drop(columns=_SUM))]
    return [_expanded(law, sparse) for law in find_equalities(pooled)]


def totals_with_sparse(table: pd.DataFrame, sparse: Sequence[str]) -> list[LinearConstraint]:
    """As `find_totals`, likewise."""
    if not set(sparse) & set(table.columns):
        return find_totals(table)
    return [_expanded(law, sparse) for law in find_totals(_pooled(table, sparse))]


def _is_mixture(law: LinearConstraint, sparse: Sequence[str]) -> bool:
    """Whether the sparse amounts in a law, if any, are ingredients that sum to something."""
    coefficients = {c for name, c in law.coefficients.items() if name in sparse}
    return not coefficients or (len(coefficients) == 1 and law.bound * min(coefficients) > 0)


def _pooled(table: pd.DataFrame, sparse: Sequence[str]) -> pd.DataFrame:
    return table.drop(columns=list(sparse)).assign(**{_SUM: table[list(sparse)].sum(axis=1)})


def _expanded(law: LinearConstraint, sparse: Sequence[str]) -> LinearConstraint:
    if _SUM not in law.coefficients:
        return law
    terms = {name: c for name, c in law.coefficients.items() if name != _SUM}
    terms |= dict.fromkeys(sparse, law.coefficients[_SUM])
    return linear_constraint(terms, law.sense, law.bound)


def _tidy(total: float) -> float:
    """A total as it is meant: 100 where it is 99.997."""
    return next((whole for whole in TOTALS if abs(total - whole) <= _SAME * whole), total)
