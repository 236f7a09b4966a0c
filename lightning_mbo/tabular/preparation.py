"""From a user's table to designs, properties and weights."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from lightning_mbo.errors import ConfigurationError, DataError, MBOWarning
from lightning_mbo.problem import FEWEST_DESIGNS
from lightning_mbo.tabular.column_building import build_column
from lightning_mbo.tabular.column_kinds import as_numbers
from lightning_mbo.tabular.column_options import SETTINGS, TEXTS, ColumnOptions, pasted
from lightning_mbo.tabular.column_roles import (
    LEFT_OUT,
    Roles,
    check_names,
    kinds_of,
    of_kind,
    shown_columns,
)
from lightning_mbo.tabular.columns import Column, ConstantColumn
from lightning_mbo.tabular.compositions import Composition
from lightning_mbo.tabular.constraints import LinearConstraint, named_columns, with_columns
from lightning_mbo.tabular.derivations import read_derived
from lightning_mbo.tabular.descriptors import level_notes
from lightning_mbo.tabular.empties import complete_rows, with_empties
from lightning_mbo.tabular.equalities import held_laws
from lightning_mbo.tabular.following import followers
from lightning_mbo.tabular.ingredients import Ingredients, find_ingredients
from lightning_mbo.tabular.layout import TableLayout, with_derived
from lightning_mbo.tabular.mutations import Mutations
from lightning_mbo.tabular.replicates import grouped, merged, positive, row_weights
from lightning_mbo.tabular.sequence_letters import letter_notes
from lightning_mbo.tabular.summary_rows import check_no_summary
from lightning_mbo.tabular.tidying import with_spellings
from lightning_mbo.tabular.understanding import understand
from lightning_mbo.tabular.whole_numbers import floating
from lightning_mbo.tabular.wording import LAWS, law_note, mixture_note

_MOST_ERROR = 1e6
"""Of a measurement, in standard deviations of all of them."""


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
        results: Of other columns that are asked for, likewise, their means, scatters and errors,
            ``(3, n, q)``.
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
    results: NDArray[np.float64]
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
    counted: Collection[str] = (),
    results: Mapping[str, tuple[str, str]] | None = None,
    error_columns: Mapping[str, str] | None = None,
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
        counted: Further columns that are settings, as the user constrains how many are there.
        results: Columns of numbers that are merged as the target is, which stands for them; of each
            what is shown of its values and of missing ones.
        error_columns: Of some of these, the columns of their errors' standard deviations.

    Raises:
        DataError: If the table cannot be used.
        ConfigurationError: If the options do not fit it.
    """
    results, error_columns = results or {}, error_columns or {}
    # By names of pandas' own type of texts, thousands of columns take twice as long to go through.
    table = table.set_axis(table.columns.astype(object), axis=1)
    read = _read(table, source, roles, options, missing, results)
    rows, kinds, properties = read.rows, read.kinds, read.properties
    used = [name for name, kind in kinds.items() if kind not in LEFT_OUT]
    settings = {name for name, given in options.items() if given.is_setting}
    settings |= named_columns(constraints, used) | set(counted)
    found = understand(
        rows[used],
        {name: kinds[name] for name in used},
        {name: as_numbers(rows[name], source).to_numpy() for name in results or [roles.target]},
        settings,
        {name: options[name].follows for name in used if kinds[name] == "follows"},
        laws,
        source,
    )
    kinds |= found.kinds
    written = [column.of_rows(rows) for column in read.derived if column.name in used]
    derivations = [*found.dummies, *written]
    rows = with_derived(rows, derivations)
    for column in written:
        kinds[column.name] = "derived"
        kinds |= {name: str(given.kind) for name, given in column.options.items()}
        options = {**options, **column.options}
    designed = of_kind(kinds, *SETTINGS)
    columns = [
        build_column(rows[name], kinds[name], options.get(name, ColumnOptions()), source)
        for name in designed
    ]
    _check_columns(columns, kinds, source)
    weights = row_weights(rows, roles.weight_column, source)
    errors = _errors(rows, roles.target, roles.error_column, source)
    replicates = merged(rows[designed], properties.to_numpy(), weights, errors)
    others = [
        merged(
            rows[designed],
            as_numbers(rows[name], source).to_numpy(),
            weights,
            _errors(rows, name, error_columns.get(name), source),
        )
        for name in results
    ]
    groups = grouped(rows[designed], read.rows[of_kind(kinds, "group")])
    layout = TableLayout(
        columns,
        followers(rows, found.leaders, found.kinds),
        derivations,
        [name for name in used if kinds[name] in (*SETTINGS, "follows", "dummy", "derived")],
        read.empties,
    )
    more, held, mixtures = _laws(found.laws, written, constraints, layout, rows, laws)
    return PreparedTable(
        layout,
        rows[designed].iloc[replicates.rows],
        replicates.properties,
        replicates.weights,
        replicates.errors,
        replicates.scatters,
        np.array(
            [[getattr(r, of) for r in others] for of in ("properties", "scatters", "errors")],
            dtype=np.float64,
        ).transpose(0, 2, 1)
        if others
        else np.zeros((3, len(replicates.rows), 0)),
        groups if groups is None else groups[replicates.rows],
        rows.index.to_numpy()[replicates.rows] + 1,
        len(rows),
        shown_columns(table, rows, roles, kinds, layout, results, error_columns.values()),
        held,
        mixtures,
        [
            *read.notes,
            *letter_notes(columns, rows, options),
            *level_notes(columns),
            *found.notes,
            *(law_note(law, rows, held, laws) for law in more),
            *(mixture_note(mixture, rows, laws) for mixture in mixtures),
        ],
        [*read.questions, *found.questions],
    )


class _Reading(NamedTuple):
    """The rows of a table that can be used, and what its columns are, each by itself."""

    rows: pd.DataFrame
    properties: pd.Series
    kinds: dict[str, str]
    derived: list[Composition | Mutations]
    empties: dict[str, Any]
    notes: list[str]
    questions: list[str]


def _read(
    table: pd.DataFrame,
    source: str,
    roles: Roles,
    options: Mapping[str, ColumnOptions],
    missing: Literal["drop", "refuse"] | None,
    results: Collection[str],
) -> _Reading:
    check_names(table, source, roles, options)
    if len(table) < FEWEST_DESIGNS:
        raise DataError(
            f"{source} has {len(table)} row{'s' * (len(table) != 1)}, too few to learn from: at "
            f"least {FEWEST_DESIGNS} are needed"
        )
    texts = [name for name, given in options.items() if given.kind in TEXTS]
    check_no_summary(table, texts, source)
    properties = as_numbers(table[roles.target], source)
    kinds, questions, notes = kinds_of(table, source, roles, options, results)
    table, spelled, doubts = with_spellings(floating(table), kinds, options)
    read = read_derived(table, kinds, options, source)
    whole, kinds, filled, empties = with_empties(read.table, kinds, options, missing is None)
    used = [name for name, kind in kinds.items() if kind not in LEFT_OUT]
    if not used:
        raise DataError(f"{source} has no column to design beside {roles.target!r}")
    complete = complete_rows(whole, source, used, roles.target, missing)
    properties = properties[complete]
    if properties.min() == properties.max():
        raise DataError(
            f"{source}, column {roles.target!r}: all {len(properties)} entries are "
            f"{properties.iloc[0]:g}, there is nothing to learn"
        )
    return _Reading(
        whole[complete],
        properties,
        kinds,
        read.columns,
        empties,
        [*notes, *spelled, *read.notes, *filled],
        [*doubts, *questions, *read.questions],
    )


def _errors(
    rows: pd.DataFrame, target: str, column: str | None, source: str
) -> NDArray[np.float64] | None:
    """The standard deviations of a target's errors, ``(n,)``; None without a column of them."""
    if column is None:
        return None
    errors, spread = positive(rows[column], source), as_numbers(rows[target], source).std()
    if errors.max() > _MOST_ERROR * spread:
        raise DataError(
            f"{source}, column {column!r}: errors of up to {errors.max():.3g} leave nothing of "
            f"{target!r}, which varies by {spread:.3g}"
        )
    return errors


def _laws(
    found: Sequence[LinearConstraint],
    derived: Sequence[Composition | Mutations],
    constraints: Sequence[LinearConstraint],
    layout: TableLayout,
    rows: pd.DataFrame,
    laws: Collection[str],
) -> tuple[list[LinearConstraint], list[LinearConstraint], list[Ingredients]]:
    """The laws that are not the user's own, those that candidates are held to, and mixtures."""
    own = [named_columns([constraint], [*map(str, rows)]) for constraint in constraints]
    more = [law for law in found if set(law.coefficients) not in own]
    compositions = [column for column in derived if isinstance(column, Composition)]
    held = held_laws([*(column.total for column in compositions), *more], layout.columns)
    if "ingredients" not in laws:
        return more, held, []
    sums = [*with_columns(constraints, layout.columns), *(law for law in held if law in more)]
    names = [column.name for column in layout.numbers if column.name in rows]
    mixtures = find_ingredients(sums, rows[names])
    mixtures += [column.mixture for column in compositions if column.mixture is not None]
    return more, held, mixtures


def _check_columns(columns: Sequence[Column], kinds: Mapping[str, str], source: str) -> None:
    constant = [column.name for column in columns if isinstance(column, ConstantColumn)]
    if len(constant) == len(columns):
        raise DataError(f"{source}: all columns are constant, there is nothing to design")
    if constant:
        shown = ", ".join(constant[:5]) + (f" and {len(constant) - 5} more" * (len(constant) > 5))
        warnings.warn(
            f"{source}: constant columns are left out of the designs: {shown}",
            category=MBOWarning,
            stacklevel=3,
        )
    sequences = [name for name, kind in kinds.items() if kind == "sequence"]
    if len(sequences) > 1:
        raise ConfigurationError(
            f"{source}: the columns {sequences[0]!r} and {sequences[1]!r} both hold sequences, and "
            f"a design has one: give {pasted(sequences[1], 'ignore')}"
        )
