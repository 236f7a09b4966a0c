"""How many of some columns may be above zero together: constraints that count."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import pandas as pd

from lightning_mbo.errors import ConfigurationError, did_you_mean
from lightning_mbo.tabular.columns import Column, ConstantColumn
from lightning_mbo.tabular.constraints import check_met, shortened_text
from lightning_mbo.tabular.ingredients import Ingredients
from lightning_mbo.tabular.linear import Token, tokens_of
from lightning_mbo.tabular.number_column import NumberColumn

_OPENING = [("name", "count"), ("sign", "(")]
_MIRRORED = {"<=": ">=", "<": ">", ">=": "<=", ">": "<", "==": "=="}
_ADVICE = (
    "Write count(a, `b c`, d) <= 2, with <=, >= or == and a whole number, or two bounds: "
    "1 <= count(a, b, c) <= 2. A pattern stands for all columns like it: count(`dose_*`) <= 3"
)


@dataclass(frozen=True)
class CountLimit:
    """So many of some columns are above zero.

    Attributes:
        text: As the user wrote it.
        names: Of the columns, or patterns of names.
        least: How many at least.
        most: How many at most; None: any number.
    """

    text: str
    names: tuple[str, ...]
    least: int
    most: int | None


def parse_counts(texts: Sequence[str]) -> tuple[list[CountLimit], list[str]]:
    """Those of the option `data.constraints` that count, such as ``count(a, b, c) <= 2``.

    Returns:
        What they say, and the others as they are.

    Raises:
        ConfigurationError: Naming the one that cannot be understood.
    """
    counts, others = [], []
    for text in texts:
        try:
            tokens = tokens_of(text)
        except ValueError:
            others.append(text)
            continue
        at = next((i for i in range(len(tokens)) if tokens[i : i + 2] == _OPENING), None)
        if at is None:
            others.append(text)
            continue
        try:
            counts.append(_read(text, tokens, at))
        except ValueError as error:
            raise _refused(text, f"{error}. {_ADVICE}") from error
    return counts, others


def _read(text: str, tokens: Sequence[Token], at: int) -> CountLimit:
    close = next((i for i in range(at, len(tokens)) if tokens[i][1] == ")"), None)
    if close is None:
        raise ValueError("its bracket is not closed")
    names = _names(tokens[at + 2 : close])
    before, after = tokens[:at], tokens[close + 1 : -1]
    limits = [_limit(before[::-1], mirrored=True)] if before else []
    limits += [_limit(after, mirrored=False)] if after else []
    if not limits:
        raise ValueError("it compares the count with nothing")
    least = max(low for low, _ in limits)
    mosts = [high for _, high in limits if high is not None]
    most = min(mosts) if mosts else None
    if most is not None and most < max(least, 0):
        raise ValueError("no count can be that")
    return CountLimit(text, names, least, most)


def _names(tokens: Sequence[Token]) -> tuple[str, ...]:
    names = [word for kind, word in tokens[::2] if kind == "name"]
    commas = [word for _, word in tokens[1::2]]
    if not names or len(names) + len(commas) != len(tokens) or set(commas) - {","}:
        raise ValueError("in its bracket are columns with commas between them, and nothing else")
    if len(names) == len(commas):
        raise ValueError("a column is missing before ')'")
    return tuple(dict.fromkeys(names))


def _limit(tokens: Sequence[Token], mirrored: bool) -> tuple[int, int | None]:
    """The least and the most, of a comparison sign and a number."""
    (_, sign), *numbers = tokens
    if sign not in _MIRRORED:
        raise ValueError(f"{sign!r} cannot stand beside a count")
    if len(numbers) != 1 or numbers[0][0] != "number" or float(numbers[0][1]) % 1:
        raise ValueError("a count is compared with one whole number")
    number = int(float(numbers[0][1]))
    sign = _MIRRORED[sign] if mirrored else sign
    if sign in (">=", ">"):
        return number + (sign == ">"), None
    if sign == "==":
        return number, number
    return 0, number - (sign == "<")


def named_in_counts(counts: Sequence[CountLimit], columns: Sequence[str]) -> set[str]:
    """Which of some columns stand in a count."""
    return {name for count in counts for given in count.names for name in _like(given, columns)}


def count_limits(
    counts: Sequence[CountLimit], columns: Sequence[Column], table: pd.DataFrame
) -> list[Ingredients]:
    """What counts say of the columns of designs.

    Args:
        counts: The user's.
        columns: Of the designs.
        table: Of the designs, in the user's units.

    Raises:
        ConfigurationError: If one names a column that is not there, or cannot be counted; or if
            it cannot hold, or holds in no row.
    """
    kinds = {column.name: column for column in columns}
    found = []
    for count in counts:
        limit = _of_columns(count, kinds, table)
        if limit is None:
            continue
        fixed = any(getattr(kinds[name], "fixed", None) is not None for name in limit.names)
        if not fixed:
            check_met([limit], table)
        found.append(limit)
    return found


def _of_columns(
    count: CountLimit, columns: dict[str, Column], table: pd.DataFrame
) -> Ingredients | None:
    names: list[str] = []
    for given in count.names:
        like = _like(given, list(columns))
        if not like:
            raise _refused(
                count.text,
                f"there is no column {given!r} among the designs{did_you_mean(given, columns)}",
            )
        names += [name for name in like if name not in names]
    least, most = count.least, len(names) if count.most is None else count.most
    if least > len(names):
        raise _refused(count.text, f"of {len(names)} columns {least} are never above 0")
    for name in list(names):
        column = columns[name]
        _check_countable(count, column)
        if isinstance(column, ConstantColumn):
            # It counts, and nothing can be done about it.
            names.remove(name)
            least, most = least - (column.value > 0), most - (column.value > 0)
    if most < 0 or least > len(names):
        raise _refused(count.text, "columns that are the same in every row leave no room for it")
    limit = Ingredients(tuple(names), most, least=max(least, 0), text=count.text)
    return replace(limit, amounts=_least_amounts(table, names)) if names else None


def _check_countable(count: CountLimit, column: Column) -> None:
    name = column.name
    if isinstance(column, ConstantColumn):
        countable = isinstance(column.value, (int, float)) and column.value >= 0
        reason = f"{name!r} has {column.value} throughout, which is no amount. Leave it out"
    elif not isinstance(column, NumberColumn):
        countable = False
        reason = (
            f"the column {name!r} is of the kind {column.kind} and has no numbers to count. For it "
            "there is data.feasible_if"
        )
    elif column.log:
        countable = column.fixed is not None
        reason = f"{name!r} is on a log scale, and so is never zero. Leave it out"
    else:
        least = column.lower if column.values is None else min(column.values)
        countable = column.fixed is not None or least == 0
        reason = (
            f"{name!r} is at least {least:g}, and so is never zero. Leave it out, or its lower "
            f"bound in data.columns.{name}"
            if least > 0
            else f"{name!r} may be below zero, and only amounts are counted. Leave it out, or give "
            f"data.columns.{name} a lower bound of 0"
        )
    if not countable:
        raise _refused(count.text, reason)


def _least_amounts(table: pd.DataFrame, names: Sequence[str]) -> tuple[float, ...]:
    """The least of each column that is above zero."""
    found = []
    for name in names:
        values = table[name]
        found.append(float(values[values > 0].min()))
    return tuple(found)


def _like(given: str, columns: Collection[str]) -> list[str]:
    """The column of a name, or all that a pattern stands for."""
    # The two letters µ and μ, of micro and of Greek, are one in their compatible form.
    wanted = unicodedata.normalize("NFKC", given)
    plain = {name: unicodedata.normalize("NFKC", name) for name in columns}
    same = [name for name, text in plain.items() if text == wanted]
    if same or not set("*?") & set(wanted):
        return same
    return [name for name, text in plain.items() if fnmatchcase(text, wanted)]


def _refused(text: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"data.constraints: {shortened_text(text)!r}: {reason}")
