"""Tables of which several columns are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError, DataError, MBOWarning
from lightning_mbo.goals import parse_goals
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction
from lightning_mbo.tabular.several_results import ADVANCE, goal_lines, split_rows
from tests.tables_of_results import TARGETS, table_of_results

pytest.importorskip("botorch")


def loaded(table: pd.DataFrame, targets: dict[str, str], **options: object) -> CSV:
    data = CSV(path=table, targets=targets, **options)
    data.setup("fit")
    return data


def test_rows_are_told_apart_by_what_is_measured_of_them() -> None:
    table = table_of_results()
    table.loc[10, list(TARGETS)] = np.nan
    with pytest.warns(MBOWarning, match=r"t\.csv: 1 rows have none of data\.targets"):
        found = split_rows(table, parse_goals(TARGETS), "t.csv")
    assert found.further.index.tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(found.values).tolist() == [[False, True, False]] * 5
    assert found.table.index.tolist() == [i for i in range(5, 60) if i != 10]
    assert found.table[ADVANCE].notna().all()


def test_the_property_is_the_advance_and_results_are_no_settings() -> None:
    data = loaded(table_of_results(), TARGETS)
    assert data.to_user_units(data.designs).columns.tolist() == ["heat", "load", "solvent"]
    results = data.problem.results
    assert torch.equal(data.properties, results.advance.of(results.values))
    assert data.properties.max() == 0
    assert results.values.shape == (55, 3)


def test_a_design_that_was_measured_again_counts_by_the_means_of_its_results() -> None:
    table = table_of_results(num_missing=0)
    again = table.iloc[[7]].assign(**{"yield": 10.0, "ee": 80.0, "cost": 20.0})
    data = loaded(pd.concat([table, again], ignore_index=True), TARGETS)
    results = data.problem.results
    means = (table.loc[7, [*TARGETS]].astype(float) + np.array([10.0, 80.0, 20.0])) / 2
    assert results.values[7].tolist() == pytest.approx(means.tolist())
    assert torch.equal(data.properties, results.advance.of(results.values))
    of_yield = data.problem.of_result(0)
    assert of_yield.noise.scatters[7] == pytest.approx(abs(table.loc[7, "yield"] - 10) / 2)
    assert not of_yield.noise.scatters[:7].any()


def test_a_single_goal_without_limits_is_a_target() -> None:
    table = table_of_results().drop(columns=["ee", "yield"])
    one = loaded(table, {"cost": "minimize"})
    other = CSV(path=table, target="cost", maximize=False)
    other.setup("fit")
    assert one.problem.results is None
    assert torch.equal(one.properties, other.properties)


def test_one_result_may_have_limits_alone() -> None:
    table = table_of_results().drop(columns=["ee", "yield"])
    data = loaded(table, {"cost": "near 20 +- 1"})
    within = data.problem.results.values[:, 0].sub(20).abs() <= 1
    assert torch.equal(data.properties == 0, within)


def test_a_copy_of_any_result_is_no_setting() -> None:
    table = table_of_results()
    table["price"] = 3 * table["cost"] + 1
    data = loaded(table, TARGETS)
    assert "price" not in data.to_user_units(data.designs)
    assert any("'price' says the same as 'cost'" in remark for remark in data.remarks)


@pytest.mark.parametrize(
    "cost",
    [
        lambda table: 12.5 * table["load"] + 3,
        lambda table: 40 * table["load"] ** 2,
        lambda table: -np.log(table["load"] + 0.1).round(3),
    ],
)
def test_a_setting_that_a_result_is_worked_out_from_is_designed(cost: Any) -> None:
    table = table_of_results()
    table["cost"] = cost(table)
    data = loaded(table, TARGETS)
    assert data.to_user_units(data.designs).columns.tolist() == ["heat", "load", "solvent"]
    (question,) = (line for line in data.remarks if "'load'" in line)
    assert question.startswith("question: 'load' says the same as 'cost', row by row, which")
    assert question.endswith('--data.other_results "load"')
    # As it says.
    other = loaded(table, TARGETS, other_results="load")
    assert "load" not in other.to_user_units(other.designs)
    assert not [line for line in other.remarks if "'load'" in line]


def test_an_amount_of_a_mixture_that_a_result_is_worked_out_from_is_designed() -> None:
    draw, table = np.random.default_rng(0), table_of_results()
    shares = draw.dirichlet([2, 2, 2], len(table)).round(3)
    table[["salt", "acid", "water"]] = np.column_stack([shares[:, :2], 1 - shares[:, :2].sum(1)])
    table["cost"] = 30 * table["salt"]
    data = loaded(table, TARGETS)
    assert "salt" in data.to_user_units(data.designs)


def test_a_setting_of_the_only_target_is_taken_for_a_copy_as_ever() -> None:
    table = table_of_results().drop(columns=["ee", "yield"])
    table["cost"] = 12.5 * table["load"] + 3
    data = CSV(path=table, target="cost", maximize=False)
    data.setup("fit")
    assert "load" not in data.to_user_units(data.designs)


@pytest.mark.parametrize(
    ("change", "targets", "message"),
    [
        ({}, {"yeild": "maximize", "ee": ">= 70"}, "data.targets: .*'yeild'.*Did you mean yield"),
        ({"advance": 1.0}, TARGETS, "has a column 'advance'"),
        ({"ee": "high"}, TARGETS, "'ee', data row 1"),
        ({"cost": 3.0}, TARGETS, "'cost': all 55 entries are 3"),
        ({"ee": np.nan}, TARGETS, r"0 rows have all of data.targets.*\(.*yield 60, ee 0, cost 60"),
        ({}, {"cost": "<= 99", "yield": ">= -99"}, "all rows meet data.targets"),
    ],
)
def test_what_cannot_be_used_is_named(change: dict, targets: dict, message: str) -> None:
    with pytest.raises((ConfigurationError, DataError), match=message):
        loaded(table_of_results().assign(**change), targets)


def with_errors(**errors: Any) -> pd.DataFrame:
    table = table_of_results().assign(sd_ee=2.0, sd_cost=0.5, **errors)
    table.loc[:4, "sd_ee"] = np.nan  # where there is no ee
    return table


ERRORS = {"ee": "sd_ee", "cost": "sd_cost"}


def test_each_result_may_have_a_column_of_errors() -> None:
    table = with_errors()
    again = table.iloc[[7]].assign(**{"ee": 80.0, "cost": 20.0, "sd_ee": 1.0, "sd_cost": 0.5})
    data = loaded(pd.concat([table, again], ignore_index=True), TARGETS, error_column=ERRORS)
    assert data.to_user_units(data.designs).columns.tolist() == ["heat", "load", "solvent"]
    results = data.problem.results
    # By the inverse squares of the errors: 4 to 1, and the mean's own error.
    assert results.values[2, 1] == pytest.approx((table.loc[7, "ee"] + 4 * 80) / 5)
    assert results.errors[2].tolist() == pytest.approx([0, 0.8**0.5, 0.125**0.5])
    assert results.errors[3].tolist() == [0, 2, 0.5]
    assert results.scatters[2].tolist() == [0, 0, 0]  # the yields are the same
    noises = [data.problem.of_result(number).noise for number in range(3)]
    assert noises[0] is None
    assert noises[1].errors[3] == 2
    # Rows that lack another result behind them.
    assert noises[2].errors.tolist()[-5:] == [0.5] * 5
    kinds = dict(zip(*(column.cells for column in data.columns_read.columns[:2]), strict=True))
    assert [kinds[name] for name in ("sd_ee", "sd_cost")] == ["error", "error"]


def test_errors_of_measurements_add_to_what_is_said_of_them() -> None:
    data = loaded(with_errors(), TARGETS, error_column=ERRORS)
    values, ones = data.problem.results.values, torch.ones_like(data.problem.results.values)
    said = PredictionOfResults.of(Prediction(values, ones, ones), data.problem.results.advance)
    of_labels = data.problem.label_prediction(said)
    assert isinstance(of_labels, PredictionOfResults)
    expected = [1.0, 5**0.5, 1.25**0.5]
    torch.testing.assert_close(of_labels.results.std[0], torch.tensor(expected).double())
    assert torch.equal(of_labels.results.epistemic_std, ones)
    assert (of_labels.std >= said.std).double().mean() > 0.9
    plain = loaded(table_of_results(), TARGETS).problem
    assert plain.label_prediction(said) is said


@pytest.mark.parametrize(
    ("errors", "change", "message"),
    [
        ("sd_ee", {}, r"data.error_column: say of which of data.targets 'sd_ee' is, as in"),
        ({"eee": "sd_ee"}, {}, r"data.error_column: 'eee' is no target\. Did you mean ee"),
        ({"ee": "sd_e"}, {}, r"data.error_column: .* has no column 'sd_e'. Did you mean sd_ee"),
        ({"ee": "ee_std"}, {"ee_std": 1.0}, "candidates.csv has a figure of the name 'ee_std'"),
        (ERRORS, {"sd_cost": 0.0}, "'sd_cost', data row 1: '0.0' is not a positive"),
        (ERRORS, {"sd_cost": 1e9}, "'sd_cost': errors of up to 1e\\+09 leave nothing"),
    ],
)
def test_errors_that_cannot_be_used_are_named(errors: Any, change: dict, message: str) -> None:
    with pytest.raises((ConfigurationError, DataError), match=message):
        loaded(with_errors().assign(**change), TARGETS, error_column=errors)


def test_the_error_of_a_single_target_may_be_named_with_it() -> None:
    table = with_errors().drop(columns=["ee", "sd_ee", "yield"])
    one = loaded(table, {"cost": "minimize"}, error_column="sd_cost")
    other = loaded(table, {"cost": "minimize"}, error_column={"cost": "sd_cost"})
    plain = CSV(path=table, target="cost", maximize=False, error_column="sd_cost")
    plain.setup("fit")
    for data in (one, other):
        assert torch.equal(data.noise.errors, plain.noise.errors)
        assert torch.equal(data.properties, plain.properties)


@pytest.mark.parametrize("maximize", [True, False])
def test_a_target_may_have_limits_of_others_beside_it(maximize: bool) -> None:
    limits = {"ee": ">= 70", "cost": "<= 25"}
    data = loaded(table_of_results(), limits, target="yield", maximize=maximize)
    wanted = {"yield": "maximize" if maximize else "minimize", **limits}
    assert data.goals == parse_goals(wanted)
    assert torch.equal(data.properties, loaded(table_of_results(), wanted).properties)


def test_a_target_may_have_a_range() -> None:
    table = table_of_results().drop(columns=["ee", "yield"])
    data = loaded(table, {"cost": "18 to 22"}, target="cost")
    within = data.problem.results.values[:, 0].sub(20).abs() <= 2
    assert torch.equal(data.properties == 0, within)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maximize": False}, "data.maximize is of data.target: in data.targets give minimize"),
        ({"target": "yield", "maximize": False}, "wanted of 'yield': leave data.maximize out"),
        ({"columns": {"ee": "number"}}, "data.columns: 'ee' is no part of the designs"),
    ],
)
def test_what_is_wanted_is_said_once(options: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CSV(path=table_of_results(), targets=TARGETS, **options)


def test_a_misspelt_result_of_a_file_is_named_by_its_option(tmp_path: Path) -> None:
    table_of_results().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ConfigurationError, match=r"^data.targets: .*'yeild'. Did you mean yield"):
        loaded(tmp_path / "t.csv", {"yeild": "maximize", "ee": ">= 70"})


def test_goals_are_said_with_how_the_rows_stand_to_them() -> None:
    goals = parse_goals({"yield": "maximize", "ee": ">= 99", "cost": "10 to 20"})
    values = np.array([[1.0, 50.0, 12.0], [2.0, 90.0, 30.0]])
    assert goal_lines(goals, values) == [
        "yield: maximize; measured 1 to 2",
        "ee: at least 99; measured 50 to 90, within the limits in 0 of 2 rows; the nearest is 90",
        "cost: 10 to 20; measured 12 to 30, within the limits in 1 of 2 rows",
        "all limits are met in 0 of 2 rows",
    ]


def test_two_to_maximize_need_a_library_that_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "botorch.utils.multi_objective.pareto", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lightning-mbo\[tradeoffs\]'"):
        loaded(table_of_results(), TARGETS)
    loaded(table_of_results(), {"yield": "maximize", "ee": ">= 70"})
