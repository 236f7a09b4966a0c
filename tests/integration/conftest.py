"""A design run that is real in every part and takes a second."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

import lightning_mbo.tasks
from lightning_mbo.cli import main
from tests.blank_pages import blank_pages

SUBSET = Path(lightning_mbo.tasks.__file__).parent / "tables" / "superconductor_subset.csv.gz"


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every twentieth shipped superconductor, as a table of formulas."""
    path = tmp_path_factory.mktemp("data") / "small.csv"
    with gzip.open(SUBSET, "rt") as shipped, path.open("w", newline="") as small:
        rows = list(csv.reader(shipped))
        csv.writer(small).writerows([rows[0], *rows[1::20]])
    return path


@pytest.fixture(scope="session")
def small_run(small_table: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a run of three design iterations."""
    return [
        f"--data.path={small_table}",
        f"--data.cache_dir={tmp_path_factory.mktemp('cache')}",
        "--data.num_features=8",
        "--model.hidden_sizes=[16]",
        "--model.learning_rate=0.01",
        "--search.num_samples=400",
        "--search.num_iterations=3",
        "--convergence.max_epochs=4",
    ]


@pytest.fixture(scope="module")
def straight_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Path]:
    """Gives the folder of a run that nothing interrupts, made once for all tests that compare."""
    folders: dict[tuple[str, ...], Path] = {}

    def fit(options: list[str]) -> Path:
        if tuple(options) not in folders:
            root = tmp_path_factory.mktemp("straight")
            with blank_pages():
                main(["fit", *options, f"--trainer.default_root_dir={root}"])
            (folders[tuple(options)],) = root.glob("*/version_0")
        return folders[tuple(options)]

    return fit


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Results are equal to the bit for equal numbers of threads only: one, as a user has it.
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
