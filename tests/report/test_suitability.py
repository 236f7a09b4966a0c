"""What the report says of the table itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lightning_mbo.data import CSV, DesignDataModule
from lightning_mbo.evidence.suitability import Suitability, fitted
from lightning_mbo.oracles import (
    AdditiveRegression,
    DeepEnsemble,
    GaussianProcess,
    Oracle,
    ResultOracles,
    Stack,
)
from lightning_mbo.report.dependence import all_dependences, dependences
from lightning_mbo.report.page import render
from lightning_mbo.report.suitability import all_suitabilities, lines
from tests.report.test_page import Table, evidence, loaded, text

NUM_ROWS = 80


def frame() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    columns = draw.normal(size=(NUM_ROWS, 4))
    found = pd.DataFrame(columns, columns=list("abcd"))
    found["y"] = 3 * found["a"] + 3 * found["b"]
    found["z"] = found["c"] - found["a"]
    return found


def table(**options: object) -> DesignDataModule:
    return loaded(CSV(frame(), **options))


def of_two() -> tuple[DesignDataModule, ResultOracles]:
    data = table(targets={"y": "maximize", "z": "-1 to 1"})
    oracle = ResultOracles(Stack([AdditiveRegression()]))
    return data, fitted(oracle, data.problem)


def test_as_many_columns_matter_as_equal_ones_would() -> None:
    data = table(target="y", columns={"z": "ignore"})
    oracle = fitted(Stack([AdditiveRegression()]), data.problem)
    depending = dependences(oracle, data, data.designs[:1])
    said = lines("y", depending, all_suitabilities(oracle, data)["y"])[0]
    spreads = frame()[["a", "b"]].var(ddof=0)
    expected = spreads.sum() ** 2 / (spreads**2).sum()
    assert said.endswith(f"That is as many as {expected:.1f} of equal weight, of 4.")


def test_of_many_columns_a_few_are_named() -> None:
    draw = np.random.default_rng(0)
    names = [f"x{i}" for i in range(10)]
    many = pd.DataFrame(draw.normal(size=(NUM_ROWS, 10)), columns=names)
    data = loaded(CSV(many.assign(y=many.sum(axis=1)), target="y"))
    oracle = fitted(Stack([AdditiveRegression()]), data.problem)
    said = lines(
        "y", dependences(oracle, data, data.designs[:1]), Suitability.of(data.problem, None)
    )
    assert said[0].count("%") == 7
    assert "; all others " in said[0]


def test_of_what_the_run_has_predicted_without_each_row() -> None:
    data = table(target="y", columns={"z": "ignore"})
    oracle = fitted(Stack([GaussianProcess(), AdditiveRegression()]), data.problem)
    unseen = oracle.predict_unseen(data.problem)
    assert unseen is not None
    said = all_suitabilities(oracle, data)["y"]
    labels = frame()["y"]
    correlation = stats.spearmanr(unseen.mean.numpy(), labels).statistic
    assert said.correlation == pytest.approx(correlation, abs=1e-6)
    errors = unseen.mean.numpy() - labels
    assert said.predicted == pytest.approx(1 - (errors**2).mean() / labels.var(ddof=0))


@pytest.mark.parametrize(
    ("oracle", "options"),
    [
        (DeepEnsemble(num_members=1), {}),
        (GaussianProcess(), {}),
        (AdditiveRegression(), {"held_out_fraction": 0.2, "held_out": "top"}),
    ],
)
def test_what_no_fit_without_the_rows_has_told_is_left_out(
    oracle: Oracle, options: dict[str, object]
) -> None:
    data = table(target="y", columns={"z": "ignore"}, **options)
    said = lines("y", (), all_suitabilities(oracle, data)["y"])
    assert [line.split(":")[0] for line in said] == ["Told by other rows", "Best rows"]
    assert said[0].endswith("by columns that only add up.")


@pytest.mark.parametrize("targets", [{"y": "maximize"}, {"y": "maximize", "z": "minimize"}])
def test_of_results_an_oracle_of_their_advance_is_not_asked(targets: dict[str, str]) -> None:
    data = table(targets=targets)
    found = all_suitabilities(DeepEnsemble(num_members=1), data)
    assert list(found) == list(targets)
    for name, said in found.items():
        assert np.isnan(said.predicted)
        assert said.by_sums > 0.9, name


def test_each_of_several_results_has_a_paragraph() -> None:
    data, oracle = of_two()
    found = all_suitabilities(oracle, data)
    assert list(found) == ["y", "z"]
    assert found["y"].predicted > 0.9
    # Of what is to lie within limits no rows are the best.
    assert np.isnan(found["z"].nearness)
    depending = all_dependences(oracle, data, data.designs[:2])
    assert lines("z", depending["z"], found["z"])[0].startswith("Columns that matter: ")


def test_the_page() -> None:
    plain = evidence(loaded(Table()))
    assert "What the table tells" not in text(render(plain))
    data, oracle = of_two()
    found = all_suitabilities(oracle, data)
    one = render(replace(plain, suitabilities={"y": found["y"]}))
    assert one.count("<li>Told by other rows: ") == 1
    assert '<p class="told">' not in one
    both = render(replace(plain, suitabilities=found))
    assert both.count('<p class="told">') == 2
    assert "z . Told by other rows: " in text(both)


def test_of_data_that_are_no_table_of_the_users_nothing_is_said() -> None:
    assert all_suitabilities(GaussianProcess(), loaded(Table())) == {}
