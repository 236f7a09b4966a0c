"""Columns of chemical formulas, designed by the amounts of their elements."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.column_options import ColumnOptions
from lightning_mbo.tabular.constraints import LinearConstraint
from lightning_mbo.tabular.formulas import in_small_letters, read_formula
from lightning_mbo.tabular.ingredients import Ingredients

_SYMBOL = re.compile("[A-Z][a-z]?")

TOTAL = 100.0
"""What the amounts of the elements sum to: atomic per cent."""

_DIGITS = (1, 2, 3, 4)
"""Decimals of atomic per cent that amounts may be given to."""
_FEWEST_STEPS = 10
"""Of the last decimal in each amount, so that it is known to a twentieth."""
_MOST_HARMED = 0.01
"""Of the compositions, for decimals that are too few for them."""
_LARGEST_AMOUNT = 100.0
"""In a formula that is written as one; more is a decimal point that was lost."""


@dataclass(frozen=True)
class Composition:
    """A column of formulas, of which the elements' amounts are designed, in atomic per cent.

    Attributes:
        name: Of the column.
        elements: In the order in which they are written.
        digits: Decimals of the amounts.
        most: How many elements are together in a formula of the table.
        prefix: Before an element in the name of its column of designs.
    """

    name: str
    elements: tuple[str, ...]
    digits: int
    most: int
    prefix: str

    @property
    def own(self) -> tuple[str, ...]:
        """The user's columns."""
        return (self.name,)

    @property
    def derived(self) -> tuple[str, ...]:
        """The columns of designs."""
        return tuple(f"{self.prefix}{element}" for element in self.elements)

    @property
    def options(self) -> dict[str, ColumnOptions]:
        """What the columns of designs are."""
        step = 10.0**-self.digits
        return dict.fromkeys(self.derived, ColumnOptions("number", 0.0, TOTAL, step))

    @property
    def total(self) -> LinearConstraint:
        """That the amounts make up the whole."""
        text = f"the elements of {self.name!r} == {TOTAL:g}"
        return LinearConstraint(text, dict.fromkeys(self.derived, 1.0), "==", TOTAL)

    @property
    def mixture(self) -> Ingredients | None:
        """That only so many elements are together; None where all are."""
        few = self.most < len(self.elements)
        return Ingredients(self.derived, self.most, self.name) if few else None

    def of_rows(self, table: pd.DataFrame) -> Composition:
        """With the elements of these rows only, of formulas as `read_composition` wrote them."""
        written = [_SYMBOL.findall(text) for text in table[self.name].unique()]
        seen = {element for formula in written for element in formula}
        prefix = self.prefix
        while any(f"{prefix}{element}" in table for element in seen):
            prefix += " "
        elements = tuple(element for element in self.elements if element in seen)
        return replace(self, elements=elements, most=max(map(len, written)), prefix=prefix)

    def derive(self, table: pd.DataFrame) -> dict[str, pd.Series]:
        """The columns of designs, of a table with the user's."""
        codes, texts = pd.factorize(table[self.name])
        amounts = _rounded(_shares([read_formula(t) for t in texts], self.elements), self.digits)
        amounts = (amounts / 10**self.digits)[codes]
        return {
            name: pd.Series(amounts[:, j], index=table.index, name=name)
            for j, name in enumerate(self.derived)
        }

    def restore(self, values: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The user's columns, of values ``(m,)`` of those of designs."""
        amounts = np.stack([np.asarray(values[name], np.float64) for name in self.derived], axis=1)
        steps = np.rint(amounts * 10**self.digits).astype(np.int64)
        return {self.name: written_formulas(steps, self.elements, self.digits)}

    def describe(self) -> tuple[str, str]:
        """The kind of the user's columns, and what values they have."""
        most = f", at most {self.most} together" * (self.most < len(self.elements))
        shown = ", ".join(self.elements[:6])
        more = f" and {len(self.elements) - 6} more" * (len(self.elements) > 6)
        step = 10.0**-self.digits
        return (
            "formula",
            f"{len(self.elements)} elements{most}: {shown}{more}; in steps of {step:g} at.%",
        )


def read_composition(
    column: pd.Series, source: str, drops: bool, advice: str
) -> tuple[Composition, pd.Series, list[str], list[str]]:
    """Read a column of formulas.

    Args:
        column: Of the table, labelled by row numbers from 0.
        source: What to call the table in messages.
        drops: Whether entries that are no formulas become missing; otherwise they are refused.
        advice: How to have them dropped.

    Returns:
        How the column is designed; the column, each composition written in one way; what is said
        of it; and what is asked, a sentence each.

    Raises:
        DataError: Naming the first entry that is no formula, and how many there are.
    """
    codes, texts = pd.factorize(column)
    read, reasons = _read_all([str(text) for text in texts])
    bad = np.isin(codes, [*reasons])
    notes = []
    if bad.any():
        first = int(bad.argmax())
        said = f"data row {first + 1}: {reasons[codes[first]]} ({bad.sum():,} such entries in all)"
        if not drops or not read:
            raise DataError(
                f"{source}, column {column.name!r}, {said}. Correct it, or leave out such rows: "
                f"{advice}"
            )
        notes.append(f"{column.name!r} has entries that are no formulas, and are left out: {said}")
    elements = _in_order(list(read.values()))
    shares = _shares(list(read.values()), elements)
    digits = _enough_digits(shares)
    texts_of = written_formulas(_rounded(shares, digits), elements, digits)
    written = dict(zip(read, texts_of, strict=True))
    entries = [written.get(code) for code in codes.tolist()]
    tidied = pd.Series(entries, index=column.index, name=column.name, dtype=object)
    most = max(len(amounts) for amounts in read.values())
    composition = Composition(str(column.name), elements, digits, most, f"{column.name} ")
    return composition, tidied, notes, _questions(column, codes, texts, read)


def _read_all(texts: Sequence[str]) -> tuple[dict[int, dict[str, float]], dict[int, str]]:
    """The elements' amounts of those texts that are formulas, and what is wrong with the others."""
    read, reasons = {}, {}
    for i, text in enumerate(texts):
        try:
            read[i] = read_formula(text)
        except DataError as error:
            reasons[i] = str(error)
    common = {
        e for i, amounts in read.items() if in_small_letters(texts[i]) is None for e in amounts
    }
    for i, amounts in list(read.items()):
        meant = in_small_letters(texts[i])
        if meant is not None and not common.issuperset(amounts):
            # Where its own elements are nowhere else, and those of the other reading are.
            try:
                other = read_formula(meant)
            except DataError:
                continue
            if common.issuperset(other):
                del read[i]
                reasons[i] = f"formula {texts[i]!r}: is {meant} in capitals"
    return read, reasons


def _in_order(formulas: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """All elements, by where they stand in the formulas."""
    places = defaultdict(list)
    for amounts in formulas:
        for place, element in enumerate(amounts):
            places[element].append((place + 0.5) / len(amounts))
    return tuple(sorted(places, key=lambda element: float(np.mean(places[element]))))


def _shares(
    formulas: Sequence[Mapping[str, float]], elements: Sequence[str]
) -> NDArray[np.float64]:
    """Of all atoms those of each element, per cent, ``(n, elements)``."""
    place = {element: j for j, element in enumerate(elements)}
    amounts = np.zeros((len(formulas), len(elements)))
    for row, formula in zip(amounts, formulas, strict=True):
        for element, amount in formula.items():
            if element not in place:
                raise DataError(
                    f"the element {element} is in none of the table's formulas, and the oracle "
                    "knows nothing of it"
                )
            row[place[element]] = amount
    # By the largest first, so that the sum cannot overflow.
    amounts /= amounts.max(axis=1, keepdims=True)
    shares: NDArray[np.float64] = TOTAL * amounts / amounts.sum(axis=1, keepdims=True)
    return shares


def _enough_digits(shares: NDArray[np.float64]) -> int:
    """The fewest with which small amounts keep their size and compositions stay different."""
    least = np.where(shares > 0, shares, TOTAL).min(1)
    num = len(np.unique(shares.round(6), axis=0))
    for digits in _DIGITS[:-1]:
        num_lost = num - len(np.unique(_rounded(shares, digits), axis=0))
        num_small = int((least < _FEWEST_STEPS * 10.0**-digits * (1 - 1e-9)).sum())
        if num_lost + num_small <= _MOST_HARMED * len(shares):
            return digits
    return _DIGITS[-1]


def _rounded(shares: NDArray[np.float64], digits: int) -> NDArray[np.int64]:
    """Amounts in units of the last decimal, that sum to the whole; what is there stays there."""
    exact = shares * 10**digits
    # What is a whole number but for its last bits is not to lose one.
    steps = np.where(shares > 0, np.maximum(np.floor(exact + 1e-6), 1), 0).astype(np.int64)
    missing = round(TOTAL * 10**digits) - steps.sum(1)
    rest = np.where(shares > 0, exact - steps, -np.inf)
    ranks = (-rest).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    steps += ranks < missing[:, None]
    largest = steps.argmax(1)
    steps[np.arange(len(steps)), largest] += np.minimum(missing, 0)
    return steps


def written_formulas(steps: NDArray[np.int64], elements: Sequence[str], digits: int) -> list[str]:
    """Formulas of amounts ``(m, elements)`` in units of the last of some decimals."""
    return [
        "".join(
            f"{element}{f'{number / 10**digits:.{digits}f}'.rstrip('0').rstrip('.')}"
            for element, number in zip(elements, row, strict=True)
            if number
        )
        for row in steps.tolist()
    ]


def _questions(
    column: pd.Series,
    codes: NDArray[np.intp],
    texts: pd.Index,
    read: Mapping[int, dict[str, float]],
) -> list[str]:
    """What is uncertain of formulas that can be read."""
    questions = []
    capitals = [in_small_letters(str(texts[i])) for i in read]
    meant = {
        i: text
        for i, text in zip(read, capitals, strict=True)
        # One pair of letters may stand side by side: CO2.
        if text is not None and sum(map(str.islower, text)) > 1
    }
    large = [i for i, amounts in read.items() if max(amounts.values()) > _LARGEST_AMOUNT]
    if meant:
        first = next(iter(meant))
        shown = " ".join(f"{e} {a:g}" for e, a in read[first].items())
        questions.append(
            f"{column.name!r}, data row {_row(codes, first)}: {texts[first]} is read as {shown}. "
            f"If {meant[first]} is meant, correct it ({len(meant):,} such formulas in all)"
        )
    if large:
        questions.append(
            f"{column.name!r}, data row {_row(codes, large[0])}: {texts[large[0]]} has an amount "
            f"of {max(read[large[0]].values()):g}. If a decimal point was lost, correct it "
            f"({len(large):,} such formulas in all)"
        )
    return questions


def _row(codes: NDArray[np.intp], code: int) -> int:
    return int((codes == code).argmax()) + 1
