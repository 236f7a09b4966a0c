"""A run where torch's default is double precision: nothing of it follows the default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.cli import main

RUNS = {
    "deep": ["--config=cbas_af.yaml"],
    "regression": ["--config=grad_mean.yaml", "--search.num_steps=5"],
    "nemo": ["--config=nemo.yaml", "--search.num_steps=5", "--model.num_bins=5"],
    "ranking": ["--config=ram.yaml", "--search.num_steps=5"],
    "conservative": ["--config=coms.yaml", "--search.num_steps=5"],
    "convolutional": [
        "--config=sequences.yaml",
        "--data.visible_percentile=5",
        "--model.num_channels=8",
    ],
    "logits": ["--config=coms_tf_bind_8.yaml", "--data.visible_percentile=5"],
    "kernel ridge": ["--config=toy_af.yaml", "--search.num_iterations=4"],
    "gaussian process": ["--config=cbas_gp.yaml", "--data.target=y"],
    "cma": ["--config=cma_es_af.yaml"],
}

CLOSED_FORMS = ("gaussian process", "kernel ridge")
SHORT = ["--search.num_samples=200", "--search.num_iterations=2"]
pytestmark = pytest.mark.usefixtures("blank_pages")


def table() -> str:
    """Sixty rows of numbers and categories, in the working directory."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.uniform(size=(60, 2)), columns=["a", "b"])
    frame["solvent"] = draw.choice(["DMF", "THF"], 60)
    frame.assign(y=frame["a"] - frame["b"] ** 2).to_csv("table.csv", index=False)
    return "table.csv"


@pytest.fixture
def _double() -> Iterator[None]:
    """Afterwards the default is single precision again."""
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("kind", RUNS)
def test_the_default_dtype_changes_nothing(kind: str, small_run: list[str]) -> None:
    options = [*RUNS[kind], "--trainer.enable_progress_bar=false"]
    if kind in ("deep", "cma"):
        options += small_run
    elif kind == "gaussian process":
        options += [f"--data.path={table()}", *SHORT]
    elif kind in ("regression", "nemo", "ranking", "conservative"):
        options += [option for option in small_run if option.startswith("--data.")]
    if kind == "convolutional":
        options += SHORT
    if kind not in CLOSED_FORMS:
        options += ["--convergence.max_epochs=2"]
    files = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        main(["fit", *options, f"--trainer.default_root_dir={dtype}"])
        (folder,) = Path(str(dtype)).glob("*/version_0")
        files.append(
            [(folder / f"{name}.csv").read_bytes() for name in ("candidates", "trajectory")]
        )
        last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        expected = torch.float64 if kind in CLOSED_FORMS else torch.float32
        found = {value.dtype for value in last["state_dict"].values() if value.is_floating_point()}
        assert found == {expected}
    assert files[0] == files[1]
