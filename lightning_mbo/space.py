"""What the entries of a design mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Amounts:
    """Numbers of a design that are amounts of what is there or is not: often they are exactly zero.

    Attributes:
        places: Among the numbers, ``(k,)``, ascending.
        zeros: The entry of each that stands for none of it.
        scales: How much of it one unit of the entry is; in a total, in the units of that.
        totals: Which of the k amounts, by their order, sum to how much: no amount stands in two.
    """

    places: tuple[int, ...]
    zeros: tuple[float, ...]
    scales: tuple[float, ...]
    totals: tuple[tuple[tuple[int, ...], float], ...] = ()

    def by_itself(self) -> DesignSpace:
        """The space of designs of these amounts and nothing else."""
        size = len(self.places)
        return DesignSpace(torch.Size([size]), amounts=replace(self, places=tuple(range(size))))


@dataclass(frozen=True)
class DesignSpace:
    """The layout of designs: numbers first, then one-hot groups, one of each category or letter.

    A vector of d numbers has the shape ``(d,)`` and no group; a sequence of l letters from v has
    the shape ``(l, v)`` and l groups of v entries; a row of a table with numbers and categories has
    the shape ``(entries,)``.

    Attributes:
        shape: Of one design.
        groups: Sizes of the one-hot groups, in their order.
        descriptors: Of each group a row of numbers for each of its levels, which say what it is
            like; of a group of which nothing is known no rows. Empty where that is so of all.
        amounts: Which of the numbers are amounts that are often zero; None where none are.
        has_gap: Of sequences, whether the last letter is a gap, which shorter ones end in.
    """

    shape: torch.Size
    groups: tuple[int, ...] = ()
    descriptors: tuple[tuple[tuple[float, ...], ...], ...] = ()
    amounts: Amounts | None = None
    has_gap: bool = False

    @classmethod
    def of_shape(cls, shape: torch.Size) -> DesignSpace:
        """Numbers where designs are vectors, letters where they are ``(l, v)``."""
        return cls(shape, (shape[1],) * shape[0] if len(shape) == 2 else ())

    @property
    def num_numbers(self) -> int:
        """How many entries are numbers."""
        return math.prod(self.shape) - sum(self.groups)

    @property
    def num_amounts(self) -> int:
        """How many of them are amounts that are often zero."""
        return 0 if self.amounts is None else len(self.amounts.places)

    @property
    def num_descriptors(self) -> tuple[int, ...]:
        """How many descriptors the levels of each group have."""
        counts = tuple(len(table[0]) if table else 0 for table in self.descriptors)
        return counts or (0,) * len(self.groups)

    @property
    def described(self) -> DesignSpace:
        """The space of what `describe` gives."""
        if not self.descriptors:
            return self
        size = math.prod(self.shape) + sum(self.num_descriptors)
        return DesignSpace(torch.Size([size]), self.groups)

    @property
    def is_sequences(self) -> bool:
        """Whether designs are sequences ``(l, v)``."""
        return len(self.shape) == 2

    def numbers(self, designs: Tensor) -> Tensor:
        """The numbers ``(..., num_numbers)`` of designs ``(..., *shape)``."""
        return designs.flatten(-len(self.shape))[..., : self.num_numbers]

    def one_hots(self, designs: Tensor) -> list[Tensor]:
        """The groups of designs ``(..., *shape)``, each ``(..., size)``."""
        entries = designs.flatten(-len(self.shape))[..., self.num_numbers :]
        return list(entries.split(self.groups, dim=-1)) if self.groups else []

    def join(self, numbers: Tensor, one_hots: list[Tensor]) -> Tensor:
        """Designs ``(..., *shape)`` of numbers ``(..., num_numbers)`` and groups."""
        joined: Tensor = torch.cat([numbers, *one_hots], dim=-1).unflatten(-1, self.shape)
        return joined

    def describe(self, designs: Tensor) -> Tensor:
        """What an oracle sees: designs ``(..., *shape)`` with their levels' descriptors.

        These are further numbers, behind the designs' own, and linear in the one-hots. Without
        descriptors, designs are seen as they are.
        """
        if not self.descriptors:
            return designs
        one_hots = self.one_hots(designs)
        values = [
            one_hot @ designs.new_tensor(table)
            for one_hot, table in zip(one_hots, self.descriptors, strict=True)
            if table
        ]
        numbers = torch.cat([self.numbers(designs), *values], dim=-1)
        return self.described.join(numbers, one_hots)


@dataclass(frozen=True)
class Cells:
    """What a search model may have drawn where a design was made of it.

    Attributes:
        lower: The least that each number may have been, shape ``(n, num_numbers)``; -inf of one at
            its lower bound.
        upper: The greatest; the same as `lower` of a number that was left as it was drawn.
        any_level: Of which one-hot groups the level is fixed, whatever is drawn, bool,
            ``(groups,)``.
    """

    lower: Tensor
    upper: Tensor
    any_level: Tensor

    @classmethod
    def of_points(cls, designs: Tensor, space: DesignSpace) -> Cells:
        """Those of designs ``(n, *shape)`` that are nothing but what was drawn."""
        numbers = space.numbers(designs)
        none = torch.zeros(len(space.groups), dtype=torch.bool, device=designs.device)
        return cls(numbers, numbers, none)
