"""What is said of the columns of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.tabular.column_options import pasted
from lightning_mbo.tabular.constraints import LinearConstraint
from lightning_mbo.tabular.ingredients import Ingredients
from lightning_mbo.tabular.laws import shortened

LAWS = ("equalities", "dummies", "totals", "ingredients")
"""What can hold in every row of a table, by name."""


def law_note(
    law: LinearConstraint,
    table: pd.DataFrame,
    held: Sequence[LinearConstraint],
    laws: Collection[str],
) -> str:
    """What is said of what the numbers satisfy.

    Args:
        law: In the rows.
        table: Of the numbers.
        held: The laws that candidates are held to.
        laws: Which of `LAWS` are looked for.
    """
    holds = law.holds(table)
    said = f"{shortened(law)} holds in {rows_in_which(holds)}"
    if law not in held:
        return f"{said}, and candidates are not held to it"
    kind = "equalities" if law.sense == "==" else "totals"
    return f"{said}: candidates are held to it. If they need not be: {without(kind, laws)}"


def mixture_note(mixture: Ingredients, table: pd.DataFrame, laws: Collection[str]) -> str:
    """What is said of a mixture of few ingredients.

    Args:
        mixture: That candidates are held to.
        table: Of the amounts.
        laws: Which of `LAWS` are looked for.
    """
    if mixture.column is not None:
        what = f"{mixture.column!r} has at most {mixture.most} of {len(mixture.names)} elements"
    else:
        verb_ = verb(range(mixture.most), "is", "are")
        what = f"at most {mixture.most} of {listed(mixture.names)} {verb_} above 0"
    return (
        f"{what} in {rows_in_which(mixture.holds(table))}: candidates are held to it. If they need "
        f"not be: {without('ingredients', laws)}"
    )


def amounts_note(names: Sequence[str]) -> str:
    """What is said of amounts that are often exactly zero."""
    return (
        f"{listed(names)} are amounts that are exactly zero in a fifth of the rows or more, or in "
        "a total with such: a search draws which of them are there, and how much (SparseAmounts). "
        "As numbers like others: --search.search_model MultivariateNormal"
    )


def kind_question(name: str, kind: str) -> str:
    """What is asked of a column that reads as formulas or mutations, and is not designed."""
    if kind == "formula":
        return (
            f"{name!r} reads as chemical formulas and is left out. To design it by the amounts of "
            f"its elements: {pasted(name, 'formula')}"
        )
    return (
        f"{name!r} reads as mutations of a parent and is left out. To design them: "
        f"{pasted(name, '{kind: mutations, parent: MKTAY...}')}, with the parent's whole sequence"
    )


def rows_in_which(holds: NDArray[np.bool_]) -> str:
    """In how many rows something holds, for which `holds`, ``(n,)``, says in which."""
    share = f"{np.floor(100 * holds.mean()):.0f} % of the rows"
    return "every row" if holds.all() else share


def without(law: str, laws: Collection[str]) -> str:
    """The option that holds candidates to all of some laws but one."""
    kept = [name for name in LAWS if name in laws and name != law]
    return f"--data.laws '[{', '.join(kept)}]'" if kept else "--data.laws false"


def listed(names: Sequence[str]) -> str:
    """Names of columns in a sentence, of many the first."""
    shown = [repr(str(name)) for name in names]
    if len(shown) > 6:
        shown = [*shown[:5], f"{len(shown) - 5} more columns"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def verb(names: Sequence[object], one: str, several: str) -> str:
    """The form of a verb that goes with so many names."""
    return one if len(names) == 1 else several
