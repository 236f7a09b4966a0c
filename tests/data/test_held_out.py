"""Designs that no oracle and no search model is fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo.data import CSV, DesignDataModule, Quadratic, Superconductor, TFBind8, Toy
from lightning_mbo.data.loading import held_out_rows
from lightning_mbo.designs import are_among, joined_groups, same_things
from lightning_mbo.errors import CheckpointError, ConfigurationError, DataError
from lightning_mbo.random import Stream
from lightning_mbo.samples import Prediction


def loaded(data: DesignDataModule) -> DesignDataModule:
    data.setup("fit")
    return data


def everything(data: DesignDataModule) -> list[tuple[float, ...]]:
    """All rows, held out or not, in an order of their own."""
    designs = torch.cat([data.designs, data.held_out_designs]).flatten(1)
    properties = torch.cat([data.properties, data.held_out_properties])
    return sorted(map(tuple, torch.cat([designs, properties[:, None]], dim=1).tolist()))


@pytest.mark.parametrize("held_out", ["random", "top"])
@pytest.mark.parametrize("kind", [Toy, Quadratic])
def test_rows_are_split(kind: Any, held_out: str) -> None:
    whole = loaded(kind(num_designs=200))
    data = loaded(kind(num_designs=200, held_out_fraction=0.1, held_out=held_out))
    assert len(data.held_out_properties) == len(data.held_out_designs) == 20
    assert len(data.designs) == len(data.properties) == len(data.weights) == 180
    assert everything(data) == everything(whole)
    # What is left keeps its order.
    kept = torch.isin(whole.properties, data.properties)
    assert torch.equal(whole.designs[kept], data.designs)
    if held_out == "top":
        assert data.held_out_properties.min() > data.properties.max()


def test_by_default_nothing_is_held_out() -> None:
    data = loaded(Toy())
    designs, properties = Toy().load()
    assert torch.equal(data.designs, designs)
    assert torch.equal(data.properties, properties)
    assert data.held_out_designs.shape == (0, 1)
    assert data.held_out_properties.shape == (0,)


def drawing(seed: int = 0) -> torch.Generator:
    return Stream(seed).generator("test")


def test_random_rows_depend_on_the_generator_alone() -> None:
    designs = torch.arange(100, dtype=torch.float64)[:, None]
    things = torch.arange(100)
    rows = held_out_rows(things, designs[:, 0], 0.3, "random", drawing())
    torch.rand(7)
    assert torch.equal(rows, held_out_rows(things, designs[:, 0], 0.3, "random", drawing()))
    assert rows.sum() == 30
    # Not the last ones, nor the first: a run of 30 rows has this chance of being drawn.
    assert 5 < rows[:50].sum() < 25
    other = held_out_rows(things, designs[:, 0], 0.3, "random", drawing(1))
    assert not torch.equal(rows, other)


@pytest.mark.parametrize("which", ["random", "top"])
def test_a_design_is_not_on_both_sides(which: Any) -> None:
    # Every design is there three times, once with a great label.
    designs = torch.arange(20, dtype=torch.float64).repeat(3)[:, None]
    properties = torch.cat([torch.zeros(20), torch.zeros(20), torch.arange(20.0)]).double()
    out = held_out_rows(same_things(designs, None), properties, 0.25, which, drawing())
    held = set(designs[out, 0].tolist())
    assert not held & set(designs[~out, 0].tolist())
    assert out.sum() == 15 == 3 * len(held)
    if which == "top":
        assert held == {15.0, 16.0, 17.0, 18.0, 19.0}


@pytest.mark.parametrize("which", ["random", "top"])
def test_a_group_is_not_on_both_sides(which: Any) -> None:
    # Rows 3 i to 3 i + 2 belong together, and each design is also the first row of the next ten.
    designs = torch.arange(90, dtype=torch.float64)
    designs[30::3] = designs[:60:3]
    groups = torch.arange(90).div(3, rounding_mode="floor") * 7 - 1000
    out = held_out_rows(same_things(designs[:, None], groups), designs, 0.3, which, drawing())
    assert out.sum() == 27
    # Groups 1, 11 and 21 are joined by their first design.
    joined = torch.arange(90).div(3, rounding_mode="floor") % 10
    held = set(joined[out].tolist())
    assert len(held) == 3
    assert not held & set(joined[~out].tolist())
    if which == "top":
        assert held == {7, 8, 9}


def test_things_are_numbered_by_their_first_rows() -> None:
    designs = torch.tensor([[3.0], [1.0], [3.0], [2.0]])
    assert same_things(designs, None).tolist() == [0, 1, 0, 2]
    assert same_things(designs, torch.tensor([9, 4, 4, 7])).tolist() == [0, 0, 0, 1]


def test_groups_are_joined_along_chains() -> None:
    one = torch.tensor([5, 5, 3, 3, -1, -1, 8, 9])
    other = torch.tensor([0, 1, 1, 2, 2, 4, 4, 6])
    assert joined_groups(one, other).tolist() == [0] * 7 + [1]
    assert joined_groups(one, torch.arange(8)).tolist() == [0, 0, 1, 1, 2, 2, 3, 4]


class Batches(CSV):
    """A table whose rows were made in batches of four."""

    def load(self) -> tuple[Tensor, Tensor]:
        designs, properties = super().load()
        self.groups = torch.arange(len(designs)) // 4
        return designs, properties


@pytest.mark.parametrize("held_out", ["random", "top"])
def test_a_table_has_groups(held_out: Any) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=80), "y": rng.normal(size=80)})
    data = loaded(Batches(frame, "y", held_out_fraction=0.2, held_out=held_out))
    sides = [
        {(row - 1) // 4 for row in data.nearest_known(designs)["nearest_row"]}
        for designs in (data.designs, data.held_out_designs)
    ]
    assert [len(side) for side in sides] == [16, 4]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize("held_out", ["random", "top"])
def test_strands_of_one_molecule_are_held_out_together(held_out: Any) -> None:
    data = loaded(TFBind8(held_out_fraction=0.1, held_out=held_out))
    seen, unseen = (
        set(data.to_user_units(designs)["sequence"])
        for designs in (data.designs, data.held_out_designs)
    )
    complements = {word[::-1].translate(str.maketrans("ACGT", "TGCA")) for word in unseen}
    assert complements == unseen
    assert not seen & unseen
    assert len(data.held_out_designs) == pytest.approx(0.1 * 32_898, abs=2)


def test_sequences_are_held_out() -> None:
    data = loaded(TFBind8(held_out_fraction=0.05, held_out="top"))
    assert data.held_out_designs.shape[1:] == (8, 4)
    assert data.held_out_properties.min() >= data.properties.max()
    assert len(everything(data)) == 32_898
    # Palindromes are there twice, and stay together.
    seen = {tuple(row) for row in data.designs.argmax(-1).tolist()}
    assert not seen & {tuple(row) for row in data.held_out_designs.argmax(-1).tolist()}


@pytest.mark.filterwarnings("ignore:.*constant columns are left out")
def test_superconductors_take_the_options(small_superconductors: Path, tmp_path: Path) -> None:
    options: Any = {"path": small_superconductors, "num_features": 4, "cache_dir": tmp_path}
    whole = loaded(Superconductor(**options))
    data = loaded(Superconductor(**options, held_out_fraction=0.2, batch_size=7))
    assert data.batch_size == 7
    assert everything(data) == everything(whole)
    assert len(data.held_out_designs) == round(0.2 * len(whole.designs))


@pytest.fixture
def small_superconductors(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    rows = [f"Mg{i}B{(i * 7) % 11 + 1},{10 + (i * 13) % 29}" for i in range(1, 80)]
    path.write_text("\n".join(["formula,critical_temp", *rows]) + "\n")
    return path


@pytest.mark.parametrize("held_out", ["random", "top"])
def test_held_out_rows_are_known(held_out: Any) -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) % 7})
    sequences = loaded(TFBind8(held_out_fraction=0.01, held_out=held_out))
    data = loaded(CSV(frame, "y", held_out_fraction=0.5, held_out=held_out))
    for problem in (data, sequences):
        known = problem.nearest_known(problem.held_out_designs)
        assert torch.equal(torch.tensor(known.iloc[:, 1]), problem.held_out_properties)
        assert torch.equal(
            are_among(problem.known_designs, problem.held_out_designs),
            ~are_among(problem.known_designs, problem.designs),
        )
    rows = data.to_user_units(data.held_out_designs)["x"] + 1
    assert data.nearest_known(data.held_out_designs)["nearest_row"].tolist() == rows.tolist()
    assert data.nearest_known(data.known_designs)["nearest_row"].tolist() == [*range(1, 61)]


def test_labels_have_their_errors_on_both_sides() -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) % 7})
    frame["sd"] = 1 + frame["x"]
    data = loaded(CSV(frame, "y", error_column="sd", held_out_fraction=0.5))
    for designs, noise in (
        (data.designs, data.noise),
        (data.held_out_designs, data.problem.evidence.noise),
    ):
        assert noise is not None
        np.testing.assert_allclose(noise.errors, data.to_user_units(designs)["x"] + 1)
    evidence = data.problem.evidence
    assert evidence.noise is not None
    zero = torch.zeros(30).double()
    prediction = Prediction(zero, zero + 5, zero)
    expected = (25 + evidence.noise.errors**2).sqrt()
    torch.testing.assert_close(evidence.label_prediction(prediction).std, expected)
    plain = loaded(CSV(frame[["x", "y"]], "y", held_out_fraction=0.5))
    assert plain.problem.evidence.label_prediction(prediction) is prediction


def test_other_errors_are_another_table() -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) % 7, "sd": 1.0})
    options: Any = {"target": "y", "error_column": "sd", "held_out_fraction": 0.5}
    data = loaded(CSV(frame, **options))
    loaded(CSV(frame, **options)).load_state_dict(data.state_dict())
    for row in (0, int(data.to_user_units(data.held_out_designs)["x"].iloc[0])):
        other = frame.copy()
        other.loc[row, "sd"] = 2.0
        with pytest.raises(CheckpointError, match="other training data"):
            loaded(CSV(other, **options)).load_state_dict(data.state_dict())


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"held_out_fraction": 1.0}, r"data.held_out_fraction must lie in \[0, 1\), not 1.0"),
        ({"held_out_fraction": -0.1}, "data.held_out_fraction must lie in"),
        ({"held_out": "best"}, "data.held_out must be random or top, not 'best'"),
    ],
)
def test_refused(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        Toy(**options)


@pytest.mark.parametrize(
    ("fraction", "part"),
    [
        (0.05, "held_out_fraction 0.05 of 100 designs is 5, too few to judge by: at least 10"),
        (0.95, "5 designs without those that are held out are too few"),
    ],
)
def test_too_few(fraction: float, part: str) -> None:
    with pytest.raises(DataError, match=part):
        loaded(Toy(held_out_fraction=fraction))


def test_another_split_is_another_table() -> None:
    data = loaded(Toy(num_designs=200, held_out_fraction=0.1))
    state = data.state_dict()
    loaded(Toy(num_designs=200, held_out_fraction=0.1)).load_state_dict(state)
    for other in (Toy(num_designs=200), Toy(num_designs=200, held_out_fraction=0.2)):
        with pytest.raises(CheckpointError, match="other training data"):
            loaded(other).load_state_dict(state)
