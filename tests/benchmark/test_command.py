"""The command itself: real runs, killed, failing, and started again."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import lightning_mbo.data
from lightning_mbo.benchmark.fit_options import FitOptions
from lightning_mbo.benchmark.plan import Benchmark
from lightning_mbo.cli import main
from lightning_mbo.evidence.verdict import Verdict
from lightning_mbo.locks import FolderLock
from lightning_mbo.tasks.functions import FUNCTIONS

ROOT = Path(lightning_mbo.data.__file__).parents[2]
CONFIGS, README = ROOT / "configs", ROOT / "lightning_mbo" / "benchmark" / "README.md"

SECONDS = ["seconds", "cpu_seconds"]

SETTINGS = {
    "methods": {"CbAS": "cbas.yaml", "RWR": "rwr.yaml"},
    "arms": {
        "original": {"autofocus.enabled": False},
        "retrained": {"autofocus.alpha": 0},
        "autofocused": {"autofocus.alpha": 0.2},
    },
    "num_trials": 2,
    "num_processes": 1,
}


@pytest.fixture
def words(small_run: list[str]) -> list[str]:
    Path("small.yaml").write_text(yaml.safe_dump(SETTINGS))
    return ["benchmark", "--config=small.yaml", *small_run]


@pytest.fixture(scope="module")
def finished(small_run: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a benchmark that tests may read and must not change."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("small.yaml").write_text(yaml.safe_dump(SETTINGS))
        main(["benchmark", "--config=small.yaml", *small_run])
    return folder / "runs" / "small"


@pytest.fixture
def copied(finished: Path) -> None:
    """A copy of that benchmark, as if it had been made here."""
    shutil.copytree(finished, "runs/small")


def rows() -> pd.DataFrame:
    return pd.read_csv("runs/small/rows.csv", dtype=str, keep_default_na=False)


def shipped() -> dict[str, dict[str, Any]]:
    """The settings of all shipped benchmarks, and of those in the README."""
    settings = {path.name: yaml.safe_load(path.read_text()) for path in CONFIGS.rglob("*.yaml")}
    for example in re.findall(r"```yaml\n(.*?)```", README.read_text(), flags=re.DOTALL):
        settings[f"README {len(settings)}"] = yaml.safe_load(example)
    return {name: each for name, each in settings.items() if "methods" in each}


@pytest.mark.filterwarnings("ignore:LightningCLI.s args parameter")
@pytest.mark.parametrize("name", shipped())
def test_shipped_benchmarks_are_runs_of_fit(name: str) -> None:
    settings = shipped()[name]
    plan = Benchmark(**settings)
    runs = plan.runs(FitOptions().plain)
    num_cells = math.prod(len(values) for values in plan.grid.values())
    left_out = [
        method
        for task in plan.tasks.values()
        for method, own in task.get("methods", {}).items()
        if own is None
    ]
    num_entries = len(settings["methods"]) * (len(plan.tasks) or 1) - len(left_out)
    num_variants = num_entries * len(plan.arms) * num_cells
    assert len(runs) == num_variants * plan.num_trials
    assert len({(run.key, run.trial) for run in runs}) == len(runs)


def test_table_1_has_the_alpha_of_the_paper_beside_the_default() -> None:
    alphas = [arm.get("autofocus.alpha") for arm in shipped()["table1.yaml"]["arms"].values()]
    assert alphas == [None, 0, 0.2, "auto"]


@pytest.mark.filterwarnings("ignore:LightningCLI.s args parameter")
def test_amounts_of_elements_are_drawn_as_such() -> None:
    plain = FitOptions().plain
    settings = shipped()["superconductor_table.yaml"] | {"num_trials": 1}
    sampled = set()
    for run in Benchmark(**settings).runs(plain):
        search, data = plain(run.words)["search"], plain(run.words)["data"]
        assert data["init_args"]["representation"] == "composition"
        if search["class_path"].endswith("SearchModelUpdate"):
            # The table's own: amounts that are often zero.
            assert search["init_args"].get("search_model") is None
            sampled.add(run.name)
    assert len(sampled) == 4


@pytest.mark.usefixtures("copied", "blank_pages")
def test_a_row_says_what_fit_and_test_say(small_run: list[str]) -> None:
    table = rows().set_index(["method", "arm", "trial"])
    assert len(table) == 12
    assert set(table["error"]) == {""}
    # An arm that shared the initial oracle, and one that fitted it.
    for config, arm, seed, option in (
        ("rwr", "autofocused", 1, "--autofocus.alpha=0.2"),
        ("cbas", "original", 0, "--autofocus.enabled=false"),
    ):
        main(["fit", f"--config={config}.yaml", *small_run, option, f"--seed_everything={seed}"])
        main(["test", f"--ckpt_path=runs/{config}/version_0"])
        scores = pd.read_csv(f"runs/{config}/version_0/scores.csv").iloc[0]
        row = table.loc[{"rwr": "RWR", "cbas": "CbAS"}[config], arm, str(seed)]
        for name in ("median", "max", "pci", "rho", "rmse"):
            assert float(row[name]) == pytest.approx(scores[name], rel=1e-6)
        trajectory = Path(f"runs/{config}/version_0/trajectory.csv").read_text()
        (mine,) = Path("runs/small/trajectories").glob(f"*_{arm}_trial_{seed}_{row['key']}.csv")
        assert mine.read_text() == trajectory
    assert len(list(Path("runs/small/initial_oracles").iterdir())) == 2
    for name in ("tables.md", "averages.csv", "differences.csv", "averages.png"):
        assert (Path("runs/small") / name).stat().st_size > 0
    assert (Path("runs/small") / "trajectories.png").stat().st_size > 0


@pytest.mark.usefixtures("copied", "in_one_process")
def test_started_again_it_does_what_is_missing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = rows()
    main(words)
    assert "12 runs, of which 12 are done" in capsys.readouterr().out
    first.drop(index=[2, 4]).to_csv("runs/small/rows.csv", index=False)
    main(words)
    assert "12 runs, of which 10 are done" in capsys.readouterr().out
    key = ["method", "arm", "trial"]
    pd.testing.assert_frame_equal(
        rows().sort_values(key, ignore_index=True).drop(columns=SECONDS),
        first.sort_values(key, ignore_index=True).drop(columns=SECONDS),
    )


BATCHES = {
    "groups": {"cliff": "*, cliff", "smooth": "*"},
    "methods": {
        name: {
            "config": "my_data.yaml",
            "model": "GaussianProcess",
            "data": "KnownFunction",
            "data.function": "mixture",
            "data.num_designs": 40,
            "data.cliff": name.endswith("cliff"),
        }
        for name in ("mixture", "mixture, cliff")
    },
    "num_trials": 1,
    "num_processes": 1,
}


@pytest.mark.usefixtures("in_one_process", "blank_pages")
@pytest.mark.filterwarnings("ignore:design iteration", "ignore:the covariance of the search model")
def test_whether_what_was_said_of_batches_came_true(capsys: pytest.CaptureFixture[str]) -> None:
    Path("batches.yaml").write_text(yaml.safe_dump(BATCHES))
    small = ["--search.num_iterations=2", "--search.num_samples=300"]
    batch = [*small, "--num_candidates=8"]
    words = ["benchmark", "--config=batches.yaml"]
    main([*words, *batch, "--only=*cliff"])
    main([*words, *batch])
    shown = capsys.readouterr().out
    assert "2 runs, of which 1 are done" in shown
    assert "What was said of the batches, by verdict" in shown
    table = pd.read_csv("runs/batches/rows.csv").set_index("method")
    plain, cliff = table.loc["mixture"], table.loc["mixture, cliff"]
    # The same table, and the same batch: only what is true of it differs.
    for name in ("predicted_share", "verdict", "oracle_p80"):
        assert plain[name] == cliff[name]
    assert plain["batch_median"] > cliff["batch_median"]
    assert plain["realised_share"] > cliff["realised_share"]
    assert (table["cpu_seconds"] > 0).all()
    text = Path("runs/batches/tables.md").read_text()
    for part in ("s of CPU time", "median of the batch", "| smooth ", "| cliff ", "| all "):
        assert part in text
    assert Path("runs/batches/reliability.png").stat().st_size > 0
    averages = pd.read_csv("runs/batches/averages.csv")
    assert {"bound_held", "brier_score", "batch_best"} <= set(averages["metric"])
    # It is the batch that `fit` hands out.
    options = BATCHES["methods"]["mixture"]
    data = [f"--{name}={value}" for name, value in options.items() if name != "data.cliff"]
    main(["fit", *data, *batch])
    (folder,) = (path.parent for path in Path("runs/my_data").rglob("candidates.csv"))
    written = Verdict.of_run(folder)
    assert written is not None
    assert written.rating == plain["verdict"]
    candidates = pd.read_csv(folder / "candidates.csv")
    truth = FUNCTIONS["mixture"].truth(candidates)
    assert plain["batch_median"] == pytest.approx(np.median(truth), rel=1e-6)
    best_label = FUNCTIONS["mixture"].table(40, 0)["y"].max()
    assert plain["realised_share"] == (truth > best_label).mean()


@pytest.mark.usefixtures("copied")
def test_without_a_batch_nothing_is_said_of_one() -> None:
    assert "batch_median" not in rows()
    assert "batches" not in Path("runs/small/tables.md").read_text()
    assert not Path("runs/small/reliability.png").exists()


def test_trust_has_twenty_problems_and_more() -> None:
    plan = Benchmark(**shipped()["trust.yaml"])
    groups = [plan.group_of(name) for name in plan.methods]
    assert {name: groups.count(name) for name in plan.groups} == {
        "noisy": 12,
        "cliff": 6,
        "shuffled": 6,
        "smooth": 21,
        "others": 3,
    }


def test_a_failed_run_is_reported_and_the_others_go_on(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = SETTINGS | {
        "methods": {"CbAS": "cbas.yaml", "worse": {"config": "rwr.yaml", "data.num_designs": 5}},
        "arms": {"original": {"autofocus.enabled": False}},
        "num_trials": 1,
    }
    Path("small.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(SystemExit, match="1 of 2 runs failed; the reasons are in"):
        main(words)
    shown = capsys.readouterr().out
    assert "failed: worse original trial 0: 5 designs are too few" in shown
    good, bad = sorted(rows()["error"])
    assert good == ""
    assert bad.startswith("5 designs are too few")
    (traceback,) = Path("runs/small/errors").iterdir()
    assert "DataError" in traceback.read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed_everything=3"], "--seed_everything does not go with benchmark"),
        (["--search.num_sample=3"], "Did you mean num_samples"),
        (["--data.path=nowhere.csv"], "--data.path is given twice"),
        (["--num_trials=0"], "num_trials must be at least 1"),
        (["--num_trial=2"], "num_trial"),
    ],
)
def test_mistakes_are_one_line(more: list[str], message: str, words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*words, *more])
    assert message in str(stop.value)
    assert "\n" not in str(stop.value)
    assert not Path("runs/small/rows.csv").exists()


@pytest.mark.usefixtures("in_one_process")
def test_killed_it_loses_only_the_runs_in_flight(words: list[str]) -> None:
    command = [sys.executable, "-m", "lightning_mbo", *words, "--num_processes=2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("3/12"):
                break
        process.kill()
        # Its processes, which write to the same pipe, end too.
        process.communicate(timeout=60)
    before = rows()
    assert 3 <= len(before) < 12
    assert set(before["error"]) == {""}
    started = time.time()
    main(words)
    after = rows().set_index(["method", "arm", "trial"])
    assert len(after) == 12
    for _, row in before.iterrows():
        assert after.loc[(row["method"], row["arm"], row["trial"]), "seconds"] == row["seconds"]
    assert started < Path("runs/small/tables.md").stat().st_mtime


@pytest.mark.usefixtures("in_one_process")
def test_a_table_without_a_truth_needs_held_out_rows(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [f"{i},{i % 7},{(3 * i) % 11}" for i in range(60)]
    Path("table.csv").write_text("\n".join(["a,b,y", *numbers]))
    Path("own.yaml").write_text(yaml.safe_dump({"methods": {"CbAS": "my_data.yaml"}}))
    words = ["benchmark", "--config=own.yaml", "--data.path=table.csv", "--data.target=y"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    message = str(stop.value.code)
    assert "\n" not in message
    for part in ("ground truth", "--data.held_out_fraction 0.2", "--data TFBind8", "fit"):
        assert part in message
    assert capsys.readouterr().out == ""
    assert not Path("runs").exists()
    small = ["--search.num_samples=100", "--search.num_iterations=1", "--convergence.max_epochs=2"]
    more = ["--num_trials=1", "--num_processes=1", "--data.held_out_fraction=0.2"]
    main([*words, *small, *more])
    (row,) = pd.read_csv("runs/own/rows.csv").to_dict("records")
    assert math.isfinite(row["held_out_rank_correlation"])
    assert "The best of" not in capsys.readouterr().out


def test_two_at_once(words: list[str]) -> None:
    Path("runs/small").mkdir(parents=True)
    lock = FolderLock(Path("runs/small"), "")
    with pytest.raises(SystemExit) as stop:
        main(words)
    lock.release()
    assert re.fullmatch(
        r"error: runs/small is in use by .*: wait for it or end it, or give another --output_dir",
        str(stop.value.code),
    )
