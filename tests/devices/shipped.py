"""Every shipped config that is a run, with data that are small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

import lightning_mbo.data
from lightning_mbo.command_line import MBOCommandLine
from lightning_mbo.runs import leave_run_folder

CONFIGS = Path(lightning_mbo.data.__file__).parents[2] / "configs"

_PARTS = {"tf_bind_8.yaml": "cbas.yaml", "tf_bind_8_ascent.yaml": "grad.yaml"}
"""What is no run by itself, and what it goes after."""


def _is_run(path: Path) -> bool:
    return "methods" not in yaml.safe_load(path.read_text())


PATHS = {path.name: path for path in CONFIGS.rglob("*.yaml")}
RUNS = sorted(name for name, path in PATHS.items() if _is_run(path))


def options_of(name: str, small_run: list[str], folder: Path) -> list[str]:
    """Options of a small run with a shipped config.

    Args:
        name: Of the config.
        small_run: Options of a run with the default data, whose ground truth is fitted once.
        folder: Where the run's files go.
    """
    given = [_PARTS[name], name] if name in _PARTS else [name]
    content = {key: part for n in given for key, part in _merged(n).items()}
    data, search = str(content.get("data", "")), str(content.get("search", ""))
    options = [f"--config={n}" for n in given]
    if not data or ("batch_size" in data and "class_path" not in data):
        options += [option for option in small_run if option.startswith("--data.")]
    if data == "CSV":
        options += [f"--data.path={_mixed_table(folder)}", "--data.target=result"]
    if "published" in name:
        options += ["--model.hidden_sizes=[16]"]
    if "GradientAscent" in search:
        options += ["--search.num_steps=3", "--search.num_starts=16"]
    else:
        options += ["--search.num_samples=300"]
    return [*options, "--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={folder}"]


def _merged(name: str) -> dict:
    own = yaml.safe_load(PATHS[name].read_text())
    return {**(_merged(own.pop("config")) if "config" in own else {}), **own}


def _mixed_table(folder: Path) -> Path:
    """Numbers, a whole one among them, a category, and what was measured."""
    random = np.random.default_rng(0)
    length, count = random.normal(size=60), random.integers(0, 9, size=60)
    kind = random.choice(["a", "b", "c"], size=60)
    table = {"length": length, "count": count, "kind": kind, "result": length - (count - 4) ** 2}
    path = folder / "mixed.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    return path


class Unstarted(MBOCommandLine):
    """A run of the command line that has all its parts, and does not start."""

    def _run_subcommand(self, subcommand: str) -> None:
        leave_run_folder()
