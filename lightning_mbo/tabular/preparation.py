"""From a user's table to designs, properties and weights."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from lightning_mbo.data.base import FEWEST_DESIGNS
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.column_building import build_column
from lightning_mbo.tabular.column_kinds import as_numbers, inferred_kind, kind_of_rows
from lightning_mbo.tabular.column_options import SETTINGS, TEXTS, ColumnOptions, pasted
from lightning_mbo.tabular.columns import Column, ConstantColumn
from lightning_mbo.tabular.compositions import Composition
from lightning_mbo.tabular.constraints import LinearConstraint, named_columns, with_columns
from lightning_mbo.tabular.derivations import read_derived
from lightning_mbo.tabular.empties import with_empties
from lightning_mbo.tabular.equalities import held_laws
from lightning_mbo.tabular.following import followers
from lightning_mbo.tabular.headers import missing_column
from lightning_mbo.tabular.ingredients import Ingredients, find_ingredients
from lightning_mbo.tabular.layout import TableLayout, with_derived
from lightning_mbo.tabular.replicates import grouped, merged, positive, row_weights
from lightning_mbo.tabular.sequence_letters import letter_notes
from lightning_mbo.tabular.summary_rows import check_no_summary
from lightning_mbo.tabular.tidying import with_spellings
from lightning_mbo.tabular.understanding import understand
from lightning_mbo.tabular.whole_numbers import floating
from lightning_mbo.tabular.wording import (
    LAWS,
    kind_question,
    law_note,
    listed,
    mixture_note,
    verb,
)

_LEFT_OUT = {
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
_FEW_OTHERS = 3
"""Columns beside one of formulas, by which it is the design, and no name of it."""
_FIGURES = (
    *("oracle_mean", "oracle_std", "probability_above_threshold", "probability_below_threshold"),
    *("log_prob_search_model", "log_prob_training_distribution", "nearest_row"),
    *("lower_90", "upper_90", "lower_90_shifted", "upper_90_shifted"),
)
"""In `candidates.csv`, of which measured rows may be appended to a table."""
_MOST_ERROR = 1e6
"""Of a measurement, in standard deviations of all of them."""
_MOST_LOST = 0.1
"""Of the measured rows, for missing entries."""


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


@dataclass(frozen=True)
class PreparedTable:
    """A table in which every design stands once.

    Attributes:
        layout: How its columns make designs.
        designs: The columns of the layout, in the user's units, n rows.
        properties: As measured, ``(n,)``.
        weights: Shape ``(n,)``.
        errors: Of the properties, ``(n,)``; zero where none are known.
        scatters: Of the measurements around the property that is their mean, ``(n,)``.
        groups: Equal integers for designs that are held out together, ``(n,)``; or None.
        row_numbers: Of each design's first row in the user's table, from 1, ``(n,)``.
        num_rows: Rows that the designs were merged from.
        shown: A row for each column of the user's table: its kind, values, and missing entries.
        laws: What the designs' numbers satisfy in every row.
        mixtures: Of which they have few ingredients in every row.
        notes: What was found of the columns and done for it, a sentence each.
        questions: What is uncertain of them.
    """

    layout: TableLayout
    designs: pd.DataFrame
    properties: NDArray[np.float64]
    weights: NDArray[np.float64]
    errors: NDArray[np.float64]
    scatters: NDArray[np.float64]
    groups: NDArray[np.intp] | None
    row_numbers: NDArray[np.intp]
    num_rows: int
    shown: Table
    laws: list[LinearConstraint]
    mixtures: list[Ingredients]
    notes: list[str]
    questions: list[str]


def prepare(
    table: pd.DataFrame,
    source: str,
    roles: Roles,
    options: Mapping[str, ColumnOptions],
    missing: Literal["drop", "refuse"] | None,
    constraints: Sequence[LinearConstraint] = (),
    laws: Collection[str] = LAWS,
) -> PreparedTable:
    """Prepare a table.

    Args:
        table: With rows counted from 0.
        source: What to call it in messages.
        roles: Of the columns that are no part of a design.
        options: What the user says of the others.
        missing: What happens to rows with missing entries; None drops them if they are few.
        constraints: The user's, of which the columns are settings.
        laws: Which of `LAWS` candidates are held to where they hold in every row.

    Raises:
        DataError: If the table cannot be used.
        ConfigurationError: If the options do not fit it.
    """
    _check_names(table, source, roles, options)
    if len(table) < FEWEST_DESIGNS:
        raise DataError(
            f"{source} has {len(table)} rows, too few to learn from: at least {FEWEST_DESIGNS} are "
            "needed"
        )
    texts = [name for name, given in options.items() if given.kind in TEXTS]
    check_no_summary(table, texts, source)
    properties = as_numbers(table[roles.target], source)
    kinds, questions, notes = _kinds(table, source, roles, options)
    table, spelled, doubts = with_spellings(floating(table), kinds, options)
    read = read_derived(table, kinds, options, source)
    whole, kinds, of_empties, empties = with_empties(read.table, kinds, options, missing is None)
    notes += [*spelled, *read.notes, *of_empties]
    used = [name for name, kind in kinds.items() if kind not in _LEFT_OUT]
    if not used:
        raise DataError(f"{source} has no column to design beside {roles.target!r}")
    complete = _complete(whole, source, used, roles.target, missing)
    rows = whole[complete]
    properties = properties[complete]
    if properties.min() == properties.max():
        raise DataError(
            f"{source}, column {roles.target!r}: all {len(properties)} entries are "
            f"{properties.iloc[0]:g}, there is nothing to learn"
        )
    settings = {name for name, given in options.items() if given.is_setting}
    settings |= named_columns(constraints, used)
    found = understand(
        rows[used],
        {name: kinds[name] for name in used},
        roles.target,
        properties.to_numpy(),
        settings,
        {name: options[name].follows for name in used if kinds[name] == "follows"},
        laws,
        source,
    )
    kinds |= found.kinds
    written = [column.of_rows(rows) for column in read.columns if column.name in used]
    derivations = [*found.dummies, *written]
    rows = with_derived(rows, derivations)
    for column in written:
        kinds[column.name] = "derived"
        kinds |= {name: str(given.kind) for name, given in column.options.items()}
        options = {**options, **column.options}
    designed = _of_kind(kinds, *SETTINGS)
    columns = [
        build_column(rows[name], kinds[name], options.get(name, ColumnOptions()), source)
        for name in designed
    ]
    _check_columns(columns, kinds, source)
    weights = row_weights(rows, roles.weight_column, source)
    errors = None if roles.error_column is None else positive(rows[roles.error_column], source)
    if errors is not None and errors.max() > _MOST_ERROR * properties.std():
        raise DataError(
            f"{source}, column {roles.error_column!r}: errors of up to {errors.max():.3g} leave "
            f"nothing of {roles.target!r}, which varies by {properties.std():.3g}"
        )
    replicates = merged(rows[designed], properties.to_numpy(), weights, errors)
    groups = grouped(rows[designed], whole.loc[rows.index, _of_kind(kinds, "group")])
    layout = TableLayout(
        columns,
        followers(rows, found.leaders, found.kinds),
        derivations,
        [name for name in used if kinds[name] in (*SETTINGS, "follows", "dummy", "derived")],
        empties,
    )
    own = [named_columns([constraint], used) for constraint in constraints]
    more = [law for law in found.laws if set(law.coefficients) not in own]
    compositions = [column for column in written if isinstance(column, Composition)]
    held = held_laws([*(column.total for column in compositions), *more], columns)
    sums = [*with_columns(constraints, columns), *(law for law in held if law in more)]
    mixtures = find_ingredients(sums, rows[[column.name for column in layout.numbers]])
    mixtures += [column.mixture for column in compositions if column.mixture is not None]
    mixtures = mixtures if "ingredients" in laws else []
    notes += letter_notes(columns, rows, options)
    return PreparedTable(
        layout,
        rows[designed].iloc[replicates.rows],
        replicates.properties,
        replicates.weights,
        replicates.errors,
        replicates.scatters,
        groups if groups is None else groups[replicates.rows],
        rows.index.to_numpy()[replicates.rows] + 1,
        len(rows),
        _shown(table, rows, roles, kinds, layout),
        held,
        mixtures,
        [
            *notes,
            *found.notes,
            *(law_note(law, rows, held, laws) for law in more),
            *(mixture_note(mixture, rows, laws) for mixture in mixtures),
        ],
        [*doubts, *questions, *read.questions, *found.questions],
    )


def _of_kind(kinds: Mapping[str, str], *wanted: str) -> list[str]:
    return [name for name, kind in kinds.items() if kind in wanted]


def _check_names(
    table: pd.DataFrame, source: str, roles: Roles, options: Mapping[str, ColumnOptions]
) -> None:
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


def _kinds(
    table: pd.DataFrame, source: str, roles: Roles, options: Mapping[str, ColumnOptions]
) -> tuple[dict[str, str], list[str], list[str]]:
    """The kinds of the columns, what is asked of them, and what is said, a sentence each."""
    kinds = {}
    for name in table.columns.drop([name for name in vars(roles).values() if name is not None]):
        given = options.get(name, ColumnOptions())
        if _is_figure(name, roles.target):
            kinds[name] = "figure"
            if given.is_setting:
                raise ConfigurationError(
                    f"data.columns.{name}: candidates.csv has a figure of this name. Rename the "
                    "column"
                )
            continue
        kinds[name] = given.kind or inferred_kind(table[name], source)
        if given.is_pattern and given.kind in SETTINGS:
            kinds[name] = kind_of_rows(table[name]) or given.kind
        if kinds[name] == "integer" and given.kind is None and given.is_fractional:
            kinds[name] = "number"
        if kinds[name] in _LEFT_OUT and (given.kind is None or given.is_pattern):
            if name in options and not given.is_pattern:
                raise ConfigurationError(
                    f"data.columns.{name}: {_LEFT_OUT[kinds[name]]}. Give its kind too"
                )
            _warn_of(name, kinds[name], source)
    questions, notes = _asked_kinds(kinds, options)
    figures = _of_kind(kinds, "figure")
    if figures:
        notes.append(
            f"{listed(figures)} {verb(figures, 'has', 'have')} the name of a figure of candidates "
            f"and {verb(figures, 'is', 'are')} left out. Rename what is a setting"
        )
    return kinds, questions, notes


def _is_figure(name: str, target: str) -> bool:
    """Whether a column is called like what is said of candidates, which may have become rows."""
    return name in _FIGURES or name == f"nearest_{target}"


def _asked_kinds(
    kinds: dict[str, str], options: Mapping[str, ColumnOptions]
) -> tuple[list[str], list[str]]:
    """Design by itself what reads as formulas only where it is next to all that there is."""
    questions, notes = [], []
    others = [n for n, kind in kinds.items() if kind in SETTINGS and kind != "formula"]
    for name in _of_kind(kinds, "formula", "mutations"):
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
            stacklevel=4,
        )
    elif kind == "empty":
        warnings.warn(f"{source}: column {name!r} is empty and left out", stacklevel=4)


def _complete(
    table: pd.DataFrame,
    source: str,
    names: list[str],
    target: str,
    missing: Literal["drop", "refuse"] | None,
) -> NDArray[np.bool_]:
    """Which rows have all entries, ``(N,)``."""
    absent = table[[*names, target]].isna()
    complete: NDArray[np.bool_] = ~absent.any(axis=1).to_numpy()
    if complete.all():
        return complete
    counts = absent.sum()
    counts = counts[counts > 0].sort_values(ascending=False, kind="stable")
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.head(5).items())
    shown += f" and {len(counts) - 5} more columns" * (len(counts) > 5)
    if missing == "refuse":
        row = int(np.flatnonzero(~complete)[0])
        name = absent.columns[int(absent.iloc[row].to_numpy().argmax())]
        raise DataError(
            f"{source}, column {name!r}, data row {row + 1}: empty. Fill it in, or give "
            f"--data.missing drop to leave such rows out (empty entries: {shown})"
        )
    if complete.sum() < FEWEST_DESIGNS:
        raise DataError(
            f"{source}: only {complete.sum()} of {len(table):,} rows have all entries, and at "
            f"least {FEWEST_DESIGNS} are needed. Empty are: {shown}. Leave such columns out with "
            f"{pasted(counts.index[0], 'ignore')}"
        )
    measured = int((~absent[target]).sum())
    worst = counts.index.drop(target, errors="ignore")
    if missing is None and measured - complete.sum() > _MOST_LOST * measured:
        raise DataError(
            f"{source}: {measured - complete.sum():,} of {measured:,} measured rows lack an entry "
            f"(empty entries: {shown}). Leave the column out with {pasted(worst[0], 'ignore')}, or "
            "give --data.missing drop to do without these rows"
        )
    warnings.warn(
        f"{source}: {(~complete).sum():,} of {len(table):,} rows are left out for missing entries: "
        f"{shown}",
        stacklevel=3,
    )
    return complete


def _check_columns(columns: Sequence[Column], kinds: Mapping[str, str], source: str) -> None:
    constant = [column.name for column in columns if isinstance(column, ConstantColumn)]
    if len(constant) == len(columns):
        raise DataError(f"{source}: all columns are constant, there is nothing to design")
    if constant:
        shown = ", ".join(constant[:5]) + (f" and {len(constant) - 5} more" * (len(constant) > 5))
        warnings.warn(
            f"{source}: constant columns are left out of the designs: {shown}", stacklevel=3
        )
    sequences = [name for name, kind in kinds.items() if kind == "sequence"]
    if len(sequences) > 1:
        raise ConfigurationError(
            f"{source}: the columns {sequences[0]!r} and {sequences[1]!r} both hold sequences, and "
            f"a design has one: give {pasted(sequences[1], 'ignore')}"
        )


def _shown(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    roles: Roles,
    kinds: Mapping[str, str],
    layout: TableLayout,
) -> Table:
    described = {c.name: (c.kind, c.describe()) for c in layout.columns}
    described |= {f.name: ("follows", f"from {f.leader}") for f in layout.followers}
    for derivation in layout.derivations:
        described |= dict.fromkeys(derivation.own, derivation.describe())
    named = {roles.target: "target", roles.error_column: "error", roles.weight_column: "weight"}
    shown = Table(title="Columns")
    for header in ("column", "kind", "values"):
        shown.add_column(header, overflow="fold")
    shown.add_column("missing", justify="right")
    for name in table.columns:
        if name in named:
            numbers = pd.to_numeric(rows[name], errors="coerce")
            entry = named[name], f"{numbers.min():g} to {numbers.max():g}"
        else:
            entry = described.get(name) or (_role(kinds[name]), _LEFT_OUT[kinds[name]])
        absent = int(table[name].isna().sum())
        shown.add_row(name, *entry, f"{absent:,}" if absent else "")
    return shown


def _role(kind: str) -> str:
    return kind if kind in ("group", "replicate", "result") else ""
