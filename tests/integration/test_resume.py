"""A run that was interrupted anywhere ends as if it never had been."""

from __future__ import annotations

import importlib
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.cli import main
from lightning_mbo.searches import inverse_map
from tests import forked
from tests.blank_pages import blank_pages
from tests.integration.crashes import Crash, crash_at
from tests.tables_of_results import TARGETS, table_of_results

callbacks = importlib.import_module("lightning_mbo.callbacks")

StraightRun = Callable[[list[str]], Path]

ARMS = {
    "original": ["--autofocus.enabled=false"],
    "retrained": ["--autofocus.alpha=0"],
    "autofocused": [],
    "by a classifier": ["--autofocus.ratio=classifier"],
    "cma_es": [
        "--search.algorithm=CMAES",
        "--search.search_model=CMANormal",
        "--autofocus.alpha=auto",
    ],
}

PARTICLES = ["--model.adversary.num_particles=20"], {"log_alpha", "adversary.particles"}
ASCENTS = {
    "coms": PARTICLES,
    "coms_af": PARTICLES,
    "nemo": (["--search.num_iterations=2", "--model.num_bins=5"], {"bins", "averages.weights.0"}),
    "ram": (["--search.num_iterations=2"], {"level", "slope"}),
}
"""Options of a small ascent, and what its checkpoints hold."""


def fit(options: list[str], *more: str) -> None:
    main(["fit", "--config=cbas_af.yaml", "--trainer.enable_progress_bar=false", *options, *more])


def outcome(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "candidates.csv").read_bytes(), (folder / "trajectory.csv").read_bytes()


def crashed_and_resumed(options: list[str], owner: str, hook: str, count: int) -> Path:
    """The folder of a run that something has interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, hook, count, getattr(callbacks, owner))
        with pytest.raises(Crash):
            main(["fit", *options])
    main(["fit", *options, "--ckpt_path=last"])
    (folder,) = Path("runs").glob("*/version_0")
    return folder


@pytest.fixture(scope="module")
def straight(
    small_run: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[bytes, bytes]]:
    """What a run that nothing interrupts leaves, by arm."""
    outcomes = {}
    for arm, options in ARMS.items():
        root = tmp_path_factory.mktemp(arm)
        with blank_pages():
            fit(small_run + options, f"--trainer.default_root_dir={root}")
        outcomes[arm] = outcome(root / "cbas_af" / "version_0")
    return outcomes


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize(
    ("owner", "hook", "count"),
    [
        ("OracleConvergence", "on_train_epoch_start", 0),
        ("OracleConvergence", "on_train_epoch_start", 2),
        ("SearchModelUpdate", "on_oracle_fit_end", 0),
        ("SearchModelUpdate", "on_oracle_fit_end", 1),
        ("ImportanceWeighting", "on_search_model_update", 1),
        ("Trajectory", "on_search_model_update", 2),
        ("DesignCheckpoint", "_save_last_checkpoint", 4),
        ("CandidateWriter", "on_train_end", 0),
    ],
)
def test_resumed_run_equals_straight_run(
    arm: str, owner: str, hook: str, count: int, small_run: list[str], straight: dict
) -> None:
    options = small_run + ARMS[arm]
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, hook, count, getattr(callbacks, owner))
        with pytest.raises(Crash):
            fit(options)
    folder = Path("runs/cbas_af/version_0")
    assert not (folder / "candidates.csv").exists()
    fit(options, "--ckpt_path=last")
    assert outcome(folder) == straight[arm]
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize("config", ASCENTS)
@pytest.mark.parametrize(
    ("owner", "hook", "count"),
    [
        ("OracleConvergence", "on_train_epoch_start", 2),
        ("GradientAscent", "on_oracle_fit_end", 1),
        ("AscentTrajectory", "on_search_model_update", 1),
        ("AscentTrajectory", "on_train_end", 0),
    ],
)
def test_a_resumed_ascent_equals_a_straight_one(
    config: str, owner: str, hook: str, count: int, small_run: list[str], straight_run: StraightRun
) -> None:
    options = [option for option in small_run if "num_samples" not in option]
    more, kept = ASCENTS[config]
    options += [f"--config={config}.yaml", "--search.num_steps=3", *more]
    whole = straight_run(options)
    resumed = crashed_and_resumed(options, owner, hook, count)
    assert outcome(resumed) == outcome(whole)
    assert (resumed / "ascent.csv").read_bytes() == (whole / "ascent.csv").read_bytes()
    assert (resumed / "ascent.png").read_bytes() == (whole / "ascent.png").read_bytes()
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (whole, resumed)
    ]
    assert states[0].keys() == states[1].keys()
    assert kept <= states[0].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize(
    ("owner", "hook", "count"),
    [("OracleConvergence", "on_train_epoch_start", 2), ("ModelInversion", "on_oracle_fit_end", 1)],
)
def test_a_resumed_inversion_equals_a_straight_one(
    owner: str,
    hook: str,
    count: int,
    small_run: list[str],
    straight_run: StraightRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inverse_map, "FIRST_STEPS", 50)
    options = ["--config=mins.yaml", *small_run, "--autofocus.ratio=classifier"]
    options += ["--autofocus.alpha=auto"]
    whole = straight_run(options)
    resumed = crashed_and_resumed(options, owner, hook, count)
    assert outcome(resumed) == outcome(whole)


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize(
    ("owner", "hook", "count", "num_inducing"),
    [
        ("OracleConvergence", "on_train_epoch_start", 1, 1000),
        ("SearchModelUpdate", "on_oracle_fit_end", 1, 1000),
        ("ImportanceWeighting", "on_search_model_update", 1, 1000),
        ("ImportanceWeighting", "on_search_model_update", 1, 30),
        ("DesignCheckpoint", "_save_last_checkpoint", 3, 30),
        ("CandidateWriter", "on_train_end", 0, 1000),
    ],
)
def test_a_resumed_run_with_a_gaussian_process(
    owner: str, hook: str, count: int, num_inducing: int, straight_run: StraightRun
) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.uniform(size=(80, 3)), columns=["a", "b", "c"])
    frame["solvent"] = draw.choice(["DMF", "THF", "MeOH"], 80)
    frame["y"] = frame["a"] * frame["b"] + (frame["solvent"] == "THF") + draw.normal(size=80) / 9
    frame.to_csv("table.csv", index=False)
    options = ["--config=cbas_gp.yaml", "--data.path=table.csv", "--data.target=y"]
    options += ["--search.num_samples=300", "--search.num_iterations=4", "--autofocus.alpha=auto"]
    options += ["--trainer.enable_progress_bar=false", f"--model.num_inducing={num_inducing}"]
    whole = straight_run(options)
    resumed = crashed_and_resumed(options, owner, hook, count)
    assert outcome(resumed) == outcome(whole)
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (whole, resumed)
    ]
    assert states[0].keys() == states[1].keys()
    assert {"hyper_parameters", "factor"} <= states[0].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize(
    ("owner", "hook", "count"),
    [
        ("OracleConvergence", "on_train_epoch_start", 1),
        ("SearchModelUpdate", "on_oracle_fit_end", 1),
        ("DesignCheckpoint", "_save_last_checkpoint", 2),
        ("CandidateWriter", "on_train_end", 0),
    ],
)
def test_a_resumed_run_for_several_results(
    owner: str, hook: str, count: int, straight_run: StraightRun
) -> None:
    pytest.importorskip("botorch")
    table_of_results().to_csv("table.csv", index=False)
    options = ["--config=my_data.yaml", "--data.path=table.csv", f"--data.targets={TARGETS}"]
    options += ["--search.num_samples=200", "--search.num_iterations=3", "--autofocus.alpha=0.2"]
    options += ["--model=GaussianProcess", "--num_candidates=8"]
    options += ["--trainer.enable_progress_bar=false"]
    whole = straight_run(options)
    resumed = crashed_and_resumed(options, owner, hook, count)
    assert outcome(resumed) == outcome(whole)


@pytest.mark.usefixtures("blank_pages")
def test_resuming_from_an_earlier_checkpoint_makes_a_new_run(small_run: list[str]) -> None:
    fit(small_run)
    first = Path("runs/cbas_af/version_0")
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    fit(small_run, f"--ckpt_path={first}/checkpoints/best.ckpt")
    second = Path("runs/cbas_af/version_1")
    assert outcome(second) == outcome(first)
    assert (second / "checkpoints" / "best.ckpt").exists()
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("owner", "hook", "count"),
    [
        ("OracleConvergence", "on_train_epoch_start", 2),
        ("HeldOut", "on_search_model_update", 1),
        ("CandidateWriter", "on_train_end", 0),
    ],
)
def test_a_resumed_run_has_the_same_report(
    owner: str, hook: str, count: int, small_run: list[str]
) -> None:
    options = [*small_run, "--data.held_out_fraction=0.1", "--search.select=held_out_likelihood"]
    root = "--trainer.default_root_dir=runs"
    fit(options, root)
    whole = Path("runs").rename("straight") / "cbas_af" / "version_0"
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, hook, count, getattr(callbacks, owner))
        with pytest.raises(Crash):
            fit(options, root)
    fit(options, root, "--ckpt_path=last")
    resumed = Path("runs/cbas_af/version_0")
    assert outcome(resumed) == outcome(whole)
    assert (resumed / "report.html").read_bytes() == (whole / "report.html").read_bytes()


@pytest.mark.usefixtures("blank_pages")
def test_a_finished_run_is_left_alone(
    small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fit(small_run)
    folder = Path("runs/cbas_af/version_0")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(SystemExit) as stop:
        fit(small_run, "--ckpt_path=last")
    assert stop.value.code == 0
    assert "This run is finished: 3 of 3 design iterations" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.usefixtures("blank_pages")
def test_a_finished_run_can_be_extended(small_run: list[str]) -> None:
    fit(small_run, "--trainer.default_root_dir=straight", "--search.num_iterations=4")
    fit(small_run)
    fit(small_run, "--ckpt_path=last", "--search.num_iterations=4")
    assert outcome(Path("runs/cbas_af/version_0")) == outcome(Path("straight/cbas_af/version_0"))


@pytest.mark.usefixtures("blank_pages")
def test_kill_9_at_random_moments(small_run: list[str]) -> None:
    options = [*small_run, "--search.num_iterations=6"]
    fit(options, "--trainer.default_root_dir=straight")
    command = ["fit", "--config=cbas_af.yaml", *options, "--ckpt_path=last"]
    folder = Path("runs/cbas_af/version_0")
    moments = random.Random(0)
    for _ in range(2):
        process = forked.start(command)
        before = len(list(folder.rglob("*")))
        while process.is_alive() and len(list(folder.rglob("*"))) <= before + 2:
            time.sleep(0.02)  # until the run has begun: importing is not worth killing
        time.sleep(moments.uniform(0, 1.0))
        process.kill()
        process.join()
    # It may have been finished before.
    forked.run(command)
    assert outcome(folder) == outcome(Path("straight/cbas_af/version_0"))


@pytest.mark.usefixtures("blank_pages")
def test_a_changed_option_wins_over_the_checkpoint(small_run: list[str]) -> None:
    fit(small_run, "--search.num_iterations=1")
    fit(small_run, "--ckpt_path=last", "--search.num_iterations=2", "--search.num_samples=300")
    folder = Path("runs/cbas_af/version_0")
    assert len((folder / "trajectory.csv").read_text().splitlines()) == 3
    # The first config stays, and the changed one is saved beside it.
    assert "num_samples: 400" in (folder / "config.yaml").read_text()
    assert "num_samples: 300" in (folder / "config-2.yaml").read_text()


@pytest.mark.usefixtures("blank_pages")
def test_other_data_are_refused(small_run: list[str], small_table: Path) -> None:
    fit(small_run, "--search.num_iterations=1")
    with pytest.raises(SystemExit, match="other training data"):
        fit(small_run, "--ckpt_path=last", "--seed_everything=1")


@pytest.mark.usefixtures("blank_pages")
def test_a_run_killed_before_its_first_checkpoint_starts_over(
    small_run: list[str], straight: dict
) -> None:
    folder = Path("runs/cbas_af/version_0")
    folder.mkdir(parents=True)
    fit(small_run, "--ckpt_path=last")
    assert outcome(folder) == straight["autofocused"]


@pytest.mark.usefixtures("blank_pages")
def test_a_run_folder_can_be_moved(
    small_run: list[str], straight: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(small_run, "--search.num_iterations=2")
    shutil.move("runs", "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    folder = tmp_path / "moved" / "cbas_af" / "version_0"
    fit(small_run, f"--ckpt_path={folder}/checkpoints/last.ckpt")
    assert outcome(folder) == straight["autofocused"]
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("blank_pages")
def test_on_resuming_the_command_line_decides(small_run: list[str]) -> None:
    """That the checkpoint knows what its oracle was made of does not mean that it is wanted."""
    fit(small_run, "--search.num_iterations=1")
    last = Path("runs/cbas_af/version_0/checkpoints/last.ckpt")
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint["oracle"]["arguments"]["learning_rate"] == 0.01
    assert "hyper_parameters" not in checkpoint
    used = []

    class Watching(callbacks.DesignCallback):
        def on_train_start(self, trainer, oracle) -> None:
            used.append(oracle.learning_rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.Trajectory, "on_train_start", Watching.on_train_start)
        fit(small_run, "--model.learning_rate=0.003", f"--ckpt_path={last}")
    assert used == [0.003]
    assert len((last.parents[1] / "trajectory.csv").read_text().splitlines()) == 4
