"""Numbers that must satisfy equalities exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.columns import Column, ConstantColumn
from lightning_mbo.tabular.constraints import LinearConstraint
from lightning_mbo.tabular.ingredients import Ingredients
from lightning_mbo.tabular.number_column import NumberColumn

_MAX_ROUNDS = 200
_SETTLED = 1e-9
"""What may be missing in an equality, in the user's units."""


class EqualityProjection:
    """Moves numbers to where all equalities and counts hold, within their bounds.

    Projects in turn on the equalities and on the bounds, in units of the columns' standard
    deviations. Where both cannot be had the bounds are kept. In an equality between whole numbers
    or steps these are then rounded so that it still holds; where other numbers stand in it too,
    those make up for the rounding. Of mixtures of few ingredients the largest that were drawn are
    kept, the others are zero, and stay so; of those that must be there the nearest are there.
    """

    def __init__(
        self,
        constraints: Sequence[LinearConstraint],
        columns: Sequence[Column],
        mixtures: Sequence[Ingredients] = (),
    ) -> None:
        """Write the equalities as a matrix.

        Args:
            constraints: Of which the inequalities are left out.
            columns: Of the table.
            mixtures: Which ingredients are there, in equalities or not.

        Raises:
            ConfigurationError: If an equality cannot hold for the whole numbers or steps in it,
                or has numbers on a log scale or of uneven values.
        """
        self.numbers = [column for column in columns if isinstance(column, NumberColumn)]
        constants = {c.name: c.value for c in columns if isinstance(c, ConstantColumn)}
        equalities = [constraint for constraint in constraints if constraint.sense == "=="]
        rows, bounds = [], []
        for equality in equalities:
            terms = dict(equality.coefficients)
            bound = equality.bound - sum(
                terms.pop(name) * value for name, value in constants.items() if name in terms
            )
            _check_linear(equality, [c for c in self.numbers if terms.get(c.name)])
            rows.append([terms.get(c.name, 0.0) * c.std * (c.fixed is None) for c in self.numbers])
            held = {c.name: c.mean if c.fixed is None else c.fixed for c in self.numbers}
            bounds.append(bound - sum(terms[name] * held[name] for name in terms))
        shape = len(rows), len(self.numbers)
        # With the table, whatever the default device; designs are followed to theirs.
        self.matrix = torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(shape)
        self.bounds = torch.tensor(bounds, dtype=torch.float64, device="cpu")
        self.inverse = torch.linalg.pinv(self.matrix)
        on_grid = torch.tensor(
            [_is_on_grid(column) for column in self.numbers], dtype=torch.bool, device="cpu"
        )
        self._stays = on_grid & (self.matrix != 0).any(0)
        self._free = [
            replace(column, whole=False, step=None) if stays else column
            for column, stays in zip(self.numbers, self._stays.tolist(), strict=True)
        ]
        self._others = torch.linalg.pinv(self.matrix * ~self._stays)
        self._mixtures = list(mixtures)
        whole = [not (row[~on_grid] != 0).any() for row in self.matrix]
        self._grids = [
            _Grid.of(equality, self.numbers, row, bound)
            for equality, row, bound, is_whole in zip(
                equalities, self.matrix, self.bounds, whole, strict=True
            )
            if is_whole and (row != 0).any()
        ]
        taken = [place for grid in self._grids for place in grid.places.tolist()]
        for grid in self._grids:
            if any(taken.count(place) > 1 for place in grid.places.tolist()):
                raise _unrounded(grid.equality, "one of them is in another such equality too")

    def __call__(self, designs: Tensor) -> Tensor:
        """Designs ``(m, d)`` whose first entries are the columns' numbers, these moved."""
        if not (len(self.bounds) or self._mixtures):
            return designs
        numbers, rest = designs.tensor_split([len(self.numbers)], dim=1)
        limits = self._limits(numbers) if self._mixtures else None
        if limits is None:
            numbers = self._projected(numbers, self.inverse, self._free)
        else:
            numbers = self._mixed(numbers, limits, ~limits.absent, self._free)
        if self._stays.any():
            for grid in self._grids:
                numbers = grid.rounded(numbers, limits)
            stays = self._stays.to(numbers.device)
            nearest = _nearest(numbers, self.numbers)
            numbers = torch.where(stays, nearest, numbers)
            if limits is None:
                numbers = self._projected(numbers, self._others, self.numbers)
            else:
                numbers = self._mixed(numbers, limits, ~(limits.absent | stays), self.numbers)
        return torch.cat([numbers, rest], dim=1)

    def _limits(self, numbers: Tensor) -> _Limits:
        """What all mixtures say of numbers ``(m, d)``."""
        absent = torch.zeros_like(numbers, dtype=torch.bool)
        least = torch.full_like(numbers, -math.inf)
        for mixture in self._mixtures:
            out, floors = mixture.limits(numbers, self.numbers)
            absent, least = absent | out, least.maximum(floors)
        return _Limits(absent, torch.where(absent, -math.inf, least))

    def _projected(
        self, numbers: Tensor, inverse: Tensor, columns: Sequence[NumberColumn]
    ) -> Tensor:
        matrix, inverse, bounds = (t.to(numbers) for t in (self.matrix, inverse, self.bounds))
        for _ in range(_MAX_ROUNDS):
            numbers = _nearest(numbers, columns)
            missing = bounds - numbers @ matrix.mT
            if not (missing.abs() > _SETTLED).any():
                break
            numbers = numbers + missing @ inverse.mT
        return numbers

    def _mixed(
        self, numbers: Tensor, limits: _Limits, movable: Tensor, columns: Sequence[NumberColumn]
    ) -> Tensor:
        """Numbers ``(m, d)`` moved where they are `movable`, within limits.

        What is at a bound, and would be moved beyond it, leaves the way to the others: few have
        to make up for what is missing, and might be unequal.
        """
        zeros = numbers.new_tensor([(0.0 - column.mean) / column.std for column in columns])
        edges = torch.full((1, len(columns)), math.inf).to(numbers)
        least, greatest = _nearest(-edges, columns).maximum(limits.least), _nearest(edges, columns)
        matrix, bounds = self.matrix.to(numbers), self.bounds.to(numbers)
        for _ in range(_MAX_ROUNDS):
            numbers = _nearest(numbers.maximum(limits.least), columns)
            numbers = torch.where(limits.absent, zeros, numbers)
            missing = bounds - numbers @ matrix.mT
            if not (missing.abs() > _SETTLED).any():
                break
            step = _steps(missing, matrix, movable)
            beyond = torch.where(step < 0, numbers <= least + _SETTLED, numbers >= greatest)
            step = _steps(missing, matrix, movable & ~beyond)
            if not step.any():
                break
            numbers = numbers + step
        return numbers


class _Limits(NamedTuple):
    """Which entries are zero, bool, ``(m, d)``, and the least of others, -inf where there is none.

    Both are of a design each, as it was drawn.
    """

    absent: Tensor
    least: Tensor


def _steps(missing: Tensor, matrix: Tensor, free: Tensor) -> Tensor:
    """The shortest ways ``(m, d)`` of the entries that are free to what is missing ``(m, e)``."""
    products = (matrix.mT[:, :, None] * matrix.mT[:, None, :]).flatten(1)
    squares = (free.to(matrix) @ products).unflatten(1, (len(matrix), len(matrix)))
    shares = (missing[:, None] @ torch.linalg.pinv(squares, hermitian=True))[:, 0]
    steps: Tensor = (shares @ matrix) * free
    return steps


@dataclass(frozen=True)
class _Grid:
    """An equality between numbers on grids, all of the same stride in it.

    Attributes:
        equality: In the user's units.
        columns: Of the numbers.
        places: Among all numbers.
        signs: Which way each counts, ``(k,)``.
        stride: Of each in the equality, in the user's units.
        row: The equality's coefficients of all numbers, standardised.
        bound: Its bound for these.
    """

    equality: LinearConstraint
    columns: Sequence[NumberColumn]
    places: Tensor
    signs: Tensor
    stride: float
    row: Tensor
    bound: Tensor

    @classmethod
    def of(
        cls, equality: LinearConstraint, numbers: Sequence[NumberColumn], row: Tensor, bound: Tensor
    ) -> _Grid:
        """The grid of an equality, or a ConfigurationError where nothing on it meets it."""
        places = row.nonzero()[:, 0]
        columns = [numbers[j] for j in places.tolist()]
        terms = _tensor([equality.coefficients[c.name] for c in columns])
        strides = terms.abs() * _tensor([_unit(column) for column in columns])
        stride = float(strides[0])
        if not torch.allclose(strides, strides[:1]):
            raise _unrounded(equality, "their strides differ in it")
        # Any point of the grid will do: here that of the means.
        means = _tensor([c.mean for c in columns])
        shift = torch.zeros(1, len(numbers), dtype=torch.float64, device="cpu")
        missing = float(bound - _nearest(shift, numbers)[0] @ row) / stride
        if abs(missing - round(missing)) > 1e-6 * (1 + float((terms * means).abs().max()) / stride):
            raise _unrounded(equality, "none of them meets it")
        return cls(equality, columns, places, terms.sign(), stride, row, bound)

    def rounded(self, numbers: Tensor, limits: _Limits | None = None) -> Tensor:
        """Numbers ``(m, d)``, those of the grid on it and as near as can be in the equality.

        What is absent stays, and nothing falls below its least.
        """
        places, signs = self.places.to(numbers.device), self.signs.to(numbers)
        drawn = numbers[:, places]
        units = _tensor([_unit(c) / c.std for c in self.columns]).to(numbers)
        numbers = numbers.clone()
        numbers[:, places] = _nearest(drawn, self.columns)
        for _ in range(_MAX_ROUNDS):
            missing = (self.bound.to(numbers) - numbers @ self.row.to(numbers)) / self.stride
            missing = missing.round()
            if not missing.any():
                break
            now = numbers[:, places]
            moved = now + missing.sign()[:, None] * signs * units
            allowed = (_nearest(moved, self.columns) - moved).abs() < 1e-6 * units
            if limits is not None:
                allowed &= ~limits.absent[:, places]
                allowed &= moved >= limits.least[:, places] - 1e-6 * units
            cost = (moved - drawn).abs() - (now - drawn).abs()
            cost = torch.where(allowed, cost, math.inf)
            best = cost.argmin(1, keepdim=True)
            can = (missing != 0)[:, None] & cost.gather(1, best).isfinite()
            if not can.any():
                break
            numbers[:, places] = now.scatter(
                1, best, torch.where(can, moved.gather(1, best), now.gather(1, best))
            )
        return numbers


def held_laws(
    laws: Sequence[LinearConstraint], columns: Sequence[Column]
) -> list[LinearConstraint]:
    """The laws of a table that designs can be held to, whole numbers and steps included.

    Args:
        laws: In the table's columns.
        columns: Of the designs.
    """
    held: list[LinearConstraint] = []
    for law in laws:
        try:
            EqualityProjection([*held, law], columns)
        except ConfigurationError:
            continue
        held.append(law)
    return held


def _nearest(numbers: Tensor, columns: Sequence[NumberColumn]) -> Tensor:
    """Columns that have nothing but bounds are many as a rule: all of them at once."""
    moved = torch.empty_like(numbers)
    bounded = [j for j, column in enumerate(columns) if column.is_continuous]
    if bounded:
        limits = [(c.mean, c.std, c.lower, c.upper) for c in (columns[j] for j in bounded)]
        mean, std, lower, upper = numbers.new_tensor(limits).unbind(1)
        within = (numbers[:, bounded] * std + mean).clamp(lower, upper)
        moved[:, bounded] = (within - mean) / std
    for j, column in enumerate(columns):
        if not column.is_continuous:
            moved[:, [j]] = column.nearest(numbers[:, [j]])
    return moved


def _tensor(numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")


def _is_on_grid(column: NumberColumn) -> bool:
    return column.fixed is None and (column.whole or column.step is not None)


def _unit(column: NumberColumn) -> float:
    return 1.0 if column.step is None else column.step


def _check_linear(equality: LinearConstraint, columns: Sequence[NumberColumn]) -> None:
    """Refuse an equality in which entries do not stand for multiples of the numbers."""
    for column in columns:
        if column.fixed is None and (column.log or column.values is not None):
            reason = "is on a log scale" if column.log else "has values that are not evenly spaced"
            option = "scale" if column.log else "values"
            raise ConfigurationError(
                f"data.constraints: {equality.text!r} cannot hold exactly, as {column.name!r} "
                f"{reason}: leave {option} out of data.columns.{column.name}, or write the "
                "constraint with <= and >= and some room between"
            )


def _unrounded(equality: LinearConstraint, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"data.constraints: {equality.text!r} cannot hold for whole numbers or steps: {reason}. "
        "Give their kind as number in data.columns, or leave one of the columns out and work it "
        "out from the others"
    )
