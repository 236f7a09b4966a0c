"""A table of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.data.base import DesignDataModule
from lightning_mbo.data.reading_report import remarks, say_of_pool, say_of_table
from lightning_mbo.data.wanted import Wanted
from lightning_mbo.designs import euclidean, hamming, mixed, nearest
from lightning_mbo.errors import ConfigurationError, DataError, did_you_mean
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.results import FurtherRows, Results
from lightning_mbo.space import Cells, DesignSpace

if TYPE_CHECKING:
    import pandas as pd

    from lightning_mbo.tabular.pool import Pool
    from lightning_mbo.tabular.predicates import Predicate
    from lightning_mbo.tabular.preparation import PreparedTable
    from lightning_mbo.tabular.several_results import SplitRows

_FEWEST_IN_BATCH, _MOST_IN_BATCH, _NUM_BATCHES = 8, 100, 20
_FRAME = "the data frame"


class CSV(DesignDataModule):
    """A table of the user's own: each row a design, and what was measured of it.

    A column is a number, an integer, a category, a sequence, or left out, as its values suggest or
    `columns` says. Chemical formulas are designed by the amounts of their elements, mutations of a
    parent by the letters of the places that vary. Designs are the numbers, standardised; then the
    categories, one-hot; then the letters of the sequence, one-hot. A table of nothing but a
    sequence has designs ``(l, v)``.

    Candidates have numbers without bounds, except that a column with nothing negative stays at 0 or
    above, one of zeros and ones stays between them, and integers stay integers. They have the
    levels of the table only, and letters of the table, or of DNA, RNA and proteins where most of
    these occur. All this, and what numbers are standardised by, is taken from all rows, of which
    some may be held out. Levels that differ by blanks or case are one. Rows in which the same
    design was measured again become one, with the mean and the weight of all; where measurements
    have errors, with the mean by their inverse squares and its own, smaller error. Constant
    columns, texts that differ from row to row (names) and a column that counts the rows are left
    out. What else is found by their values is printed: other results, columns that follow from
    another, and what holds in every row, to which candidates are held.

    Distances count the places in which sequences differ; of other designs they are Euclidean in
    the columns' standard deviations, another category or letter being as far as one of them.
    """

    def __init__(
        self,
        path: Path | pd.DataFrame | None = None,
        target: str | None = None,
        maximize: bool = True,
        targets: dict[str, str] | None = None,
        columns: dict[str, Any] | None = None,
        constraints: list[str] | None = None,
        feasible_if: str | Predicate | None = None,
        error_column: dict[str, str] | str | None = None,
        weight_column: str | None = None,
        missing: Literal["drop", "refuse"] | None = None,
        other_results: str | list[str] | None = None,
        laws: bool | list[str] = True,
        header: int = 1,
        sheet: str | int | None = None,
        missing_values: str | list[str | int | float] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Choose the table and what is made of it.

        Args:
            path: A CSV or TSV file, plain or compressed, a Parquet or an Excel file; from Python
                also a data frame.
            target: The column of what is measured.
            maximize: Whether its greatest values are sought; otherwise the least.
            targets: In place of these, or beside them, what is wanted of each of several columns:
                maximize, minimize, or limits, such as ">= 90", "<= 3", "40 to 60", "near 5.5" or
                "near 5.5 +- 0.2". Rows that lack some of them teach of the others.
            columns: For columns that are not what their values suggest, by name or, as with `*` or
                `dose_*`, for all of a pattern that are not named, a kind (number, integer,
                category, sequence, formula, mutations; not designed: ignore, result, replicate,
                group for rows that are held out together, follows for what another column
                determines) or a mapping: `lower`, `upper` and `step` of numbers, `values` for the
                only ones, `scale` log for what is designed by its logarithm, the `alphabet` of
                sequences, `fixed` for one value that all candidates have, `follows` for the column
                that determines it, `missing` for the level that empty entries are, or drop,
                `spelling` exact or joined for levels that differ by blanks or case, `descriptors`
                for a file (from Python also a data frame) of numbers that say what each level of a
                category is like, `levels` and `ordered` for levels that go from low to high; of
                mutations the `parent` and an `offset` of their numbers.
            constraints: On the numbers of a candidate, such as "a + 2*b <= 1" or "a + b == 100",
                or on how many of them are above zero, "count(a, b, c) <= 2"; names with blanks in
                backticks.
            feasible_if: A function, or its import path, that is given designs as a data frame and
                tells which of them can be made.
            error_column: The standard deviation of each measurement's error, in the target's
                units. It is part of what the label may be off by; what the oracle says is of the
                property without it. Of several targets a mapping, from each that has one.
            weight_column: The weight of each row.
            missing: Whether rows with missing entries are dropped or refused. Null: an entry of a
                category that is often empty is a level, columns that are mostly empty are left out,
                and the rows that lack others are dropped if they are at most a tenth.
            other_results: Columns that were measured with the target and are no settings, a list
                or separated by commas.
            laws: Whether candidates are held to what holds in every row of the table, or to what of
                it: equalities, dummies, totals, ingredients (of a mixture, how many at most).
            header: How many header lines a text or a sheet has. Names are read from the first,
                others are skipped; 0: none, and the columns are column_1, column_2 and so on.
            sheet: Of an Excel file, by its name or number; null: the first.
            missing_values: Further texts that stand for a missing entry, such as "PENDING, n.d.", a
                list or separated by commas.
            batch_size: As in `DesignDataModule`; null: a twentieth of the designs, between 8 and
                100.
            **kwargs: Of `DesignDataModule`.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        import pandas as pd

        from lightning_mbo.tabular.column_options import parse_columns
        from lightning_mbo.tabular.column_roles import Roles
        from lightning_mbo.tabular.constraints import parse_constraints
        from lightning_mbo.tabular.count_limits import parse_counts
        from lightning_mbo.tabular.predicates import imported
        from lightning_mbo.tabular.reading import FileOptions
        from lightning_mbo.tabular.wording import LAWS

        super().__init__(_MOST_IN_BATCH if batch_size is None else batch_size, **kwargs)
        if path is None:
            raise ConfigurationError("give --data.path, the file of your table")
        wanted = Wanted.of(target, targets, maximize, error_column)
        self.goals, self.error_columns = wanted.goals, wanted.error_columns
        if missing not in (None, "drop", "refuse"):
            raise ConfigurationError(f"data.missing must be drop or refuse, not {missing!r}")
        if header < 0:
            raise ConfigurationError(f"data.header must be 0 or more, not {header}")
        if isinstance(path, pd.DataFrame) and (header != 1 or sheet is not None):
            raise ConfigurationError("data.header and data.sheet are for files: leave them out")
        option = "data.targets" if wanted.goals else "data.target"
        self.file = FileOptions(header, sheet, tuple(_listed(missing_values)), option)
        self.laws = (LAWS if laws else ()) if isinstance(laws, bool) else tuple(laws)
        for law in self.laws:
            if law not in LAWS:
                raise ConfigurationError(f"data.laws: there is no {law}{did_you_mean(law, LAWS)}")
        self.path = path if isinstance(path, pd.DataFrame) else Path(path)
        self.source = _FRAME if isinstance(path, pd.DataFrame) else str(path)
        self.roles = Roles(wanted.target, wanted.error_columns.get(wanted.target), weight_column)
        self.sign, self.property_name = wanted.sign, wanted.property_name
        for name in wanted.columns_of_goals:
            if name in (columns or {}):
                raise ConfigurationError(f"data.columns: {name!r} is no part of the designs")
        self.options = parse_columns(columns or {}) | parse_columns(
            dict.fromkeys([*_listed(other_results), *wanted.columns_of_goals], "result")
        )
        self._given_counts, others = parse_counts(constraints or [])
        self.constraints = self._given_constraints = parse_constraints(others)
        self.predicate = imported(feasible_if) if isinstance(feasible_if, str) else feasible_if
        self.missing = missing
        self._chooses_batch_size = batch_size is None

    @property
    def measured_name(self) -> str:
        """The target's name."""
        return self.roles.target

    @property
    def has_constraints(self) -> bool:
        """Whether there are constraints or a predicate."""
        given = self.constraints or self._given_counts
        return bool(given) or self.predicate is not None

    @property
    def space(self) -> DesignSpace:
        """Numbers, which of them are amounts and often zero, categories and letters."""
        return replace(self._layout.space, amounts=self._amounts)

    def load(self) -> tuple[Tensor, Tensor]:
        """The table's designs, each once."""
        from lightning_mbo.tabular.amounts import find_amounts
        from lightning_mbo.tabular.column_options import for_columns
        from lightning_mbo.tabular.constraints import check_met, with_columns
        from lightning_mbo.tabular.count_limits import count_limits, named_in_counts
        from lightning_mbo.tabular.equalities import EqualityProjection
        from lightning_mbo.tabular.preparation import prepare
        from lightning_mbo.tabular.several_results import split_rows
        from lightning_mbo.tabular.totals import totals_of

        table = self.read(self.path)
        split = None
        if self.goals:
            split = split_rows(table, self.goals, self.source, self.error_columns)
        table = table if split is None else split.table
        names = [name for name in table.columns if name not in vars(self.roles).values()]
        options = for_columns(self.options, names, self.source)
        prepared = prepare(
            table,
            self.source,
            self.roles,
            options,
            self.missing,
            self._given_constraints,
            self.laws,
            named_in_counts(self._given_counts, names),
            None if split is None else split.shown,
            self.error_columns,
        )
        layout = self._layout = prepared.layout
        constraints = with_columns(self._given_constraints, layout.columns)
        fixed = {name for name, given in options.items() if given.fixed is not None}
        free = [c for c in constraints if not fixed.intersection(c.coefficients)]
        check_met(free, prepared.designs)
        self.constraints = [*constraints, *prepared.laws]
        counts = count_limits(self._given_counts, layout.columns, prepared.designs)
        self._mixtures = [*prepared.mixtures, *counts]
        self._project = EqualityProjection(self.constraints, layout.columns, self._mixtures)
        self.totals = totals_of(self.constraints, layout.columns)
        self._amounts = find_amounts(layout.numbers, prepared.designs, self.totals)
        if layout.space.is_sequences:
            self.distances = hamming
        elif layout.space.groups:
            self.distances = partial(mixed, num_numbers=layout.space.num_numbers)
        else:
            self.distances = euclidean
        self.base_weights = torch.from_numpy(prepared.weights.copy())
        if split is not None:
            self.results = self._results(prepared, split)
        elif prepared.errors.any() or prepared.scatters.any():
            of_rows = (prepared.errors.copy(), prepared.scatters.copy())
            self.noise = LabelNoise(*map(torch.from_numpy, of_rows))
        if prepared.groups is not None:
            self.groups = torch.from_numpy(prepared.groups)
        designs = layout.encode(prepared.designs)
        self._row_numbers = prepared.row_numbers
        if self._chooses_batch_size:
            share = len(designs) // _NUM_BATCHES
            self.batch_size = max(_FEWEST_IN_BATCH, min(share, _MOST_IN_BATCH))
        self.columns_read, self.remarks = prepared.shown, remarks(prepared, self._amounts)
        say_of_table(self, prepared, designs)
        if self.results is not None:
            return designs, self.results.properties
        return designs, self.sign * torch.from_numpy(prepared.properties.copy())

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        """The user's own columns, with the user's own values."""
        return self._layout.decode(designs)

    def by_entry(self, designs: Tensor) -> pd.DataFrame:
        """What each number and each one-hot group of designs ``(m, *design_shape)`` is."""
        return self._layout.by_entry(designs)

    def encode(self, table: pd.DataFrame) -> Tensor:
        """Designs ``(m, *design_shape)``, float64, of a data frame of designs in the user's units.

        It has the table's columns; those that are left out, constant or follow from others may be
        missing, and others are ignored. Loads the table if that has not been done.

        Raises:
            DataError: If a column is missing, or an entry is empty or none that the table could
                have.
        """
        from lightning_mbo.tabular.encoding import check_complete, entries_of
        from lightning_mbo.tabular.whole_numbers import floating

        self.setup("predict")
        entries = entries_of(floating(self.read(table)), self._layout, _FRAME)
        check_complete(entries, _FRAME)
        return self._layout.encode(entries)

    def encode_readable(self, table: pd.DataFrame, source: str) -> tuple[Tensor, dict[int, str]]:
        """As `encode`, without the rows that the table could not have.

        Args:
            table: As `read` gives it.
            source: What to call it in messages.

        Returns:
            Designs of all other rows, ``(m, *design_shape)``, float64; and of each row that is left
            out its number from 0, and why.

        Raises:
            DataError: If a column is missing, or no row is left.
        """
        from lightning_mbo.tabular.encoding import readable_entries
        from lightning_mbo.tabular.whole_numbers import floating

        self.setup("predict")
        entries, reasons = readable_entries(floating(table), self._layout, source)
        return self._layout.encode(entries), reasons

    def read_pool(self, path: Path | pd.DataFrame | None) -> Pool:
        """A list of designs, each once; None: the rows of the table that have no target.

        What is left out of it, and what the oracle or the user may not expect there, is said.

        Raises:
            DataError: As `encode`, and if there is no design in it; rows with empty entries are
                left out, unless they are to be refused.
        """
        import pandas as pd

        from lightning_mbo.tabular.pool import pool_of
        from lightning_mbo.tabular.whole_numbers import floating

        source = _FRAME if isinstance(path, pd.DataFrame) else str(path)
        wanted = self.measured_names
        roles = [*vars(self.roles).values(), *wanted, *self.error_columns.values()]
        if path is None:
            path, source = self.path, self.source
            table = self.read(path)
            table = table[table[wanted].isna().all(axis=1)]
            if table.empty:
                raise DataError(
                    f"{source}: all rows have a {' or '.join(wanted)}, and none is left to rank. "
                    "Give a list of designs: --search.path FILE"
                )
        else:
            table = self.read(path, "--candidates or --search.path")
        table = floating(table).drop(columns=roles, errors="ignore")
        pool = pool_of(table, self._layout, source, self.missing == "refuse")
        say_of_pool(self, self._layout, pool, source)
        return pool

    def nearest_known(self, designs: Tensor) -> pd.DataFrame:
        """The most similar design of the table: its first row, from 1, and all that was measured.

        Held-out rows are in the table too.
        """
        import pandas as pd

        measured = {self.measured_name: self.sign * self.known_properties}
        if self.results is not None:
            measured = dict(zip(self.results.names, self.results.values.unbind(1), strict=True))
        if not len(designs):
            return pd.DataFrame({"nearest_row": [], **{f"nearest_{name}": [] for name in measured}})
        _, rows = nearest(designs.double().cpu(), self.known_designs, self.distances)
        return pd.DataFrame(
            {
                "nearest_row": self._row_numbers[rows.numpy()],
                **{f"nearest_{name}": of_all[rows].numpy() for name, of_all in measured.items()},
            }
        )

    def nearest_allowed(self, designs: Tensor) -> Tensor:
        """The nearest designs ``(m, *design_shape)`` that can be made.

        Of mixtures of few ingredients the largest amounts are kept. Numbers are moved to where the
        equalities hold, into their bounds and onto their steps;
        categories and letters to the largest entry; letters behind a gap move up to close it.
        """
        return self._layout.nearest(self._project(designs))

    def cells(self, designs: Tensor) -> Cells:
        """Which draws become each of the designs, or the nearest that can be made of it.

        Column by column: what an equality moves counts as drawn where it came to lie, an ingredient
        that is left out as drawn at zero or below, and a sequence with gaps as drawn without one
        amid its letters.
        """
        return self._layout.cells(designs)

    def feasible(self, designs: Tensor) -> Tensor:
        """Which of the designs ``(m, *design_shape)`` meet all constraints, bool, ``(m,)``.

        Raises:
            ConfigurationError: If the user's own function fails.
        """
        from lightning_mbo.tabular.predicates import answers

        if not self.has_constraints:
            return super().feasible(designs)
        held = np.ones(len(designs), dtype=bool)
        names = {name for constraint in self.constraints for name in constraint.coefficients}
        names = names.union(*(mixture.names for mixture in self._mixtures))
        if names:
            table = self._layout.decode(designs, names)
            held &= np.all([law.holds(table) for law in self.constraints], axis=0)
            for mixture in self._mixtures:
                held &= mixture.holds(table)
        if self.predicate is not None:
            held &= answers(self.predicate, self.to_user_units(designs))
        return torch.from_numpy(held).to(designs.device)

    def read(self, path: Path | pd.DataFrame, option: str = "data.path") -> pd.DataFrame:
        """The rows of the table, or of another file of such designs, with all their columns.

        Args:
            path: A file, or a data frame.
            option: Which option the user named the file by.

        Raises:
            DataError: If there is no such file, or it is no table.
        """
        import pandas as pd

        from lightning_mbo.tabular.column_options import TextColumns
        from lightning_mbo.tabular.reading import FileOptions, plain, read_table
        from lightning_mbo.tabular.whole_numbers import as_whole, without

        if isinstance(path, pd.DataFrame):
            return as_whole(without(plain(path, _FRAME), self.file.missing_values))
        # Of another file it is not known how it is written, but for what stands for nothing.
        is_table = isinstance(self.path, Path) and path.exists() and path.samefile(self.path)
        known = self._layout.text_columns if hasattr(self, "_layout") else ()
        return read_table(
            path,
            TextColumns(self.options, list(vars(self.roles).values()), known),
            self.measured_names[0] if is_table else None,
            self.file if is_table else FileOptions(missing_values=self.file.missing_values),
            option,
        )

    def _results(self, prepared: PreparedTable, split: SplitRows) -> Results:
        """What is measured of the designs, and of rows that lack some of it."""
        from lightning_mbo.tabular.encoding import readable_entries
        from lightning_mbo.tabular.whole_numbers import floating

        values, scatters, errors = map(torch.from_numpy, prepared.results.copy())
        readable = split.further.index[:0]
        found = values.new_zeros(0, *self._layout.space.shape)
        if len(split.further):
            rows = floating(split.further)
            entries, _ = readable_entries(rows, self._layout, self.source)
            readable, found = entries.index, self._layout.encode(entries)
        used = split.further.index.isin(readable)
        own, of_own = torch.from_numpy(split.values[used]), torch.from_numpy(split.errors[used])
        further = FurtherRows(found, own, of_own, torch.ones(len(own), dtype=torch.float64))
        advance = Advance.beyond(self.goals, values)
        return Results(self.goals, values, scatters, errors, advance, further)


def _listed(given: str | Sequence[str | int | float] | None) -> list[str]:
    """What is given as a list, or separated by commas."""
    entries = given.split(",") if isinstance(given, str) else given or []
    texts = [str(entry).strip() for entry in entries]
    return [text for text in texts if text]
