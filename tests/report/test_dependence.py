"""How the prediction depends on each column: against loops over the user's own table."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo.data import CSV, Quadratic, Superconductor, TFBind8, Toy
from lightning_mbo.oracles import (
    AdditiveRegression,
    ClosedFormOracle,
    ResultOracles,
    Stack,
    TreeEnsemble,
)
from lightning_mbo.report import dependence
from lightning_mbo.report.dependence import Dependence, all_dependences, dependences
from lightning_mbo.report.dependence_figures import draw_dependence, shown_effect
from lightning_mbo.samples import Prediction

NUM_ROWS = 60


def table() -> pd.DataFrame:
    """A number of many values, one of steps, a whole one of many, a logarithm and a category."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "heat": rng.uniform(20, 90, NUM_ROWS).round(2),
            "acid": rng.choice([0.5, 1.0, 1.5, 2.0], NUM_ROWS),
            "hours": rng.integers(1, 60, NUM_ROWS),
            "dose": 10 ** rng.uniform(-2, 2, NUM_ROWS),
            "solvent": rng.choice(["water", "ethanol", "toluene"], NUM_ROWS),
        }
    )
    frame["yield"] = 0.3 * frame["heat"] + 4 * frame["acid"] * (frame["solvent"] == "water")
    frame["yield"] += 0.05 * frame["hours"] + np.log10(frame["dose"])
    frame["yield"] += rng.normal(0, 0.3, NUM_ROWS)
    return frame


def loaded(frame: pd.DataFrame | None = None, target: str = "yield", **options: Any) -> CSV:
    data = CSV(table() if frame is None else frame, target, **options)
    data.setup("fit")
    return data


def fitted(oracle: ClosedFormOracle, data: CSV) -> ClosedFormOracle:
    oracle.prepare(data.problem.training)
    oracle.fit(data.fits)
    return oracle


def mixed() -> CSV:
    return loaded(columns={"dose": {"scale": "log"}})


def named(found: list[Dependence]) -> dict[str, Dependence]:
    return {one.levels.name: one for one in found}


@pytest.mark.parametrize("oracle", [AdditiveRegression(), TreeEnsemble()])
def test_it_is_the_mean_over_the_rows_with_one_entry_changed(oracle: ClosedFormOracle) -> None:
    data = mixed()
    fitted(oracle, data)
    found = named(dependences(oracle, data, data.designs[:5]))
    rows = data.to_user_units(data.designs)
    assert found.keys() == set(rows.columns)
    for name, one in found.items():
        for value, mean, std in zip(one.levels.values, one.mean, one.std, strict=True):
            said = oracle.predict(data.encode(rows.assign(**{name: value})))
            assert mean == pytest.approx(said.mean.mean().item(), rel=1e-5), name
            assert std == pytest.approx(said.epistemic_std.mean().item(), rel=1e-4, abs=1e-6)


def test_which_values_are_asked_for() -> None:
    data = mixed()
    found = named(dependences(fitted(AdditiveRegression(), data), data, data.designs[:5]))
    frame = table()
    heat = found["heat"].levels
    np.testing.assert_allclose(heat.values, np.linspace(*heat_ends(frame), 20), rtol=1e-6)
    assert found["acid"].levels.values.tolist() == [0.5, 1.0, 1.5, 2.0]
    hours = found["hours"].levels.values
    assert hours.dtype == np.int64
    assert set(hours) <= set(frame["hours"])
    assert (hours.min(), hours.max()) == (frame["hours"].min(), frame["hours"].max())
    dose = found["dose"].levels
    assert dose.is_logarithmic
    assert not any(one.levels.is_logarithmic for name, one in found.items() if name != "dose")
    np.testing.assert_allclose(
        np.diff(np.log(dose.values)), np.log(dose.values[1] / dose.values[0])
    )
    assert found["solvent"].levels.values.tolist() == ["ethanol", "toluene", "water"]


def test_of_many_columns_those_that_matter_are_asked_for_more_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = mixed()
    oracle = fitted(AdditiveRegression(), data)
    expected = dependences(oracle, data, data.designs[:5])
    monkeypatch.setattr(dependence, "_MOST_COLUMNS", 2)
    found = dependences(oracle, data, data.designs[:5])
    assert [len(one.levels.values) for one in found[2:]] == [
        min(len(one.levels.values), 5) for one in expected[2:]
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.levels.name == other.levels.name
        assert one.importance == pytest.approx(other.importance, rel=0.1)
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(one.levels.values, other.levels.values)
        # Of fewer columns, over more rows.
        np.testing.assert_allclose(one.mean, other.mean, rtol=0.05)


def heat_ends(frame: pd.DataFrame) -> tuple[float, float]:
    return frame["heat"].min(), frame["heat"].max()


def test_the_range_has_room_for_the_candidates() -> None:
    data = mixed()
    beyond = data.to_user_units(data.designs[:3]).assign(heat=[95.0, 100.0, 20.0])
    candidates = data.encode(beyond)
    found = named(dependences(fitted(AdditiveRegression(), data), data, candidates))
    assert found["heat"].levels.values.max() == pytest.approx(100)
    assert sorted(found["heat"].levels.candidates) == pytest.approx([20, 95, 100])


class Linear(AdditiveRegression):
    """3·heat/10 + 2·acid + 5 in water, exactly; all else does nothing."""

    def __init__(self, data: CSV) -> None:
        super().__init__()
        self.data = data

    def predict(self, designs: Tensor) -> Prediction:
        frame = self.data.to_user_units(designs)
        mean = 0.3 * frame["heat"] + 2 * frame["acid"] + 5 * (frame["solvent"] == "water")
        values = torch.tensor(mean.to_numpy(np.float64))
        return Prediction(values, values * 0 + 2, values * 0 + 1)


def test_the_importance_is_the_deviation_over_the_table() -> None:
    data, frame = mixed(), table()
    oracle = Linear(data)
    fitted(oracle, data)
    found = dependences(oracle, data, data.designs[:5])
    expected = {
        "heat": 0.3 * frame["heat"].std(ddof=0),
        "acid": 2 * frame["acid"].std(ddof=0),
        "solvent": 5 * (frame["solvent"] == "water").std(ddof=0),
        "hours": 0.0,
        "dose": 0.0,
    }
    for name, one in named(found).items():
        assert one.importance == pytest.approx(expected[name], rel=1e-6, abs=1e-9), name
    order = sorted(expected, key=lambda name: -expected[name])
    assert [one.levels.name for one in found][:3] == order[:3]


def test_a_wide_table_is_asked_about_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependence, "_MOST_PREDICTED", 700)
    data, asked = mixed(), []
    oracle = fitted(AdditiveRegression(), data)
    original = type(oracle).predict

    def counting(self: Any, designs: Tensor) -> Any:
        asked.append(len(designs))
        return original(self, designs)

    monkeypatch.setattr(AdditiveRegression, "predict", counting)
    found = dependences(oracle, data, data.designs[:5])
    num_values = sum(len(one.mean) for one in found)
    assert len(asked) == len(found) == 5  # one question a column
    assert sum(asked) == num_values * 20


def test_what_is_to_be_small_has_its_own_sign() -> None:
    frame = table()
    one = loaded(frame, columns={"dose": {"scale": "log"}}, maximize=False)
    turned = frame.assign(**{"yield": -frame["yield"]})
    other = loaded(turned, columns={"dose": {"scale": "log"}})
    small, large = (
        named(dependences(fitted(AdditiveRegression(), data), data, data.designs[:5]))
        for data in (one, other)
    )
    for name in small:
        np.testing.assert_allclose(small[name].mean, -large[name].mean, rtol=1e-9)
        np.testing.assert_array_equal(small[name].std, large[name].std)
        assert small[name].importance == pytest.approx(large[name].importance)
    assert small["solvent"].effects is not None
    assert large["solvent"].effects is not None
    np.testing.assert_allclose(small["solvent"].effects[0], -large["solvent"].effects[0])
    np.testing.assert_allclose(small["solvent"].effects[1], large["solvent"].effects[1])
    # The best level stands first, which is the one of the least yield.
    drawn = draw_dependence(small["solvent"], "yield", (-40.0, 40.0), 0)
    best = str(small["solvent"].levels.values[small["solvent"].mean.argmin()])
    texts = re.findall(r">([^<>\n]+)</text>", drawn)
    places = {level: texts.index(level) for level in ("water", "ethanol", "toluene")}
    assert min(places, key=lambda level: places[level]) == best


def test_effects_are_those_of_the_regression() -> None:
    data = mixed()
    oracle = fitted(AdditiveRegression(), data)
    found = named(dependences(oracle, data, data.designs[:5]))
    effect = oracle.effects()[4]
    effects = found["solvent"].effects
    assert effects is not None
    np.testing.assert_allclose(effects, torch.stack([effect.mean, effect.std]))
    assert all(found[name].effects is None for name in ("heat", "acid", "hours", "dose"))
    drawn = draw_dependence(found["solvent"], "yield", (0.0, 40.0), 0)
    for mean, error in effects.T:
        assert f">{shown_effect(mean, error)}</text>" in drawn
    trees = dependences(fitted(TreeEnsemble(), mixed()), data, data.designs[:5])
    assert all(one.effects is None for one in trees)


def test_a_stack_has_the_effects_of_its_part() -> None:
    data = mixed()
    stack = fitted(Stack([AdditiveRegression(), TreeEnsemble()], num_folds=3), data)
    assert isinstance(stack, Stack)
    assert stack.shares[0] > 0
    found = named(dependences(stack, data, data.designs[:5]))["solvent"].effects
    assert found is not None
    part = stack.fitted[0]
    assert isinstance(part, AdditiveRegression)
    np.testing.assert_array_equal(found[0], part.effects()[4].mean)
    stack.shares = torch.tensor([0.0, 1.0]).double()
    assert named(dependences(stack, data, data.designs[:5]))["solvent"].effects is None


@pytest.mark.parametrize(
    ("mean", "error", "shown"),
    [
        (4.2468, 0.613, "+4.25 ± 0.61"),
        (-0.0012, 0.25, "+0.00 ± 0.25"),
        (-31.7, 12.3, "−32 ± 12"),
        (0.5, 0.0, "+0.5"),
    ],
)
def test_an_effect_in_words(mean: float, error: float, shown: str) -> None:
    assert shown_effect(mean, error) == shown


def test_parts_of_a_total_follow() -> None:
    rng = np.random.default_rng(1)
    parts = rng.dirichlet([1.0, 1.0, 1.0], 60).round(3)
    frame = pd.DataFrame(parts[:, :2], columns=["resin", "oil"])
    frame["dye"] = (1 - frame["resin"] - frame["oil"]).round(3)
    frame["heat"] = rng.uniform(20, 90, 60).round(1)
    frame["y"] = 3 * frame["resin"] ** 2 - frame["oil"] + 0.01 * frame["heat"]
    data = loaded(frame, "y")
    oracle = fitted(AdditiveRegression(), data)
    found = named(dependences(oracle, data, data.designs[:5]))
    assert {name for name, one in found.items() if one.levels.rescaled} == {"resin", "oil", "dye"}
    rows = data.to_user_units(data.designs)
    for value, mean in zip(found["resin"].levels.values, found["resin"].mean, strict=True):
        left = (1 - value) / (1 - rows["resin"])
        changed = rows.assign(resin=value, oil=rows["oil"] * left, dye=rows["dye"] * left)
        expected = oracle.predict(data.encode(changed)).mean.mean().item()
        assert mean == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_letters_of_a_sequence() -> None:
    rng = np.random.default_rng(2)
    words = ["".join(rng.choice(list("ACGT"), rng.integers(4, 7))) for _ in range(80)]
    frame = pd.DataFrame({"dna": words})
    frame["y"] = [2.0 * (word[2] == "G") - (word[0] == "T") for word in words]
    frame["y"] += rng.normal(0, 0.1, 80)
    data = loaded(frame, "y")
    found = dependences(fitted(AdditiveRegression(), data), data, data.designs[:5])
    assert [one.levels.name for one in found][:2] == ["place 3", "place 1"]
    third, last = found[0].levels, named(found)["place 6"].levels
    assert third.values[found[0].mean.argmax()] == "G"
    assert [third.values[int(place)] for place in third.places] == third.data.tolist()
    assert third.data.tolist() == [word[2] for word in data.to_user_units(data.designs)["dna"]]
    assert "-" in last.values  # words that end before


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (Toy(), ["x"]),
        (Quadratic(num_designs=50), ["x1", "x2"]),
        (Superconductor(num_designs=50, num_features=3), None),
        (TFBind8(), [f"place {i + 1}" for i in range(8)]),
    ],
)
def test_columns_of_tasks(data: Any, names: list[str] | None) -> None:
    data.prepare_data()
    data.setup("fit")
    designs = data.designs[:40]
    known = data.by_entry(designs)
    space = data.space
    assert known.shape == (40, space.num_numbers + len(space.groups))
    if names is not None:
        assert list(known) == names
    if space.is_sequences:
        assert ["".join(row) for row in known.to_numpy()] == data.to_user_units(designs)[
            "sequence"
        ].tolist()
    else:
        pd.testing.assert_frame_equal(known, data.to_user_units(designs))


def test_columns_that_stand_for_others() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"heat": rng.uniform(0, 1, 40), "word": ""})
    frame["word"] = ["".join(rng.choice(list("ACGT"), 4)) for _ in range(40)]
    frame["kind"] = rng.choice(["a", "b"], 40)
    frame["y"] = frame["heat"] + (frame["kind"] == "a")
    data = loaded(frame, "y", columns={"word": "sequence"})
    known = data.by_entry(data.designs)
    assert list(known) == ["heat", "kind", *[f"word: place {i}" for i in range(1, 5)]]
    assert math.isclose(known["heat"].sum(), frame["heat"].sum(), rel_tol=1e-9)


def test_of_several_results_each_has_its_own() -> None:
    frame = table().assign(cost=lambda rows: rows["hours"] + rows["acid"] ** 2)
    data = CSV(frame, targets={"yield": "maximize", "cost": "minimize"})
    data.setup("fit")
    oracle = fitted(ResultOracles(AdditiveRegression()), data)
    found = all_dependences(oracle, data, data.designs[:5])
    assert list(found) == ["yield", "cost"]
    cost = CSV(frame.drop(columns="yield"), "cost", maximize=False)
    cost.setup("fit")
    alone = named(dependences(fitted(AdditiveRegression(), cost), cost, cost.designs[:5]))
    for name, one in named(found["cost"]).items():
        np.testing.assert_allclose(one.mean, alone[name].mean, rtol=1e-3)
        assert one.sign == -1
    assert found["cost"][0].levels.name == "hours"
    assert all(one.sign == 1 for one in found["yield"])
    single = all_dependences(fitted(AdditiveRegression(), cost), cost, cost.designs[:5])
    assert list(single) == ["cost"]
