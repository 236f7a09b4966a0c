"""Two processes do what one does, to the accuracy of float32."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

TWO = ["--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp"]


def fit(root: str, options: list[str], *more: str, config: str = "cbas_af") -> Path:
    subprocess.run(
        [
            sys.executable,
            *("-m", "lightning_mbo", "fit", f"--config={config}.yaml"),
            f"--trainer.default_root_dir={root}",
            *options,
            *more,
        ],
        check=True,
        timeout=300,
    )
    return Path(root) / config / "version_0"


@pytest.fixture(scope="module")
def runs(
    small_run: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Path, Path]:
    root = tmp_path_factory.mktemp("processes")
    # 55 splits into shares of 28 and 27: the global mean is not the mean of the shares' means.
    options = [*small_run, "--data.batch_size=55", "--search.num_samples=401"]
    return options, fit(f"{root}/one", options), fit(f"{root}/two", options, *TWO)


def test_one_run_s_files(runs: tuple[list[str], Path, Path]) -> None:
    _, one, two = runs
    assert sorted(path.name.split(".")[0] for path in one.iterdir()) == sorted(
        path.name.split(".")[0] for path in two.iterdir()
    )
    assert [path.name for path in two.parent.iterdir()] == ["version_0"]


def test_trajectories_agree(runs: tuple[list[str], Path, Path]) -> None:
    one, two = (pd.read_csv(folder / "trajectory.csv") for folder in runs[1:])
    assert list(one) == list(two)
    np.testing.assert_allclose(one, two, rtol=2e-4)


@pytest.mark.parametrize("model", ["DeepEnsemble", "RankingEnsemble"])
def test_parameters_agree_after_the_first_fit(
    model: str, runs: tuple[list[str], Path, Path]
) -> None:
    options, one, _ = runs
    root = one.parents[2] / model
    options = [*options, f"--model={model}", "--model.hidden_sizes=[16]"]
    first = [*options, "--search.num_iterations=1", "--convergence.max_epochs=1"]
    states = [
        torch.load(fit(f"{root}/{name}", first, *more) / "checkpoints" / "last.ckpt")["state_dict"]
        for name, more in (("first_one", []), ("first_two", TWO))
    ]
    for name, values in states[0].items():
        # Adam divides by the root of squared gradients: its steps are as accurate as they are.
        torch.testing.assert_close(states[1][name], values, rtol=1e-4, atol=1e-5)


def test_what_learns_from_an_ascent_learns_the_same(tmp_path: Path, small_run: list[str]) -> None:
    options = [option for option in small_run if "num_samples" not in option]
    options += ["--search.num_steps=20", "--model.num_bins=5"]
    options += ["--model.query_weight=1", "--search.num_iterations=2", "--convergence.max_epochs=1"]
    one, two = (
        pd.read_csv(fit(f"{tmp_path}/{name}", options, *more, config="nemo") / "ascent.csv")
        for name, more in (("one", []), ("two", TWO))
    )
    np.testing.assert_allclose(two, one, rtol=2e-3)


def test_two_processes_resume_what_one_began(runs: tuple[list[str], Path, Path]) -> None:
    options, one, _ = runs
    root = one.parents[2]
    fit(f"{root}/began", options, "--search.num_iterations=1")
    folder = fit(f"{root}/began", options, "--ckpt_path=last", *TWO)
    expected, resumed = (pd.read_csv(f / "trajectory.csv") for f in (one, folder))
    np.testing.assert_allclose(resumed, expected, rtol=2e-4)


def test_a_closed_form_is_found_by_one_process_for_all(tmp_path: Path) -> None:
    options = ["--config=toy_af.yaml", "--search.num_iterations=3", "--trainer.logger=false"]
    for root, more in (("one", []), ("two", TWO)):
        words = ["fit", *options, f"--trainer.default_root_dir={tmp_path / root}", *more]
        subprocess.run([sys.executable, "-m", "lightning_mbo", *words], check=True, timeout=300)
    for file in ("candidates.csv", "trajectory.csv"):
        one, two = (
            pd.read_csv(tmp_path / root / "toy_af" / "version_0" / file) for root in ("one", "two")
        )
        # Some processors add up a few rows in another order than many.
        pd.testing.assert_frame_equal(two, one, rtol=1e-9)


@pytest.mark.parametrize(
    ("config", "more_options"),
    [
        ("cbas_gp", []),
        ("my_data", []),
        ("cbas_gp", ["--autofocus.ratio=classifier"]),
        ("cbas_gp", ["--search.search_model=GaussianMixture"]),
        ("cbas_gp", ["--search=ModelInversion", "--autofocus.ratio=classifier"]),
    ],
)
def test_an_oracle_in_closed_form_is_found_by_one_process_for_all(
    config: str, more_options: list[str], tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.uniform(size=(80, 3)), columns=["a", "b", "c"])
    table["y"] = table["a"] * table["b"] + draw.normal(size=80) / 9
    table.to_csv(tmp_path / "table.csv", index=False)
    options = [f"--config={config}.yaml", f"--data.path={tmp_path}/table.csv", "--data.target=y"]
    options += ["--search.num_samples=401", "--search.num_iterations=3", "--autofocus.alpha=0.3"]
    options += more_options
    for root, more in (("one", []), ("two", TWO)):
        words = ["fit", *options, f"--trainer.default_root_dir={tmp_path / root}", *more]
        subprocess.run([sys.executable, "-m", "lightning_mbo", *words], check=True, timeout=300)
    one, two = (
        pd.read_csv(tmp_path / root / config / "version_0" / "trajectory.csv")
        for root in ("one", "two")
    )
    assert list(one) == list(two)
    assert len(one) == 3
    # Each judges its share of the samples, and sums over more rows are rounded otherwise.
    np.testing.assert_allclose(two, one, rtol=1e-6)
