"""Two processes do what one does, to the accuracy of float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.cli import main
from tests import forked
from tests.blank_pages import blank_pages

TWO = ["--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp"]


def fit(root: Path, config: str, options: list[str], *more: str) -> Path:
    """The folder of a run in this process."""
    words = ["fit", f"--config={config}.yaml", f"--trainer.default_root_dir={root}"]
    with blank_pages():
        main([*words, *options, *more])
    return root / config / "version_0"


def fit_by_two(root: Path, config: str, options: list[str], *more: str) -> Path:
    """The folder of a run in two processes of its own."""
    words = ["fit", f"--config={config}.yaml", f"--trainer.default_root_dir={root}"]
    forked.run([*words, *options, *more, *TWO])
    return root / config / "version_0"


@pytest.fixture(scope="module")
def runs(
    small_run: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Path, Path]:
    root = tmp_path_factory.mktemp("processes")
    # 55 splits into shares of 28 and 27: the global mean is not the mean of the shares' means.
    options = [*small_run, "--data.batch_size=55", "--search.num_samples=401"]
    one, two = fit(root / "one", "cbas_af", options), fit_by_two(root / "two", "cbas_af", options)
    return options, one, two


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
        torch.load(folder / "checkpoints" / "last.ckpt")["state_dict"]
        for folder in (
            fit(root / "first_one", "cbas_af", first),
            fit_by_two(root / "first_two", "cbas_af", first),
        )
    ]
    for name, values in states[0].items():
        # Adam divides by the root of squared gradients: its steps are as accurate as they are.
        torch.testing.assert_close(states[1][name], values, rtol=1e-4, atol=1e-5)


def test_what_learns_from_an_ascent_learns_the_same(tmp_path: Path, small_run: list[str]) -> None:
    options = [option for option in small_run if "num_samples" not in option]
    options += ["--search.num_steps=20", "--model.num_bins=5"]
    options += ["--model.query_weight=1", "--search.num_iterations=2", "--convergence.max_epochs=1"]
    one, two = (
        pd.read_csv(folder / "ascent.csv")
        for folder in (
            fit(tmp_path / "one", "nemo", options),
            fit_by_two(tmp_path / "two", "nemo", options),
        )
    )
    np.testing.assert_allclose(two, one, rtol=2e-3)


def test_two_processes_resume_what_one_began(runs: tuple[list[str], Path, Path]) -> None:
    options, one, _ = runs
    root = one.parents[2]
    fit(root / "began", "cbas_af", options, "--search.num_iterations=1")
    folder = fit_by_two(root / "began", "cbas_af", options, "--ckpt_path=last")
    expected, resumed = (pd.read_csv(f / "trajectory.csv") for f in (one, folder))
    np.testing.assert_allclose(resumed, expected, rtol=2e-4)


def test_a_closed_form_is_found_by_one_process_for_all(tmp_path: Path) -> None:
    options = ["--search.num_iterations=3", "--trainer.logger=false"]
    folders = (
        fit(tmp_path / "one", "toy_af", options),
        fit_by_two(tmp_path / "two", "toy_af", options),
    )
    for file in ("candidates.csv", "trajectory.csv"):
        one, two = (pd.read_csv(folder / file) for folder in folders)
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
    options = [f"--data.path={tmp_path}/table.csv", "--data.target=y"]
    options += ["--search.num_samples=401", "--search.num_iterations=3", "--autofocus.alpha=0.3"]
    options += more_options
    one, two = (
        pd.read_csv(folder / "trajectory.csv")
        for folder in (
            fit(tmp_path / "one", config, options),
            fit_by_two(tmp_path / "two", config, options),
        )
    )
    assert list(one) == list(two)
    assert len(one) == 3
    # Each judges its share of the samples, and sums over more rows are rounded otherwise.
    np.testing.assert_allclose(two, one, rtol=1e-6)
