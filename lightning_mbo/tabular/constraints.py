"""What the numbers of a design must satisfy together."""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import ConfigurationError, did_you_mean
from lightning_mbo.tabular.columns import Column, ConstantColumn
from lightning_mbo.tabular.number_column import NumberColumn

_SLACK = {"<=": 1e-9, "==": 1e-3}
"""Of the largest of a constraint's terms: for rounding, and for amounts that are measured."""

_CONSTANT = ""
"""Stands among the terms for what no column is multiplied by."""

Terms = dict[str, float]


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
    quoted: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        quoted.append(match[1])
        return f"__quoted_{len(quoted) - 1}"

    try:
        tree = ast.parse(re.sub(r"`([^`]+)`", placeholder, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise _mistake(text, "it cannot be read") from error
    if not isinstance(tree, ast.Compare):
        raise _mistake(text, "it compares nothing")
    sides = [_terms(side, text, quoted) for side in (tree.left, *tree.comparators)]
    return [
        _constraint(text, left, operator, right)
        for left, operator, right in zip(sides, tree.ops, sides[1:], strict=False)
    ]


def _constraint(text: str, left: Terms, operator: ast.cmpop, right: Terms) -> LinearConstraint:
    if not isinstance(operator, (ast.LtE, ast.Lt, ast.GtE, ast.Gt, ast.Eq)):
        raise _mistake(text, "it must compare by <=, >= or ==")
    if isinstance(operator, (ast.GtE, ast.Gt)):
        left, right = right, left
    terms = _sum(left, right, -1.0)
    bound = -terms.pop(_CONSTANT, 0.0)
    terms = {name: coefficient for name, coefficient in terms.items() if coefficient}
    if not terms:
        raise _mistake(text, "it names no column")
    if not all(map(math.isfinite, (bound, *terms.values()))):
        raise _mistake(text, "its numbers must be finite")
    return LinearConstraint(text, terms, "==" if isinstance(operator, ast.Eq) else "<=", bound)


def _terms(node: ast.expr, text: str, quoted: list[str]) -> Terms:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return {_CONSTANT: float(number)}
        case ast.Name(id=name):
            place = re.fullmatch(r"__quoted_(\d+)", name)
            return {quoted[int(place[1])] if place else name: 1.0}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _scaled(_terms(operand, text, quoted), -1.0)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _terms(operand, text, quoted)
        case ast.BinOp(left=a, op=operator, right=b):
            left, right = _terms(a, text, quoted), _terms(b, text, quoted)
            if isinstance(operator, (ast.Add, ast.Sub)):
                return _sum(left, right, -1.0 if isinstance(operator, ast.Sub) else 1.0)
            if isinstance(operator, ast.Mult) and set(left) == {_CONSTANT}:
                return _scaled(right, left[_CONSTANT])
            if isinstance(operator, ast.Mult) and set(right) == {_CONSTANT}:
                return _scaled(left, right[_CONSTANT])
            if isinstance(operator, ast.Div) and set(right) == {_CONSTANT} and right[_CONSTANT]:
                return _scaled(left, 1 / right[_CONSTANT])
    raise _mistake(text, f"{ast.unparse(node)!r} is not linear, or no arithmetic")


def _sum(left: Terms, right: Terms, sign: float) -> Terms:
    return {name: left.get(name, 0.0) + sign * right.get(name, 0.0) for name in left | right}


def _scaled(terms: Terms, factor: float) -> Terms:
    return {name: factor * coefficient for name, coefficient in terms.items()}


def _mistake(text: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"data.constraints: {text!r}: {reason}. Write sums of columns times numbers, such as "
        "'a + 2*`b c` <= 1'; for all else there is data.feasible_if"
    )


def with_columns(
    constraints: Sequence[LinearConstraint], columns: Sequence[Column]
) -> list[LinearConstraint]:
    """The constraints, by the table's own names of its columns.

    Raises:
        ConfigurationError: If one names a column that is not there, or has no numbers.
    """
    # Python reads names in their compatible form: µ becomes μ.
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


def check_met(constraints: Sequence[LinearConstraint], table: pd.DataFrame) -> None:
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
