"""Every shipped config, and what else a report is drawn of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import lightning_mbo.data
from tests.integration.small_runs import VERSION_0, figures, fit

CONFIGS = sorted((Path(lightning_mbo.data.__file__).parents[2] / "configs").glob("*.yaml"))
SEARCHES = {path: yaml.safe_load(path.read_text()).get("search", {}) for path in CONFIGS}
ALGORITHMS = [
    path
    for path, search in SEARCHES.items()
    if "algorithm" in search and not {"CSV", "TFBind8"} & set(path.read_text().split())
]
ASCENTS = [
    path
    for path, search in SEARCHES.items()
    if "GradientAscent" in str(search)
    and "class_path" not in yaml.safe_load(path.read_text()).get("data", {})
]


def test_there_are_shipped_configs() -> None:
    assert {"cbas.yaml", "cbas_af.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("config", ASCENTS, ids=lambda path: path.stem)
def test_shipped_config_of_an_ascent(config: Path, small_run: list[str]) -> None:
    options = [option for option in small_run if "num_samples" not in option]
    fit(options, "--search.num_iterations=2", "--search.num_steps=3", config=config.name)
    folder = Path("runs") / config.stem / "version_0"
    rows = figures(folder)
    assert len(rows) == 128
    assert np.isfinite(rows).all(axis=None)
    ascent = pd.read_csv(folder / "ascent.csv")
    assert ascent["step"].tolist() == list(range(1 + 2 * 3))
    assert np.isfinite(ascent).all(axis=None)
    assert (folder / "ascent.png").exists()
    assert (folder / "report.html").exists()


def test_the_two_dimensional_example() -> None:
    options = ["--model.hidden_sizes=[16]", "--search.num_steps=3", "--convergence.max_epochs=2"]
    fit(options, config="quadratic.yaml")
    folder = Path("runs/quadratic/version_0")
    assert {"ascent.png", "ascent_plane.png"} <= {path.name for path in folder.iterdir()}
    assert len(figures(folder)) == 128


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_conservative_model_is_an_oracle_like_others(
    precision: str, small_run: list[str]
) -> None:
    model = ["--model=ConservativeObjectiveModel", "--model.adversary=PersistentParticles"]
    # The class first: what follows are its options.
    fit([*model, *small_run], "--model.num_members=2", f"--trainer.precision={precision}")
    rows = figures(VERSION_0)
    assert np.isfinite(rows).all(axis=None)
    trajectory = pd.read_csv(VERSION_0 / "trajectory.csv")
    assert trajectory["oracle_refitted"].tolist() == [1, 1, 1]
    assert np.isfinite(trajectory).all(axis=None)


@pytest.mark.parametrize("config", ALGORITHMS, ids=lambda path: path.stem)
def test_shipped_config(config: Path, small_run: list[str]) -> None:
    options = small_run if "toy" not in config.stem else ["--search.num_samples=400"]
    fit(options, "--search.num_iterations=2", config=config.name)
    folder = Path("runs") / config.stem / "version_0"
    names = {path.name for path in folder.iterdir()}
    expected = {"candidates.csv", "trajectory.csv", "trajectory.png", "config.yaml", "report.html"}
    assert expected <= names
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    rows = figures(folder)
    assert len(rows) >= 400 // 5
    assert np.isfinite(rows).all(axis=None)
    trajectory = pd.read_csv(folder / "trajectory.csv")
    assert trajectory["design_iteration"].tolist() == [0, 1]
    autofocused = "autofocus" in yaml.safe_load(config.read_text())
    assert trajectory["oracle_refitted"].tolist() == [float(autofocused)] * 2


@pytest.mark.filterwarnings("ignore:.*samples count for")
@pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank")
def test_measured_labels(small_run: list[str], small_table: Path) -> None:
    fit(small_run, "--data.labels=measured", "--autofocus.enabled=false")
    rows = figures(VERSION_0)
    assert np.isfinite(rows).all(axis=None)
    assert len(rows) == 400 // 5
    assert {"mean_atomic_mass", "wtd_std_Valence"} <= set(rows.columns)


@pytest.mark.filterwarnings("ignore:.*constant columns are left out")
@pytest.mark.filterwarnings("ignore:.*samples count for")
@pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank")
def test_compositions(small_run: list[str]) -> None:
    fit(small_run, "--data.representation=composition", "--autofocus.enabled=false")
    rows = figures(VERSION_0)
    assert np.isfinite(rows).all(axis=None)
    assert {"Cu", "O"} <= set(rows.columns)
    assert "He" not in rows.columns
