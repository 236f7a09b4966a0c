"""The one-dimensional example by its shipped configs: what it leaves, and that it goes on."""

from __future__ import annotations

import importlib
from pathlib import Path

import pandas as pd
import pytest

from lightning_mbo.cli import main
from tests.integration.crashes import Crash, crash_at

callbacks = importlib.import_module("lightning_mbo.callbacks")

FOLDER = Path("runs/toy_af/version_0")
FILES = ("candidates.csv", "trajectory.csv", "trajectory.png", "search.png")


def fit(*options: str, config: str = "toy_af.yaml") -> None:
    main(
        [
            "fit",
            f"--config={config}",
            "--trainer.enable_progress_bar=false",
            "--search.num_iterations=6",
            "--search.algorithm.num_steps=6",
            "--search.num_samples=50",
            *options,
        ]
    )


def outcome(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run that nothing interrupts leaves."""
    root = tmp_path_factory.mktemp("straight")
    fit(f"--trainer.default_root_dir={root}")
    return outcome(root / "toy_af" / "version_0")


@pytest.mark.parametrize(
    ("owner", "hook", "count"),
    [
        ("SearchModelUpdate", "on_oracle_fit_end", 3),
        ("SearchPanels", "on_search_model_update", 4),
        ("SearchPanels", "on_train_end", 0),
    ],
)
def test_resumed_run_equals_straight_run(
    owner: str, hook: str, count: int, straight: dict[str, bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        crash_at(patch, hook, count, getattr(callbacks, owner))
        with pytest.raises(Crash):
            fit()
    assert not (FOLDER / ".end").exists()
    fit("--ckpt_path=last")
    assert outcome(FOLDER) == straight


@pytest.mark.usefixtures("blank_pages")
def test_the_same_run_in_both_arms() -> None:
    fit()
    fit(config="toy.yaml")
    autofocused, original = (
        pd.read_csv(folder / "trajectory.csv") for folder in (FOLDER, Path("runs/toy/version_0"))
    )
    assert autofocused["oracle_refitted"].tolist() == [1] * 6
    assert original["oracle_refitted"].tolist() == [0] * 6
    first = ["expected_ground_truth", "oracle_p80", "threshold"]
    assert autofocused.loc[0, first].tolist() == original.loc[0, first].tolist()
    assert autofocused["threshold"][5] > original["threshold"][5]


@pytest.mark.usefixtures("blank_pages")
def test_what_comes_after_fit(capsys: pytest.CaptureFixture[str]) -> None:
    fit()
    main(["test", f"--ckpt_path={FOLDER}"])
    main(["predict", f"--ckpt_path={FOLDER}", "--num_candidates=7"])
    main(["validate", f"--ckpt_path={FOLDER}"])
    assert "oracle/validation_loss" in capsys.readouterr().out
    scores = pd.read_csv(FOLDER / "scores.csv", index_col=0)
    trajectory = pd.read_csv(FOLDER / "trajectory.csv")
    best = trajectory.loc[trajectory["oracle_p80"].idxmax()]
    assert scores.loc["search", "max"] == pytest.approx(best["candidate_ground_truth_max"])
    candidates = pd.read_csv(FOLDER / "predicted_candidates.csv")
    assert len(candidates) == 7
    assert candidates["x"].between(0, 9.9).all()
    assert candidates["x"].is_unique
