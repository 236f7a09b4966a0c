"""What the numbers of a design must satisfy together."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import ConfigurationError, did_you_mean
from lightning_mbo.tabular.columns import Column, ConstantColumn
from lightning_mbo.tabular.linear import CONSTANT, Terms, read_comparisons
from lightning_mbo.tabular.number_column import NumberColumn

_SLACK = {"<=": 1e-9, "==": 1e-3}
"""Of the largest of a constraint's terms: for rounding, and for amounts that are measured."""

_MOST_SHOWN = 200


@dataclass(frozen=True)
class LinearConstraint:
    """A sum of columns' numbers, each times a coefficient, that is at most or exactly a bound.

    Attributes:
        text: As the user wrote it.
        coefficients: By column.
        sense: Which of the two.
        bound: In the user's units.
    """

    text: str
    coefficients: Terms
    sense: Literal["<=", "=="]
    bound: float

    def holds(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """In which rows, ``(m,)``, of a table in the user's units it holds, up to rounding.

        An equality holds within a thousandth of its largest term.
        """
        products = [
            coefficient * table[name].to_numpy(np.float64)
            for name, coefficient in self.coefficients.items()
        ]
        excess = np.sum(products, axis=0) - self.bound
        largest = np.max(np.abs([*products, np.full(len(table), self.bound)]), axis=0)
        held: NDArray[np.bool_] = (np.abs(excess) if self.sense == "==" else excess) <= _SLACK[
            self.sense
        ] * largest
        return held


def parse_constraints(texts: Sequence[str]) -> list[LinearConstraint]:
    """Understand the option `data.constraints`.

    Args:
        texts: Such as ``a + b <= 1``, ``0 <= 2*x - y/2 <= 3`` or ```name with blanks` == 5``; `<`
            and `>` mean the same as `<=` and `>=`.

    Raises:
        ConfigurationError: Naming the constraint that is none.
    """
    return [constraint for text in texts for constraint in _parse(text)]


def _parse(text: str) -> list[LinearConstraint]:
    try:
        sums, signs = read_comparisons(text)
        return [
            _constraint(text, left, sign, right)
            for left, sign, right in zip(sums, signs, sums[1:], strict=False)
        ]
    except ValueError as error:
        raise ConfigurationError(
            f"data.constraints: {shortened_text(text)!r}: {error}. Write sums of columns "
            "times numbers, such as 'a + 2*`b c` <= 1'; for all else there is data.feasible_if"
        ) from error


def _constraint(text: str, left: Terms, sign: str, right: Terms) -> LinearConstraint:
    if sign in (">=", ">"):
        left, right = right, left
    names = dict.fromkeys([*left, *right])
    terms = {name: left.get(name, 0.0) - right.get(name, 0.0) for name in names}
    bound = -terms.pop(CONSTANT, 0.0)
    terms = {name: coefficient for name, coefficient in terms.items() if coefficient}
    if not terms:
        raise ValueError("it names no column")
    if not all(map(math.isfinite, (bound, *terms.values()))):
        raise ValueError("its numbers must be finite")
    return LinearConstraint(text, terms, "==" if sign == "==" else "<=", bound)


def shortened_text(text: str) -> str:
    """A user's text, of a long one the beginning."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


def with_columns(
    constraints: Sequence[LinearConstraint], columns: Sequence[Column]
) -> list[LinearConstraint]:
    """The constraints, by the table's own names of its columns.

    Raises:
        ConfigurationError: If one names a column that is not there, or has no numbers.
    """
    # The two letters µ and μ, of micro and of Greek, are one in their compatible form.
    names = {unicodedata.normalize("NFKC", column.name): column.name for column in columns}
    kinds = {column.name: column for column in columns}
    found = []
    for constraint in constraints:
        terms = {}
        for given, coefficient in constraint.coefficients.items():
            name = names.get(unicodedata.normalize("NFKC", given))
            if name is None:
                raise ConfigurationError(
                    f"data.constraints: {constraint.text!r}: there is no column {given!r} among "
                    f"the designs{did_you_mean(given, kinds)}"
                )
            if not _has_numbers(kinds[name]):
                raise ConfigurationError(
                    f"data.constraints: {constraint.text!r}: the column {name!r} is of the kind "
                    f"{kinds[name].kind} and has no numbers. For it there is data.feasible_if"
                )
            terms[name] = coefficient
        found.append(LinearConstraint(constraint.text, terms, constraint.sense, constraint.bound))
    return found


def named_columns(constraints: Sequence[LinearConstraint], columns: Sequence[str]) -> set[str]:
    """Which of the table's columns stand in a constraint."""
    named = {unicodedata.normalize("NFKC", n) for c in constraints for n in c.coefficients}
    return {name for name in columns if unicodedata.normalize("NFKC", name) in named}


class Constraint(Protocol):
    """What holds of a design or not."""

    @property
    def text(self) -> str | None:
        """As the user wrote it."""

    def holds(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """In which rows, ``(m,)``, of a table in the user's units it holds."""


def check_met(constraints: Sequence[Constraint], table: pd.DataFrame) -> None:
    """Refuse a constraint that no row of the table meets.

    Args:
        constraints: With all their columns in the table.
        table: In the user's units.

    Raises:
        ConfigurationError: Naming it.
    """
    for constraint in constraints:
        if not constraint.holds(table).any():
            raise ConfigurationError(
                f"data.constraints: {constraint.text!r} holds in none of the {len(table):,} rows "
                "of the table, so that nothing is known of designs that meet it. Correct it, or "
                "leave it out"
            )


def _has_numbers(column: Column) -> bool:
    constant = isinstance(column, ConstantColumn) and isinstance(column.value, (int, float))
    return constant or isinstance(column, NumberColumn)
