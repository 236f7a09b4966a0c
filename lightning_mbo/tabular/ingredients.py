"""Mixtures of few of many ingredients."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.tabular.constraints import LinearConstraint
from lightning_mbo.tabular.number_column import NumberColumn

_MOST_SHARE = 0.5
"""Of the ingredients that are in no row together, for a table of mixtures of few."""

_NONE = 1e-9
"""An amount that is none, of the largest in a row."""


@dataclass(frozen=True)
class Ingredients:
    """Amounts of which only so many are above zero together.

    Attributes:
        names: Of their columns.
        most: How many.
        column: Of the formulas that have them as elements, if they are that.
    """

    names: tuple[str, ...]
    most: int
    column: str | None = None

    def holds(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """In which rows, ``(m,)``, of a table in the user's units it holds."""
        amounts = table[list(self.names)].to_numpy(np.float64)
        held: NDArray[np.bool_] = _counts(amounts) <= self.most
        return held

    def left_out(self, numbers: Tensor, columns: Sequence[NumberColumn]) -> Tensor:
        """Which entries are to be zero, all but the largest amounts that were drawn.

        Args:
            numbers: Shape ``(m, d)``, standardised.
            columns: Of the numbers; what cannot be zero, for its bounds, is kept.

        Returns:
            Bool, ``(m, d)``.
        """
        places = [j for j, column in enumerate(columns) if column.name in self.names]
        chosen = [columns[j] for j in places]
        stds, means = (numbers.new_tensor([getattr(c, k) for c in chosen]) for k in ("std", "mean"))
        zeros = (0.0 - means) / stds
        nearest = [c.nearest(zeros[[j]][None]) for j, c in enumerate(chosen)]
        must = (torch.cat(nearest, dim=1)[0] - zeros).abs() > _NONE
        amounts = torch.where(must, torch.inf, numbers[:, places] * stds + means)
        kept = amounts.topk(max(self.most, int(must.sum())), dim=1).indices
        out = torch.zeros_like(numbers, dtype=torch.bool)
        left = torch.ones_like(amounts, dtype=torch.bool).scatter(1, kept, False)
        out[:, places] = left
        return out


def find_ingredients(sums: Collection[LinearConstraint], table: pd.DataFrame) -> list[Ingredients]:
    """Mixtures that in every row have at most half of their ingredients.

    Args:
        sums: Equalities, of which those are mixtures that are sums of amounts.
        table: The columns that are designed as numbers.
    """
    found = []
    for law in sums:
        names = tuple(name for name in law.coefficients if name in table)
        positive = min(law.coefficients.values()) > 0 and law.sense == "=="
        if not positive or len(names) < 3:
            continue
        amounts = table[list(names)].to_numpy(np.float64)
        most = int(_counts(amounts).max())
        if amounts.min() >= 0 and 0 < most <= _MOST_SHARE * len(names):
            found.append(Ingredients(names, most))
    return found


def _counts(amounts: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many are above zero in each row, ``(n,)``."""
    least = _NONE * amounts.max(axis=1, keepdims=True, initial=0.0)
    counts: NDArray[np.intp] = (amounts > least).sum(1)
    return counts
