"""From designs to what the user knows them as, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_mbo.errors import DataError
from lightning_mbo.sequences import letters, one_hot
from lightning_mbo.tabular.types import DataFrame

_SOURCE = "the table of designs"

_DIGITS = 2
"""Decimals of amounts in formulas: what a chemist weighs."""

_NONE = 1e-9
"""Of an element that is not there."""


class Codec(ABC):
    """Designs as tensors, and the same ones in the user's units, one a row."""

    @abstractmethod
    def to_user_units(self, designs: Tensor) -> DataFrame:
        """Designs ``(m, *design_shape)``, on the CPU, as the user knows them."""

    def by_entry(self, designs: Tensor) -> DataFrame:
        """The same with a column for each number: by default as they are."""
        return self.to_user_units(designs)

    @abstractmethod
    def from_user_units(self, table: DataFrame) -> Tensor:
        """The designs ``(m, *design_shape)``, float64, of a table with these columns.

        Raises:
            DataError: If a column is missing, or an entry cannot be a part of a design.
        """


class Numbers(Codec):
    """Vectors of d numbers, which are the user's own."""

    def __init__(self, names: Sequence[str]) -> None:
        """Name the d columns."""
        self.names = list(names)

    def to_user_units(self, designs: Tensor) -> DataFrame:
        """Columns of numbers."""
        import pandas as pd

        return pd.DataFrame(designs.numpy(), columns=self.names)

    def from_user_units(self, table: DataFrame) -> Tensor:
        """The columns, in the order of the design's entries."""
        _check_columns(table, self.names)
        from lightning_mbo.tabular.reading import numbers

        return torch.tensor(numbers(table, self.names, _SOURCE), device="cpu")


class Standardized(Numbers):
    """Vectors of d numbers, which are the user's own less a mean, in standard deviations."""

    def __init__(self, names: Sequence[str], mean: Tensor, std: Tensor) -> None:
        """Name the d columns, and say what they are standardised by, ``(d,)`` each, float64."""
        super().__init__(names)
        self.mean, self.std = mean, std

    def numbers(self, designs: Tensor) -> Tensor:
        """The user's numbers, ``(m, d)``, of designs ``(m, d)`` on any device."""
        return designs * self.std.to(designs.device) + self.mean.to(designs.device)

    def designs(self, numbers: Tensor) -> Tensor:
        """The designs, ``(m, d)``, of the user's numbers ``(m, d)`` on any device."""
        return (numbers - self.mean.to(numbers.device)) / self.std.to(numbers.device)

    def to_user_units(self, designs: Tensor) -> DataFrame:
        """Columns of numbers."""
        return super().to_user_units(self.numbers(designs))

    def from_user_units(self, table: DataFrame) -> Tensor:
        """The columns, standardised."""
        return self.designs(super().from_user_units(table))


class Formulas(Standardized):
    """The amounts of d elements, standardised, and in front of them the formula they make."""

    def __init__(self, standardized: Standardized, order: Sequence[str]) -> None:
        """Give what the amounts are standardised by, and in which order elements are written."""
        super().__init__(standardized.names, standardized.mean, standardized.std)
        self._order = [self.names.index(element) for element in order]

    def to_user_units(self, designs: Tensor) -> DataFrame:
        """The column `formula`, to a hundredth of each element, and their amounts."""
        from lightning_mbo.tabular.compositions import written_formulas

        table = self.by_entry(designs)
        elements = [self.names[place] for place in self._order]
        amounts = table[elements].to_numpy()
        steps = np.rint(amounts * 10**_DIGITS).astype(np.int64)
        # What is there is written, however little.
        steps = np.where(amounts > _NONE, np.maximum(steps, 1), 0)
        table.insert(0, "formula", written_formulas(steps, elements, _DIGITS))
        return table

    def by_entry(self, designs: Tensor) -> DataFrame:
        """The amounts alone, and nothing but zero of what is not there."""
        table = super().to_user_units(designs)
        return table.mask(table.abs() <= _NONE, 0.0)


class Letters(Codec):
    """Sequences ``(l, v)``, which are words over an alphabet of v letters in one column."""

    def __init__(self, alphabet: str) -> None:
        """Give the letters, in the order of their numbers."""
        self.alphabet = alphabet

    def to_user_units(self, designs: Tensor) -> DataFrame:
        """A column `sequence` of words."""
        import pandas as pd

        return pd.DataFrame({"sequence": letters(designs, self.alphabet)})

    def from_user_units(self, table: DataFrame) -> Tensor:
        """The words, one-hot."""
        _check_columns(table, ["sequence"])
        words = [str(word) for word in table["sequence"]]
        for row, word in enumerate(words):
            if len(word) != len(words[0]) or not set(word) <= set(self.alphabet):
                raise DataError(
                    f"{_SOURCE}, column 'sequence', data row {row + 1}: {word!r} is not a "
                    f"sequence of the letters {self.alphabet}, of the same length as the first"
                )
        tokens = [[self.alphabet.index(letter) for letter in word] for word in words]
        return one_hot(torch.tensor(tokens, device="cpu"), len(self.alphabet))


def _check_columns(table: DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise DataError(f"{_SOURCE} lacks the column {missing[0]!r}")
