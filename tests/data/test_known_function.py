"""Tables of known truth as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.cli import main
from lightning_mbo.data import CSV, KnownFunction, Toy
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import GaussianProcess
from lightning_mbo.oracles.result_oracles import for_results
from lightning_mbo.search_models import Product
from lightning_mbo.tasks.functions import FUNCTIONS
from lightning_mbo.tasks.several_results import SEVERAL_RESULTS
from tests.callbacks.quadratic import callbacks, run


def loaded(**options: Any) -> KnownFunction:
    data = KnownFunction(**options)
    data.setup("fit")
    return data


def truth_of(data: KnownFunction, designs: Tensor) -> Tensor:
    assert data.ground_truth is not None
    return data.ground_truth(designs)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_is_searched_as_the_same_table_of_a_users(function: str, tmp_path: Path) -> None:
    known, data = FUNCTIONS[function], loaded(function=function, num_designs=60)
    known.table(60, 0).to_csv(tmp_path / "table.csv", index=False)
    own = CSV(
        tmp_path / "table.csv",
        "y",
        columns={name: column.options() for name, column in known.columns.items()},
        constraints=known.constraints,
    )
    own.setup("fit")
    assert torch.equal(data.designs, own.designs)
    assert torch.equal(data.properties, own.properties)
    assert data.space == own.space
    assert (data.batch_size, data.property_name) == (own.batch_size, own.property_name)
    draws = 2 * torch.randn(50, *own.space.shape, generator=torch.Generator().manual_seed(0))
    made = own.nearest_allowed(draws.double())
    assert torch.equal(data.nearest_allowed(draws.double()), made)
    assert torch.equal(data.feasible(made), own.feasible(made))
    assert torch.equal(data.cells(made).lower, own.cells(made).lower)
    pd.testing.assert_frame_equal(data.to_user_units(made), own.to_user_units(made))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_truth_is_of_what_the_user_sees(function: str) -> None:
    known, data = FUNCTIONS[function], loaded(function=function, num_designs=60, noise=0.5)
    table = known.table(60, 0)
    np.testing.assert_allclose(truth_of(data, data.designs), known.truth(table), atol=1e-6)
    hidden = known.draw(300, np.random.default_rng(1))
    truth = truth_of(data, data.encode(hidden)).numpy()
    np.testing.assert_allclose(truth, known.truth(hidden), atol=1e-6)
    assert truth.max() > known.truth(table).max()
    assert truth_of(data, data.designs[:0]).shape == (0,)


def test_the_runs_seed_draws_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    data = loaded(num_designs=50)
    labels = FUNCTIONS["hartmann6"].table(50, 3)["y"].to_numpy()
    np.testing.assert_array_equal(data.properties, labels)


def test_options_reach_the_table() -> None:
    data = loaded(num_designs=50, noise=1.0, shuffled=True, num_idle_columns=1)
    assert data.known.noise == 1.0
    assert data.noise_std == pytest.approx(FUNCTIONS["hartmann6"].spread)
    labels = data.known.table(50, 0)["y"]
    np.testing.assert_array_equal(data.properties, labels)
    assert list(data.to_user_units(data.designs).columns)[-1] == "idle1"
    assert loaded(num_designs=50, hidden=0.0).properties.max() > data.known.spread


def test_several_results_are_those_of_a_users_table(tmp_path: Path) -> None:
    known, data = SEVERAL_RESULTS["reaction"], loaded(function="reaction", num_designs=60)
    known.table(60, 0).to_csv(tmp_path / "table.csv", index=False)
    columns = {name: column.options() for name, column in known.columns.items()}
    own = CSV(tmp_path / "table.csv", targets=dict(known.targets), columns=columns)
    own.setup("fit")
    assert torch.equal(data.designs, own.designs)
    assert torch.equal(data.properties, own.properties)
    assert data.results is not None
    assert data.results.names == ["yield", "cost", "purity"]


@pytest.mark.parametrize("held_out_fraction", [0.0, 0.2])
@pytest.mark.parametrize("function", SEVERAL_RESULTS)
def test_the_truth_of_several_is_their_advance(function: str, held_out_fraction: float) -> None:
    known = SEVERAL_RESULTS[function]
    data = loaded(function=function, num_designs=60, held_out_fraction=held_out_fraction)
    drawn = known.draw(300, np.random.default_rng(1))
    expected = known.truth(drawn)
    assert data.true_results is not None
    designs = data.encode(drawn)
    np.testing.assert_allclose(data.true_results(designs), expected, rtol=1e-9, atol=1e-6)
    visible = torch.tensor(
        known.table(60, 0)[list(known.targets)].to_numpy()[~data.problem.held_out]
    )
    advance = Advance.beyond(known.goals, visible).of(torch.from_numpy(expected))
    np.testing.assert_allclose(truth_of(data, designs), advance, atol=1e-5)
    assert truth_of(data, designs).max() > data.properties.max()


@pytest.mark.filterwarnings("ignore:design iteration", "ignore:.*covariance of the search model")
def test_a_batch_is_scored_by_its_true_results(tmp_path: Path) -> None:
    data = KnownFunction("reaction", num_designs=40)
    writer, judge = callbacks.CandidateWriter(num_candidates=6), callbacks.BatchScoring()
    oracle = for_results(GaussianProcess(), True)
    run(tmp_path, writer, judge, data=data, search_model=Product(), oracle=oracle)
    true = SEVERAL_RESULTS["reaction"].truth(pd.read_csv(tmp_path / "candidates.csv"))
    scores = judge.scores
    assert scores["realised_share_meeting_limits"] == (true[:, 2] >= 90).mean()
    results = data.problem.results
    assert results is not None
    beyond = (results.advance.of(torch.from_numpy(true)) > 0).double().mean().item()
    assert scores["realised_share"] == beyond


def test_behind_the_cliff_the_truth_is_low() -> None:
    plain, data = loaded(num_designs=100), loaded(num_designs=100, cliff=True)
    assert torch.equal(data.properties, plain.properties)
    drawn = data.encode(data.known.draw(3000, np.random.default_rng(0)))
    before, truth = truth_of(plain, drawn), truth_of(data, drawn)
    edge = data.properties.max() + 0.3 * data.known.spread
    assert (before > edge).sum() > 100
    assert torch.equal(truth[before <= edge], before[before <= edge])
    assert (truth[before > edge] < data.properties.max() - 2 * data.known.spread).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"function": "hartman6"}, "data.function: there is no hartman6. Did you mean hartmann6"),
        ({"num_designs": 0}, "data.num_designs must be at least 1"),
        ({"num_idle_columns": -1}, "num_idle_columns at least 0"),
        ({"noise": -0.1}, "data.noise must be finite and not negative: -0.1"),
        ({"function": "paint", "cliff": True}, "data.function: paint has several results; cliff"),
        ({"function": "dtlz2", "shuffled": True}, "dtlz2 has several results; cliff and shuffled"),
        ({"hidden": 1.0}, r"data.hidden must lie in \[0, 1\), not 1.0"),
    ],
)
def test_impossible_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        KnownFunction(**options)


def test_what_measurements_scatter_by_is_known_to_metrics() -> None:
    toy = Toy(noise_std=0.3)
    toy.setup("fit")
    assert toy.noise_std == 0.3


class Unread(KnownFunction):
    """A truth that says when it is read."""

    def load(self) -> tuple[Tensor, Tensor]:
        table = super().load()
        self.ground_truth = _say_so
        return table


class TruthReadError(Exception):
    pass


def _say_so(designs: Tensor) -> Tensor:
    raise TruthReadError


@pytest.mark.filterwarnings("ignore:design iteration", "ignore:the covariance of the search model")
def test_only_metrics_read_the_truth(tmp_path: Path) -> None:
    def searched(folder: Path, *more: Any) -> None:
        data = Unread("mixed", num_designs=40)
        writer, model = callbacks.CandidateWriter(num_candidates=6), Product()
        run(folder, writer, *more, data=data, search_model=model, oracle=GaussianProcess())

    searched(tmp_path / "without", callbacks.Report(write=False))
    assert len(pd.read_csv(tmp_path / "without" / "candidates.csv")) == 6
    for judge in (callbacks.Scoring(), callbacks.BatchScoring()):
        with pytest.raises(TruthReadError):
            searched(tmp_path / "with", judge)


@pytest.mark.filterwarnings("ignore:.*had lost rank", "ignore:.*the covariance of the search model")
@pytest.mark.usefixtures("blank_pages")
def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--search.num_iterations=2", "--search.num_samples=300", "--num_candidates=8"]
    words = ["--data=KnownFunction", "--data.function=mixture", "--data.num_designs=40"]
    main(["fit", "--config=my_data.yaml", "--model=GaussianProcess", *words, *small])
    (found,) = tmp_path.rglob("candidates.csv")
    candidates = pd.read_csv(found)
    assert len(candidates) == 8
    parts = list(FUNCTIONS["mixture"].sums_to_one)
    np.testing.assert_allclose(candidates[parts].sum(axis=1), 1, atol=1e-9)
    assert candidates["temp"].between(20, 120).all()
    trajectory = pd.read_csv(found.parent / "trajectory.csv")
    assert trajectory["ground_truth_p80"].notna().all()
