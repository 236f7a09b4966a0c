"""Designs and rows of a table, one made of the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lightning_mbo.space import Cells, DesignSpace
from lightning_mbo.tabular.columns import CategoryColumn, Column, SequenceColumn
from lightning_mbo.tabular.derivations import Derivation
from lightning_mbo.tabular.following import Follower
from lightning_mbo.tabular.number_column import NumberColumn


class TableLayout:
    """Which entries of a design belong to which column: numbers first, sequences last.

    Attributes:
        columns: Of the table, in its order.
        followers: What is looked up for a design.
        derivations: Which of the columns stand for others of the user's.
        empties: By the name of a user's column the level that its empty entries are.
        space: Of the designs; of nothing but a sequence, ``(l, v)``.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        followers: Sequence[Follower] = (),
        derivations: Sequence[Derivation] = (),
        names: Sequence[str] | None = None,
        empties: Mapping[str, Any] | None = None,
    ) -> None:
        """Lay out the columns.

        Args:
            columns: In the table's order, at most one of them a sequence.
            followers: Of these columns.
            derivations: Whose columns are among these.
            names: The user's columns in their order; None for those of the design.
            empties: By name of column the level that empty entries are.
        """
        self.columns = list(columns)
        self.followers, self.derivations = list(followers), list(derivations)
        self.empties = dict(empties or {})
        self._names = [column.name for column in columns] if names is None else list(names)
        held = [column for column in columns if column.num_entries]
        self._ordered = sorted(held, key=_place)
        self.numbers = [column for column in held if isinstance(column, NumberColumn)]
        only = held[0] if len(held) == 1 else None
        if isinstance(only, SequenceColumn):
            shape = torch.Size([only.length, len(only.alphabet)])
        else:
            shape = torch.Size([sum(column.num_entries for column in held)])
        groups = tuple(group for column in self._ordered for group in column.groups)
        tables = tuple(
            column.descriptors if isinstance(column, CategoryColumn) else ()
            for column in self._ordered
            for _ in column.groups
        )
        self.space = DesignSpace(
            shape,
            groups,
            tables if any(tables) else (),
            has_gap=isinstance(only, SequenceColumn) and only.padded,
        )

    @property
    def text_columns(self) -> set[str]:
        """The columns of a file of designs that are read as they are written."""
        categories = [column for column in self.columns if isinstance(column, CategoryColumn)]
        named = {c.name for c in categories if any(isinstance(level, str) for level in c.levels)}
        return named | {c.name for c in self.columns if isinstance(c, SequenceColumn)}

    def encode(self, table: pd.DataFrame) -> Tensor:
        """Designs ``(m, *shape)``, float64, of rows without missing entries."""
        table = with_derived(table, self.derivations)
        entries = [column.encode(table[column.name]) for column in self._ordered]
        designs: Tensor = torch.cat(entries, dim=1).unflatten(1, self.space.shape)
        return designs

    def decode(self, designs: Tensor, names: Collection[str] | None = None) -> pd.DataFrame:
        """Rows of the table of designs ``(m, *shape)``.

        Args:
            designs: Shape ``(m, *shape)``.
            names: Which columns, the user's or those of designs; None for all of the user's.
        """
        entries = self._split(designs.detach().double().cpu())
        none = torch.empty(len(designs), 0, device="cpu")
        wanted = set(self._names if names is None else names)
        needed = wanted | {f.leader for f in self.followers if f.name in wanted}
        made = [d for d in self.derivations if wanted.intersection(d.own)]
        needed = needed.union(*(d.derived for d in made))
        values = {
            column.name: column.decode(entries.get(column.name, none))
            for column in self.columns
            if column.name in needed
        }
        for follower in self.followers:
            if follower.name in wanted:
                values[follower.name] = follower.of(values[follower.leader])
        for derivation in made:
            values |= derivation.restore(values)
        known = dict.fromkeys([*self._names, *(column.name for column in self.columns)])
        shown = {name: values[name] for name in known if name in wanted}
        return pd.DataFrame(shown, index=range(len(designs)))

    def by_entry(self, designs: Tensor) -> pd.DataFrame:
        """What each number and each one-hot group of designs ``(m, *shape)`` is, in their order.

        A letter of a sequence has its place, and a place behind the last letter a gap.
        """
        entries = self._split(designs.detach().double().cpu())
        values: dict[str, Any] = {}
        for column in self._ordered:
            if isinstance(column, SequenceColumn):
                named = "" if self.space.is_sequences else f"{column.name}: "
                for i, letters in enumerate(column.letters(entries[column.name])):
                    values[f"{named}place {i + 1}"] = letters
            else:
                values[column.name] = column.decode(entries[column.name])
        return pd.DataFrame(values, index=range(len(designs)))

    def nearest(self, designs: Tensor) -> Tensor:
        """The nearest designs ``(m, *shape)`` of which each entry can be made."""
        entries = self._split(designs)
        parts = [column.nearest(entries[column.name]) for column in self._ordered]
        nearest: Tensor = torch.cat(parts, dim=1).unflatten(1, self.space.shape)
        return nearest

    def cells(self, designs: Tensor) -> Cells:
        """Which entries become, by `nearest`, those of the designs ``(m, *shape)``."""
        numbers = self.space.numbers(designs)
        lower, upper = torch.empty_like(numbers), torch.empty_like(numbers)
        for j, column in enumerate(self.numbers):
            lower[:, [j]], upper[:, [j]] = column.cell(numbers[:, [j]])
        fixed = [
            isinstance(column, CategoryColumn) and column.fixed is not None
            for column in self._ordered
            for _ in column.groups
        ]
        return Cells(lower, upper, torch.tensor(fixed, dtype=torch.bool, device=designs.device))

    def _split(self, designs: Tensor) -> dict[str, Tensor]:
        sizes = [column.num_entries for column in self._ordered]
        parts = designs.flatten(1).split(sizes, dim=1)
        return {column.name: part for column, part in zip(self._ordered, parts, strict=True)}


def with_derived(table: pd.DataFrame, derivations: Sequence[Derivation]) -> pd.DataFrame:
    """The table with the columns of designs too, where it has them not."""
    made = [d.derive(table) for d in derivations if not set(d.derived) <= set(table.columns)]
    return pd.concat([table, *map(pd.DataFrame, made)], axis=1) if made else table


def _place(column: Column) -> int:
    if isinstance(column, NumberColumn):
        return 0
    return 2 if isinstance(column, SequenceColumn) else 1
