"""Counts of what is there are understood, met by the nearest designs, or refused by name."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.constraints import parse_constraints
from lightning_mbo.tabular.count_limits import CountLimit, parse_counts

pytestmark = pytest.mark.filterwarnings("ignore:.*are out of the bounds")


def doses(num: int = 5, num_rows: int = 120) -> pd.DataFrame:
    """Amounts of which each is zero in half of the rows, in units of their own, and a number."""
    random = np.random.default_rng(0)
    there = random.random((num_rows, num)) < 0.5
    units = 10.0 ** np.arange(num) if num < 8 else np.ones(num)
    values = np.where(there, random.uniform(0.2, 1.0, (num_rows, num)) * units, 0.0)
    table = pd.DataFrame(values, columns=[f"dose_{j}" for j in range(num)])
    return table.assign(temp=random.normal(20, 3, num_rows), y=random.normal(size=num_rows))


def loaded(table: pd.DataFrame, *texts: str, **options: object) -> CSV:
    data = CSV(table, target="y", constraints=list(texts), **options)
    data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("text", "names", "least", "most"),
    [
        ("count(a, b, c) <= 2", ("a", "b", "c"), 0, 2),
        ("count(a,b)<2", ("a", "b"), 0, 1),
        ("count(a, b) >= 1", ("a", "b"), 1, None),
        ("count(a, b) > 1", ("a", "b"), 2, None),
        ("count(a, `b c`) == 1", ("a", "b c"), 1, 1),
        ("1 <= count(a, b, c) <= 2", ("a", "b", "c"), 1, 2),
        ("3 > count (`dose_*`) >= 1 ", ("dose_*",), 1, 2),
        ("2 >= count(a, b)", ("a", "b"), 0, 2),
        ("count(a, a) <= 1.0", ("a",), 0, 1),
    ],
)
def test_meaning(text: str, names: tuple[str, ...], least: int, most: int | None) -> None:
    assert parse_counts([text]) == ([CountLimit(text, names, least, most)], [])


def test_what_does_not_count_is_left_to_others() -> None:
    texts = ["a + b <= 1", "count <= 3", "2*(count) <= 1", "a != 1"]
    assert parse_counts(texts) == ([], texts)
    (limit,) = parse_constraints(["count + a <= 3"])
    assert set(limit.coefficients) == {"count", "a"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("count(a, b)", "compares the count with nothing"),
        ("count(a, b <= 1", "bracket is not closed"),
        ("count() <= 1", "columns with commas between them"),
        ("count(a b) <= 1", "columns with commas between them"),
        ("count(a + b) <= 1", "columns with commas between them"),
        ("count(a,) <= 1", "a column is missing"),
        ("count(a, 2) <= 1", "columns with commas between them"),
        ("count(a, b) <= 1.5", "one whole number"),
        ("count(a, b) <= -1", "one whole number"),
        ("count(a, b) <= c", "one whole number"),
        ("count(a, b) + c <= 2", "'+' cannot stand beside a count"),
        ("2*count(a, b) <= 2", "'*' cannot stand beside a count"),
        ("3 <= count(a, b, c) <= 2", "no count can be that"),
        ("count(a, b) < 0", "no count can be that"),
    ],
)
def test_what_is_no_count(text: str, part: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_counts([text])
    message = str(caught.value)
    assert "\n" not in message
    assert repr(text) in message
    assert part in message


@pytest.mark.parametrize(
    ("text", "columns", "part"),
    [
        ("count(dose_0, dosis_1) <= 1", {}, "no column 'dosis_1'.*mean dose_1"),
        ("count(`amount_*`) <= 1", {}, r"no column 'amount_\*'"),
        ("count(dose_0, route) <= 1", {}, "'route' is of the kind category"),
        ("count(dose_0, `dose_1`) <= 1", {"dose_1": {"lower": 0.1}}, "'dose_1' is at least 0.1"),
        ("count(dose_0, temp) <= 1", {"temp": {"lower": None}}, "'temp' may be below zero"),
        ("count(dose_0, dose_1) >= 3", {}, "of 2 columns 3 are never above 0"),
        ("count(`dose_*`) == 0", {}, "holds in none of the 119 rows"),
    ],
)
def test_what_cannot_be_counted(text: str, columns: dict[str, object], part: str) -> None:
    table = doses().assign(route=["cast", "sintered"] * 60)
    table["temp"] -= 20
    table = table[(table.filter(like="dose") > 0).any(axis=1)].reset_index(drop=True)
    rows = "rows" in part
    if rows:
        part = part.replace("119", str(len(table)))
    given = {
        name: {"kind": "number", **{k: v for k, v in said.items() if v is not None}}
        for name, said in columns.items()
    }
    with pytest.raises(ConfigurationError, match=part):
        loaded(table, text, columns=given)


def test_the_nearest_design_that_meets_it() -> None:
    """By trying all that may be there, in standard deviations."""
    table = doses()
    data = loaded(table, "2 <= count(`dose_*`) <= 3")
    drawn = torch.randn(100, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = data.nearest_allowed(drawn)
    assert data.feasible(found).all()
    amounts = table.filter(like="dose")
    means, stds = amounts.mean().to_numpy(), amounts.std(ddof=0).to_numpy()
    zeros = -means / stds
    least = (amounts.where(amounts > 0).min().to_numpy() - means) / stds
    numbers = drawn[:, :5].numpy()
    best = np.full(100, np.inf)
    for pattern in itertools.product([False, True], repeat=5):
        if 2 <= sum(pattern) <= 3:
            # What is there stays as it is; what must come is there by the least of it.
            there = np.where(numbers > zeros, numbers, least)
            ways = np.where(pattern, there, zeros) - numbers
            best = np.minimum(best, np.square(ways).sum(1))
    np.testing.assert_allclose(
        np.square(found[:, :5].numpy() - numbers).sum(1), best, rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(found[:, 5], drawn[:, 5])


def test_exactly_so_many_of_fifty_and_fast() -> None:
    data = loaded(doses(50, 400), "count(`dose_*`) == 25")
    drawn = torch.randn(10_000, 51, dtype=torch.float64)
    start = time.process_time()
    found = data.nearest_allowed(drawn)
    held = data.feasible(found)
    assert time.process_time() - start < 5
    assert held.all()
    assert ((data.to_user_units(found).filter(like="dose") > 0).sum(axis=1) == 25).all()


def shares(digits: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(0)
    values = random.dirichlet(np.ones(6), 200) * (random.random((200, 6)) < 0.5)
    values[:, 0] += 1e-2
    values = (values / values.sum(1, keepdims=True) * 100).round(digits)
    values[:, 0] = (100 - values[:, 1:].sum(1)).round(digits)
    table = pd.DataFrame(values, columns=list("abcdef"))
    return table.assign(y=random.normal(size=200))


@pytest.mark.parametrize("digits", [0, 3])
@pytest.mark.parametrize("text", ["2 <= count(a, b, c, d) <= 3", "count(b, c, d, e, f) == 2"])
def test_beside_a_sum(text: str, digits: int) -> None:
    table = shares(digits)
    data = loaded(table, "a + b + c + d + e + f == 100", text)
    found = data.nearest_allowed(torch.randn(300, 6, dtype=torch.float64))
    assert data.feasible(found).all()
    values = data.to_user_units(found)
    np.testing.assert_allclose(values.sum(axis=1), 100, atol=1e-6)
    counted = (values[list("abcd" if "a," in text else "bcdef")] > 0).sum(axis=1)
    assert counted.between(2, 3 if "a," in text else 2).all()


def test_whole_numbers_are_counted_as_they_come_out() -> None:
    table = doses(4).assign(dose_0=lambda t: (t["dose_0"] * 10).round())
    table["dose_0"] = table["dose_0"].astype(int)
    table["dose_1"] = table["dose_1"].round().astype(int)
    data = loaded(table, "count(dose_0, dose_1) >= 1")
    found = data.to_user_units(data.nearest_allowed(0.1 * torch.randn(500, 5).double()))
    assert ((found["dose_0"] > 0) | (found["dose_1"] > 0)).all()


@pytest.mark.filterwarnings("ignore:.*constant columns are left out")
def test_columns_that_are_fixed_or_constant_count() -> None:
    table = doses(4).assign(dose_3=1.5)
    data = loaded(
        table,
        "count(`dose_*`) == 3",
        columns={"dose_0": {"kind": "number", "fixed": 0.5}},
    )
    found = data.to_user_units(data.nearest_allowed(torch.randn(200, 4).double()))
    assert ((found.filter(like="dose") > 0).sum(axis=1) == 3).all()
    assert (found["dose_0"] == 0.5).all()


def test_rows_that_break_it_are_told() -> None:
    with pytest.warns(UserWarning, match="designs of the table are out of the bounds"):
        loaded(doses(), "count(`dose_*`) <= 2")


def test_elements_of_a_formula() -> None:
    random = np.random.default_rng(0)
    metals = ["Fe", "Ni", "Cr", "Mo", "Nb", "Sn"]
    formulas = [
        "".join(f"{metal}{random.integers(1, 20)}" for metal in random.choice(metals, 3, False))
        for _ in range(120)
    ]
    table = pd.DataFrame({"alloy": formulas, "y": random.normal(size=120)})
    data = loaded(
        table,
        "count(`alloy Fe`, `alloy Ni`) <= 1",
        columns={"alloy": "formula"},
    )
    found = data.to_user_units(data.nearest_allowed(torch.randn(200, 6).double()))["alloy"]
    assert not (found.str.contains("Fe") & found.str.contains("Ni")).any()
