"""A run's folder from somebody else, opened as a user would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from lightning_mbo.checkpoints import AtomicCheckpointIO, read_checkpoint
from lightning_mbo.cli import main

RUN = Path("theirs/my_data/version_0")
MARKING = """
from pathlib import Path
from lightning_mbo import DeepEnsemble
Path("marker").write_text("imported")

class Theirs(DeepEnsemble):
    pass

def short(table):
    Path("called").write_text("called")
    return (table["length"] >= 0).to_numpy()
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("theirs")
    table = pd.DataFrame({"length": range(1, 41), "width": [i * 7 % 11 for i in range(40)]})
    table["area"] = table["length"] * table["width"]
    table.to_csv(root / "table.csv", index=False)
    words = f"""fit --config=my_data.yaml --data.path={root}/table.csv --data.target=area
        --search.num_samples=50 --search.num_iterations=1
        --model=DeepEnsemble --model.hidden_sizes=[4]
        --convergence.max_epochs=1 --trainer.default_root_dir={root}/theirs --num_candidates=3"""
    main(words.split())
    return root / "theirs"


@pytest.fixture
def run(finished: Path) -> Path:
    """A run in the working directory, and a module beside it that leaves a file when imported."""
    shutil.copytree(finished, "theirs")
    Path("marking.py").write_text(MARKING)
    return RUN


def edit(run: Path, **changes: Any) -> None:
    """Change the run's config: `data__feasible_if` is data.init_args.feasible_if."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    for option, value in changes.items():
        *groups, last = option.split("__")
        place = config
        for group in groups:
            place = place[group]
        place[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def stopped(*words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    message = str(stop.value.code)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


RULE = {"data__init_args__feasible_if": "marking.short"}
MODEL = {"model__class_path": "marking.Theirs"}


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("place", ["", "/checkpoints/last.ckpt"])
def test_nothing_of_theirs_is_run(command: str, place: str, run: Path) -> None:
    for changes in (RULE, MODEL):
        shutil.copy(run / "config.yaml", "kept.yaml")
        edit(run, **changes)
        before = sorted(Path("theirs").rglob("*"))
        message = stopped(command, f"--ckpt_path={run}{place}")
        shutil.copy("kept.yaml", run / "config.yaml")
        assert "--trust marking" in message
        assert not Path("marker").exists()
        assert "marking" not in sys.modules
        assert sorted(Path("theirs").rglob("*")) == before


def test_a_function_of_the_standard_library_is_not_called(run: Path) -> None:
    edit(run, data__init_args__feasible_if="os.getcwd")
    assert "--trust os" in stopped("predict", f"--ckpt_path={run}")


def test_nothing_is_run_in_a_process_of_its_own(run: Path) -> None:
    """Where modules in the working directory are found as a user's are."""
    edit(run, **RULE)
    command = [sys.executable, "-m", "lightning_mbo", "predict", f"--ckpt_path={run}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "--trust marking" in done.stderr
    assert not Path("marker").exists()


def test_what_the_command_line_trusts_is_run(run: Path) -> None:
    edit(run, **RULE)
    main(["predict", f"--ckpt_path={run}", "--trust=marking", "--num_candidates=3"])
    assert Path("called").exists()


def test_an_oracle_that_is_trusted(run: Path) -> None:
    edit(run, **MODEL)
    main(["predict", f"--ckpt_path={run}", "--trust", "marking", "--num_candidates=3"])
    assert Path("marker").exists()


def test_a_config_that_the_user_names_is_the_users(run: Path) -> None:
    edit(run, **RULE)
    main(["predict", f"--config={run}/config.yaml", f"--ckpt_path={run}", "--num_candidates=3"])
    assert Path("called").exists()


def test_a_table_is_no_config(run: Path) -> None:
    """Though it may be of a class, which a file of options could choose."""
    Path("evil.yaml").write_text("class_path: marking.Theirs\n")
    edit(run, data__init_args__path="evil.yaml")
    stopped("predict", f"--ckpt_path={run}")
    assert not Path("marker").exists()


def test_a_checkpoint_names_no_class(run: Path) -> None:
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = read_checkpoint(path)
    checkpoint["hyper_parameters"] = {"_class_path": "marking.Theirs"}
    # Written as a run writes it: one that was merely changed is refused.
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    main(["predict", f"--ckpt_path={run}", "--num_candidates=3"])
    assert not Path("marker").exists()


def test_a_run_of_this_package_needs_no_trust(run: Path) -> None:
    main(["predict", f"--ckpt_path={run}", "--num_candidates=3"])
    assert len(pd.read_csv(run / "predicted_candidates.csv")) == 3
