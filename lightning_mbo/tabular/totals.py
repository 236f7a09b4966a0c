"""Amounts that share a total."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning_mbo.tabular.columns import Column
    from lightning_mbo.tabular.constraints import LinearConstraint


@dataclass(frozen=True)
class Total:
    """Numbers of a design that stand for amounts, nothing negative, of a fixed sum.

    Attributes:
        places: Which of the numbers, ``(k,)``.
        scale: What one unit of each adds to the sum, ``(k,)``.
        shift: What each adds at zero, ``(k,)``.
        free: Which of them candidates may change, bool, ``(k,)``.
        bound: The sum.
    """

    places: Tensor
    scale: Tensor
    shift: Tensor
    free: Tensor
    bound: float

    def followed(self, numbers: Tensor, place: int) -> Tensor:
        """Numbers ``(m, d)`` of which one was changed, the others made to keep the total.

        They keep their ratios to each other, and where there is nothing of them become alike:
        Cox's direction in a mixture.

        Reference: Cox, "A note on polynomial response functions for mixtures", Biometrika 1971.

        Args:
            numbers: As entries of designs.
            place: Which was changed; if it is none of these, nothing follows.
        """
        if place not in self.places.tolist():
            return numbers
        places, scale, shift, free = (
            t.to(numbers.device) for t in (self.places, self.scale, self.shift, self.free)
        )
        amounts = numbers[:, places] * scale + shift
        follows = free & (places != place)
        kept, others = amounts * ~follows, (amounts * follows).clamp(min=0)
        left = (self.bound - kept.sum(1, keepdim=True)).clamp(min=0)
        sums = others.sum(1, keepdim=True)
        alike = follows.to(amounts) / follows.sum().clamp(min=1)
        shares = torch.where(sums > 0, others / sums.where(sums > 0, torch.ones_like(sums)), alike)
        found = numbers.clone()
        found[:, places] = (kept + left * shares - shift) / scale
        return found


def totals_of(laws: Sequence[LinearConstraint], columns: Sequence[Column]) -> list[Total]:
    """The totals among equalities: those of which all columns count the same way.

    Args:
        laws: In the user's units.
        columns: Of the table; the numbers among them in the order of a design's entries.
    """
    from lightning_mbo.tabular.columns import ConstantColumn
    from lightning_mbo.tabular.number_column import NumberColumn

    numbers = [column for column in columns if isinstance(column, NumberColumn)]
    constants = {c.name: c.value for c in columns if isinstance(c, ConstantColumn)}
    found = []
    for law in laws:
        if law.sense != "==" or len({factor > 0 for factor in law.coefficients.values()}) > 1:
            continue
        factors = {name: abs(factor) for name, factor in law.coefficients.items()}
        constant = sum(factors[name] * constants[name] for name in factors if name in constants)
        used = [j for j, column in enumerate(numbers) if column.name in factors]
        amounts = [(factors[numbers[j].name], numbers[j]) for j in used]
        found.append(
            Total(
                torch.tensor(used, dtype=torch.long, device="cpu"),
                _tensor([factor * column.std for factor, column in amounts]),
                _tensor([factor * column.mean for factor, column in amounts]),
                torch.tensor([c.fixed is None for _, c in amounts], device="cpu"),
                abs(law.bound) - constant,
            )
        )
    return found


def _tensor(numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")
