"""What a benchmark leaves on disk, and finds there when it is started again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lightning_mbo.benchmark.plan import Run
from lightning_mbo.benchmark.results import Results
from lightning_mbo.benchmark.worker import Outcome
from lightning_mbo.errors import DataError


def run_of(key: str = "k", trial: int = 0, arm: str = "off") -> Run:
    return Run("CEM/PI", {"data.n": 10}, arm, trial, ["--a=1"], key, f"oracle-{key}")


GOOD = Outcome(
    scores={"median": 1.5, "max": 0.1 + 0.2},
    trajectory=[
        {"design_iteration": 0, "oracle_p80": 3.0, "effective_sample_size": 7.0},
        {"design_iteration": 1, "oracle_p80": 4.0, "effective_sample_size": 6.0},
    ],
    best_iteration=1,
    verdict="caution",
    seconds=2.0,
    cpu_seconds=1.5,
    initial_oracle=b"oracle",
)
BAD = Outcome(seconds=1.0, error="it broke, badly", traceback="Traceback ...")


def test_a_row_holds_names_scores_and_the_best_iteration(tmp_path: Path) -> None:
    Results(tmp_path).add(run_of(), GOOD)
    results = Results(tmp_path)
    row = results.rows([run_of()]).iloc[0].to_dict()
    assert row == {
        "method": "CEM/PI",
        "data.n": 10,
        "arm": "off",
        "trial": 0,
        "median": 1.5,
        "max": 0.1 + 0.2,
        "best_iteration": 1,
        "verdict": "caution",
        "oracle_p80": 4.0,
        "effective_sample_size": 6.0,
        "seconds": 2.0,
        "cpu_seconds": 1.5,
        "error": "",
        "key": "k",
    }
    trajectory = results.trajectories([run_of()])
    assert trajectory["oracle_p80"].tolist() == [3.0, 4.0]
    assert set(trajectory["method"]) == {"CEM/PI"}
    assert not list(tmp_path.rglob("*partial*"))


@pytest.mark.parametrize("cut", [3, 12])
def test_a_row_that_was_cut_is_left_out_and_said(
    cut: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(tmp_path)
    runs = [run_of(key=f"{i:016x}") for i in range(3)]
    for run in runs:
        results.add(run, GOOD)
    path = tmp_path / "rows.csv"
    path.write_text(path.read_text()[:-cut])
    left = Results(tmp_path)
    assert f"{path}: 1 of 3 rows cut short, whose runs are to be done again" in (
        capsys.readouterr().out
    )
    assert [left.finished(run) for run in runs] == [True, True, False]
    left.add(runs[2], GOOD)
    assert len(path.read_text().splitlines()) == 4
    assert len(Results(tmp_path).rows(runs)) == 3


def test_a_finished_run_is_known_by_its_options_and_trial_under_any_name(tmp_path: Path) -> None:
    Results(tmp_path).add(run_of(), GOOD)
    results = Results(tmp_path)
    assert results.finished(run_of(arm="renamed"))
    assert results.rows([run_of(arm="renamed")])["arm"].tolist() == ["renamed"]
    assert not results.finished(run_of(trial=1))
    assert not results.finished(run_of(key="other"))
    assert results.rows([run_of(trial=1)]).empty


def test_a_failed_run_is_not_finished_until_it_goes_well(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(run_of(), BAD)
    results = Results(tmp_path)
    assert not results.finished(run_of())
    assert results.rows([run_of()])["error"].tolist() == ["it broke, badly"]
    assert results.error_path(run_of()).read_text() == "Traceback ..."
    assert results.trajectories([run_of()]).empty
    results.add(run_of(), GOOD)
    assert Results(tmp_path).finished(run_of())
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 1


def test_rows_of_other_settings_are_kept(tmp_path: Path) -> None:
    Results(tmp_path).add(run_of("one"), GOOD)
    results = Results(tmp_path)
    results.add(run_of("two"), GOOD)
    assert pd.read_csv(tmp_path / "rows.csv")["key"].tolist() == ["one", "two"]
    assert results.rows([run_of("two")])["key"].tolist() == ["two"]


def test_the_initial_oracle_is_found_by_model_data_and_trial(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert results.initial_oracle(run_of()) is None
    results.add(run_of(), GOOD)
    assert Results(tmp_path).initial_oracle(run_of(arm="on")) == b"oracle"
    assert results.initial_oracle(run_of(trial=1)) is None


def test_another_table_in_its_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("name,age\nx,3\n")
    with pytest.raises(DataError, match=r"rows\.csv is not the table of a benchmark"):
        Results(tmp_path)
    assert path.read_text() == "name,age\nx,3\n"
