"""The tables of known truth that peers are compared on, and how near the best a batch comes."""

from __future__ import annotations

import pandas as pd

from lightning_mbo.tasks.functions import FUNCTIONS
from lightning_mbo.tasks.known_tables import Array, KnownTable

PROBLEMS = FUNCTIONS


def regrets(problem: KnownTable, batch: pd.DataFrame, table: pd.DataFrame) -> Array:
    """Of each design of a batch.

    The regret is 0 where a design is the best there is, and 1 where it is no better than the best
    row of the table, both by the truth: the best of noisy labels may promise more than there is.
    """
    return (problem.best - problem.truth(batch)) / (problem.best - problem.truth(table).max())
