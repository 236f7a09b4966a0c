"""An oracle for each of several results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV, Toy
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import (
    DeepEnsemble,
    GaussianProcess,
    ResultOracles,
    Stack,
    for_results,
)
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction
from tests.oracles.short_run import trained
from tests.tables_of_results import TARGETS, table_of_results

pytest.importorskip("botorch")


def data(**options: object) -> CSV:
    found = CSV(path=table_of_results(), targets=TARGETS, **options)
    found.setup("fit")
    return found


def fitted(of: CSV, oracle: GaussianProcess | Stack | None = None) -> ResultOracles:
    made = ResultOracles(oracle or GaussianProcess())
    made.prepare(of.problem.training)
    made.fit(of.fits)
    return made


def test_each_result_is_predicted_as_by_an_oracle_of_its_own() -> None:
    table = data()
    found = fitted(table).predict(table.designs[:10])
    assert found.results.mean.shape == (10, 3)
    for number, name in enumerate(TARGETS):
        rows = table_of_results().dropna(subset=[name])
        alone = CSV(path=rows[["heat", "load", "solvent", name]], target=name)
        alone.setup("fit")
        # In the order of the problem: rows that lack another result come last.
        problem = table.problem.of_result(number)
        assert sorted(problem.properties.tolist()) == sorted(alone.properties.tolist())
        oracle = GaussianProcess()
        oracle.prepare(problem)
        ones, generator = torch.ones_like(problem.properties), torch.Generator()
        oracle.solve(problem, ones, generator)
        said = oracle.predict(table.designs[:10])
        torch.testing.assert_close(found.results.mean[:, number], said.mean)
        torch.testing.assert_close(found.results.epistemic_std[:, number], said.epistemic_std)


def test_the_advance_is_that_of_the_results() -> None:
    table = data()
    oracle = fitted(table)
    found = oracle.predict(table.designs)
    advance = table.problem.results.advance
    sharp = Prediction(found.results.mean, *[torch.full_like(found.results.std, 1e-9)] * 2)
    torch.testing.assert_close(
        PredictionOfResults.of(sharp, advance).mean, advance.of(found.results.mean)
    )
    assert torch.corrcoef(torch.stack([found.mean, table.properties]))[0, 1] > 0.9
    assert (found.std >= found.epistemic_std).all()
    normal = oracle(table.designs)
    torch.testing.assert_close(normal.mean, found.mean)


def test_rows_that_lack_a_result_teach_of_the_others() -> None:
    table = data()
    results = table.problem.results
    assert len(table.designs) == 55
    assert results.further.designs.shape == (5, *table.design_shape)
    assert [len(table.problem.of_result(number).designs) for number in range(3)] == [60, 55, 60]


def test_weights_are_those_of_the_rows_for_all_results() -> None:
    table = data()
    oracle = ResultOracles(GaussianProcess())
    oracle.prepare(table.problem.training)
    weights = torch.linspace(0.2, 2, len(table.designs)).double()
    oracle.solve(table.problem.training, weights, torch.Generator())
    problem = table.problem.of_result(1)
    alone = GaussianProcess()
    alone.prepare(problem)
    alone.solve(problem, weights, torch.Generator())
    torch.testing.assert_close(
        oracle.predict(table.designs).results.mean[:, 1], alone.predict(table.designs).mean
    )


def test_held_out_rows_are_no_part_of_the_front() -> None:
    table = data(held_out_fraction=0.4)
    results, out = table.problem.results, table.problem.held_out
    training = results.values[~out]
    assert results.advance.of(training).max() == 0
    oracle = fitted(table)
    said = oracle.predict_unseen(table.problem)
    assert said is not None
    assert len(said) == out.sum() == len(table.held_out_properties)
    torch.testing.assert_close(results.advance.of(results.values), table.problem.properties)


def test_all_rows_are_predicted_without_themselves_where_none_is_held_out() -> None:
    table = data()
    oracle = fitted(table, Stack([GaussianProcess()], num_folds=3))
    said = oracle.predict_unseen(table.problem)
    assert isinstance(said, PredictionOfResults)
    assert len(said) == len(table.designs)
    seen = oracle.predict(table.designs).results.mean
    errors = [
        (m - table.problem.results.values).square().mean(0) for m in (said.results.mean, seen)
    ]
    assert (errors[0] > errors[1]).all()


def test_one_more_of_its_kind_is_fitted_to_the_rows_given() -> None:
    table = data()
    oracle = fitted(table)
    half = table.problem.training.of_rows(torch.arange(len(table.designs)) % 2 == 0)
    other = oracle.refitted(half, torch.Generator().manual_seed(0))
    assert torch.equal(other.front, oracle.front)
    one, two = oracle.predict(table.designs), other.predict(table.designs)
    assert (two.results.epistemic_std > one.results.epistemic_std).double().mean() > 0.9


def test_a_checkpoint_holds_all_that_it_says(tmp_path: Path) -> None:
    oracle = ResultOracles(Stack([GaussianProcess()], num_folds=3))
    table = CSV(path=together(0.8), targets=TARGETS)
    table.setup("fit")
    trained(oracle, table).save_checkpoint(tmp_path / "oracle.ckpt")
    loaded = ResultOracles.load_from_checkpoint(tmp_path / "oracle.ckpt")
    for one, other in zip(
        oracle.predict(table.designs).columns, loaded.predict(table.designs).columns, strict=True
    ):
        assert torch.equal(one, other)
    assert loaded.common_error.exists
    assert loaded.advance.goals == table.problem.results.advance.goals


def test_figures_are_named_by_result() -> None:
    figures = fitted(data(), Stack([GaussianProcess()], num_folds=3)).figures()
    assert figures["yield_share_GaussianProcess"] == 1.0
    # Of yield and cost further rows have both.
    rows = [figures[f"error_correlation_rows/{pair}"] for pair in ("yield_ee", "yield_cost")]
    assert rows == [55, 60]
    assert {name.partition("_")[0] for name in figures} == {"yield", "ee", "cost", "error"}


def together(correlation: float) -> pd.DataFrame:
    """A table whose yield and cost are off by much, and together."""
    table = table_of_results()
    noise = np.random.default_rng(1).multivariate_normal(
        [0, 0], [[1, correlation], [correlation, 1]], len(table)
    )
    table["yield"] = 20 * table["heat"] + 8 * noise[:, 0]
    table["cost"] = 20 * table["load"] + 8 * noise[:, 1]
    return table


def test_that_errors_go_together_is_seen_on_left_out_rows() -> None:
    found = {}
    for correlation in (-0.8, 0.0, 0.8):
        table = CSV(path=together(correlation), targets=TARGETS)
        table.setup("fit")
        oracle = fitted(table, Stack([GaussianProcess()], num_folds=3))
        said = oracle.predict(table.designs)
        loadings = said.common.loadings
        assert torch.equal(loadings, oracle.loadings)
        found[correlation] = (loadings[0] * loadings[2]).item()
        # Both in one direction: a great advance of yield goes with dear costs, or with cheap ones.
        independent = PredictionOfResults.of(said.results, said.advance)
        if correlation:
            change = said.log_survival(0.3).exp() - independent.log_survival(0.3).exp()
            assert (change.mean() * correlation) < 0
        else:
            for one, other in zip(said.columns, independent.columns, strict=True):
                assert torch.equal(one, other)
        half = table.problem.training.of_rows(torch.arange(len(table.designs)) % 2 == 0)
        other = oracle.refitted(half, torch.Generator().manual_seed(0))
        assert torch.equal(other.loadings, oracle.loadings)
        part = said[:3].to("cpu")
        assert isinstance(part, PredictionOfResults)
        assert torch.equal(part.common.loadings, loadings)
    assert found[-0.8] == pytest.approx(-0.8, abs=0.25)
    assert found[0.0] == 0
    assert found[0.8] == pytest.approx(0.8, abs=0.25)


def test_an_oracle_that_has_left_no_row_out_takes_errors_as_independent() -> None:
    table = CSV(path=together(0.8), targets=TARGETS)
    table.setup("fit")
    oracle = fitted(table)
    assert not oracle.common_error.exists
    assert not oracle.num_compared.any()


def test_one_property_is_refused() -> None:
    toy = Toy()
    toy.setup("fit")
    with pytest.raises(ConfigurationError, match=r"give data\.targets"):
        ResultOracles(GaussianProcess()).prepare(toy.problem.training)


def test_of_several_results_what_is_fitted_in_one_call_gets_one_for_each() -> None:
    process, network = GaussianProcess(), DeepEnsemble()
    assert for_results(process, several=False) is process
    assert for_results(network, several=True) is network
    wrapped = for_results(process, several=True)
    assert isinstance(wrapped, ResultOracles)
    assert for_results(wrapped, several=True) is wrapped
