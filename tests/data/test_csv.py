"""A user's table as a design problem."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError, DataError


def table(num_rows: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "temperature": rng.uniform(20, 90, num_rows).round(1),
            "solvent": rng.choice(["water", "None", "oil"], num_rows),
            "dna": ["".join(rng.choice(list("ACGT"), rng.integers(3, 6))) for _ in range(num_rows)],
            "yield": rng.normal(size=num_rows),
            "cycles": rng.integers(1, 9, num_rows),
        }
    )


def loaded(frame: pd.DataFrame | Path, target: str = "yield", **options: Any) -> CSV:
    data = CSV(frame, target=target, **options)
    data.setup("fit")
    return data


def test_a_table_of_every_kind(tmp_path: Path) -> None:
    frame = table()
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = loaded(tmp_path / "t.csv")
    assert data.design_shape == (2 + 3 + 5 * 5,)
    assert data.space.groups == (3, 5, 5, 5, 5, 5)
    assert data.designs.dtype == torch.float64
    numbers = frame[["temperature", "cycles"]]
    expected = ((numbers - numbers.mean()) / numbers.std(ddof=0)).to_numpy()
    np.testing.assert_allclose(data.space.numbers(data.designs), expected)
    decoded = data.to_user_units(data.designs)
    pd.testing.assert_frame_equal(decoded, frame.drop(columns="yield"), check_dtype=False)
    np.testing.assert_array_equal(data.properties, frame["yield"])
    assert data.ground_truth is None
    assert data.property_range is None
    assert torch.equal(data.nearest_allowed(data.designs), data.designs) or torch.allclose(
        data.nearest_allowed(data.designs), data.designs, atol=1e-12
    )
    assert data.feasible(data.designs).all()


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    frame = table()
    frame.loc[3, "solvent"] = np.nan
    with pytest.warns(
        UserWarning, match=r"1 of 30 rows are left out for missing entries: solvent 1"
    ):
        loaded(frame, columns={"cycles": {"upper": 10}})
    shown = " ".join(capsys.readouterr().out.split())
    assert "│ temperature │ number │" in shown
    assert "│ integer │ 1 to 8; at least 0; at most 10 │ │" in shown
    assert "│ solvent │ category │ 3 levels: None, oil, water │ 1 │" in shown
    assert "│ dna │ sequence │ at most 5 letters of ACGT │ │" in shown
    assert "│ yield │ target │" in shown


def test_a_sequence_alone_is_not_flat() -> None:
    data = loaded(table()[["dna", "yield"]])
    assert data.design_shape == (5, 5)
    assert data.space.is_sequences
    a, b = data.designs[:7], data.designs[7:19]
    words = table()["dna"].str.ljust(5, "-")
    expected = [
        [sum(p != q for p, q in zip(u, v, strict=True)) for v in words[7:19]] for u in words[:7]
    ]
    np.testing.assert_allclose(data.distances(a, b), expected)


def test_distances_of_mixed_designs() -> None:
    frame = table()
    data = loaded(frame)
    assert data.distances(data.designs, data.designs).diagonal().eq(0).all()
    numbers = (
        frame[["temperature", "cycles"]].to_numpy()
        / frame[["temperature", "cycles"]].std(ddof=0).to_numpy()
    )
    words = frame["dna"].str.ljust(5, "-")
    squares = ((numbers[0] - numbers[1]) ** 2).sum()
    squares += frame["solvent"][0] != frame["solvent"][1]
    squares += sum(p != q for p, q in zip(words[0], words[1], strict=True))
    distance = data.distances(data.designs[:1], data.designs[1:2]).item()
    assert distance == pytest.approx(np.sqrt(squares))


def test_minimising() -> None:
    frame = table()
    data = loaded(frame, maximize=False)
    np.testing.assert_array_equal(data.properties, -frame["yield"])
    assert (data.sign, data.property_name, data.measured_name) == (-1, "negative yield", "yield")
    known = data.nearest_known(data.designs[4:6])
    assert known["nearest_row"].tolist() == [5, 6]
    assert known["nearest_yield"].tolist() == frame["yield"][4:6].tolist()


def test_options_of_columns() -> None:
    frame = table()
    frame["temperature"] = frame["temperature"].round()
    frame["solvent"] = frame["solvent"].astype("category")
    data = loaded(
        frame,
        columns={
            "temperature": {"lower": 20, "upper": 90, "step": 0.5},
            "solvent": {"fixed": "oil"},
            "dna": "ignore",
            "cycles": "category",
        },
    )
    assert data.space.num_numbers == 1
    assert data.space.groups == (3, frame["cycles"].nunique())
    rows = data.to_user_units(
        data.nearest_allowed(3 * torch.randn(50, *data.design_shape).double())
    )
    assert list(rows) == ["temperature", "solvent", "cycles"]
    assert set(rows["solvent"]) == {"oil"}
    assert rows["temperature"].between(20, 90).all()
    assert (rows["temperature"] * 2 % 1 == 0).all()
    assert set(rows["cycles"]) <= set(frame["cycles"])
    assert len(data.designs) == 30


def test_rows_out_of_bounds_are_kept_and_counted() -> None:
    frame = table()
    outside = (frame["temperature"] > 60) | (frame["cycles"] + frame["temperature"] > 50)
    with pytest.warns(
        UserWarning, match=rf"{outside.sum()} of 30 designs .* data row {outside.argmax() + 1}$"
    ):
        data = loaded(
            frame,
            columns={"temperature": {"upper": 60}},
            constraints=["cycles + temperature <= 50"],
        )
    assert len(data.designs) == 30
    np.testing.assert_array_equal(
        data.feasible(data.designs), frame["cycles"] + frame["temperature"] <= 50
    )


def test_a_predicate_sees_the_users_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rules.py").write_text(
        "def dry_or_cold(designs):\n"
        "    return (designs['solvent'] != 'water') | (designs['temperature'] < 50)\n"
        "def broken(designs):\n"
        "    return designs['nothing']\n"
        "def numbers(designs):\n"
        "    return designs['temperature']\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    frame = table()
    with pytest.warns(UserWarning, match="out of the bounds, steps or constraints"):
        data = loaded(frame, feasible_if="my_rules.dry_or_cold")
    expected = (frame["solvent"] != "water") | (frame["temperature"] < 50)
    np.testing.assert_array_equal(data.feasible(data.designs), expected)
    with pytest.raises(ConfigurationError, match=r"feasible_if broken failed: KeyError: 'nothing'"):
        loaded(frame, feasible_if="my_rules.broken")
    with pytest.raises(ConfigurationError, match="one truth value for each of 30 rows"):
        loaded(frame, feasible_if="my_rules.numbers")


def test_shares_that_sum_to_a_whole() -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 40)
    frame = pd.DataFrame(shares, columns=["a", "b", "c"]).assign(y=shares[:, 0])
    data = loaded(frame, "y", constraints=["a + b + c == 1"])
    designs = data.nearest_allowed(2 * torch.randn(100, 3, dtype=torch.float64))
    assert data.feasible(designs).all()
    rows = data.to_user_units(designs)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-8)
    assert (rows >= 0).all(axis=None)


def test_replicates_become_one(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"x": np.arange(12.0), "s": ["A", "B"] * 6, "y": np.arange(12.0)})
    frame = pd.concat([frame, frame.iloc[[2, 2, 5]].assign(y=[5.0, 8.0, 6.0])])
    data = loaded(frame, "y")
    expected = np.arange(12.0)
    expected[2], expected[5] = 5.0, 5.5
    np.testing.assert_allclose(data.properties, expected)
    weights = np.ones(12)
    weights[2], weights[5] = 3, 2
    np.testing.assert_allclose(data.weights, weights / weights.mean())
    assert "3 rows measure designs of other rows again: 15 rows make 12 designs" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.parametrize("maximize", [True, False])
def test_measurements_have_errors(maximize: bool) -> None:
    frame = pd.DataFrame({"x": np.arange(12.0), "y": np.arange(12.0), "sd": 1.0, "w": 2.0})
    frame = pd.concat([frame, frame.iloc[[2]].assign(y=6.0, sd=0.5, w=6.0)])
    sign = 1 if maximize else -1
    by_error = loaded(frame.drop(columns="w"), "y", error_column="sd", maximize=maximize)
    assert by_error.properties[2].item() == pytest.approx(sign * (2 + 4 * 6) / 5)
    assert by_error.weights.tolist() == [1.0] * 12
    assert by_error.noise is not None
    errors = np.ones(12)
    errors[2] = 5**-0.5
    np.testing.assert_allclose(by_error.noise.errors, errors)
    assert not by_error.noise.scatters.any()
    both = loaded(frame, "y", error_column="sd", weight_column="w", maximize=maximize)
    assert both.properties[2].item() == pytest.approx(sign * (2 + 4 * 6) / 5)
    weights = np.full(12, 2.0)
    weights[2] = 4
    np.testing.assert_allclose(both.weights, weights / weights.mean())
    assert list(both.to_user_units(both.designs)) == ["x"]


def test_replicates_have_a_scatter() -> None:
    frame = pd.DataFrame({"x": np.arange(12.0), "y": np.arange(12.0), "w": 1.0})
    assert loaded(frame, "y", weight_column="w").noise is None
    frame = pd.concat([frame, frame.iloc[[2]].assign(y=6.0, w=2.0)])
    data = loaded(frame, "y", weight_column="w")
    assert data.properties[2].item() == pytest.approx((2 + 2 * 6) / 3)
    assert data.noise is not None
    assert not data.noise.errors.any()
    expected = np.zeros(12)
    expected[2] = np.std([2, 6, 6])
    np.testing.assert_allclose(data.noise.scatters, expected)


@pytest.mark.parametrize(
    ("entry", "shown"), [(0.0, "'0.0'"), (-1.0, "'-1.0'"), (np.nan, "empty"), (np.inf, "'inf'")]
)
@pytest.mark.parametrize("option", ["error_column", "weight_column"])
def test_errors_and_weights_must_be_positive(option: str, entry: float, shown: str) -> None:
    frame = table().assign(w=1.0)
    frame.loc[6, "w"] = entry
    with pytest.raises(DataError, match=rf"column 'w', data row 7: {shown} is not a positive"):
        loaded(frame, **{option: "w"})


def test_huge_weights_do_not_overflow() -> None:
    frame = table().assign(w=[1e300, 2e300] * 15)
    data = loaded(frame, weight_column="w")
    np.testing.assert_allclose(data.weights[1] / data.weights[0], 2)
    assert data.weights.mean().item() == pytest.approx(1)


def test_missing_entries() -> None:
    frame = table()
    frame.loc[[3, 8], "temperature"] = np.nan
    frame.loc[5, "yield"] = np.nan
    frame["notes"] = np.nan
    frame["comment"] = [f"sample no. {i}" for i in range(30)]
    frame.loc[9, "comment"] = None
    with pytest.warns(UserWarning, match="left out") as warned:
        data = loaded(frame)
    messages = [str(w.message) for w in warned]
    assert "3 of 30 rows are left out for missing entries: temperature 2, yield 1" in messages[2]
    assert "column 'notes' is empty" in messages[0]
    assert "column 'comment' differs from row to row" in messages[1]
    assert data.nearest_known(data.designs)["nearest_row"].tolist() == [
        i for i in range(1, 31) if i not in (4, 6, 9)
    ]
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(DataError, match=r"column 'temperature', data row 4: empty\. Fill it in"),
    ):
        loaded(frame, missing="refuse")


def test_constant_columns_come_back() -> None:
    frame = table().assign(site="B", stage=3)
    with pytest.warns(
        UserWarning, match=r"constant columns are left out of the designs: site, stage$"
    ):
        data = loaded(frame, columns={"site": {"fixed": "B"}})
    rows = data.to_user_units(data.designs)
    assert set(rows["site"]) == {"B"}
    assert rows["stage"].tolist() == [3] * 30
    with pytest.raises(
        ConfigurationError, match=r"data\.columns\.stage: the table has 3 throughout"
    ):
        loaded(frame, columns={"stage": {"fixed": 4}})


def test_two_sequences() -> None:
    frame = table().assign(rna=table()["dna"])
    with pytest.raises(
        ConfigurationError, match=r"'dna' and 'rna' both hold sequences.*rna: ignore"
    ):
        loaded(frame)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(30, 8), (400, 20), (5000, 100)])
def test_batches_grow_with_the_table(num_rows: int, batch_size: int) -> None:
    frame = pd.DataFrame({"x": np.linspace(0, 1, num_rows), "y": np.arange(num_rows)})
    assert loaded(frame, "y").batch_size == batch_size
    assert loaded(frame, "y", batch_size=13).batch_size == 13


def test_importance_weights_multiply_the_base_weights() -> None:
    frame = table().assign(w=np.linspace(1, 2, 30))
    data = loaded(frame, weight_column="w")
    base = np.linspace(1, 2, 30) / 1.5
    np.testing.assert_allclose(data.weights, base)
    importance = torch.rand(30, dtype=torch.float64)
    data.fits.begin(importance)
    product = base * importance.numpy()
    np.testing.assert_allclose(data.weights, product / product.mean() * importance.mean().item())
    before = data.weights.clone()
    data.fits.begin()
    assert torch.equal(data.weights, before)
    resumed = loaded(frame, weight_column="w")
    resumed.load_state_dict(data.state_dict())
    assert torch.equal(resumed.weights, before)
    assert resumed.fits.num_fits == data.fits.num_fits


def test_without_base_weights_nothing_is_rounded() -> None:
    data = loaded(table())
    importance = torch.rand(30, dtype=torch.float64)
    data.fits.begin(importance)
    assert torch.equal(data.weights, importance)


def test_the_frame_is_not_changed() -> None:
    frame = table()
    before = frame.copy()
    loaded(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: y * 1e30, "beyond what can be computed with: give it in other units"),
        (lambda y: y * 1e-160, "beyond what can be computed with: give it in other units"),
        (lambda y: y.where(y.index != 5, 1e30), "or correct the rows that are far"),
        (lambda y: y + 1e12, "subtract a constant from them"),
    ],
)
def test_labels_that_cannot_be_computed_with(change: Any, said: str) -> None:
    frame = table()
    with np.errstate(over="ignore"), pytest.raises(DataError, match=rf"^yield: .*{said}"):
        loaded(frame.assign(**{"yield": change(frame["yield"])}))
    for factor in (1e-12, 1e12):
        loaded(frame.assign(**{"yield": factor * frame["yield"]}))


def test_the_range_of_the_target_is_that_of_the_rows_that_are_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame = table()
    frame["yield"] = np.arange(30.0)
    frame.loc[[0, 29], "temperature"] = np.nan
    with pytest.warns(UserWarning, match="2 of 30 rows are left out"):
        loaded(frame)
    assert "│ 1 to 28 " in capsys.readouterr().out


@pytest.mark.parametrize("given", ["n.d., -999", ["n.d.", -999]])
@pytest.mark.parametrize("name", [None, "t.csv", "t.xlsx"])
def test_what_stands_for_a_missing_entry(tmp_path: Path, name: str | None, given: Any) -> None:
    frame = table()
    frame["yield"] = frame["yield"].astype(object)
    frame.loc[3, "yield"] = "n.d."
    frame.loc[4, "cycles"] = -999
    if name == "t.csv":
        frame.to_csv(tmp_path / name, index=False)
    elif name:
        frame.to_excel(tmp_path / name, index=False)
    with pytest.warns(UserWarning, match="2 of 30 rows are left out for missing entries"):
        data = loaded(frame if name is None else tmp_path / name, missing_values=given)
    rows = data.nearest_known(data.designs)["nearest_row"].tolist()
    assert rows == [i for i in range(1, 31) if i not in (4, 5)]
    made = data.to_user_units(data.nearest_allowed(data.designs))
    assert made["cycles"].tolist() == frame["cycles"].drop([3, 4]).tolist()
