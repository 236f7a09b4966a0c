"""Columns of designs that are made of columns of the user's, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import pandas as pd

from lightning_mbo.tabular.column_options import ColumnOptions, pasted
from lightning_mbo.tabular.compositions import Composition, read_composition
from lightning_mbo.tabular.mutations import Mutations, read_mutations


class Derivation(Protocol):
    """Some columns of the user's that are designed by others in their place."""

    @property
    def own(self) -> tuple[str, ...]:
        """The user's columns."""

    @property
    def derived(self) -> tuple[str, ...]:
        """The columns of designs."""

    def derive(self, table: pd.DataFrame) -> dict[str, pd.Series]:
        """The columns of designs, of a table with the user's."""

    def restore(self, values: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The user's columns, of values ``(m,)`` of those of designs."""

    def describe(self) -> tuple[str, str]:
        """The kind of the user's columns, and what values they have."""


class Readings(NamedTuple):
    """What is read of the columns of formulas and of mutations.

    Attributes:
        table: With each of their entries written in one way, and missing where it cannot be read.
        columns: How they are designed.
        notes: What is said of them, a sentence each.
        questions: What is uncertain of them.
    """

    table: pd.DataFrame
    columns: list[Composition | Mutations]
    notes: list[str]
    questions: list[str]


def read_derived(
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    options: Mapping[str, ColumnOptions],
    source: str,
) -> Readings:
    """Read the columns of formulas and of mutations.

    Args:
        table: Of the user, with rows counted from 0.
        kinds: Of its columns.
        options: What the user says of them.
        source: What to call the table in messages.

    Raises:
        DataError: Naming the first entry that cannot be read, where such are not to be dropped.
    """
    found = Readings(table.copy(deep=False), [], [], [])
    for name, kind in kinds.items():
        given = options.get(name, ColumnOptions())
        if kind == "formula":
            advice = pasted(name, "{kind: formula, missing: drop}")
            composition, found.table[name], notes, questions = read_composition(
                table[name], source, given.missing == "drop", advice
            )
            found.columns.append(composition)
            found.questions.extend(questions)
        elif kind == "mutations":
            parent = f"parent: {given.parent}" + f", offset: {given.offset}" * bool(given.offset)
            advice = pasted(name, f"{{kind: mutations, {parent}, missing: drop}}")
            mutations, found.table[name], notes = read_mutations(table[name], given, source, advice)
            found.columns.append(mutations)
        else:
            continue
        found.notes.extend(notes)
    return found
