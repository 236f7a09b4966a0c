"""Constraints are understood, or refused by name; nothing of them is ever executed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.column_building import build_column
from lightning_mbo.tabular.column_options import ColumnOptions
from lightning_mbo.tabular.columns import Column
from lightning_mbo.tabular.constraints import parse_constraints, with_columns
from lightning_mbo.tabular.equalities import EqualityProjection, held_laws
from lightning_mbo.tabular.layout import TableLayout

TABLE = pd.DataFrame(
    {
        "a": [0.0, 0.5, 2.0, 4.0],
        "b": [1.0, 0.5, -1.0, 3.0],
        "µ value": [10.0, 20.0, 30.0, 40.0],
        "µ": [1.0, 2.0, 3.0, 5.0],
    }
)


def columns(table: pd.DataFrame = TABLE, **options: ColumnOptions) -> list[Column]:
    return [
        build_column(table[name], "number", options.get(name, ColumnOptions()), "the table")
        for name in table
    ]


def holds(text: str) -> list[bool]:
    constraints = with_columns(parse_constraints([text]), columns())
    return np.all([constraint.holds(TABLE) for constraint in constraints], axis=0).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b <= 1", [True, True, True, False]),
        ("a + b < 1", [True, True, True, False]),
        ("1 >= a + b", [True, True, True, False]),
        ("2*a - 0.5*b >= 3", [False, False, True, True]),
        ("-(a - b) * 2 <= a / 4", [False, True, True, True]),
        ("a == b", [False, True, False, False]),
        ("a + b == 1 ", [True, True, True, False]),
        ("0.4 <= a + 0 <= 2", [False, True, True, False]),
        ("`µ value` <= 10 * µ - 5 + 5", [True, True, True, True]),
        ("`µ value` - 10*µ == 0", [True, True, True, False]),
        ("3 * (a + 2 * (b - 1)) <= 0", [True, True, True, False]),
        ("+a <= 1e0", [True, True, False, False]),
        ("--a <= 1.", [True, True, False, False]),
        (" + ".join(["a/1000"] * 1000) + " <= 1", [True, True, False, False]),
        ("a <= " + "(" * 50 + "1" + ")" * 50, [True, True, False, False]),
    ],
)
def test_meaning(text: str, expected: list[bool]) -> None:
    assert holds(text) == expected


@pytest.mark.parametrize("name", ["__quoted_0", "lambda", "True", "a b", "µ", "class_1"])
def test_any_name(name: str) -> None:
    (constraint,) = parse_constraints([f"`{name}` + 2*b <= 1"])
    assert constraint.coefficients == {name: 1.0, "b": 2.0}


def test_rounding_violates_nothing() -> None:
    (constraint,) = parse_constraints(["a + b <= 0.3"])
    table = pd.DataFrame({"a": [0.1, 0.1], "b": [0.2, 0.2001]})
    assert 0.1 + 0.2 > 0.3
    assert constraint.holds(table).tolist() == [True, False]
    (constraint,) = parse_constraints(["a + b == 100"])
    table = pd.DataFrame({"a": [33.35, 33.0], "b": [66.7, 66.8]})
    assert constraint.holds(table).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a +", "missing before 'its end'"),
        ("", "missing before 'its end'"),
        ("a + b", "compares nothing"),
        ("a * b <= 1", "not linear"),
        ("a ** 2 <= 1", "missing before '*'"),
        ("1 / a <= 1", "not linear"),
        ("a / 0 <= 1", "not linear"),
        ("a != 1", "'!' is no arithmetic"),
        ("a = 1", "'=' is no arithmetic"),
        ("a in b", "'in' cannot follow"),
        ("a - a <= 1", "names no column"),
        ("1 <= 2", "names no column"),
        ("a <= 1e999", "must be finite"),
        (f"a <= 1{'0' * 400}", "must be finite"),
        ("1e300*1e300*a <= 1", "must be finite"),
        ("'a' <= 1", "no arithmetic"),
        ("a.real <= 1", "no arithmetic"),
        ("a[0] <= 1", "no arithmetic"),
        ("__import__(os) <= 1", "'(' cannot follow"),
        ("a <= 1; b <= 1", "no arithmetic"),
        ("`b`1 <= 1", "'1' cannot follow"),
        ("2a <= 1", "'a' cannot follow"),
        ("(a <= 1", "not closed"),
        ("a) <= 1", "')' cannot follow"),
        (f"{'(' * 100_000}a <= 1", "brackets within each other"),
        (f"{'-(' * 100_000}a <= 1", "brackets within each other"),
    ],
)
def test_what_is_no_constraint(text: str, part: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_constraints([text])
    message = str(caught.value)
    assert "\n" not in message
    assert repr(text)[:100] in message
    assert len(message) < 500
    assert part in message


def test_columns_that_are_not_there() -> None:
    with pytest.raises(ConfigurationError, match=r"'a \+ µ_value <= 1'.*mean µ value"):
        with_columns(parse_constraints(["a + µ_value <= 1"]), columns())


def simplex(num: int) -> pd.DataFrame:
    shares = np.random.default_rng(0).dirichlet(np.ones(num), 50) * 100
    return pd.DataFrame(shares, columns=[f"x{j}" for j in range(num)])


@pytest.mark.parametrize("num", [2, 3, 10])
def test_projection_on_a_simplex(num: int) -> None:
    table = simplex(num)
    layout = TableLayout(columns(table))
    text = " + ".join(table.columns) + " == 100"
    project = EqualityProjection(parse_constraints([text]), layout.columns)
    outside = 2 * torch.randn(200, num, dtype=torch.float64)
    moved = layout.decode(layout.nearest(project(outside)))
    np.testing.assert_allclose(moved.sum(axis=1), 100, atol=1e-6)
    assert (moved >= 0).all().all()
    inside = layout.encode(table)
    torch.testing.assert_close(project(inside), inside)


def test_projection_is_the_nearest_point() -> None:
    table = TABLE.rename(columns={"µ value": "c"})[["a", "b", "c"]] - 100.0
    layout = TableLayout(columns(table))
    project = EqualityProjection(parse_constraints(["a - 2*b + c == 3"]), layout.columns)
    start = torch.randn(20, 3, dtype=torch.float64)
    moved = project(start)
    # Lagrange: the way is along the gradient, in the units of the standard deviations.
    gradient = np.array([1.0, -2.0, 1.0]) * table.std(ddof=0).to_numpy()
    offset = np.array([1.0, -2.0, 1.0]) @ table.mean().to_numpy() - 3
    lengths = (start.numpy() @ gradient + offset) / (gradient @ gradient)
    np.testing.assert_allclose(moved, start.numpy() - lengths[:, None] * gradient, atol=1e-9)


def test_projection_around_fixed_and_constant_columns() -> None:
    table = simplex(3).assign(rest=5.0)
    layout = TableLayout(columns(table, x0=ColumnOptions(fixed=20.0)))
    project = EqualityProjection(parse_constraints(["x0+x1+x2+rest == 100"]), layout.columns)
    designs = layout.nearest(project(layout.encode(table)))
    moved = layout.decode(designs)
    np.testing.assert_allclose(moved["x0"], 20)
    np.testing.assert_allclose(moved["x1"] + moved["x2"], 75)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("integer", {}),
        ("integer", {"lower": 10, "upper": 60}),
        ("number", {"step": 5}),
        ("number", {"lower": 0, "upper": 50, "step": 5}),
        ("integer", {"lower": 10, "upper": 70, "step": 10}),
    ],
)
def test_sums_on_a_grid(kind: str, options: dict[str, float]) -> None:
    amounts = (np.random.default_rng(0).dirichlet(np.ones(3), 60) * 10).round() * 10
    amounts[:, 2] = 100 - amounts[:, 0] - amounts[:, 1]
    table = pd.DataFrame(amounts, columns=["a", "b", "c"])
    grids = [build_column(table[n], kind, ColumnOptions(**options), "the table") for n in table]
    layout = TableLayout(grids)
    project = EqualityProjection(parse_constraints(["a + b + c == 100"]), layout.columns)
    outside = 2 * torch.randn(300, 3, dtype=torch.float64)
    moved = layout.decode(layout.nearest(project(outside)))
    assert (moved.sum(axis=1) == 100).all()
    assert (moved % options.get("step", 1) == 0).all(axis=None)
    assert (moved >= options.get("lower", 0)).all(axis=None)
    assert (moved <= options.get("upper", 100)).all(axis=None)
    # No unit less in one column and more in another would be nearer.
    inside = layout.encode(table[(table >= 10).all(axis=1) & (table <= 50).all(axis=1)])
    torch.testing.assert_close(layout.nearest(project(inside)), inside)


def test_other_numbers_make_up_for_a_grid() -> None:
    table = simplex(3)
    table["x0"] = table["x0"].round()
    whole = build_column(table["x0"], "integer", ColumnOptions(), "the table")
    layout = TableLayout([whole, *columns(table[["x1", "x2"]])])
    project = EqualityProjection(parse_constraints(["x0 + x1 + x2 == 100"]), layout.columns)
    outside = 2 * torch.randn(200, 3, dtype=torch.float64)
    moved = layout.decode(layout.nearest(project(outside)))
    assert (moved["x0"] % 1 == 0).all()
    np.testing.assert_allclose(moved.sum(axis=1), 100, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("2*a + b == 100", "their strides differ"),
        ("2*a + 2*b == 101", "none of them meets it"),
    ],
)
def test_a_grid_that_meets_no_equality(text: str, part: str) -> None:
    table = pd.DataFrame({"a": np.arange(20), "b": np.arange(20)[::-1]})
    grids = [build_column(table[n], "integer", ColumnOptions(), "the table") for n in table]
    with pytest.raises(ConfigurationError, match=part):
        EqualityProjection(parse_constraints([text]), grids)


def test_two_equalities_on_one_grid() -> None:
    table = pd.DataFrame(np.random.default_rng(0).integers(0, 9, (20, 3)), columns=["a", "b", "c"])
    grids = [build_column(table[n], "integer", ColumnOptions(), "the table") for n in table]
    with pytest.raises(ConfigurationError, match="in another such equality too"):
        EqualityProjection(parse_constraints(["a + b == 9", "b + c == 9"]), grids)


def test_a_sum_of_evenly_spaced_values() -> None:
    table = simplex(2).round(-1)
    grids = columns(table, x0=ColumnOptions(values=(10.0, 20.0, 30.0)), x1=ColumnOptions(step=10))
    layout = TableLayout(grids)
    project = EqualityProjection(parse_constraints(["x0 + x1 == 100"]), layout.columns)
    moved = layout.decode(layout.nearest(project(2 * torch.randn(300, 2, dtype=torch.float64))))
    assert (moved.sum(axis=1) == 100).all()
    assert set(moved["x0"]) == {10, 20, 30}


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (ColumnOptions(scale="log"), r"'a' is on a log scale: leave scale out of data.columns.a"),
        (ColumnOptions(values=(1.0, 2.0, 4.0)), r"'a' has values that are not evenly spaced"),
    ],
)
def test_equalities_that_cannot_be_projected(options: ColumnOptions, part: str) -> None:
    table = TABLE[["a", "b"]] + 2.0
    with pytest.raises(ConfigurationError, match=part):
        EqualityProjection(parse_constraints(["a + b == 5"]), columns(table, a=options))
    law = parse_constraints(["a + b == 5"])
    assert held_laws(law, columns(table)) == law
    assert held_laws(law, columns(table, a=options)) == []
    # Of other columns they still hold.
    EqualityProjection(parse_constraints(["b == 2"]), columns(table, a=options))


def test_what_follows_the_numbers_stays() -> None:
    project = EqualityProjection(parse_constraints(["a + b == 1"]), columns(TABLE[["a", "b"]]))
    designs = torch.randn(5, 6, dtype=torch.float64)
    moved = project(designs)
    assert torch.equal(moved[:, 2:], designs[:, 2:])
    assert not torch.equal(moved[:, :2], designs[:, :2])
