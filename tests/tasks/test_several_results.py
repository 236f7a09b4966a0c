"""Tables with several results: their formulas, what is hidden of them, and their best fronts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from botorch.test_functions import multi_objective
from botorch.utils.multi_objective.hypervolume import Hypervolume
from numpy.typing import NDArray

from lightning_mbo.goals import parse_goals
from lightning_mbo.tasks.known_tables import KnownColumn
from lightning_mbo.tasks.several_results import SEVERAL_RESULTS, KnownResults, domination_ranks

Array = NDArray[np.float64]


def drawn(name: str, n: int = 300, seed: int = 0) -> pd.DataFrame:
    return SEVERAL_RESULTS[name].draw(n, np.random.default_rng(seed))


def identity(**targets: str) -> KnownResults:
    """Columns that are their own results."""
    columns = {f"{name}_set": KnownColumn() for name in targets}
    return KnownResults(columns, lambda table: table.to_numpy(np.float64), targets)


PUBLISHED: dict[str, Any] = {
    "branin-and-currin": multi_objective.BraninCurrin(),
    "dtlz2": multi_objective.DTLZ2(dim=6),
    "c2-dtlz2": multi_objective.C2DTLZ2(dim=4),
    "vehicle": multi_objective.VehicleSafety(),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_functions_are_botorchs(name: str) -> None:
    table, published = drawn(name), PUBLISHED[name]
    x = torch.tensor(table.to_numpy(np.float64))
    expected = published.evaluate_true(x)
    if name == "c2-dtlz2":
        expected = torch.cat([expected, published.evaluate_slack_true(x)], 1)
    true = SEVERAL_RESULTS[name].truth(table)
    np.testing.assert_allclose(true, expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_references_and_volumes(name: str) -> None:
    known, published = SEVERAL_RESULTS[name], PUBLISHED[name]
    assert list(known.reference.values()) == pytest.approx(published.ref_point.tolist())
    assert known.best_volume == pytest.approx(published.max_hv, rel=3e-4)


@pytest.mark.parametrize("name", ["dtlz2", "c2-dtlz2"])
def test_the_front_of_dtlz2_is_on_a_circle(name: str) -> None:
    """Where the limit is met, if there is one; the numbers but the first are 0.5."""
    known = SEVERAL_RESULTS[name]
    table = drawn(name, 4001).assign(**dict.fromkeys(known.columns, 0.5))
    table["x1"] = np.linspace(0, 1, len(table))
    true = known.truth(table)
    np.testing.assert_allclose((true[:, :2] ** 2).sum(1), 1)
    met = true[:, 2] >= 0 if name == "c2-dtlz2" else np.ones(len(true), dtype=bool)
    reference = -torch.tensor(list(known.reference.values()), dtype=torch.float64)
    volume = Hypervolume(reference).compute(torch.from_numpy(-true[met, :2]))
    assert known.best_volume == pytest.approx(volume, abs=1e-3)


@pytest.mark.parametrize("name", [n for n, known in SEVERAL_RESULTS.items() if known.reference])
def test_random_designs_are_worse_than_the_best_front(name: str) -> None:
    known = SEVERAL_RESULTS[name]
    signs = np.array([goal.sign for goal in known.goals if not goal.is_limit])
    true = known.truth(drawn(name, 2000))
    met = np.all([g.is_met(y) for g, y in zip(known.goals, true.T, strict=True)], axis=0)
    heights = torch.from_numpy(true[met][:, : len(signs)] * signs)
    front = heights[domination_ranks(heights) == 0]
    worst = torch.from_numpy(np.array(list(known.reference.values())) * signs)
    share = Hypervolume(worst).compute(front) / known.best_volume
    assert 0 < share < 1


BY_HAND: dict[str, tuple[dict[str, Any], list[float]]] = {
    # Half of the temperature and the time; of toluene with A, whose best temperature is 110 °C.
    "reaction": (
        {"temp": 70.0, "conc": 0.86, "hours": 1.0, "solvent": "toluene", "catalyst": "A"},
        [25 * np.exp(-8 * 0.3**2) * 0.9 + 2 * 3, 5 + 12 * 0.4 + 6 * 0.5 + 2, 98 - 25 * 0.25 * 0.3],
    ),
    "paint": (
        {"pigment": 0.0, "thinner": 0.0, "base": 0.5, "binder": "alkyd"},
        [45.0, 6.4],
    ),
    # Heights of N(5, 1) two standard deviations away, and of N(7, 0.5²) at its middle.
    "toy-range": ({"x": 7.0}, [0.053991 + 0.797885]),
    "hartmann6-range": (dict.fromkeys([f"x{i}" for i in range(1, 7)], 0.0), [0.005082]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_by_hand(name: str) -> None:
    design, expected = BY_HAND[name]
    found = SEVERAL_RESULTS[name].truth(pd.DataFrame([design]))
    np.testing.assert_allclose(found, [expected], atol=1e-5)


def beats(one: Array, other: Array, known: KnownResults) -> bool:
    """Whether it meets all limits and is better in a result without, and worse in none."""
    pairs = list(zip(known.goals, one, other, strict=True))
    if not all(bool(goal.is_met(a)) for goal, a, _ in pairs):
        return False
    if not all(bool(goal.is_met(b)) for goal, _, b in pairs):
        return True
    gains = [goal.sign * (a - b) for goal, a, b in pairs if not goal.is_limit]
    return any(gain > 0 for gain in gains) and all(gain >= 0 for gain in gains)


@pytest.mark.parametrize("name", SEVERAL_RESULTS)
def test_the_better_fifth_is_hidden(name: str) -> None:
    known = SEVERAL_RESULTS[name]
    table = known.table(40, 3)
    every = known.draw(50, np.random.default_rng((3, 40)))
    visible = known.truth(table)
    hidden = known.truth(every.merge(table, how="left", indicator=True).query("_merge != 'both'"))
    assert (len(visible), len(hidden)) == (40, 10)
    assert not any(beats(one, other, known) for one in visible for other in hidden)
    assert sum(beats(one, other, known) for one in hidden for other in visible) > 0 or (
        not known.reference
    )


def test_of_equal_ranks_the_sum_decides() -> None:
    known = identity(gain="maximize", cost="minimize")
    # Two fronts of three; in standard deviations a unit of gain counts as one of cost.
    front = np.array([[3.0, 3.0], [2.0, 1.0], [1.0, 0.5]])
    true = np.concatenate([front, front - [1.0, -1.0]])
    order = known.worst_first(true).tolist()
    assert order[-1] == 1
    assert set(order[3:]) == {0, 1, 2}


def test_short_of_a_limit_is_worse_than_any_that_meets_it() -> None:
    known = identity(gain="maximize", ee=">= 90")
    true = np.array([[9.0, 89.0], [1.0, 90.0], [9.0, 80.0], [2.0, 95.0]])
    assert known.worst_first(true).tolist() == [2, 0, 1, 3]


def test_of_limits_alone_the_middle_is_best() -> None:
    known = identity(pH="4 to 6")
    true = np.array([[4.1], [5.0], [7.0], [5.5], [3.9]])
    assert known.worst_first(true).tolist() == [2, 4, 0, 3, 1]


def test_ranks_are_those_of_fronts_peeled_one_by_one() -> None:
    heights = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    heights = torch.cat([heights, heights[:5]])
    expected, left = {}, set(range(len(heights)))
    while left:
        front = {
            i
            for i in left
            if not any(
                (heights[j] >= heights[i]).all() and (heights[j] > heights[i]).any() for j in left
            )
        }
        expected |= dict.fromkeys(front, len(set(expected.values())))
        left -= front
    assert domination_ranks(heights).tolist() == [expected[i] for i in range(len(heights))]


@pytest.mark.parametrize("name", SEVERAL_RESULTS)
def test_results_scatter_about_the_truth(name: str) -> None:
    known = SEVERAL_RESULTS[name]
    table = known.table(400, 0)
    errors = table[list(known.targets)].to_numpy() - known.truth(table)
    np.testing.assert_allclose(errors.std(0), 0.1 * known.spreads, rtol=0.15)
    np.testing.assert_allclose(np.corrcoef(errors.T), np.eye(len(errors.T)), atol=0.15)
    pd.testing.assert_frame_equal(known.table(400, 0), table)
    assert not known.table(400, 1).equals(table)


@pytest.mark.parametrize("name", SEVERAL_RESULTS)
def test_goals_can_be_read(name: str) -> None:
    known = SEVERAL_RESULTS[name]
    assert known.goals == parse_goals(known.targets)
    free = [goal.name for goal in known.goals if not goal.is_limit]
    assert list(known.reference) == free
    assert np.isnan(known.best_volume) == (not free)
