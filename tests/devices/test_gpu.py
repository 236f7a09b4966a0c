"""Every shipped config on a GPU, where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from lightning_mbo.cli import main
from tests.devices.shipped import RUNS, options_of

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank"),
    # Of lightning about the loader, which needs no workers, and of torch about reduced precision.
    pytest.mark.filterwarnings("default::UserWarning"),
]

TOLERANCE = 0.05
"""Relative, and of the spread of the figure's column where that is near zero. Samples are drawn on
the device, whose random numbers are others than the CPU's: the figures are means over them."""

ON_GPU = ["--trainer.accelerator=gpu", "--trainer.devices=1"]
ON_CPU = ["--trainer.accelerator=cpu"]


def fit(options: list[str], *more: str) -> pd.DataFrame:
    """A run's trajectory."""
    main(["fit", *options, *more])
    (folder,) = Path("runs").glob("*/version_0")
    assert (folder / "candidates.csv").is_file()
    return pd.read_csv(folder / "trajectory.csv")


def options_for(config: str, small_run: list[str], folder: Path) -> list[str]:
    """Two design iterations where a config allows several, with short oracle fits."""
    options = options_of(config, small_run, folder)
    options += ["--trainer.default_root_dir=runs", "--convergence.max_epochs=3"]
    ascent = any(option.startswith("--search.num_steps") for option in options)
    if not ascent or config.endswith("_af.yaml"):
        options += ["--search.num_iterations=2"]
    return [*options, "--search.num_samples=20000"] if not ascent else options


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("config", RUNS)
def test_it_runs_on_a_gpu(
    config: str, precision: str, small_run: list[str], tmp_path: Path
) -> None:
    trajectory = fit(
        options_for(config, small_run, tmp_path), *ON_GPU, f"--trainer.precision={precision}"
    )
    figures = trajectory[["oracle_p80", "threshold", "ensemble_disagreement"]]
    assert figures.notna().all(axis=None)


@pytest.mark.parametrize("config", RUNS)
def test_its_first_iteration_is_the_cpus(
    config: str, small_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options_for(config, small_run, tmp_path)
    found = {}
    for device, where in {"gpu": ON_GPU, "cpu": ON_CPU}.items():
        (tmp_path / device).mkdir()
        monkeypatch.chdir(tmp_path / device)
        found[device] = fit(options, *where, "--trainer.precision=32-true").iloc[0]
    for name in ("oracle_p80", "ensemble_disagreement"):
        assert found["gpu"][name] == pytest.approx(
            found["cpu"][name], rel=TOLERANCE, abs=TOLERANCE
        ), name


@pytest.mark.parametrize(
    "config", ["cbas_af.yaml", "toy_af.yaml", "coms_af.yaml", "cma_es_af.yaml"]
)
@pytest.mark.parametrize(("first", "then"), [(ON_GPU, ON_CPU), (ON_CPU, ON_GPU)])
def test_a_run_goes_on_on_the_other_device(
    config: str, first: list[str], then: list[str], small_run: list[str], tmp_path: Path
) -> None:
    options = options_for(config, small_run, tmp_path)
    before = fit(options, *first)
    after = fit(options, *then, "--search.num_iterations=4", "--ckpt_path=last")
    assert len(after) == 4
    pd.testing.assert_frame_equal(after.iloc[: len(before)], before)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs with CUDA")
@pytest.mark.parametrize("config", ["cbas_af.yaml", "quadratic.yaml"])
def test_two_processes_over_nccl(config: str, small_run: list[str], tmp_path: Path) -> None:
    options = options_for(config, small_run, tmp_path)
    two = ["--trainer.accelerator=gpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    path = f"{Path(__file__).parents[2]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    subprocess.run(
        [sys.executable, "-m", "lightning_mbo", "fit", *options, *two],
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    (folder,) = Path("runs").glob("*/version_0")
    assert (folder / "candidates.csv").is_file()
