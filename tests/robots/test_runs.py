"""Runs on robots, by the command line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from lightning_mbo.cli import main

pytestmark = [
    pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra robots"),
    pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:LightningCLI"),
]

SMALL = [
    "--data.visible_percentile=3",
    "--convergence.max_epochs=2",
    "--search.num_steps=3",
    "--search.num_starts=12",
    "--trainer.enable_progress_bar=false",
]


def written(folder: str, config: str) -> dict[str, bytes]:
    (run,) = Path(folder).glob(f"{config}/version_0")
    return {name: (run / name).read_bytes() for name in ("candidates.csv", "trajectory.csv")}


@pytest.mark.usefixtures("blank_pages")
def test_a_resumed_run_ends_as_a_straight_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ant = ["fit", "--config=ant_morphology.yaml", *SMALL]
    main([*ant, "--trainer.default_root_dir=straight", "--search.num_iterations=2"])
    resumed = [*ant, "--trainer.default_root_dir=resumed"]
    main([*resumed, "--search.num_iterations=1"])
    main([*resumed, "--search.num_iterations=2", "--ckpt_path=last"])
    straight = written("straight", "ant_morphology")
    assert written("resumed", "ant_morphology") == straight
    rows = pd.read_csv(Path("straight/ant_morphology/version_0/trajectory.csv"))
    assert rows["candidate_ground_truth_max"].notna().all()


def test_a_policy_has_candidates_a_report_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config=hopper.yaml", *SMALL, "--trainer.default_root_dir=runs"])
    folder = Path("runs/hopper/version_0")
    candidates = pd.read_csv(folder / "candidates.csv", nrows=2)
    assert len(candidates.columns) > 5123
    assert list(candidates)[-1] == "layer_3_bias_2"
    page = (folder / "report.html").read_text()
    assert "The best row of the table: return " in page
    assert "What matters, and how" not in page, "of 5,123 weights"
    assert (folder / "motions.png").stat().st_size > 10_000


def test_a_full_covariance_of_a_policy_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "fit",
                "--config=cbas.yaml",
                "--search.search_model=MultivariateNormal",
                "--data=Hopper",
                "--data.visible_percentile=1",
            ]
        )
    message = str(stop.value)
    assert "of 5,123 there are too many" in message
    assert "leave --search.search_model out" in message
    assert "\n" not in message.strip()
