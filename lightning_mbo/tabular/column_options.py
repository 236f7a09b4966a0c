"""What a user says of the columns of a table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lightning_mbo.errors import ConfigurationError, did_you_mean

KINDS = {
    "number": ("lower", "upper", "step", "fixed"),
    "integer": ("lower", "upper", "step", "fixed"),
    "category": ("fixed", "missing"),
    "sequence": ("alphabet",),
    "formula": ("missing",),
    "mutations": ("parent", "offset", "missing"),
    "follows": ("follows",),
    "group": (),
    "replicate": (),
    "result": (),
    "ignore": (),
}
"""The kinds that can be given, and what can be said of each."""

SETTINGS = ("number", "integer", "category", "sequence", "formula", "mutations")
"""The kinds of what is designed."""

TEXTS = ("category", "sequence", "formula", "mutations")
"""The kinds of which entries are kept as they are written."""


@dataclass(frozen=True)
class ColumnOptions:
    """What is said of one column; None where nothing is.

    Attributes:
        kind: One of `KINDS`.
        lower: The least number that candidates may have.
        upper: The greatest.
        step: Candidates' numbers are `lower` (or 0) plus whole multiples of it.
        alphabet: The letters of a sequence.
        fixed: The value that all candidates have.
        follows: The column from which it follows.
        missing: The level that empty entries are, or `drop` for leaving out their rows, and those
            of formulas and mutations that cannot be read.
        parent: The sequence that is mutated.
        offset: What is to be added to a place in the parent, from 1, for its number.
    """

    kind: str | None = None
    lower: float | None = None
    upper: float | None = None
    step: float | None = None
    alphabet: str | None = None
    fixed: Any = None
    follows: str | None = None
    missing: str | None = None
    parent: str | None = None
    offset: int | None = None

    @property
    def is_setting(self) -> bool:
        """Whether the user says that the column is designed."""
        said = (self.lower, self.upper, self.step, self.alphabet, self.fixed)
        return self.kind in SETTINGS or any(value is not None for value in said)

    @property
    def is_fractional(self) -> bool:
        """Whether candidates are to have numbers that are not whole."""
        wanted = (self.step, self.fixed)
        return any(isinstance(value, float) and value % 1 != 0 for value in wanted)

    def check_kind(self, column: str, kind: str) -> None:
        """Refuse what does not go with a kind.

        Raises:
            ConfigurationError: Naming it.
        """
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        wrong = [name for name in given if name != "kind" and name not in KINDS[kind]]
        if wrong:
            raise ConfigurationError(
                f"data.columns.{column}: {wrong[0]} does not go with the kind {kind}. Leave it "
                f"out, or give another kind: {', '.join(KINDS)}"
            )


def pasted(column: str, kind: str) -> str:
    """The option that gives a column a kind, for the command line."""
    word = column if re.fullmatch(r"[^\W\d]\w*", column) else json.dumps(column)
    return f"--data.columns '{{{word}: {kind}}}'"


def parse_columns(columns: Mapping[str, Any]) -> dict[str, ColumnOptions]:
    """Understand the option `data.columns`.

    Args:
        columns: For each name of a column a kind, or a mapping of options.

    Raises:
        ConfigurationError: Naming what is not understood.
    """
    return {str(name): _parse(str(name), given) for name, given in columns.items()}


def _parse(column: str, given: Any) -> ColumnOptions:
    place = f"data.columns.{column}"
    if not isinstance(given, (str, Mapping)):
        raise ConfigurationError(f"{place} must be a kind ({', '.join(KINDS)}), not {given!r}")
    options: dict[str, Any] = {"kind": given} if isinstance(given, str) else dict(given)
    known = [field.name for field in fields(ColumnOptions)]
    for key in options:
        if key not in known:
            raise ConfigurationError(f"{place} has no option {key}{did_you_mean(key, known)}")
    kind = options.get("kind")
    if kind is not None and kind not in KINDS:
        raise ConfigurationError(
            f"{place}: {kind!r} is no kind of column{did_you_mean(str(kind), KINDS)}"
        )
    for key in ("lower", "upper", "step"):
        if options.get(key) is not None:
            options[key] = _number(place, key, options[key])
    lower, upper, step = (options.get(key) for key in ("lower", "upper", "step"))
    if lower is not None and upper is not None and not lower < upper:
        raise ConfigurationError(f"{place}: lower must be less than upper: {lower:g}, {upper:g}")
    if step is not None and not step > 0:
        raise ConfigurationError(f"{place}: step must be greater than 0, not {step:g}")
    alphabet = options.get("alphabet")
    if alphabet is not None:
        options["alphabet"] = alphabet = str(alphabet)
        if len(set(alphabet)) != len(alphabet) or len(alphabet) < 2:
            raise ConfigurationError(
                f"{place}: alphabet must be two or more different letters, not {alphabet!r}"
            )
    if kind in ("formula", "mutations") and options.get("missing") not in (None, "drop"):
        raise ConfigurationError(f"{place}: missing must be drop, not {options['missing']!r}")
    if kind == "mutations":
        _check_parent(place, options)
    parsed = ColumnOptions(**options)
    if kind is None and alphabet is not None:
        parsed = ColumnOptions(**options | {"kind": "sequence"})
    if kind is None and parsed.follows is not None:
        parsed = ColumnOptions(**options | {"kind": "follows"})
    if parsed.kind is not None:
        parsed.check_kind(column, parsed.kind)
    return parsed


def _check_parent(place: str, options: dict[str, Any]) -> None:
    parent, offset = options.get("parent"), options.get("offset", 0)
    if not re.fullmatch("[A-Z]{2,}", str(parent)):
        raise ConfigurationError(
            f"{place}: give the parent too, its whole sequence in capital letters: {{kind: "
            "mutations, parent: MKTAY...}"
        )
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise ConfigurationError(f"{place}: offset must be a whole number, not {offset!r}")


def _number(place: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise ConfigurationError(f"{place}: {key} must be a finite number, not {value!r}")
    return number
