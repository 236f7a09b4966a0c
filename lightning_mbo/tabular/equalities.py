"""Numbers that must satisfy equalities exactly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.columns import Column, ConstantColumn, NumberColumn
from lightning_mbo.tabular.constraints import LinearConstraint

_MAX_ROUNDS = 200
_SETTLED = 1e-9
"""What may be missing in an equality, in the user's units."""


class EqualityProjection:
    """Moves numbers to where all equalities hold, within their bounds.

    Projects in turn on the equalities and on the bounds, in units of the columns' standard
    deviations. Where both cannot be had the bounds are kept.
    """

    def __init__(self, constraints: Sequence[LinearConstraint], columns: Sequence[Column]) -> None:
        """Write the equalities as a matrix.

        Args:
            constraints: Of which the inequalities are left out.
            columns: Of the table.

        Raises:
            ConfigurationError: If an equality is to hold for whole numbers or steps.
        """
        self.numbers = [column for column in columns if isinstance(column, NumberColumn)]
        constants = {c.name: c.value for c in columns if isinstance(c, ConstantColumn)}
        equalities = [constraint for constraint in constraints if constraint.sense == "=="]
        rows, bounds = [], []
        for equality in equalities:
            _check_continuous(equality, self.numbers)
            terms = dict(equality.coefficients)
            bound = equality.bound - sum(
                terms.pop(name) * value for name, value in constants.items() if name in terms
            )
            rows.append([terms.get(c.name, 0.0) * c.std * (c.fixed is None) for c in self.numbers])
            held = {c.name: c.mean if c.fixed is None else c.fixed for c in self.numbers}
            bounds.append(bound - sum(terms[name] * held[name] for name in terms))
        shape = len(rows), len(self.numbers)
        # With the table, whatever the default device; designs are followed to theirs.
        self.matrix = torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(shape)
        self.bounds = torch.tensor(bounds, dtype=torch.float64, device="cpu")
        self.inverse = torch.linalg.pinv(self.matrix)

    def __call__(self, designs: Tensor) -> Tensor:
        """Designs ``(m, d)`` whose first entries are the columns' numbers, these moved."""
        if not len(self.bounds):
            return designs
        matrix, inverse, bounds = (t.to(designs) for t in (self.matrix, self.inverse, self.bounds))
        numbers, rest = designs.tensor_split([len(self.numbers)], dim=1)
        for _ in range(_MAX_ROUNDS):
            numbers = self._in_bounds(numbers)
            missing = bounds - numbers @ matrix.mT
            if not (missing.abs() > _SETTLED).any():
                break
            numbers = numbers + missing @ inverse.mT
        return torch.cat([numbers, rest], dim=1)

    def _in_bounds(self, numbers: Tensor) -> Tensor:
        nearest = [c.nearest(numbers[:, [j]]) for j, c in enumerate(self.numbers)]
        return torch.cat(nearest, dim=1)


def _check_continuous(equality: LinearConstraint, numbers: Sequence[NumberColumn]) -> None:
    for column in numbers:
        free = column.name in equality.coefficients and column.fixed is None
        if free and (column.whole or column.step is not None):
            raise ConfigurationError(
                f"data.constraints: {equality.text!r} must hold exactly, and {column.name!r} has "
                "whole numbers or steps only: give its kind as number in data.columns, or leave "
                "one of the columns out and work it out from the others"
            )
