"""Which column of a table is what, before they are looked at together."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd
from rich.table import Table

from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.tabular.column_kinds import inferred_kind, kind_of_rows
from lightning_mbo.tabular.column_options import SETTINGS, ColumnOptions, pasted
from lightning_mbo.tabular.headers import missing_column
from lightning_mbo.tabular.layout import TableLayout
from lightning_mbo.tabular.wording import kind_question, listed, verb

LEFT_OUT = {
    "ignore": "left out",
    "identifier": "left out: differs from row to row",
    "count": "left out: counts the rows",
    "empty": "left out: empty",
    "mostly empty": "left out: mostly empty",
    "replicate": "left out: tells apart rows of the same design",
    "group": "left out: rows that belong together",
    "result": "left out: another result",
    "name": "left out: names what other columns say",
    "figure": "left out: a figure of candidates",
    "unread formula": "left out: reads as formulas",
    "unread mutations": "left out: reads as mutations",
}
"""The kinds of columns that are no part of a design, and what is said of them."""

_FEW_OTHERS = 3
"""Columns beside one of formulas, by which it is the design, and no name of it."""
_FIGURES = (
    *("oracle_mean", "oracle_std", "probability_above_threshold", "probability_below_threshold"),
    *("log_prob_search_model", "log_prob_training_distribution", "nearest_row"),
    *("lower_95", "upper_95", "probability_of_limits"),
)
"""In `candidates.csv`, of which measured rows may be appended to a table."""

_OF_RESULTS = ("mean", "std", "lower_95", "upper_95")
"""Behind the name of each of several results."""
_MOST_SHOWN, _SHOWN_OF_EACH = 60, 20
"""Columns that are told one by one, and of each kind where there are more."""


@dataclass(frozen=True)
class Roles:
    """Which columns are no part of a design; None where there is none.

    Attributes:
        target: What is measured.
        error_column: The standard deviation of each measurement's error.
        weight_column: The weight of each row.
    """

    target: str
    error_column: str | None = None
    weight_column: str | None = None


def of_kind(kinds: Mapping[str, str], *wanted: str) -> list[str]:
    """The columns of some kinds."""
    return [name for name, kind in kinds.items() if kind in wanted]


def check_names(
    table: pd.DataFrame, source: str, roles: Roles, options: Mapping[str, ColumnOptions]
) -> None:
    """Refuse names of columns that are not there, or in two roles.

    Raises:
        ConfigurationError: Naming the option.
    """
    own = {f"data.{role}": name for role, name in vars(roles).items() if name is not None}
    for option, name in own.items():
        if name not in table.columns:
            raise ConfigurationError(missing_column(option, source, name, list(table.columns)))
    if len(set(own.values())) < len(own):
        raise ConfigurationError(f"{' and '.join(own)} must be different columns")
    for name, given in options.items():
        option = "data.other_results" if given.kind == "result" else "data.columns"
        if name not in table.columns:
            raise ConfigurationError(missing_column(option, source, name, list(table.columns)))
        if name in own.values():
            raise ConfigurationError(f"{option}: {name!r} is no part of the designs")


def kinds_of(
    table: pd.DataFrame,
    source: str,
    roles: Roles,
    options: Mapping[str, ColumnOptions],
    results: Collection[str] = (),
) -> tuple[dict[str, str], list[str], list[str]]:
    """The kinds of the columns, what is asked of them, and what is said, a sentence each.

    Args:
        table: The user's.
        source: What to call it in messages.
        roles: Of the columns that are no part of a design.
        options: What the user says of the others.
        results: Columns of which each is wanted, the target being what they come to.

    Raises:
        ConfigurationError: If an option does not go with a column.
        DataError: If a column can be nothing.
    """
    kinds, nothing_said = {}, ColumnOptions()
    figures = _figures_of(roles.target, results)
    for name in table.columns.drop([name for name in vars(roles).values() if name is not None]):
        given = options.get(name, nothing_said)
        if name in figures:
            kinds[name] = "figure"
            if given.is_setting:
                raise ConfigurationError(
                    f"data.columns.{name}: candidates.csv has a figure of this name. Rename the "
                    "column"
                )
            continue
        column = table[name]
        of_levels = _kind_of_levels(column, given)
        kinds[name] = given.kind or of_levels or inferred_kind(column, source)
        if given.is_pattern and given.kind in SETTINGS:
            kinds[name] = kind_of_rows(column) or given.kind
        if kinds[name] == "integer" and given.kind is None and given.is_fractional:
            kinds[name] = "number"
        if kinds[name] in LEFT_OUT and (given.kind is None or given.is_pattern):
            if name in options and not given.is_pattern:
                raise ConfigurationError(
                    f"data.columns.{name}: {LEFT_OUT[kinds[name]]}. Give its kind too"
                )
            _warn_of(name, kinds[name], source)
    questions, notes = _asked_kinds(kinds, options)
    named = of_kind(kinds, "figure")
    if named:
        notes.append(
            f"{listed(named)} {verb(named, 'has', 'have')} the name of a figure of candidates "
            f"and {verb(named, 'is', 'are')} left out. Rename what is a setting"
        )
    return kinds, questions, notes


def _kind_of_levels(column: pd.Series, given: ColumnOptions) -> str | None:
    """A category, where the user tells of levels but not of the kind; else None.

    Raises:
        ConfigurationError: If the column holds numbers.
    """
    if given.kind is not None or (given.descriptors is None and given.levels is None):
        return None
    values = column.dropna()
    if values.empty or pd.api.types.infer_dtype(values) == "boolean":
        return None
    if pd.to_numeric(values, errors="coerce").notna().all():
        what = "levels" if given.descriptors is None else "descriptors"
        raise ConfigurationError(
            f"data.columns.{column.name}: {what} are of categories, and the column holds numbers. "
            "Leave them out, or if its numbers are names give kind: category too"
        )
    return "category"


def figures_of_results(results: Collection[str]) -> set[str]:
    """What columns are called of what is predicted of each of several results."""
    return {f"{name}_{figure}" for name in results for figure in _OF_RESULTS}


def _figures_of(target: str, results: Collection[str]) -> set[str]:
    """What columns are called of what is said of candidates, which may have become rows."""
    nearest = {f"nearest_{name}" for name in results or [target]}
    return {*_FIGURES, *nearest, *figures_of_results(results)}.difference(results)


def _asked_kinds(
    kinds: dict[str, str], options: Mapping[str, ColumnOptions]
) -> tuple[list[str], list[str]]:
    """Design by itself what reads as formulas only where it is next to all that there is."""
    questions, notes = [], []
    others = [n for n, kind in kinds.items() if kind in SETTINGS and kind != "formula"]
    for name in of_kind(kinds, "formula", "mutations"):
        if options.get(name, ColumnOptions()).kind is not None:
            continue
        if kinds[name] == "formula" and len(others) <= _FEW_OTHERS:
            notes.append(
                f"{name!r} reads as chemical formulas and is designed by the amounts of its "
                f"elements. If it is a name only: {pasted(name, 'ignore')}"
            )
            continue
        if kinds[name] == "formula" or "sequence" not in kinds.values():
            questions.append(kind_question(name, kinds[name]))
        kinds[name] = f"unread {kinds[name]}"
    return questions, notes


def _warn_of(name: str, kind: str, source: str) -> None:
    if kind == "identifier":
        warnings.warn(
            f"{source}: the text in column {name!r} differs from row to row and is left out. If it "
            f"is part of the design give {pasted(name, 'category')} or {pasted(name, 'sequence')}",
            category=MBOWarning,
            stacklevel=4,
        )
    elif kind == "empty":
        warnings.warn(
            f"{source}: column {name!r} is empty and left out", category=MBOWarning, stacklevel=4
        )


def shown_columns(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    roles: Roles,
    kinds: Mapping[str, str],
    layout: TableLayout,
    results: Mapping[str, tuple[str, str]],
    errors: Collection[str] = (),
) -> Table:
    """What each column of the user's table is taken for, its values, and missing entries.

    Args:
        table: The user's.
        rows: Those that are used.
        roles: Of the columns that are no part of a design.
        kinds: Of the others.
        layout: Of the designs.
        results: Of columns of which each is wanted, in place of the target, values and missing
            entries.
        errors: Columns of these results' errors.
    """
    described = {c.name: (c.kind, c.describe()) for c in layout.columns}
    described |= {f.name: ("follows", f"from {f.leader}") for f in layout.followers}
    for derivation in layout.derivations:
        described |= dict.fromkeys(derivation.own, derivation.describe())
    named = {roles.target: "target", roles.error_column: "error", roles.weight_column: "weight"}
    named |= dict.fromkeys(errors, "error")
    shown = Table(title="Columns")
    for header in ("column", "kind", "values"):
        shown.add_column(header, overflow="fold")
    shown.add_column("missing", justify="right")
    absences = table.isna().sum()
    for name in table.columns:
        if name in results:
            shown.add_row(name, "target", *results[name])
        if name in results or (results and name == roles.target):
            continue
        if name in named:
            numbers = pd.to_numeric(rows[name], errors="coerce")
            entry = named[name], f"{numbers.min():g} to {numbers.max():g}"
        else:
            entry = described.get(name) or (_role(kinds[name]), LEFT_OUT[kinds[name]])
        absent = absences[name]
        shown.add_row(name, *entry, f"{absent:,}" if absent else "")
    return shown


def in_short(shown: Table) -> Table:
    """What is said of the columns, of each kind and role only the first few of many.

    Args:
        shown: As of `shown_columns`.
    """
    if shown.row_count <= _MOST_SHOWN:
        return shown
    short = Table(title=shown.title)
    for column in shown.columns:
        short.add_column(column.header, justify=column.justify, overflow=column.overflow)
    rows = list(zip(*(column.cells for column in shown.columns), strict=True))
    numbers = Counter(kind for _, kind, *_ in rows)
    told = Counter[str]()
    for row in rows:
        told[row[1]] += 1
        if told[row[1]] <= _SHOWN_OF_EACH:
            short.add_row(*row)
    for kind, number in numbers.items():
        if number > _SHOWN_OF_EACH:
            more = f"{number - _SHOWN_OF_EACH:,} more"
            short.add_row(more, kind, "all of them are in report.html", "")
    return short


def _role(kind: str) -> str:
    return kind if kind in ("group", "replicate", "result") else ""
