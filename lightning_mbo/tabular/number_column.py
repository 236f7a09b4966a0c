"""Columns of numbers as entries of designs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROUNDING = 1e-9
"""Of an entry, in standard deviations."""

_DIGITS = 10
"""Of a number's scale that are shown: standardising costs the last few of float64's sixteen."""

_LARGEST_LOG = 690.0
"""Beyond it float64 has no finite numbers, or none but zero."""

_MOST_SHOWN = 8


@dataclass(frozen=True)
class NumberColumn:
    """Numbers, standardised, or their logarithms.

    Attributes:
        name: Of the column.
        mean: Over the table; where `log`, of the logarithms.
        std: Over the table, not zero; where `log`, of the logarithms.
        whole: Whether they are integers.
        lower: The least that is allowed; where `log` and `whole` or with steps, positive.
        upper: The greatest.
        step: If not None, allowed are `lower` (or 0) and whole multiples of it from there.
        fixed: If not None, the only one that is allowed.
        seen: The least and the greatest in the table.
        log: Whether the entry is the standardised logarithm.
        values: If not None, the only ones that are allowed, ascending.
    """

    name: str
    mean: float
    std: float
    whole: bool = False
    lower: float = -math.inf
    upper: float = math.inf
    step: float | None = None
    fixed: float | None = None
    seen: tuple[float, float] = (-math.inf, math.inf)
    log: bool = False
    values: tuple[float, ...] | None = None
    groups: tuple[int, ...] = ()
    num_entries: int = 1

    @property
    def kind(self) -> str:
        """What to call it: number, integer, category, sequence or constant."""
        return "integer" if self.whole else "number"

    @cached_property
    def is_continuous(self) -> bool:
        """Whether all values between the bounds are allowed, and entries are linear in them."""
        given = self.fixed, self.values, self._unit
        return not self.log and all(what is None for what in given)

    def encode(self, values: pd.Series) -> Tensor:
        """Entries ``(m, num_entries)``, float64, of values of which none is missing."""
        numbers = torch.from_numpy(values.to_numpy(np.float64, copy=True))
        return self._entries(numbers)[:, None]

    def decode(self, entries: Tensor) -> Any:
        """Values ``(m,)`` of entries ``(m, num_entries)``."""
        numbers = self._on_grid(self._numbers(entries[:, 0])).numpy()
        if self.whole and np.abs(numbers).max(initial=0) < 2**62:
            return numbers.round().astype(np.int64)
        if self.log:
            return _significant(numbers)
        scale = max(abs(self.mean), self.std)
        rounded: NDArray[np.float64] = numbers.round(_DIGITS - math.floor(math.log10(scale)))
        return rounded + 0.0  # which makes of -0.0 what it is

    def nearest(self, entries: Tensor) -> Tensor:
        """The nearest entries ``(m, num_entries)`` that stand for an allowed value."""
        if self.fixed is not None:
            fixed = torch.tensor(self.fixed, dtype=torch.float64, device="cpu")
            return torch.full_like(entries, self._entries(fixed).item())
        if self.values is not None:
            points, between = self._points(entries)
            return points[torch.bucketize(entries.contiguous(), between)]
        numbers = self._numbers(entries).clamp(self.lower, self.upper)
        numbers = self._on_grid(numbers)
        # The bound itself need not be on the grid: the last point before it is.
        unit = self._unit or 0.0
        slack = 1e-9 * unit
        numbers = torch.where(numbers > self.upper + slack, numbers - unit, numbers)
        numbers = torch.where(numbers < self.lower - slack, numbers + unit, numbers)
        return self._entries(numbers)

    def cell(self, entries: Tensor) -> tuple[Tensor, Tensor]:
        """Between which entries all become, by `nearest`, what these ``(m, 1)`` become.

        Returns:
            The least and the greatest, ``(m, 1)`` each; alike where it is the entry alone.
        """
        infinite = torch.full_like(entries, math.inf)
        if self.fixed is not None:
            return -infinite, infinite
        if self.values is not None:
            between = self._points(entries)[1]
            ends = torch.cat([-infinite[:1, 0], between, infinite[:1, 0]])
            place = torch.bucketize(entries.contiguous(), between)
            return ends[place], ends[place + 1]
        if self.is_continuous and self.lower == -math.inf and self.upper == math.inf:
            return entries, entries
        nearest = self.nearest(entries)
        nearest = torch.where((nearest - entries).abs() > _ROUNDING, nearest, entries)
        least, greatest = self.nearest(-infinite), self.nearest(infinite)
        at_least, at_most = nearest <= least + _ROUNDING, nearest >= greatest - _ROUNDING
        before, after = self._halfway(nearest)
        return torch.where(at_least, -infinite, before), torch.where(at_most, infinite, after)

    @property
    def _unit(self) -> float | None:
        return self.step if self.step is not None else (1.0 if self.whole else None)

    def _halfway(self, entries: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the neighbours of entries on the grid; the entries where there is none."""
        unit = self._unit or 0.0
        if self.log and unit:
            numbers = self._numbers(entries)
            return self._entries(numbers - unit / 2), self._entries(numbers + unit / 2)
        return entries - unit / self.std / 2, entries + unit / self.std / 2

    def _points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Entries of the allowed values, ``(k,)``, and what lies halfway, ``(k - 1,)``."""
        values = torch.tensor(self.values, dtype=torch.float64, device="cpu")
        points = self._entries(values).to(like)
        return points, (points[1:] + points[:-1]) / 2

    def _entries(self, numbers: Tensor) -> Tensor:
        return ((numbers.log() if self.log else numbers) - self.mean) / self.std

    def _numbers(self, entries: Tensor) -> Tensor:
        numbers = entries * self.std + self.mean
        return numbers.clamp(-_LARGEST_LOG, _LARGEST_LOG).exp() if self.log else numbers

    def _on_grid(self, numbers: Tensor) -> Tensor:
        if self._unit is None:
            return numbers
        origin = self.lower if self.step is not None and math.isfinite(self.lower) else 0.0
        return origin + ((numbers - origin) / self._unit).round() * self._unit

    def describe(self) -> str:
        """What values it has, in a few words."""
        text = f"{self.seen[0]:g} to {self.seen[1]:g}" + "; log scale" * self.log
        if self.fixed is not None:
            return f"{text}; fixed at {self.fixed:g}"
        if self.values is not None:
            shown = ", ".join(f"{value:g}" for value in self.values[:_MOST_SHOWN])
            more = f" and {len(self.values) - _MOST_SHOWN} more"
            return f"{text}; only {shown}{more * (len(self.values) > _MOST_SHOWN)}"
        bounds = [f"at least {self.lower:g}"] * math.isfinite(self.lower)
        bounds += [f"at most {self.upper:g}"] * math.isfinite(self.upper)
        bounds += [] if self.step is None else [f"in steps of {self.step:g}"]
        return "; ".join([text, *bounds])


def _significant(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positive numbers of the same significant digits."""
    return np.array([float(f"{number:.{_DIGITS}g}") for number in numbers])
