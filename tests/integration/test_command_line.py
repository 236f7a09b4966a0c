"""Every command and every way to give it its options, as a user types them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import lightning_mbo.data
from lightning_mbo.cli import main
from lightning_mbo.data import Toy
from tests.integration.small_runs import QUIET, VERSION_0, figures, fit

CONFIGS = Path(lightning_mbo.data.__file__).parents[2] / "configs"
pytestmark = pytest.mark.usefixtures("blank_pages")


def candidates(folder: Path) -> bytes:
    return (folder / "candidates.csv").read_bytes()


def files(folder: str | Path) -> set[str]:
    return {str(path) for path in Path(folder).rglob("*") if path.is_file()}


def contents(folder: str | Path) -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in files(folder)}


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What a command that exits with success prints."""
    with pytest.raises(SystemExit) as stop:
        main(list(args))
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def finished(small_run: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that tests may read and must not change."""
    root = tmp_path_factory.mktemp("finished")
    fit(small_run, f"--trainer.default_root_dir={root}")
    return root / "cbas_af" / "version_0"


@pytest.fixture
def run_folder(finished: Path) -> Path:
    """A copy of that run, as if it had been made here."""
    shutil.copytree(finished, VERSION_0)
    return VERSION_0


def test_printed_config_runs(
    finished: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    printed = shown(capsys, "fit", "--config=cbas_af.yaml", *small_run, "--print_config")
    Path("mine.yaml").write_text(printed)
    main(["fit", "--config=mine.yaml", QUIET])
    assert candidates(Path("runs/mine/version_0")) == candidates(finished)


def test_saved_config_runs(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents("runs")
    root = yaml.safe_load((run_folder / "config.yaml").read_text())["trainer"]["default_root_dir"]
    fit([], "--trainer.default_root_dir=runs", config=f"{run_folder}/config.yaml")
    assert root != "runs"
    again = Path("runs/cbas_af/version_1")
    assert candidates(again) == candidates(run_folder)
    assert (again / "trajectory.csv").read_bytes() == (run_folder / "trajectory.csv").read_bytes()
    saved = (again / "config.yaml").read_text()
    assert saved == (run_folder / "config.yaml").read_text().replace(root, "runs")
    assert {name: content for name, content in contents("runs").items() if name in before} == before


def test_relative_paths_in_a_config_are_of_the_working_directory(
    small_run: list[str], small_table: Path
) -> None:
    shutil.copy(small_table, "table.csv")
    options = ["--data.path=table.csv", "--search.num_iterations=1"]
    fit(small_run, *options)
    main(["fit", f"--config={VERSION_0}/config.yaml"])
    assert candidates(Path("runs/cbas_af/version_1")) == candidates(VERSION_0)


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, command, "--help")
    for option in (
        "--config",
        "--seed_everything",
        "--trainer.max_epochs",
        "--model",
        "--data",
        "--search",
        "--autofocus.alpha",
        "--convergence.patience",
        "--num_candidates",
        "--ckpt_path",
    ):
        assert f"{option} " in text, option
    # A class has options of its own, which stand elsewhere.
    assert "--search.help SearchModelUpdate" in " ".join(text.split())


def test_a_config_in_the_working_directory_wins(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["fit", "--config=cbas_af.yaml", "--print_config"]
    assert yaml.safe_load(shown(capsys, *args))["autofocus"]["alpha"] == "auto"
    Path("cbas_af.yaml").write_text("search:\n  algorithm: CbAS\nautofocus:\n  alpha: 0.7\n")
    assert yaml.safe_load(shown(capsys, *args))["autofocus"]["alpha"] == 0.7


def test_later_configs_and_flags_win(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more.yaml").write_text("autofocus:\n  alpha: 0.3\nsearch:\n  num_samples: 9\n")
    args = ["fit", "-c", "cbas_af.yaml", "-c", "more.yaml", "--search.num_samples=8"]
    config = yaml.safe_load(shown(capsys, *args, "--print_config"))
    assert config["autofocus"]["alpha"] == 0.3
    search = config["search"]["init_args"]
    assert search["num_samples"] == 8
    assert search["algorithm"]["class_path"] == "lightning_mbo.CbAS"


def test_short_class_names(capsys: pytest.CaptureFixture[str]) -> None:
    args = [
        "--model=DeepEnsemble",
        "--model.num_members=5",
        "--data=Superconductor",
        "--search.algorithm=CbAS",
        "--search.algorithm.quantile=0.8",
        "--search.search_model=MultivariateNormal",
    ]
    config = yaml.safe_load(shown(capsys, "fit", *args, "--print_config"))
    assert config["model"]["class_path"] == "lightning_mbo.DeepEnsemble"
    assert config["model"]["init_args"]["num_members"] == 5
    assert config["data"]["class_path"] == "lightning_mbo.data.Superconductor"
    search = config["search"]["init_args"]
    algorithm = search["algorithm"]
    assert algorithm["class_path"] == "lightning_mbo.CbAS"
    assert algorithm["init_args"]["quantile"] == 0.8
    model = search["search_model"]["class_path"]
    assert model == "lightning_mbo.MultivariateNormal"


def test_a_class_that_is_chosen_has_its_own_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--model=RegressionEnsemble", "--search=GradientAscent", "--search.num_steps=7"]
    args += ["--data=Toy", "--data.num_designs=50"]
    config = yaml.safe_load(shown(capsys, "fit", *args, "--print_config"))
    model, search = config["model"]["init_args"], config["search"]["init_args"]
    assert (model["num_members"], model["hidden_sizes"]) == (5, [256, 256])
    assert search["num_steps"] == 7
    assert search["num_iterations"] == 1
    assert config["search"]["class_path"] == "lightning_mbo.GradientAscent"
    # Those of the default class are others, for instance noise of 1 K.
    assert config["data"]["init_args"]["noise_std"] == Toy().task.noise_std == 0.04
    assert config["data"]["init_args"]["num_designs"] == 50


def test_predict(run_folder: Path) -> None:
    before = contents("runs")
    for number, name in ((7, "predicted_candidates.csv"), (12, "predicted_candidates-2.csv")):
        main(["predict", f"--ckpt_path={run_folder}", f"--num_candidates={number}"])
        rows = figures(run_folder, name)
        assert len(rows) == number
        assert rows["oracle_mean"].is_monotonic_decreasing
    main(["predict", f"--ckpt_path={run_folder}/checkpoints/last.ckpt"])
    assert len(figures(run_folder, "predicted_candidates-3.csv")) == 100
    after = contents("runs")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 3
    # The same columns as the candidates of the run.
    columns = [
        (run_folder / name).read_text().splitlines()[0]
        for name in ("candidates.csv", "predicted_candidates.csv")
    ]
    assert columns[0] == columns[1]


def test_test(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents("runs")
    data_options = yaml.safe_load((run_folder / "config.yaml").read_text())
    del data_options["ckpt_path"], data_options["trainer"]
    Path("cbas_af.yaml").write_text(yaml.safe_dump(data_options))
    main(["test", f"--ckpt_path={run_folder}"])
    main(["test", f"--ckpt_path={run_folder}/checkpoints/best.ckpt"])
    main(["test", "--config=cbas_af.yaml", "--ckpt_path=best"])
    after = contents("runs")
    assert {name: after[name] for name in before} == before
    scores = [f"{run_folder}/scores{suffix}.csv" for suffix in ("", "-2", "-3")]
    assert after.keys() - before.keys() == set(scores)
    assert after[scores[0]] == after[scores[1]] == after[scores[2]]
    assert capsys.readouterr().out.count("Scores by the ground truth") == 3
    # The scores are of the samples that the trajectory's row is of.
    trajectory = pd.read_csv(run_folder / "trajectory.csv")
    row = trajectory.loc[trajectory["oracle_p80"].idxmax()]
    search = pd.read_csv(scores[0], index_col=0).loc["search"]
    assert search["max"] == pytest.approx(row["candidate_ground_truth_max"], rel=1e-4)
    assert search["median"] == pytest.approx(row["candidate_ground_truth_median"], rel=1e-2)


def test_validate(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents("runs")
    main(["validate", f"--ckpt_path={run_folder}"])
    assert "oracle/validation_loss" in capsys.readouterr().out
    assert contents("runs") == before


def test_mixed_precision(finished: Path, small_run: list[str]) -> None:
    fit(small_run, "--trainer.precision=bf16-mixed")
    for name in ("candidates.csv", "trajectory.csv"):
        assert np.isfinite(figures(VERSION_0, name)).all(axis=None)
    assert candidates(VERSION_0) != candidates(finished)
    state = torch.load(VERSION_0 / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_a_seed_is_a_run(finished: Path, small_run: list[str]) -> None:
    fit(small_run)
    fit(small_run, "--seed_everything=1")
    assert candidates(VERSION_0) == candidates(finished)
    other = Path("runs/cbas_af/version_1")
    assert candidates(other) != candidates(finished)
    assert (other / "trajectory.csv").read_bytes() != (finished / "trajectory.csv").read_bytes()


@pytest.mark.parametrize("option", ["fast_dev_run=true", "fast_dev_run=3"])
def test_a_run_cut_short(option: str, small_run: list[str]) -> None:
    fit(small_run, f"--trainer.{option}")
    assert not list(Path("runs").rglob("candidates.csv"))


@pytest.mark.parametrize("limit", ["max_epochs=1", "max_steps=1", "limit_train_batches=0"])
def test_a_run_without_candidates_is_no_success(limit: str, small_run: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        fit(small_run, f"--trainer.{limit}")
    assert f"(trainer.{limit.replace('=', ' ')})" in str(stopped.value)
    assert "before the first design iteration: there are no candidates" in str(stopped.value)
    assert not list(Path("runs").rglob("candidates.csv"))


def test_fast_dev_run_leaves_nothing(small_run: list[str]) -> None:
    fit(small_run, "--trainer.fast_dev_run=true", "--convergence.max_epochs=1")
    assert files("runs") == set()


def test_a_logger_of_the_users_own(finished: Path, small_run: list[str]) -> None:
    fit(small_run, "--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs")
    folder = VERSION_0
    assert candidates(folder) == candidates(finished)
    assert (folder / "checkpoints" / "best.ckpt").exists()
    assert (folder / "config.yaml").exists()
    # The logger's own file goes where the user wants it.
    metrics = pd.read_csv("logs/lightning_logs/version_0/metrics.csv")
    trajectory = pd.read_csv(folder / "trajectory.csv")
    logged = metrics["design/oracle_p80"].dropna().tolist()
    assert logged == pytest.approx(trajectory["oracle_p80"].tolist())


def test_a_run_with_a_logger_of_the_users_own_goes_on(small_run: list[str]) -> None:
    logger = ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs"]
    fit(small_run, *logger, "--search.num_iterations=1")
    fit(small_run, *logger, "--search.num_iterations=2", "--ckpt_path=last")
    rows = (VERSION_0 / "trajectory.csv").read_text().splitlines()
    assert len(rows) == 1 + 2


def test_without_a_logger_nothing_is_overwritten(small_run: list[str]) -> None:
    fit(small_run, "--trainer.logger=false", "--search.num_iterations=1")
    before = contents("runs")
    fit(small_run, "--trainer.logger=false", "--search.num_iterations=1", "--seed_everything=1")
    after = contents("runs")
    assert {name: after[name] for name in before} == before


def test_the_three_arms_differ(finished: Path, small_run: list[str]) -> None:
    fit(small_run, "--autofocus.enabled=false")
    fit(small_run, "--autofocus.alpha=0")
    original, control = VERSION_0, Path("runs/cbas_af/version_1")
    outcomes = {candidates(folder) for folder in (original, control, finished)}
    assert len(outcomes) == 3
    trajectories = [
        pd.read_csv(folder / "trajectory.csv") for folder in (original, control, finished)
    ]
    # All begin with the same oracle and the same samples.
    assert len({frame["oracle_p80"][0] for frame in trajectories}) == 1
    refitted = [frame["oracle_refitted"].tolist() for frame in trajectories]
    assert refitted == [[0] * 3, [1] * 3, [1] * 3]
    assert trajectories[1]["effective_sample_size"].nunique() == 1
    assert trajectories[0]["effective_sample_size"].nunique() == 3


def test_a_callback_of_the_users_own(
    finished: Path, small_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_callbacks.py").write_text(
        "from lightning_mbo.callbacks import DesignCallback\n"
        "class Spread(DesignCallback):\n"
        "    def __init__(self, factor: float = 1.0):\n"
        "        self.factor = factor\n"
        "    def on_search_model_update(self, trainer, oracle, iteration):\n"
        "        spread = iteration.samples.prediction.mean.std().item()\n"
        "        iteration.metrics['spread'] = self.factor * spread\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--trainer.callbacks+=users_callbacks.Spread", "--trainer.callbacks.factor=-2"]
    fit(small_run, *options)
    trajectory = pd.read_csv(VERSION_0 / "trajectory.csv")
    assert (trajectory["spread"] < 0).all()
    assert len(trajectory) == 3
    assert candidates(VERSION_0) == candidates(finished)
    # The saved config says it too.
    main(["fit", f"--config={VERSION_0}/config.yaml"])
    again = Path("runs/cbas_af/version_1/trajectory.csv").read_bytes()
    assert again == (VERSION_0 / "trajectory.csv").read_bytes()


def test_number_of_candidates(finished: Path, small_run: list[str]) -> None:
    fit(small_run, "--num_candidates=5")
    every, batch = (candidates(folder).splitlines() for folder in (finished, VERSION_0))
    assert len(batch) == 1 + 5
    assert batch[:2] == every[:2]
    # In their order, which is best first.
    assert batch == [row for row in every if row in batch]


def test_the_name_of_a_config_never_leads_out_of_the_root(small_run: list[str]) -> None:
    shutil.copy(CONFIGS / "cbas_af.yaml", "...yaml")
    fit(small_run, "--search.num_iterations=1", config="...yaml")
    assert Path("runs/run/version_0/candidates.csv").exists()
    assert not list(Path.cwd().glob("version_*"))
