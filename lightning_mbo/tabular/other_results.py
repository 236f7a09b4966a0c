"""Columns that were measured with the target and are no settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import rankdata

from lightning_mbo.tabular.chance import (
    CERTAIN,
    level_numbers,
    log_chance_of_blocks,
    sampled_rows,
)

_FEWEST_BLOCKS = 4
_FEWEST_LABELS = 10
_MOST_LEVELS = 30
_WIDEST_GAP = 0.05
_NUM_FOLDS = 5
_FEWEST_ROWS, _MOST_ROWS = 20, 1000
_MOST_INTERACTING = 8
_MOST_MULTIPLIED = 100
_EXPLAINED = 0.8
"""Of the target's variance, by a column alone, to be suspected of being a result."""
_EXPLAINED_BY_OTHERS = 0.3
"""Of a suspected column's variance: settings do not depend on each other, results do on them."""
_LEFT_UNEXPLAINED = 0.6
"""By a suspected column, at most, of what all others together leave."""
_LEFT_OF_PRODUCT = 1e-3
"""Of the target's variance, by a product of two columns that it is, rounded."""
_ROUNDED = 1e-3
"""Standard deviations: what is left of a sum that is exact but for rounding."""
_LEAST_CORRELATION = 0.5
"""Of ranks: another result rises or falls with the target."""


class Copies(NamedTuple):
    """Columns that say the same as the target.

    Attributes:
        certain: Those of which nothing else can be.
        possible: Those that could be settings which decide over the target.
    """

    certain: list[str]
    possible: list[str]


def copies_of(
    properties: NDArray[np.float64],
    numbers: Mapping[str, NDArray[np.float64]],
    levels: Mapping[str, NDArray[np.intp]],
) -> Copies:
    """Columns that the target, in its order, is divided by into blocks: rescaled or binned copies.

    Args:
        properties: The target, ``(n,)``.
        numbers: Of other columns, ``(n,)`` each.
        levels: Of categories, numbered from 0, ``(n,)`` each.
    """
    rows = sampled_rows(len(properties))
    num_labels = len(np.unique(properties[rows]))
    found = Copies([], [])
    for name, values in {**numbers, **levels}.items():
        ordered = name in numbers
        if not _are_blocks(properties[rows], values[rows], ordered):
            continue
        value = level_numbers(values)
        if not _are_blocks(properties, values, ordered):
            continue
        sizes = np.bincount(value)
        sizes = sizes[sizes > 0]
        orders = math.log(2) if ordered else float(gammaln(len(sizes) + 1))
        if len(sizes) < 2 or log_chance_of_blocks(sizes, orders) > CERTAIN:
            continue
        if len(sizes) >= _FEWEST_BLOCKS and num_labels >= _FEWEST_LABELS:
            found.certain.append(name)
        elif num_labels < _FEWEST_LABELS or _largest_gap(properties, value) <= _WIDEST_GAP:
            found.possible.append(name)
    return found


def _are_blocks(
    properties: NDArray[np.float64], values: NDArray[np.generic], ordered: bool
) -> bool:
    """Whether each value has a range of the target to itself, in the values' order or any."""
    value = level_numbers(values)
    least, greatest = _ranges(properties, value)
    if ordered:
        rising = greatest[:-1] <= least[1:]
        falling = least[:-1] >= greatest[1:]
        return bool(rising.all() or falling.all())
    order = np.argsort(least + greatest, kind="stable")
    return bool((greatest[order][:-1] <= least[order][1:]).all())


def _ranges(
    properties: NDArray[np.float64], value: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.lexsort((properties, value))
    starts = np.flatnonzero(np.diff(value[order], prepend=-1))
    ends = np.append(starts[1:], len(order)) - 1
    return properties[order][starts], properties[order][ends]


def _largest_gap(properties: NDArray[np.float64], value: NDArray[np.intp]) -> float:
    """Between neighbouring blocks, over the target's range: bins leave none, factors do."""
    least, greatest = _ranges(properties, value)
    order = np.argsort(least)
    gaps = least[order][1:] - greatest[order][:-1]
    return float(gaps.max() / np.ptp(properties))


def suspected_results(
    target: str,
    properties: NDArray[np.float64],
    numbers: Mapping[str, NDArray[np.float64]],
    levels: Mapping[str, NDArray[np.intp]],
) -> list[str]:
    """Columns of numbers that may have been measured with the target.

    One that predicts the target better than all other columns together, though these predict it
    in turn: what is measured depends on the settings, a setting on no other. Or one that is called
    by the target's name and rises or falls with it, or that times another column, or over it, is
    the target: a turnover number is the yield over the catalyst.

    Args:
        target: Its name.
        properties: Its values, ``(n,)``.
        numbers: Of other columns, ``(n,)`` each.
        levels: Of categories, numbered from 0, ``(n,)`` each.
    """
    if len(properties) < _FEWEST_ROWS or not numbers:
        return []
    rows = sampled_rows(len(properties), _MOST_ROWS)
    labels = _standard(properties[rows])
    shown = {name: values[rows] for name, values in numbers.items()}
    ranked = rankdata(np.stack(list(shown.values())), axis=1)
    ranks = {name: _standard(values) for name, values in zip(shown, ranked, strict=True)}
    label_ranks = _standard(rankdata(labels))
    going_with = {n: abs(float(np.mean(ranks[n] * label_ranks))) for n in numbers}
    near = [name for name in numbers if going_with[name] >= _LEAST_CORRELATION]
    alike = [name for name in near if _share_names(name, target)]
    products = _factors(properties[rows], shown, going_with)
    alike += [name for name in products if name not in alike]
    strong = {
        name: explained
        for name in near
        if name not in alike
        and (explained := _explained(_powers(ranks[name], shown[name]), labels[:, None])[0])
        >= _EXPLAINED
    }
    if not strong:
        return alike
    settings = {name: shown[name] for name in shown if name not in strong and name not in alike}
    others = _features(settings, {name: values[rows] for name, values in levels.items()})
    if not others.shape[1]:
        return alike
    wanted = np.stack([labels, *(_standard(shown[name]) for name in strong)], axis=1)
    by_others = _explained(others, wanted)
    measured = [
        name
        for (name, alone), dependent in zip(strong.items(), by_others[1:], strict=True)
        if 1 - alone <= _LEFT_UNEXPLAINED * (1 - by_others[0]) and dependent >= _EXPLAINED_BY_OTHERS
    ]
    return [name for name in numbers if name in alike or name in measured]


def is_measured(
    properties: NDArray[np.float64],
    numbers: Mapping[str, NDArray[np.float64]],
    levels: Mapping[str, NDArray[np.intp]],
) -> bool:
    """Whether a result depends on columns beside its copies, as what is measured does.

    Otherwise a column that says the same may be the setting that it was worked out from, as a cost
    is from an amount. That is so too where the others tell it exactly and linearly, as they do an
    amount of a mixture.

    Args:
        properties: The result, ``(n,)``.
        numbers: Of columns that are no copies of it, ``(n,)`` each.
        levels: Of categories, numbered from 0, ``(n,)`` each.
    """
    rows = sampled_rows(len(properties), _MOST_ROWS)
    labels = _standard(properties[rows])[:, None]
    shown = {name: values[rows] for name, values in numbers.items()}
    others = _features(shown, {name: values[rows] for name, values in levels.items()})
    if len(rows) < _FEWEST_ROWS or not others.shape[1]:
        return False
    if _explained(others, labels)[0] < _EXPLAINED_BY_OTHERS:
        return False
    alone = np.stack([*(_standard(values) for values in shown.values()), labels[:, 0]], axis=1)
    left = labels - alone[:, :-1] @ np.linalg.lstsq(alone[:, :-1], labels)[0]
    return bool(np.abs(left).max() > _ROUNDED)


def _factors(
    labels: NDArray[np.float64],
    numbers: Mapping[str, NDArray[np.float64]],
    going_with: Mapping[str, float],
) -> list[str]:
    """Of each two columns whose product or quotient the labels are, which goes with them more."""
    names = [name for name, values in numbers.items() if (values > 0).mean() > _EXPLAINED]
    if not 2 <= len(names) <= _MOST_MULTIPLIED or labels.min() < 0:
        return []
    variance = ((labels - labels.mean()) ** 2).sum()
    found = []
    for name in names:
        others = [other for other in names if going_with[other] < going_with[name]]
        if not others:
            continue
        beside = np.stack([numbers[other] for other in others], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            quotients = np.nan_to_num(numbers[name][:, None] / beside, posinf=0.0)
        parts = np.concatenate([numbers[name][:, None] * beside, quotients], axis=1)
        parts /= np.maximum(np.abs(parts).max(0), 1e-300)
        scale = (labels @ parts) / np.maximum((parts**2).sum(0), 1e-300)
        if ((labels[:, None] - scale * parts) ** 2).sum(0).min() <= _LEFT_OF_PRODUCT * variance:
            found.append(name)
    return found


def _share_names(name: str, target: str) -> bool:
    short, long = sorted((name.casefold().strip(), target.casefold().strip()), key=len)
    return long.startswith(short) and not long[len(short) :][:1].isalnum()


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean()
    scale = float(centred.std()) or 1.0
    standard: NDArray[np.float64] = centred / scale
    return standard


def _powers(ranks: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    standard = _standard(values)
    return np.stack([standard, standard**2, ranks, ranks**2, ranks**3], axis=1)


def _features(
    numbers: Mapping[str, NDArray[np.float64]], levels: Mapping[str, NDArray[np.intp]]
) -> NDArray[np.float64]:
    num_rows = len(next(iter({**numbers, **levels}.values()), np.empty(0)))
    standard = [_standard(values) for values in numbers.values()]
    squares = [values**2 for values in standard]
    products = [
        standard[i] * standard[j]
        for i in range(len(standard))
        for j in range(i)
        if len(standard) <= _MOST_INTERACTING
    ]
    one_hot = [
        (values == level).astype(np.float64)
        for values in levels.values()
        if values.max() < _MOST_LEVELS
        for level in range(values.max() + 1)
    ]
    columns = [*standard, *squares, *products, *one_hot]
    return np.stack(columns, axis=1) if columns else np.empty((num_rows, 0))


def _explained(features: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the variances of ``(n, k)``, that ridge regression explains in rows left out."""
    num_rows = len(features)
    fold = np.random.default_rng(0).permutation(num_rows) % _NUM_FOLDS
    features = features - features.mean(0)
    errors = np.zeros(wanted.shape[1])
    for k in range(_NUM_FOLDS):
        known, asked = features[fold != k], features[fold == k]
        middle = wanted[fold != k].mean(0)
        gram = known.T @ known + 1e-3 * len(known) * np.eye(features.shape[1])
        slopes = np.linalg.solve(gram, known.T @ (wanted[fold != k] - middle))
        errors += ((wanted[fold == k] - middle - asked @ slopes) ** 2).sum(0)
    totals: NDArray[np.float64] = ((wanted - wanted.mean(0)) ** 2).sum(0)
    return 1 - errors / np.maximum(totals, 1e-300)
