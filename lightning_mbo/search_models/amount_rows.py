"""Designs of amounts: what is there, and the logarithms of how much."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.space import Amounts

_NONE = 1e-6
"""Of an entry's size, from the one that stands for zero: what single precision makes of it."""


class Total(NamedTuple):
    """Amounts of a fixed sum.

    Attributes:
        members: Which of the amounts, ones and zeros, ``(d,)``, float64.
        bound: The sum.
    """

    members: Tensor
    bound: float


@dataclass(frozen=True)
class Rows:
    """Designs of amounts.

    Attributes:
        present: Ones where something is there, else zeros, ``(m, d)``, float64.
        logs: Logarithms of the amounts, zero where nothing is there, ``(m, d)``.
        ceilings: Above which no logarithm is drawn, ``(d,)``; infinite in a total.
        totals: Of the amounts.
    """

    present: Tensor
    logs: Tensor
    ceilings: Tensor
    totals: tuple[Total, ...]

    @classmethod
    def of(
        cls,
        designs: Tensor,
        zeros: Tensor,
        scales: Tensor,
        ceilings: Tensor,
        totals: tuple[Total, ...],
    ) -> Rows:
        """What designs ``(m, d)`` are made of.

        Args:
            designs: As entries.
            zeros: The entry of each amount that stands for none, ``(d,)``.
            scales: How much one unit of each entry is, ``(d,)``.
            ceilings: Above which no logarithm is drawn, ``(d,)``.
            totals: Of the amounts.
        """
        above = designs.to(zeros) - zeros
        present = above > least_amounts(zeros)
        logs = torch.where(present, above, 1.0).log() + present * scales.log()
        return cls(present.to(zeros), logs, ceilings, totals)

    def where(self, chosen: Tensor) -> Rows:
        """Those of some places, bool, ``(m,)``."""
        return replace(self, present=self.present[chosen], logs=self.logs[chosen])

    def log_jacobian(self, scales: Tensor) -> Tensor:
        """From a density of logarithms, of amounts in a total up to a factor, to one of entries.

        Of amounts in a total all that are there but the last are counted.

        Returns:
            Shape ``(m,)``, nats.
        """
        log_jacobian = self.present @ scales.log() - self.logs.sum(1)
        order = torch.arange(1, len(scales) + 1).to(scales)
        for total in self.totals:
            last = (self.present * total.members * order).argmax(1)
            some = (self.present @ total.members) > 0
            log_jacobian = log_jacobian + some * (math.log(total.bound) - scales[last].log())
        return log_jacobian


def least_amounts(zeros: Tensor) -> Tensor:
    """How far above the entries ``(d,)`` that stand for zero something begins to be there."""
    return _NONE * (1 + zeros.abs())


def totals_of(amounts: Amounts) -> tuple[Total, ...]:
    """The totals of some amounts, on the CPU."""
    found = []
    for places, bound in amounts.totals:
        members = torch.zeros(len(amounts.places), dtype=torch.float64, device="cpu")
        members[list(places)] = 1.0
        found.append(Total(members, bound))
    return tuple(found)
