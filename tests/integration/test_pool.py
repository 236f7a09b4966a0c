"""A list of the user's own, ranked after a run and searched by one."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.cli import main
from tests import forked
from tests.integration.crashes import Crash, crash_at

callbacks = importlib.import_module("lightning_mbo.callbacks")

SMALL = [
    "--data.path=table.csv",
    "--data.target=yield",
    "--model=DeepEnsemble",
    "--model.hidden_sizes=[16]",
    "--model.learning_rate=0.01",
    "--convergence.max_epochs=20",
    "--trainer.enable_progress_bar=false",
]
SAMPLES = ["--search.num_samples=200", "--search.num_iterations=2", "--num_candidates=8"]
POOL = ["--search=PoolSearch", "--search.path=pool.csv"]
RUN = Path("runs/my_data/version_0")


def made(number: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"temp": rng.uniform(20, 120, number).round(1)})
    frame["hours"] = rng.integers(1, 25, number)
    frame["solvent"] = rng.choice(["water", "toluene", "ethanol"], number)
    frame["ligand"] = np.where(rng.uniform(size=number) < 0.3, None, "L1")
    return frame


@pytest.fixture
def table() -> pd.DataFrame:
    """120 reactions of which ten have not been tried."""
    frame = made(120, 0)
    noise = np.random.default_rng(1).normal(0, 2, 120)
    frame["yield"] = (40 + 0.3 * frame["temp"] - 0.5 * frame["hours"] + noise).round(2)
    frame.loc[110:, "yield"] = np.nan
    frame.to_csv("table.csv", index=False)
    return frame


@pytest.fixture
def pool(table: pd.DataFrame) -> pd.DataFrame:
    """A catalogue of 60, of which the last four have been tried."""
    frame = pd.concat([made(56, 2), table.iloc[:4, :4]], ignore_index=True)
    frame.insert(0, "catalogue number", [f"C{i:02d}" for i in range(60)])
    frame.to_csv("pool.csv", index=False)
    return frame


@pytest.fixture
def fit(pool: pd.DataFrame) -> Callable[..., None]:
    def run(*more: str) -> None:
        main(["fit", "--config=my_data.yaml", *SMALL, *more])

    return run


def predicted(number: int | None = None) -> pd.DataFrame:
    name = "predicted_candidates" + ("" if number is None else f"-{number}")
    return pd.read_csv(RUN / f"{name}.csv", dtype={"ligand": object})


def rank_list(*more: str) -> None:
    main(["predict", f"--ckpt_path={RUN}", *more])


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank")
@pytest.mark.filterwarnings("ignore:table.csv. 10 of 120 rows are left out")
def test_a_list_is_ranked_by_a_run_s_oracle(
    fit: Callable[..., None], pool: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(*SAMPLES, "--data.held_out_fraction=0.2")
    rank_list("--candidates=pool.csv")
    found = predicted()
    printed = capsys.readouterr().out
    assert "pool.csv: 4 of 60 designs are in the table and not handed out" in printed
    assert f"56 candidates written to {RUN / 'predicted_candidates.csv'}" in printed
    # The list whole, whatever the search was asked for, with all its columns, best first.
    assert sorted(found["catalogue number"]) == [f"C{i:02d}" for i in range(56)]
    own = pool.set_index("catalogue number").loc[found["catalogue number"]].reset_index()
    pd.testing.assert_frame_equal(found[list(pool)], own, check_dtype=False)
    assert (found["oracle_mean"].diff().iloc[1:] <= 0).all()
    assert found[["oracle_mean", "temp"]].corr().iloc[0, 1] > 0.5
    # The figures of all candidates.
    written = pd.read_csv(RUN / "candidates.csv")
    assert len(written) == 8
    assert list(found)[: -len(pool.columns)] == list(written)[:-4]
    assert np.isfinite(found[["log_prob_search_model", "log_prob_training_distribution"]]).all(
        axis=None
    )
    # As a batch, and with what is known.
    rank_list("--candidates=pool.csv", "--num_candidates=5")
    batch = predicted(2)
    assert len(batch) == 5
    assert batch["catalogue number"].iloc[0] == found["catalogue number"].iloc[0]
    assert set(batch["catalogue number"]) != set(found["catalogue number"].iloc[:5])
    rank_list("--candidates=pool.csv", "--keep_known=true")
    assert len(predicted(3)) == 60
    # Of the table itself, the rows that have not been tried.
    rank_list("--candidates=table.csv")
    untried = predicted(4)
    assert len(untried) == 10
    assert "yield" not in untried
    # A list that was made of candidates has new figures.
    predicted().assign(oracle_mean=-1.0).to_csv("again.csv", index=False)
    rank_list("--candidates=again.csv")
    columns = ["oracle_mean", "catalogue number"]
    pd.testing.assert_frame_equal(predicted(5)[columns], found[columns])


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.filterwarnings("ignore:table.csv. 10 of 120 rows are left out")
def test_mistakes_are_one_line(fit: Callable[..., None], pool: pd.DataFrame) -> None:
    fit(*SAMPLES)
    pool.drop(columns="hours").to_csv("short.csv", index=False)
    pool.assign(solvent="DMF").to_csv("other.csv", index=False)
    for words, parts in (
        (["predict", f"--ckpt_path={RUN}", "--candidates=nowhere.csv"], ["nowhere.csv is missing"]),
        (["predict", f"--ckpt_path={RUN}", "--candidates=short.csv"], ["no column 'hours'"]),
        (
            ["predict", f"--ckpt_path={RUN}", "--candidates=other.csv"],
            ["other.csv, column 'solvent', data row 1: 'DMF' is no level", "knows no other"],
        ),
        (
            ["fit", "--config=my_data.yaml", *SMALL, "--candidates=pool.csv"],
            ["--candidates is for predict, not for fit", "--search PoolSearch --search.path FILE"],
        ),
        (
            ["fit", "--config=my_data.yaml", *SMALL, *POOL, "--autofocus.alpha=auto"],
            ["PoolSearch has none: give --autofocus.enabled false"],
        ),
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        message = str(stop.value.code)
        assert message.startswith("error: ")
        assert "\n" not in message
        assert all(part in message for part in parts), message
    assert not list(RUN.glob("predicted*"))


@pytest.mark.usefixtures("blank_pages")
def test_a_run_without_a_table_has_no_list(tmp_path: Path) -> None:
    options = ["--search.num_samples=200", "--search.num_iterations=1"]
    main(["fit", "--config=toy.yaml", "--trainer.enable_progress_bar=false", *options])
    with pytest.raises(SystemExit, match="with --data CSV: Toy has none"):
        main(["predict", "--ckpt_path=runs/toy/version_0", "--candidates=pool.csv"])


@pytest.mark.filterwarnings("ignore:table.csv. 10 of 120 rows are left out")
def test_a_search_in_a_list(
    fit: Callable[..., None], pool: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(*POOL, "--num_candidates=12", "--data.held_out_fraction=0.2")
    printed = capsys.readouterr().out
    found = pd.read_csv(RUN / "candidates.csv")
    assert len(found) == 12
    assert set(found["catalogue number"]) <= set(pool["catalogue number"].iloc[:56])
    assert "The best of 12 candidates: yield" in printed
    assert found["catalogue number"][0] in printed
    assert f"Candidates: {Path.cwd() / RUN / 'candidates.csv'}" in printed
    names = {path.name for path in RUN.iterdir()}
    assert {"report.html", "trajectory.csv", "trajectory.png", "config.yaml"} <= names
    assert len(pd.read_csv(RUN / "trajectory.csv")) == 1
    # A run that is finished says so, and may be asked for the whole list.
    with pytest.raises(SystemExit) as stop:
        fit(*POOL, "--ckpt_path=last")
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "This run is finished: 1 of 1 design iterations" in printed
    assert "num_iterations" not in printed
    rank_list("--num_candidates=null")
    assert len(predicted()) == 56
    rank_list("--candidates=table.csv")
    assert len(predicted(2)) == 10
    main(["test", f"--ckpt_path={RUN}"])
    assert "There is no ground truth" in capsys.readouterr().out


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.filterwarnings("ignore:table.csv. 10 of 120 rows are left out")
def test_rows_without_a_target_are_searched(fit: Callable[..., None], table: pd.DataFrame) -> None:
    fit("--search=PoolSearch")
    found = pd.read_csv(RUN / "candidates.csv")
    assert sorted(found["temp"]) == sorted(table["temp"].iloc[110:])


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.filterwarnings("ignore:table.csv. 10 of 120 rows are left out")
@pytest.mark.parametrize(
    ("owner", "hook", "at"),
    [
        ("OracleConvergence", "on_train_epoch_start", 2),
        ("PoolSearch", "on_oracle_fit_end", 0),
        ("CandidateWriter", "on_train_end", 0),
    ],
)
def test_a_resumed_search_equals_a_straight_one(
    owner: str,
    hook: str,
    at: int,
    fit: Callable[..., None],
    straight_run: Callable[[list[str]], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = [*POOL, "--data.held_out_fraction=0.2", "--num_candidates=9"]
    with monkeypatch.context() as patch:
        crash_at(patch, hook, at, getattr(callbacks, owner))
        with pytest.raises(Crash):
            fit(*options)
    assert not (RUN / "candidates.csv").exists()
    fit(*options, "--ckpt_path=last")
    straight = straight_run(["--config=my_data.yaml", *SMALL, *options])
    for name in ("candidates.csv", "trajectory.csv"):
        assert (RUN / name).read_bytes() == (straight / name).read_bytes()


def test_two_processes_write_and_say_what_one_does(pool: pd.DataFrame) -> None:
    two = ["--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp"]
    words = ["fit", "--config=my_data.yaml", *SMALL, *POOL, *two]
    command = [sys.executable, "-m", "lightning_mbo", *words]
    shown = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True).stdout
    assert shown.count("pool.csv: 4 of 60 designs are in the table") == 1
    assert shown.count("The best of 56 candidates: yield") == 1
    found = pd.read_csv(RUN / "candidates.csv")
    assert sorted(found["catalogue number"]) == [f"C{i:02d}" for i in range(56)]
    forked.run(["predict", f"--ckpt_path={RUN}", "--candidates=pool.csv"])
    again = predicted()
    np.testing.assert_allclose(again["oracle_mean"], found["oracle_mean"], rtol=1e-5)
    assert len(list(RUN.glob("predicted*"))) == 1
