"""What a user says of the columns of a table."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_mbo.errors import ConfigurationError, did_you_mean

KINDS = {
    "number": ("lower", "upper", "step", "fixed", "scale", "values"),
    "integer": ("lower", "upper", "step", "fixed", "scale", "values"),
    "category": ("fixed", "missing", "spelling", "descriptors", "levels", "ordered"),
    "sequence": ("alphabet",),
    "formula": ("missing",),
    "mutations": ("parent", "offset", "missing"),
    "follows": ("follows",),
    "group": ("spelling",),
    "replicate": (),
    "result": (),
    "ignore": (),
}
"""The kinds that can be given, and what can be said of each."""

_WORDS_OF_YAML = ("yes", "no", "on", "off", "true", "false", "null")

_OF_LEVELS = ("descriptors", "levels")

SETTINGS = ("number", "integer", "category", "sequence", "formula", "mutations")
"""The kinds of what is designed."""

TEXTS = ("category", "sequence", "formula", "mutations")
"""The kinds of which entries are kept as they are written."""

_WORDS = {"scale": ("log", "linear"), "spelling": ("exact", "joined")}
"""What can be said by which words."""


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
        scale: Of numbers: `log` or `linear`.
        values: The only numbers that candidates have, ascending.
        spelling: Whether levels that differ by blanks or case are `joined`, or `exact`: different
            ones. None joins those that are certain.
        parent: The sequence that is mutated.
        offset: What is to be added to a place in the parent, from 1, for its number.
        descriptors: Of a category, a file or a data frame of numbers that describe its levels.
        levels: Of a category whose levels are `ordered`, all of them, ascending.
        ordered: Whether they are.
        is_pattern: Whether it is said of a pattern of names: that says nothing of a column's role.
    """

    kind: str | None = None
    lower: float | None = None
    upper: float | None = None
    step: float | None = None
    alphabet: str | None = None
    fixed: Any = None
    follows: str | None = None
    missing: str | None = None
    scale: str | None = None
    values: tuple[float, ...] | None = None
    spelling: str | None = None
    parent: str | None = None
    offset: int | None = None
    descriptors: Any = None
    levels: tuple[Any, ...] | None = None
    ordered: bool | None = None
    is_pattern: bool = False

    @property
    def is_setting(self) -> bool:
        """Whether the user says that the column is designed."""
        if self.is_pattern:
            return False
        names = ("lower", "upper", "step", "alphabet", "fixed", "scale", "values", *_OF_LEVELS)
        return self.kind in SETTINGS or any(getattr(self, name) is not None for name in names)

    @property
    def is_fractional(self) -> bool:
        """Whether candidates are to have numbers that are not whole."""
        wanted = (self.step, self.fixed, *(self.values or ()))
        return any(isinstance(value, float) and value % 1 != 0 for value in wanted)

    def check_kind(self, column: str, kind: str) -> None:
        """Refuse what does not go with a kind.

        Raises:
            ConfigurationError: Naming it.
        """
        given = [name for name in _options() if getattr(self, name) is not None]
        wrong = [name for name in given if name != "kind" and name not in KINDS[kind]]
        if wrong:
            raise ConfigurationError(
                f"data.columns.{column}: {wrong[0]} does not go with the kind {kind}. Leave it "
                f"out, or give another kind: {', '.join(KINDS)}"
            )


def _options() -> list[str]:
    return [field.name for field in fields(ColumnOptions) if field.name != "is_pattern"]


def pasted(column: str, kind: str) -> str:
    """The option that gives a column a kind, for the command line."""
    plain = re.fullmatch(r"[^\W\d]\w*", column) and column.casefold() not in _WORDS_OF_YAML
    word = column if plain else json.dumps(column, ensure_ascii=False)
    return f"--data.columns {shlex.quote(f'{{{word}: {kind}}}')}"


def pasted_list(option: str, names: Iterable[str]) -> str:
    """An option with some names, for the command line."""
    names = list(names)
    # Separated by commas where they have none themselves, else as a list.
    together = ", ".join(names)
    is_list = any("," in name for name in names) or together.startswith("[")
    text = json.dumps(names, ensure_ascii=False) if is_list else together
    quoted = shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'
    return f"--data.{option}{'=' if text.startswith('-') else ' '}{quoted}"


def pasted_missing(texts: Iterable[str]) -> str:
    """The option by which texts stand for missing entries, for the command line."""
    return pasted_list("missing_values", texts)


def parse_columns(columns: Mapping[str, Any]) -> dict[str, ColumnOptions]:
    """Understand the option `data.columns`.

    Args:
        columns: For each name of a column a kind, or a mapping of options.

    Raises:
        ConfigurationError: Naming what is not understood.
    """
    return {str(name): _parse(str(name), given) for name, given in columns.items()}


def for_columns(
    options: Mapping[str, ColumnOptions], names: Collection[str], source: str
) -> dict[str, ColumnOptions]:
    """What is said of each column, where some of it is said of patterns of names.

    A name with `*`, `?` or `[` that no column has stands for all that match it and of which nothing
    is said by their own names; of several that match the last counts.

    Args:
        options: By names and patterns.
        names: Of the columns that may be part of a design.
        source: What to call the table in messages.

    Raises:
        ConfigurationError: If a pattern matches none of them.
    """
    patterns = {key: given for key, given in options.items() if _is_pattern(key, names)}
    for pattern, given in patterns.items():
        if not any(fnmatchcase(name, pattern) for name in names):
            option = "data.other_results" if given.kind == "result" else "data.columns"
            raise ConfigurationError(
                f"{option}: {source} has no column like {pattern!r}{did_you_mean(pattern, names)}"
            )
    said = {name: _said(name, patterns) for name in names if name not in options}
    named = {name: given for name, given in options.items() if name not in patterns}
    return named | {name: given for name, given in said.items() if given is not None}


@dataclass(frozen=True)
class TextColumns(Container[str]):
    """The columns that hold texts, as the user says by their names or patterns, or is known.

    Attributes:
        options: By names and patterns.
        others: The columns that are no part of a design.
        known: Further columns of which it is known.
    """

    options: Mapping[str, ColumnOptions]
    others: Collection[str]
    known: Collection[str] = ()

    def __contains__(self, name: object) -> bool:
        """Whether the column of this name does."""
        if name in self.others or name in self.known:
            return name in self.known
        patterns = {key: given for key, given in self.options.items() if _is_pattern(key, ())}
        given = self.options.get(str(name)) or _said(str(name), patterns)
        return given is not None and given.kind in TEXTS


def _is_pattern(key: str, names: Collection[str]) -> bool:
    return key not in names and any(sign in key for sign in "*?[")


def _said(name: str, patterns: Mapping[str, ColumnOptions]) -> ColumnOptions | None:
    matching = [given for pattern, given in patterns.items() if fnmatchcase(name, pattern)]
    return replace(matching[-1], is_pattern=True) if matching else None


def _parse(column: str, given: Any) -> ColumnOptions:
    place = f"data.columns.{column}"
    if not isinstance(given, (str, Mapping)):
        raise ConfigurationError(f"{place} must be a kind ({', '.join(KINDS)}), not {given!r}")
    options: dict[str, Any] = {"kind": given} if isinstance(given, str) else dict(given)
    known = _options()
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
    for key, words in _WORDS.items():
        if options.get(key) not in (None, *words):
            raise ConfigurationError(
                f"{place}: {key} must be {' or '.join(words)}, not {options[key]!r}"
            )
    if options.get("values") is not None:
        options["values"] = _values(place, options)
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
    _check_levels(place, options)
    parsed = ColumnOptions(**options)
    if kind is None and alphabet is not None:
        parsed = ColumnOptions(**options | {"kind": "sequence"})
    if kind is None and parsed.follows is not None:
        parsed = ColumnOptions(**options | {"kind": "follows"})
    if parsed.kind is not None:
        parsed.check_kind(column, parsed.kind)
    return parsed


def _values(place: str, options: Mapping[str, Any]) -> tuple[float, ...]:
    given = options["values"]
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    values = tuple(sorted({_number(place, "each of its values", value) for value in listed}))
    if len(values) < 2 or len(values) < len(listed):
        raise ConfigurationError(
            f"{place}: values must be a list of two or more different numbers, not {given!r}. One "
            "value that all candidates have is fixed"
        )
    for other in ("lower", "upper", "step", "fixed"):
        if options.get(other) is not None:
            raise ConfigurationError(f"{place}: {other} does not go with values: leave one out")
    return values


def _check_parent(place: str, options: dict[str, Any]) -> None:
    parent, offset = options.get("parent"), options.get("offset", 0)
    if not re.fullmatch("[A-Z]{2,}", str(parent)):
        raise ConfigurationError(
            f"{place}: give the parent too, its whole sequence in capital letters: {{kind: "
            "mutations, parent: MKTAY...}"
        )
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise ConfigurationError(f"{place}: offset must be a whole number, not {offset!r}")


def _check_levels(place: str, options: dict[str, Any]) -> None:
    given, levels, ordered = (options.get(key) for key in ("descriptors", "levels", "ordered"))
    if not (given is None or isinstance(given, (str, Path, pd.DataFrame))):
        raise ConfigurationError(
            f"{place}: descriptors must be a file, or from Python a data frame, not {given!r}"
        )
    if levels is None and ordered is None:
        return
    if given is not None:
        raise ConfigurationError(
            f"{place}: levels and ordered do not go with descriptors: an order can be one of these"
        )
    listed = list(levels) if isinstance(levels, (list, tuple)) else []
    if ordered is not True or len(listed) < 2 or len({*map(str, listed)}) < len(listed):
        raise ConfigurationError(
            f"{place}: give the levels of an ordered category, two or more different ones from the "
            "least to the greatest, and that they are: {levels: [low, medium, high], ordered: true}"
        )
    options["levels"] = tuple(listed)


def _number(place: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise ConfigurationError(f"{place}: {key} must be a finite number, not {value!r}")
    return number
