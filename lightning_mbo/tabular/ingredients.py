"""Mixtures of few of many ingredients, and amounts of which so many are there."""

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

_USUAL = 0.9
"""Of the rows, those that have no more ingredients than is usual."""

_NONE = 1e-9
"""An amount that is none, of the largest in a row."""


@dataclass(frozen=True)
class Ingredients:
    """Amounts of which only so many are above zero together, and so many at least.

    Attributes:
        names: Of their columns.
        most: How many at most.
        column: Of the formulas that have them as elements, if they are that.
        least: How many at least.
        text: What the user says of them, of amounts in units of their own; None where it was found.
        amounts: What each has at least if it must be there, in the user's units; of no use where
            none must.
    """

    names: tuple[str, ...]
    most: int
    column: str | None = None
    least: int = 0
    text: str | None = None
    amounts: tuple[float, ...] = ()

    def holds(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """In which rows, ``(m,)``, of a table in the user's units it holds."""
        amounts = table[list(self.names)].to_numpy(np.float64)
        counts = _counts(amounts) if self.text is None else (amounts > 0).sum(1)
        held: NDArray[np.bool_] = (counts >= self.least) & (counts <= self.most)
        return held

    def limits(self, numbers: Tensor, columns: Sequence[NumberColumn]) -> tuple[Tensor, Tensor]:
        """Which entries are to be zero, and what those that must be there are at least.

        The largest that were drawn are kept: of amounts that are found to go together the largest
        amounts, of others those that are farthest from zero in standard deviations. Of those that
        must be there the nearest become as much as the least of them in the table.

        Args:
            numbers: Shape ``(m, d)``, standardised.
            columns: Of the numbers; what cannot be zero, for its bounds, is kept.

        Returns:
            Bool, ``(m, d)``, and entries ``(m, d)``, -inf where there is no such limit.
        """
        order = {column.name: j for j, column in enumerate(columns)}
        places = [order[name] for name in self.names if name in order]
        chosen = [columns[j] for j in places]
        stds, means = (numbers.new_tensor([getattr(c, k) for c in chosen]) for k in ("std", "mean"))
        zeros = (0.0 - means) / stds
        at_zero = torch.cat([c.nearest(zeros[[j]][None]) for j, c in enumerate(chosen)], dim=1)[0]
        must = (at_zero - zeros).abs() > _NONE
        drawn = numbers[:, places]
        floors = torch.full_like(drawn, -torch.inf)
        if self.least:
            floors = self._floors(drawn, chosen, zeros, must)
        sizes = drawn - zeros if self.text is not None else drawn * stds + means
        sizes = torch.where(must | floors.isfinite(), torch.inf, sizes)
        kept = sizes.topk(min(max(self.most, int(must.sum())), len(places)), dim=1).indices
        left = torch.ones_like(sizes, dtype=torch.bool).scatter(1, kept, False)
        out = torch.zeros_like(numbers, dtype=torch.bool)
        out[:, places] = left
        least = torch.full_like(numbers, -torch.inf)
        least[:, places] = floors
        return out, least

    def _floors(
        self, drawn: Tensor, columns: Sequence[NumberColumn], zeros: Tensor, must: Tensor
    ) -> Tensor:
        """What the nearest to being there, as many as must be, are at least, else -inf, ``(m, k)``.

        What is there already need not become more.
        """
        known = dict(zip(self.names, self.amounts, strict=True))
        wanted = [torch.tensor([[(known[c.name] - c.mean) / c.std]]).to(drawn) for c in columns]
        amounts = torch.cat([c.nearest(w) for c, w in zip(columns, wanted, strict=True)], dim=1)[0]
        nearest = torch.cat([c.nearest(drawn[:, [j]]) for j, c in enumerate(columns)], dim=1)
        there = nearest > zeros + _NONE
        missing = torch.where(must, torch.inf, torch.where(there, nearest - zeros, 0.0))
        # How much farther away a design comes to lie with it than without.
        detours = (amounts - drawn).square() - (zeros - drawn).square()
        detours = torch.where(amounts > zeros + _NONE, detours, torch.inf)
        missing = torch.where(there | must, missing, -detours)
        required = missing.topk(min(self.least, len(columns)), dim=1).indices
        floors = torch.where(there, nearest.minimum(amounts), amounts)
        none = torch.full_like(drawn, -torch.inf)
        return none.scatter(1, required, floors.gather(1, required))


def find_ingredients(sums: Collection[LinearConstraint], table: pd.DataFrame) -> list[Ingredients]:
    """Mixtures that have at most half of their ingredients in every row, or nearly.

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
        most = _usual_most(_counts(amounts))
        if amounts.min() >= 0 and 0 < most <= _MOST_SHARE * len(names):
            found.append(Ingredients(names, most))
    return found


def _usual_most(counts: NDArray[np.intp]) -> int:
    """The most, but for a few rows that have more than twice as many as all others."""
    usual = int(np.quantile(counts, _USUAL, method="higher"))
    return usual if counts.max() > 2 * usual else int(counts.max())


def _counts(amounts: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many are above zero in each row, ``(n,)``."""
    least = _NONE * amounts.max(axis=1, keepdims=True, initial=0.0)
    counts: NDArray[np.intp] = (amounts > least).sum(1)
    return counts
