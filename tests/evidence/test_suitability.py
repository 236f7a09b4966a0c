"""What a table tells, on laws of which that is known."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from lightning_mbo.evidence.suitability import Suitability, fitted, some_rows
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.oracles import Stack
from lightning_mbo.problem import DesignProblem
from lightning_mbo.random import Stream
from lightning_mbo.space import DesignSpace

NUM_ROWS = 150


def designs(number: int = NUM_ROWS) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.rand(number, 3, generator=generator, dtype=torch.float64) - 1


def noise(number: int = NUM_ROWS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(number, generator=generator, dtype=torch.float64)


@cache
def table(law: str) -> DesignProblem:
    x = designs()
    property_ = {
        "sum": x[:, 0] + 2 * x[:, 1],
        "product": x[:, 0] * x[:, 1],
        "peak": -(x - 0.5).square().sum(1).sqrt(),
        "nothing": noise(),
    }[law]
    return DesignProblem.of_table(x, property_ + 0.02 * noise())


@cache
def found(law: str) -> Suitability:
    problem = table(law)
    return Suitability.of(problem, fitted(Stack(), problem))


def test_columns_that_add_up() -> None:
    said = found("sum")
    assert said.predicted > 0.98
    assert said.by_sums == pytest.approx(said.predicted, abs=0.01)
    assert said.noise < 0.02
    assert said.tells
    assert said.adds_up
    # Of what can be had, 3, the best of so many rows has most.
    best = table("sum").properties.max().item()
    assert said.combined == pytest.approx(best / 3, abs=0.05)
    text = " ".join(said.lines("yield"))
    assert "of the variance of yield" in text
    assert "columns mostly add up" in text


def test_columns_that_act_together() -> None:
    said = found("product")
    assert said.predicted > 0.9
    assert said.by_sums < 0.1
    assert not said.adds_up
    lines = said.lines("yield")
    assert "columns act together" in lines[-1]
    # The best rows lie in two opposite corners.
    assert said.nearness > 1.0
    assert "in several places" in lines[-1]
    assert not any(line.startswith("Combination") for line in lines)


def test_best_rows_that_lie_together() -> None:
    said = found("peak")
    assert said.nearness < 0.6


def test_a_table_that_tells_nothing() -> None:
    said = found("nothing")
    assert said.predicted < 0.1
    assert not said.tells
    assert said.noise > 0.8
    assert "no better than designs drawn at random" in said.lines("yield")[-1]


def test_noise_is_that_of_repeated_measurements() -> None:
    """Two measurements of each design: their mean, and how far they scatter around it."""
    problem = table("sum")
    half_range = 1.2 * noise().abs()
    repeated = replace(
        problem,
        base_weights=torch.full_like(problem.properties, 2.0),
        noise=LabelNoise(torch.zeros_like(half_range), half_range),
    )
    said = Suitability.of(repeated, fitted(Stack(), repeated))
    variance = 2 * half_range.square().mean() / problem.properties.var(correction=0)
    assert said.is_measured
    assert said.noise == pytest.approx(min(1.0, variance.item()))
    assert any("by repeated measurements" in line for line in said.lines("yield"))


def test_of_a_range_nothing_is_best() -> None:
    problem = table("sum")
    said = Suitability.of(problem, fitted(Stack(), problem), best=0)
    assert math.isnan(said.nearness)
    assert math.isnan(said.combined)
    assert len(said.lines("ee")) == 2


def test_columns_that_move_together() -> None:
    x = designs()[:, :1].expand(-1, 3) + 0.02 * designs()
    problem = DesignProblem.of_table(x, x.sum(1) + 0.02 * noise())
    said = Suitability.of(problem, fitted(Stack(), problem))
    assert said.directions == pytest.approx(1.0, abs=0.01)
    assert said.moves_together
    assert not found("sum").moves_together
    lines = said.lines("yield")
    assert "about 1.0 independent ways, of 3 that are possible" in lines[2]
    assert "by itself" in lines[-1]
    assert not any(line.startswith("Combination") for line in lines)


@pytest.mark.parametrize("num_columns", [2, 400])
def test_ways_in_which_rows_vary(num_columns: int) -> None:
    """Half of the columns are the other half once more, and one is constant."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(300, num_columns // 2, generator=generator, dtype=torch.float64)
    entries = torch.cat([x, 5 * x + 1, torch.full((300, 1), 0.1, dtype=torch.float64)], 1)
    said = Suitability.of(DesignProblem.of_table(entries, x.sum(1)), None, most_entries=0)
    eigenvalues = torch.linalg.eigvalsh(torch.corrcoef(entries[:, :-1].T))
    plain = eigenvalues.sum().square() / eigenvalues.square().sum()
    assert said.most_directions == num_columns
    # Of independent columns, few rows would give less by chance.
    assert said.directions == pytest.approx(num_columns / 2, rel=0.35)
    assert said.directions >= plain - 1e-9


def test_levels_vary_in_one_way_less_than_there_are_of_them() -> None:
    levels = torch.arange(120) % 4
    one_hots = torch.eye(5, dtype=torch.float64)[levels]  # the fifth does not occur
    x = torch.cat([designs(120)[:, :2], one_hots], dim=1)
    problem = replace(
        DesignProblem.of_table(x, x[:, 0]), space=DesignSpace(torch.Size([7]), groups=(5,))
    )
    said = Suitability.of(problem, None, most_entries=0)
    assert said.most_directions == 5
    assert said.directions == pytest.approx(5, rel=0.06)


def test_what_is_to_be_small_is_best_where_it_is_least() -> None:
    problem = table("peak")
    low = replace(problem, properties=-problem.properties)
    said = Suitability.of(low, fitted(Stack(), low), best=-1)
    assert said.nearness == pytest.approx(found("peak").nearness)
    assert said.combined == pytest.approx(found("peak").combined, abs=0.02)


def test_without_an_oracle_only_columns_that_add_up_are_fitted() -> None:
    said = Suitability.of(table("sum"), None)
    assert math.isnan(said.predicted)
    assert math.isnan(said.noise)
    assert said.by_sums == found("sum").by_sums
    assert said.nearness == found("sum").nearness
    lines = said.lines("yield")
    assert [line.split(":")[0] for line in lines] == ["Told by other rows", "Best rows"]
    assert lines[0].endswith("of the variance of yield, by columns that only add up.")


def test_columns_that_add_up_are_not_fitted_to_few_rows_of_many_columns() -> None:
    said = Suitability.of(table("sum"), None, most_entries=3 * NUM_ROWS - 1)
    assert math.isnan(said.by_sums)
    assert [line.split(":")[0] for line in said.lines("yield")] == ["Best rows"]


@pytest.mark.parametrize("num_groups", [1, 2, 3])
def test_few_groups_are_left_out_in_turn(num_groups: int) -> None:
    groups = torch.arange(NUM_ROWS) % num_groups
    for seed in range(4):
        problem = replace(table("sum"), groups=groups, stream=Stream(seed))
        assert Suitability.of(problem, None).by_sums > 0.98


def test_held_out_rows_are_what_is_predicted() -> None:
    problem = table("sum").holding_out(torch.arange(NUM_ROWS) < 50)
    oracle = fitted(Stack(), problem.training)
    said = Suitability.of(problem, oracle)
    errors = oracle.predict(problem.designs[:50]).mean - problem.properties[:50]
    variance = problem.properties[:50].var(correction=0)
    assert said.predicted == pytest.approx(1 - (errors.square().mean() / variance).item())


def test_of_many_rows_some() -> None:
    x = designs(5000)
    many = DesignProblem.of_table(x, x.sum(1))
    held_out = torch.arange(5000) < 1000
    some = some_rows(many.holding_out(held_out))
    assert len(some.designs) == 2000
    assert len(some.designs.unique(dim=0)) == 2000
    assert not torch.isin(some.properties, many.properties[held_out]).any()
    assert len(some_rows(table("sum")).designs) == NUM_ROWS
