"""Design runs on a table of the user's own whose oracle is fitted in one call."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.cli import main
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import AdditiveRegression, Oracle, Stack, TreeEnsemble
from tests.integration.crashes import Crash, crash_at

callbacks = importlib.import_module("lightning_mbo.callbacks")

KINDS: dict[str, type[Oracle]] = {
    "my_data": Stack,
    "my_data_additive": AdditiveRegression,
    "my_data_trees": TreeEnsemble,
}
SMALL = [
    "--data.path=table.csv",
    "--data.target=y",
    "--data.held_out_fraction=0.2",
    "--search.num_samples=300",
    "--search.num_iterations=3",
    "--trainer.enable_progress_bar=false",
    "--num_candidates=12",
]


@pytest.fixture(autouse=True)
def table() -> pd.DataFrame:
    """90 rows of a number, a whole number and a category."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"dose": rng.uniform(0, 5, 90), "cycles": rng.integers(1, 9, 90)})
    frame["solvent"] = rng.choice(["water", "ethanol", "toluene"], 90)
    frame["y"] = frame["dose"] - 0.2 * (frame["cycles"] - 5) ** 2
    frame["y"] += 3.0 * (frame["solvent"] == "ethanol") + 0.2 * rng.normal(size=90)
    frame.to_csv("table.csv", index=False)
    return frame


def fit(config: str, *more: str) -> None:
    main(["fit", f"--config={config}.yaml", *SMALL, *more])


def outcome(folder: Path) -> list[bytes]:
    return [(folder / f"{name}.csv").read_bytes() for name in ("candidates", "trajectory")]


@pytest.mark.parametrize("config", KINDS)
def test_shipped_config(config: str) -> None:
    fit(config)
    folder = Path("runs") / config / "version_0"
    assert (folder / "report.html").is_file()
    found = pd.read_csv(folder / "candidates.csv")
    assert len(found) == 12
    assert np.isfinite(found[["oracle_mean", "oracle_std", "dose", "cycles"]]).all(axis=None)
    assert (found["solvent"] == "ethanol").mean() > 0.8
    trajectory = pd.read_csv(folder / "trajectory.csv")
    assert trajectory["oracle_refitted"].iloc[0] in (0, 1)
    kind = KINDS[config]
    oracle = kind.load_from_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert oracle.predict(torch.zeros(2, 5)).mean.isfinite().all()


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize("config", KINDS)
@pytest.mark.parametrize(
    ("owner", "hook", "count"),
    [("SearchModelUpdate", "on_oracle_fit_end", 1), ("Trajectory", "on_search_model_update", 1)],
)
def test_resumed_run_equals_straight_run(
    config: str, owner: str, hook: str, count: int, straight_run: Callable[[list[str]], Path]
) -> None:
    options = ["--autofocus.alpha=0.3"]
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, hook, count, getattr(callbacks, owner))
        with pytest.raises(Crash):
            fit(config, *options)
    fit(config, *options, "--ckpt_path=last")
    straight = straight_run([f"--config={config}.yaml", *SMALL, *options])
    assert outcome(Path("runs", config, "version_0")) == outcome(straight)


@pytest.mark.usefixtures("blank_pages")
def test_additive_regression_can_be_climbed_and_trees_cannot() -> None:
    ascent = ["--search=GradientAscent", "--search.num_steps=5", "--data.path=table.csv"]
    ascent += ["--data.target=y", "--trainer.enable_progress_bar=false"]
    main(["fit", "--config=grad.yaml", "--model=AdditiveRegression", "--data=CSV", *ascent])
    found = pd.read_csv("runs/grad/version_0/candidates.csv")
    assert np.isfinite(found["oracle_mean"]).all()
    with pytest.raises((ConfigurationError, SystemExit)) as stop:
        main(["fit", "--config=grad.yaml", "--model=TreeEnsemble", "--data=CSV", *ascent])
    assert "TreeEnsemble has none" in str(stop.value)
