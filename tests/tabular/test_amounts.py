"""Which columns are amounts that are often zero, and what becomes of draws of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import CSV
from lightning_mbo.search_models import Product, SparseAmounts
from lightning_mbo.searches import SamplingSearch
from lightning_mbo.space import Amounts
from lightning_mbo.tabular.amounts import OFTEN

N = 200


def column(share_of_zeros: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values: np.ndarray = random.uniform(1, 5, N)
    values[random.permutation(N)[: round(share_of_zeros * N)]] = 0.0
    return values


def loaded(values: dict[str, np.ndarray], **options: object) -> CSV:
    table = pd.DataFrame(values).assign(y=np.random.default_rng(99).normal(size=N))
    data = CSV(table, target="y", **options)
    data.setup("fit")
    return data


def named(data: CSV) -> list[str]:
    amounts = data.space.amounts
    names = list(data.by_entry(data.designs[:1]))
    return [] if amounts is None else [names[place] for place in amounts.places]


THREE = {name: column(0.5, seed) for seed, name in enumerate("abc")}


def test_the_entries_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    data = loaded({"d": column(0.0, 9), **THREE})
    assert named(data) == ["a", "b", "c"]
    amounts = data.space.amounts
    assert isinstance(amounts, Amounts)
    numbers = data.designs[:, list(amounts.places)]
    values = np.stack([*THREE.values()], axis=1)
    zeros, scales = np.array(amounts.zeros), np.array(amounts.scales)
    np.testing.assert_allclose((numbers.numpy() - zeros) * scales, values, atol=1e-9)
    assert amounts.totals == ()
    said = " ".join(capsys.readouterr().out.split())
    assert "'a', 'b' and 'c' are amounts that are exactly zero in a fifth of the rows" in said


@pytest.mark.parametrize(
    ("other", "options"),
    [
        (column(OFTEN - 0.01, 3), {}),
        (column(0.5, 3).round().astype(int), {}),
        (column(0.5, 3) - 1e-3, {}),
        (column(0.5, 3), {"columns": {"c": {"kind": "number", "fixed": 2.0}}}),
        (column(0.5, 3), {"columns": {"c": {"kind": "number", "lower": 0.5}}}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*are out of the bounds")
def test_what_is_none(other: np.ndarray, options: dict[str, object]) -> None:
    two = {name: THREE[name] for name in "ab"}
    assert named(loaded({**two, "c": other}, **options)) == []


def test_in_a_total_all_that_sum_to_it() -> None:
    values = np.stack([column(0.3, 0), column(0.5, 1), column(0.0, 2)], axis=1)
    values = 100 * values / values.sum(1, keepdims=True)
    shares = dict(zip("abc", values.T, strict=True))
    data = loaded({**shares, "d": column(0.0, 9)})
    amounts = data.space.amounts
    assert named(data) == ["a", "b", "c"]
    assert amounts is not None
    assert amounts.totals == (((0, 1, 2), 100.0),)
    model = SparseAmounts()
    model.build(amounts.by_itself())
    numbers = model.sample(300, torch.Generator().manual_seed(0))
    drawn = torch.cat([numbers, torch.zeros(300, 1)], dim=1)
    designs = data.nearest_allowed(drawn)
    torch.testing.assert_close(designs, drawn, atol=1e-6, rtol=0)
    assert data.feasible(designs).all()


def test_without_what_is_fixed_in_a_total() -> None:
    values = np.stack([column(0.3, 0), column(0.5, 1), column(0.3, 2), column(0.0, 3)], axis=1)
    values = 100 * values / values.sum(1, keepdims=True)
    shares = dict(zip("abcd", values.T, strict=True))
    data = loaded(shares, columns={"d": {"kind": "number", "fixed": 20.0}})
    assert data.space.amounts is not None
    assert named(data) == ["a", "b", "c"]
    assert data.space.amounts.totals == (((0, 1, 2), pytest.approx(80.0)),)


def test_a_search_weighs_rows_by_what_was_drawn_of_them() -> None:
    """A row without an ingredient is drawn as it is: with p_θ for p_0 all ratios are one."""
    data = loaded({**THREE, "d": column(0.0, 9)})
    search = SamplingSearch(CbAS(), num_samples=200)
    search.start(data.problem)
    assert isinstance(search.search_model, Product)
    same = search.ratio.of_training(*search.densities)
    torch.testing.assert_close(same, torch.zeros_like(same))
    # Half as often there: each row without it is likelier, each with it less likely, by as much.
    other = search.search_model
    amounts = other.amounts
    assert isinstance(amounts, SparseAmounts)
    before = amounts.presences[0, 0].item()
    amounts.presences[:, 0] = before / 2
    ratios = search.ratio.of_training(other, search.training_distribution)
    number = int(amounts.log_shares.isfinite().sum())
    assert number == 1
    none = torch.from_numpy(THREE["a"] == 0)
    expected = torch.where(
        none,
        torch.tensor((1 - before / 2) / (1 - before)).log(),
        torch.tensor(0.5).log(),
    ).to(ratios)
    torch.testing.assert_close(ratios, expected, atol=1e-6, rtol=0)
