"""What the page shows of several results."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from lightning_mbo.data import CSV
from lightning_mbo.goals import Goal
from lightning_mbo.oracles import AdditiveRegression, ResultOracles
from lightning_mbo.report.candidates import predictions_of
from lightning_mbo.report.result_figures import ShownResults, _staircase
from lightning_mbo.report.run_evidence import Evidence
from lightning_mbo.report.several_results import result_columns, results_of

RATE, COST = Goal.of_words("rate", "maximize"), Goal.of_words("cost", "minimize")
PURITY, ACID = Goal.of_words("purity", ">= 80"), Goal.of_words("acid", "5 to 6")
NUM_ROWS = 40


def test_the_staircase_bounds_what_the_front_dominates() -> None:
    measured = np.array([[1.0, 9.0], [2.0, 1.0], [5.0, 3.0], [4.0, 8.0]])
    shown = ShownResults(
        [RATE, COST],
        measured,
        np.ones(4, dtype=bool),
        np.zeros((0, 2)),
        np.zeros((2, 0, 2)),
        measured[[2, 1]],
    )
    # From the worst rate along the least cost to the row that has it, and so on.
    assert _staircase(shown).tolist() == [[1, 1], [2, 1], [2, 3], [5, 3], [5, 9]]


def test_columns_of_a_table_of_candidates() -> None:
    figures = {
        "rate_mean": np.array([123.456, 0.5]),
        "rate_std": np.array([1.26, 0.031]),
        "rate_lower_95": np.array([120.04, 0.4]),
        "acid_mean": np.array([5.5, 5.0]),
        "acid_std": np.array([0.1, 0.2]),
        "acid_lower_95": np.array([5.1, 4.5]),
        "acid_upper_95": np.array([5.9, 5.5]),
        "cost_mean": np.array([5.0, 6.0]),
        "cost_std": np.array([20.0, 30.0]),
        "probability_of_limits": np.array([0.256, 1.0]),
    }
    assert result_columns([RATE, ACID, COST], figures) == {
        "rate": ["123.5 ± 1.3", "0.500 ± 0.031"],
        "rate, 95\u00a0%": ["≥ 120.0", "≥ 0.400"],
        "acid": ["5.50 ± 0.10", "5.00 ± 0.20"],
        "acid, 95\u00a0%": ["5.10 to 5.90", "4.50 to 5.50"],
        "cost": ["5 ± 20", "6 ± 30"],
        "limits met": ["26 %", "100 %"],
    }
    assert result_columns([], figures | {"probability_of_limits": np.ones(0)}) == {"limits met": []}


@pytest.fixture(scope="module")
def data() -> CSV:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"heat": rng.uniform(0, 1, NUM_ROWS), "load": rng.uniform(0, 1, NUM_ROWS)})
    table["rate"] = table["heat"] + rng.normal(0, 0.1, NUM_ROWS)
    table["cost"] = table["heat"] * table["load"] + rng.normal(0, 0.1, NUM_ROWS)
    table["purity"] = 70 + 20 * table["load"] + rng.normal(0, 0.5, NUM_ROWS)
    table["acid"] = 5 + table["heat"] + rng.normal(0, 0.02, NUM_ROWS)
    goals = {"rate": "maximize", "cost": "minimize", "purity": ">= 80", "acid": "5.2 to 5.9"}
    found = CSV(table, targets=goals)
    found.setup("fit")
    return found


def evidence(data: CSV, **figures_of_chosen: float) -> Evidence:
    means = {"rate": [1.0, 2], "cost": [0.1, 0.3], "purity": [85, 80], "acid": [5.5, 5.9]}
    figures = {"oracle_mean": torch.zeros(2), "oracle_std": torch.ones(2)}
    for name, values in means.items():
        figures[f"{name}_mean"] = torch.tensor(values).double()
        figures[f"{name}_std"] = torch.ones(2).double()
    chosen = {"design_iteration": 0.0, **figures_of_chosen}
    return Evidence(data, data.designs[:2], figures, [chosen], 0, "promise", {})


def test_how_often_each_limit_is_missed(data: CSV) -> None:
    found = results_of(evidence(data))
    assert found is not None
    values = data.results.values.numpy()
    pure, mild = values[:, 2] >= 80, (values[:, 3] >= 5.2) & (values[:, 3] <= 5.9)
    assert found["num_meeting"] == (pure & mild).sum()
    missed = {entry["limit"]: entry for entry in found["limits"]}
    assert list(missed) == ["purity: at least 80", "acid: 5.2 to 5.9", "one or more of these"]
    assert missed["purity: at least 80"]["rows"] == pytest.approx(1 - pure.mean())
    assert missed["one or more of these"]["rows"] == pytest.approx(1 - (pure & mild).mean())
    of_purity = norm.sf([85 - 80, 0])
    assert missed["purity: at least 80"]["candidates"] == pytest.approx(of_purity.mean())
    of_acid = 1 - (norm.cdf([0.4, 0.0]) - norm.cdf([-0.3, -0.7]))
    together = 1 - (1 - of_purity) * (1 - of_acid)
    assert missed["one or more of these"]["candidates"] == pytest.approx(together.mean())


def test_limits_that_are_missed_together_are_missed_less_often(data: CSV) -> None:
    pairs = list(combinations(["rate", "cost", "purity", "acid"], 2))
    figures = {f"error_correlation/{a}_{b}": 0.0 for a, b in pairs}
    figures |= {f"error_correlation_rows/{a}_{b}": 40.0 for a, b in pairs}
    figures["error_correlation/purity_acid"] = 0.8
    shown = evidence(data, **figures)
    alone, together = (results_of(e)["limits"] for e in (evidence(data), shown))
    assert together[:2] == alone[:2]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200_000, 2, generator=generator, dtype=torch.float64)
    noise[:, 1] = 0.8 * noise[:, 0] + 0.6 * noise[:, 1]
    missed = [
        ~((85 + noise[:, 0] >= 80) & (5.5 + noise[:, 1] >= 5.2) & (5.5 + noise[:, 1] <= 5.9)),
        ~((80 + noise[:, 0] >= 80) & (5.9 + noise[:, 1] >= 5.2) & (5.9 + noise[:, 1] <= 5.9)),
    ]
    expected = torch.stack(missed).double().mean().item()
    assert together[2]["candidates"] == pytest.approx(expected, abs=3e-3)
    assert alone[2]["candidates"] != pytest.approx(expected, abs=3e-3)
    line = "errors of purity and acid are correlated by 0.8; estimated from 40 rows"
    assert results_of(shown)["common_error"] == line


def test_pairs_of_results_without_limits_come_first(data: CSV) -> None:
    found = results_of(evidence(data))
    assert found is not None
    assert ">rate (maximize)<" in found["front"]
    assert ">cost (minimize)<" in found["front"]
    assert len(found["pairs"]) == 5
    assert found["has_front"]
    for goal in ("rate", "cost", "purity", "acid"):
        assert f">{goal}<" in found["parallel"]


def test_of_one_property_there_is_nothing(data: CSV) -> None:
    alone = CSV(data.path.drop(columns=["cost", "purity", "acid"]), "rate")
    alone.setup("fit")
    shown = evidence(data)
    assert results_of(Evidence(alone, shown.candidates, shown.figures, [], 0, "", {})) is None
    # Nor of an oracle that tells of no single result.
    told = {"oracle_mean": torch.zeros(2)}
    assert results_of(Evidence(data, shown.candidates, told, [], 0, "", {})) is None


def test_designs_of_the_users_are_predicted_result_by_result(data: CSV) -> None:
    oracle = ResultOracles(AdditiveRegression())
    oracle.prepare(data.problem.training)
    oracle.fit(data.fits)
    rows = data.path.sample(5, random_state=0)
    found = predictions_of(oracle, data, rows)
    assert list(found.index) == list(rows.index)
    said = oracle.predict(data.encode(rows)).results
    for number, name in enumerate(["rate", "cost", "purity", "acid"]):
        np.testing.assert_array_equal(found[f"{name}_mean"], said.mean[:, number])
        np.testing.assert_array_equal(found[f"{name}_std"], said.std[:, number])
    assert list(found)[:2] == ["oracle_mean", "oracle_std"]
    assert list(found)[-1] == "probability_of_limits"
    assert found["purity_mean"].to_numpy() == pytest.approx(rows["purity"].to_numpy(), abs=2)
