"""Which numbers of a table are amounts that are often exactly zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lightning_mbo.space import Amounts
from lightning_mbo.tabular.number_column import NumberColumn
from lightning_mbo.tabular.totals import Total

OFTEN = 0.2
"""Of the rows, those in which such an amount is zero at least."""

_FEWEST = 3
"""Fewer are numbers like others."""


def find_amounts(
    columns: Sequence[NumberColumn], table: pd.DataFrame, totals: Sequence[Total]
) -> Amounts | None:
    """The amounts that are zero in a fifth of the rows and more, with all that is in their totals.

    They cannot be below zero, and are no whole numbers unless they share a total; there are three
    of them at least.

    Args:
        columns: Of the numbers, in the order of a design's entries.
        table: Of the designs, in the user's units.
        totals: That designs are held to.
    """
    at_zero = {
        j: column.lower == 0 and float((table[column.name] == 0).mean()) >= OFTEN
        for j, column in enumerate(columns)
        if column.fixed is None and not column.log and column.values is None
    }
    chosen = {j for j, often in at_zero.items() if often and not columns[j].whole}
    scales = {j: columns[j].std for j in at_zero}
    sums: list[tuple[set[int], float]] = []
    for total in totals:
        places = np.array(total.places.tolist())
        free = total.free.numpy()
        members = set(places[free].tolist())
        is_mixture = all(j in at_zero and columns[j].lower >= 0 for j in members)
        taken = any(members & others for others, _ in sums)
        if taken or not is_mixture or not any(at_zero[j] for j in members):
            continue
        factors = {j: float(total.scale[i]) for i, j in enumerate(places.tolist())}
        held = sum(
            factors[j] / columns[j].std * (columns[j].fixed or 0.0) for j in places[~free].tolist()
        )
        if len(members) > 1 and total.bound > held:
            sums.append((members, total.bound - held))
            scales |= {j: factors[j] for j in members}
            chosen |= members
    if len(chosen) < _FEWEST:
        return None
    ordered = sorted(chosen)
    order = {j: i for i, j in enumerate(ordered)}
    return Amounts(
        tuple(ordered),
        tuple(columns[j].encode(pd.Series([0.0])).item() for j in ordered),
        tuple(scales[j] for j in ordered),
        tuple((tuple(sorted(order[j] for j in members)), bound) for members, bound in sums),
    )
