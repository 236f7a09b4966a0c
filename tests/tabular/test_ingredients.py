"""Mixtures of few of many ingredients stay mixtures of few."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.tabular.constraints import parse_constraints
from lightning_mbo.tabular.ingredients import Ingredients, find_ingredients


def fuels(num: int = 60, most: int = 4, num_rows: int = 300, digits: int = 2) -> pd.DataFrame:
    """Recipes of one to `most` of `num` ingredients that sum to 100."""
    rng = np.random.default_rng(0)
    values = np.zeros((num_rows, num))
    for row in values:
        chosen = rng.choice(num, rng.integers(1, most + 1), replace=False)
        row[chosen] = (rng.dirichlet(np.ones(len(chosen))) * 100).round(digits)
        row[chosen[0]] += 100 - row.sum()
    table = pd.DataFrame(values.round(digits), columns=[f"f{j}" for j in range(num)])
    return table.assign(y=rng.normal(size=num_rows).round(3))


def drawn(table: pd.DataFrame, scale: float, **options: object) -> pd.DataFrame:
    """Designs far and wide, as they would be handed out."""
    data = CSV(table, target="y", **options)
    data.setup("fit")
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(300, *data.design_shape, generator=generator, dtype=torch.float64)
    designs = data.nearest_allowed(scale * noise)
    assert data.feasible(designs).all()
    return data.to_user_units(designs)


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("digits", [0, 2])
def test_few_ingredients_that_sum_to_100(
    scale: float, digits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = drawn(fuels(digits=digits), scale)
    assert ((found > 0).sum(axis=1) <= 4).all()
    np.testing.assert_allclose(found.sum(axis=1), 100, atol=1e-6)
    assert (found >= 0).all(axis=None)
    printed = " ".join(capsys.readouterr().out.split())
    assert "at most 4 of 'f0', 'f1', 'f2', 'f3', 'f4' and 55 more columns are above 0" in printed
    assert "--data.laws '[equalities, dummies, totals]'" in printed


def test_switched_off_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    found = drawn(fuels(), 1.0, laws=["equalities", "dummies", "totals"])
    assert ((found > 0).sum(axis=1) > 4).any()
    np.testing.assert_allclose(found.sum(axis=1), 100, atol=1e-6)
    assert "at most 4 of" not in capsys.readouterr().out


def test_a_sum_that_the_user_gives() -> None:
    table = fuels(8, 2, 40)
    text = " + ".join(f"f{j}" for j in range(8)) + " == 100"
    found = drawn(table, 1.0, constraints=[text], laws=["ingredients"])
    assert ((found > 0).sum(axis=1) <= 2).all()


@pytest.mark.filterwarnings("ignore:.*are out of the bounds")
def test_an_ingredient_that_must_be_there() -> None:
    columns = {"f3": {"kind": "number", "lower": 5}, "f7": {"kind": "number", "fixed": 20}}
    found = drawn(fuels(8, 3, 200), 1.0, columns=columns)
    assert (found["f3"] >= 5).all()
    assert (found["f7"] == 20).all()
    assert ((found > 0).sum(axis=1) <= 3).all()
    np.testing.assert_allclose(found.sum(axis=1), 100, atol=1e-6)


def test_the_largest_that_were_drawn_are_kept() -> None:
    table = fuels(6, 2, 200)
    data = CSV(table, target="y")
    data.setup("fit")
    drawn = torch.randn(50, 6, dtype=torch.float64)
    names = [f"f{j}" for j in range(6)]
    stds, means = table[names].std(ddof=0).to_numpy(), table[names].mean().to_numpy()
    largest = np.argsort(-(drawn.numpy() * stds + means), axis=1)[:, :2]
    found = data.to_user_units(data.nearest_allowed(drawn)).to_numpy()
    rest = found.copy()
    np.put_along_axis(rest, largest, 0.0, axis=1)
    assert (rest == 0).all()
    # Of two amounts the way to their sum is by the squares of their spreads, up to the bounds.
    both = np.take_along_axis(drawn.numpy() * stds + means, largest, axis=1)
    squares = np.take_along_axis(np.broadcast_to(stds**2, (50, 6)), largest, axis=1)
    both = both.clip(min=0)
    missing = 100 - both.sum(1, keepdims=True)
    expected = both + missing * squares / squares.sum(1, keepdims=True)
    inside = (expected >= 0).all(1)
    assert inside.sum() > 10
    got = np.take_along_axis(found, largest, axis=1)
    np.testing.assert_allclose(got[inside], expected[inside], atol=1e-6)


@pytest.mark.parametrize(
    "text",
    ["f0 + f1 + f2 + f3 <= 100", "f0 + f1 + f2 - f3 == 100", "f0 + f1 == 100"],
)
def test_what_is_no_mixture(text: str) -> None:
    table = fuels(4, 2).drop(columns="y")
    assert find_ingredients(parse_constraints([text]), table) == []


def test_which_mixtures_are_of_few() -> None:
    sums = parse_constraints(["f0 + f1 + f2 + f3 + f4 == 100"])
    assert find_ingredients(sums, fuels(5, 2)) == [Ingredients(("f0", "f1", "f2", "f3", "f4"), 2)]
    assert find_ingredients(sums, fuels(5, 3)) == []
    assert find_ingredients(sums, fuels(5, 2) - 1e-3) == []


def test_two_mixtures_side_by_side() -> None:
    one = fuels(8, 3, 200).drop(columns="y")
    other = fuels(7, 3, 200).add_prefix("g").rename(columns={"gy": "y"})
    found = drawn(one.join(other.sample(frac=1, random_state=0).reset_index(drop=True)), 1.0)
    for prefix in ("f", "g"):
        part = found.filter(regex=f"^{prefix}")
        np.testing.assert_allclose(part.sum(axis=1), 100, atol=1e-6)
        assert ((part > 0).sum(axis=1) <= 3).all()
