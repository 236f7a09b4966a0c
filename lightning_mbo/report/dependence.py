"""How an oracle's prediction depends on each column of the user's, all others as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import spread
from lightning_mbo.oracles import Oracle, ResultOracles

Array = NDArray[np.float64]

_NUM_VALUES, _FEW_VALUES = 20, 5
"""Of a number that are asked for; where fewer occur, all of them. The few tell what matters."""

_MOST_COLUMNS = 100
"""Of many that are asked for more than a few values: those that matter most."""

_MOST_PREDICTED = 20_000
_MOST_ROWS, _FEWEST_ROWS = 200, 20
"""Of the table, over which predictions are averaged."""

_MOST_SHOWN = 100_000
"""Rows of a table without categories that are drawn, and that tell how much a number matters."""

_ROUNDING = 1e-6
"""Of a correlation."""


@dataclass(frozen=True, eq=False)
class Levels:
    """What one column can be, and where it is so.

    Attributes:
        name: As the user calls it.
        entry: Its place among a design's numbers; of a one-hot group, behind all of these.
        entries: What a design has there, of a one-hot group a row each, shape ``(g,)`` or
            ``(g, size)``.
        values: The same in the user's units, shape ``(g,)``.
        data: Of the training designs, or of very many some, in the user's units, shape ``(n,)``.
        candidates: Of the candidates, shape ``(c,)``.
        places: Which of `values` each of these has, counted from 0, shape ``(n,)``; between two
            numbers, in parts.
        rescaled: Whether other numbers follow, to keep a total.
    """

    name: str
    entry: int
    entries: Tensor
    values: NDArray[Any]
    data: NDArray[Any]
    candidates: NDArray[Any]
    places: Array
    rescaled: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is a number; else a category, or a letter."""
        return self.entries.dim() == 1

    @property
    def is_logarithmic(self) -> bool:
        """Whether it is a number of which designs have the logarithm."""
        if not self.is_number or self.values.min() <= 0:
            return False
        entries = self.entries.numpy()
        curved = np.corrcoef(np.log(self.values.astype(np.float64)), entries)[0, 1]
        return bool(curved > np.corrcoef(self.values, entries)[0, 1] + _ROUNDING)


@dataclass(frozen=True, eq=False)
class Dependence:
    """The partial dependence of the prediction on one column, in the user's units and sign.

    Attributes:
        levels: Of the column.
        mean: The prediction, the mean over rows of the table, shape ``(g,)``.
        std: What more data would remove of its standard deviation, likewise a mean, ``(g,)``.
        sign: 1, or -1 where the user wants it to be small.
        effects: Of an oracle that adds columns up, what each level adds to the property, beside the
            mean level, and that effect's standard error, shape ``(2, g)``; None otherwise, and of
            numbers, of which `mean` is the curve.
    """

    levels: Levels
    mean: Array
    std: Array
    sign: int = 1
    effects: Array | None = None

    @property
    def importance(self) -> float:
        """How far the column moves the prediction: the deviation of `mean` over the table."""
        mean = np.nan_to_num(self.mean)
        return float(np.interp(self.levels.places, np.arange(len(mean)), mean).std())


def dependences(oracle: Oracle, data: DesignDataModule, candidates: Tensor) -> list[Dependence]:
    """How an oracle depends on each column, the most important first.

    Reference: Friedman, "Greedy function approximation: a gradient boosting machine", Annals of
    Statistics 2001, section 8.2; Greenwell, Boehmke and McCarthy, "A simple and effective
    model-based variable importance measure", 2018, for the importance.

    Args:
        oracle: Fitted.
        data: What it was fitted to.
        candidates: Shape ``(c, *design_shape)``.

    Returns:
        None of columns that do not vary, and none at all where designs are not made of columns.
    """
    columns = list(_levels(data, candidates))
    if len(columns) <= _MOST_COLUMNS:
        return _by_importance(oracle, data, columns)
    found = _by_importance(oracle, data, [_thinned(levels) for levels in columns])
    first = {dependence.levels.entry for dependence in found[:_MOST_COLUMNS]}
    more = [levels for levels in columns if levels.entry in first]
    return [*_by_importance(oracle, data, more), *found[_MOST_COLUMNS:]]


def _by_importance(
    oracle: Oracle, data: DesignDataModule, columns: list[Levels]
) -> list[Dependence]:
    num_asked = sum(len(levels.values) for levels in columns)
    num_rows = min(max(_MOST_PREDICTED // max(num_asked, 1), _FEWEST_ROWS), _MOST_ROWS)
    rows = data.designs[spread(len(data.designs), num_rows)]
    depending = [_dependence(oracle, data, rows, levels) for levels in columns]
    depending = _with_effects(depending, oracle, data)
    return sorted(depending, key=lambda dependence: -dependence.importance)


def all_dependences(
    oracle: Oracle, data: DesignDataModule, candidates: Tensor
) -> dict[str, list[Dependence]]:
    """Those of all that an oracle predicts: of the property, or of each of several results.

    Args:
        oracle: Fitted.
        data: What it was fitted to.
        candidates: Shape ``(c, *design_shape)``.
    """
    if not isinstance(oracle, ResultOracles):
        return {data.measured_name: dependences(oracle, data, candidates)}
    found = {}
    for goal, own in zip(oracle.advance.goals, oracle.of_results, strict=True):
        depending = dependences(own, data, candidates)
        found[goal.name] = [replace(dependence, sign=goal.sign) for dependence in depending]
    return found


def changed(data: DesignDataModule, designs: Tensor, levels: Levels, level: int) -> Tensor:
    """Designs ``(r, *design_shape)`` with one column at one of its levels, totals kept."""
    space = data.space
    numbers, one_hots = space.numbers(designs).clone(), space.one_hots(designs)
    if levels.is_number:
        numbers[:, levels.entry] = levels.entries[level]
        for total in data.totals:
            numbers = total.followed(numbers, levels.entry)
    else:
        group = levels.entry - space.num_numbers
        one_hots[group] = levels.entries[level].expand_as(one_hots[group])
    return space.join(numbers, one_hots)


def _levels(data: DesignDataModule, candidates: Tensor) -> Iterator[Levels]:
    space = data.space
    # All where there are categories, as it is told how many rows have each.
    some = spread(len(data.designs), len(data.designs) if space.groups else _MOST_SHOWN)
    both = data.designs[some], candidates
    shown = [data.by_entry(designs) for designs in both]
    numbers = [space.numbers(designs) for designs in both]
    one_hots = [space.one_hots(designs) for designs in both]
    grid = _grid([space.numbers(data.designs), numbers[1]])
    on_grid = [hots[:1].expand(len(grid), -1) for hots in one_hots[0]]
    grid_values = data.by_entry(space.join(grid, on_grid))
    followed = {place for total in data.totals for place in total.places.tolist()}
    for entry, name in enumerate(shown[0]):
        known, new = (table[name].to_numpy() for table in shown)
        if entry < space.num_numbers:
            column = numbers[0][:, entry], numbers[1][:, entry]
            of_grid = grid[:, entry], grid_values.iloc[:, entry].to_numpy()
            found = _of_number(str(name), entry, *column, known, new, *of_grid)
            found = replace(found, rescaled=entry in followed)
        else:
            ours, theirs = (hots[entry - space.num_numbers] for hots in one_hots)
            found = _of_group(str(name), entry, ours, theirs, known, new)
        if len(found.values) > 1:
            yield found


def _grid(numbers: list[Tensor]) -> Tensor:
    """Of each number some values over its range in tables ``(n, d)``, shape ``(20, d)``."""
    least = torch.stack([table.amin(0) for table in numbers]).amin(0)
    greatest = torch.stack([table.amax(0) for table in numbers]).amax(0)
    return torch.from_numpy(np.linspace(least.numpy(), greatest.numpy(), _NUM_VALUES))


def _thinned(levels: Levels) -> Levels:
    """The same of a few of a number's values."""
    if not levels.is_number or len(levels.values) <= _FEW_VALUES:
        return levels
    chosen = np.linspace(0, len(levels.values) - 1, _FEW_VALUES).round().astype(np.intp)
    return replace(
        levels,
        entries=levels.entries[torch.from_numpy(chosen)],
        values=levels.values[chosen],
        places=np.interp(levels.places, chosen, np.arange(len(chosen))),
    )


def _of_number(
    name: str,
    entry: int,
    known: Tensor,
    new: Tensor,
    data: Any,
    candidates: Any,
    grid: Tensor,
    grid_values: Any,
) -> Levels:
    """All values that occur, if they are no more than those of the grid; else these."""
    # By the user's values: the same step of two designs may differ by rounding.
    values, first = np.unique(np.concatenate([data, candidates]), return_index=True)
    entries = torch.cat([known, new])[torch.from_numpy(first)]
    if len(entries) > len(grid):
        if np.issubdtype(values.dtype, np.integer):
            nearest = (entries[:, None] - grid).abs().argmin(0).unique()
            entries, values = entries[nearest], values[nearest.numpy()]
        else:
            entries, values = grid, grid_values
    places = np.interp(known.numpy(), entries.numpy(), np.arange(len(entries)))
    return Levels(name, entry, entries, values, data, candidates, places)


def _of_group(
    name: str, entry: int, known: Tensor, new: Tensor, data: Any, candidates: Any
) -> Levels:
    """All levels that occur."""
    numbers = torch.cat([known, new]).argmax(1).numpy()
    levels, first = np.unique(numbers, return_index=True)
    one_hots = torch.eye(known.shape[1], dtype=known.dtype, device="cpu")[torch.from_numpy(levels)]
    values = np.concatenate([data, candidates])[first]
    places = np.searchsorted(levels, known.argmax(1).numpy()).astype(np.float64)
    return Levels(name, entry, one_hots, values, data, candidates, places)


def _dependence(oracle: Oracle, data: DesignDataModule, rows: Tensor, levels: Levels) -> Dependence:
    asked = [changed(data, rows, levels, level) for level in range(len(levels.values))]
    prediction = oracle.predict(torch.cat(asked).to(oracle.device))
    mean, std = (
        values.reshape(len(asked), len(rows)).mean(1).cpu().numpy()
        for values in (prediction.mean, prediction.epistemic_std)
    )
    sought = data.problem.property
    return Dependence(levels, sought.measured(mean), std, sought.sign)


def _with_effects(
    depending: list[Dependence], oracle: Oracle, data: DesignDataModule
) -> list[Dependence]:
    effects, sign = oracle.effects(), data.problem.property.sign
    if not effects:
        return depending
    found = []
    for dependence in depending:
        levels = dependence.levels
        if levels.is_number:
            found.append(dependence)
            continue
        effect, chosen = effects[levels.entry], levels.entries.argmax(1)
        both = torch.stack([sign * effect.mean, effect.std])[:, chosen.to(effect.mean.device)]
        found.append(replace(dependence, effects=both.cpu().numpy()))
    return found
