"""Scores by the ground truth, which nothing else ever reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from tests.callbacks.quadratic import (
    NUM_DESIGNS,
    NUM_SAMPLES,
    Quadratic,
    Recorder,
    callbacks,
    height,
    read_table,
    run,
)

SCORES = ["median", "max", "pci", "rho", "rmse"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all targets"),
    pytest.mark.usefixtures("_blank_pictures"),
]


def fitted(folder: Path, ground_truth: Callable | None) -> tuple[pl.Trainer, Recorder]:
    return run(
        folder,
        callbacks.Scoring(),
        callbacks.Trajectory(),
        callbacks.CandidateWriter(),
        callbacks.DesignCheckpoint(),
        data=Quadratic(ground_truth),
    )


def wavy(designs: Tensor) -> Tensor:
    return 3 * torch.sin(3 * designs[:, 0]) + designs[:, 1]


def expected(
    designs: NDArray[np.float64], means: NDArray[np.float64], quantile: float, best: float
) -> list[float]:
    truth = 3 * np.sin(3 * designs[:, 0]) + designs[:, 1]
    candidates = truth[means >= np.quantile(means, quantile)]
    return [
        float(np.median(candidates)),
        candidates.max(),
        100 * (candidates > best).mean(),
        stats.spearmanr(means, truth).statistic,
        np.sqrt(((means - truth) ** 2).mean()),
    ]


def test_scores_of_the_last_iteration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, recorder = fitted(tmp_path, wavy)
    # The best training label: wavy is greater than it for some of the samples.
    data = trainer.datamodule
    data.properties.clamp_(max=2.0)
    results = trainer.test(ckpt_path="last", datamodule=data, verbose=False)
    scores = pd.read_csv(tmp_path / "scores.csv", index_col=0)
    assert scores.index.tolist() == ["search", "training distribution"]
    assert scores.index.name == "samples of"
    assert scores.columns.tolist() == [*SCORES, "diversity_128", "novelty_128"]
    scores = scores[SCORES]

    designs = recorder.numpy(2)[0]
    with torch.no_grad():
        means = trainer.lightning_module(torch.from_numpy(designs).float()).loc.double().numpy()
    search = expected(designs, means, 0.8, best=2.0)
    assert 0 < search[2] < 100
    np.testing.assert_allclose(scores.loc["search"], search, rtol=1e-5)
    logged = {name: results[0][f"test/{name}"] for name in scores.columns}
    assert logged == pytest.approx(dict(zip(scores.columns, search, strict=True)), rel=1e-5)

    baseline = data.test_designs["training distribution"]().numpy()
    assert baseline.shape == (NUM_DESIGNS, 2)
    with torch.no_grad():
        means = trainer.lightning_module(torch.from_numpy(baseline).float()).loc.double().numpy()
    np.testing.assert_allclose(
        scores.loc["training distribution"], expected(baseline, means, 0.0, 2.0), rtol=1e-5
    )
    training = data.designs.numpy()
    assert not np.isin(baseline, training).any()
    whitened = (baseline - training.mean(0)) / training.std(0)
    assert np.abs(whitened.mean(0)).max() < 4 / np.sqrt(NUM_DESIGNS)

    shown = capsys.readouterr().out
    assert "height (m)" in shown
    assert f"{search[0]:.3g}" in shown


def test_the_checkpoint_says_which_iteration(tmp_path: Path) -> None:
    trainer, recorder = fitted(tmp_path, height)
    saved = trainer.checkpoint_callback.best_model_path
    state = torch.load(saved, weights_only=True)["callbacks"]["SearchModelUpdate"]
    scores = trainer.test(ckpt_path="best", datamodule=trainer.datamodule, verbose=False)[0]
    best = state["selector"]["best_iteration"]
    metrics = recorder.iterations[best].metrics
    assert scores["test/median"] == pytest.approx(
        metrics["candidate_ground_truth_median"], rel=1e-5
    )
    assert scores["test/max"] == pytest.approx(metrics["candidate_ground_truth_max"], rel=1e-5)


def test_a_second_test_keeps_the_first(tmp_path: Path) -> None:
    trainer, _ = fitted(tmp_path, height)
    trainer.test(ckpt_path="last", datamodule=trainer.datamodule, verbose=False)
    first = (tmp_path / "scores.csv").read_bytes()
    trainer.test(ckpt_path="last", datamodule=trainer.datamodule, verbose=False)
    assert (tmp_path / "scores.csv").read_bytes() == first
    assert (tmp_path / "scores-2.csv").read_bytes() == first


def test_each_set_of_samples_is_logged_with_its_own_scores(tmp_path: Path) -> None:
    trainer, _ = fitted(tmp_path, wavy)
    results = trainer.test(ckpt_path="last", datamodule=trainer.datamodule, verbose=False)
    scores = pd.read_csv(tmp_path / "scores.csv", index_col=0)
    for prefix, row in (("test/", "search"), ("test/baseline_", "training distribution")):
        for name, score in scores.loc[row].items():
            assert results[0][f"{prefix}{name}"] == pytest.approx(score)


def test_the_ground_truth_is_always_asked_in_float64(tmp_path: Path) -> None:
    asked: set[torch.dtype] = set()

    def ground_truth(designs: Tensor) -> Tensor:
        asked.add(designs.dtype)
        return height(designs)

    trainer, _ = fitted(tmp_path, ground_truth)
    trainer.test(ckpt_path="last", datamodule=trainer.datamodule, verbose=False)
    assert asked == {torch.float64}


def test_without_a_ground_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, recorder = fitted(tmp_path, None)
    assert all("truth" not in " ".join(i.metrics) for i in recorder.iterations)
    assert "truth" not in (tmp_path / "trajectory.csv").read_text()
    capsys.readouterr()
    assert not any(trainer.test(ckpt_path="last", datamodule=trainer.datamodule, verbose=False))
    assert "There is no ground truth for these data" in capsys.readouterr().out
    assert not list(tmp_path.glob("scores*"))


def forbidden(designs: Tensor) -> Tensor:
    raise AssertionError("the ground truth was read")


def test_search_never_reads_the_ground_truth(tmp_path: Path) -> None:
    _, recorder = run(
        tmp_path,
        callbacks.Trajectory(),
        callbacks.CandidateWriter(),
        callbacks.DesignCheckpoint(),
        data=Quadratic(forbidden),
    )
    assert len(recorder.iterations) == 3
    assert (tmp_path / "candidates.csv").exists()
    assert (tmp_path / "checkpoints" / "best.ckpt").exists()
    with pytest.raises(AssertionError, match="was read"):
        fitted(tmp_path / "scored", forbidden)


@pytest.mark.parametrize("other", [wavy, lambda designs: -height(designs), None])
def test_another_ground_truth_changes_nothing_but_the_scores(
    other: Callable | None, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    (_, first), (_, second) = fitted(one, height), fitted(two, other)
    assert (one / "candidates.csv").read_bytes() == (two / "candidates.csv").read_bytes()
    rows, other_rows = (read_table(folder / "trajectory.csv") for folder in (one, two))
    scored = [column for column in rows.columns if "ground_truth" in column]
    assert len(scored) == 3
    own = rows.drop(columns=scored)
    pd.testing.assert_frame_equal(
        own, other_rows.drop(columns=scored, errors="ignore"), check_exact=True
    )
    if other is not None:
        assert not np.isclose(rows[scored], other_rows[scored]).any()
    for a, b in zip(first.iterations, second.iterations, strict=True):
        assert torch.equal(a.samples.designs, b.samples.designs)
        assert torch.equal(a.samples.prediction.mean, b.samples.prediction.mean)
    best = [
        torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        for folder in (one, two)
    ]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


def test_iterations_without_candidates_have_no_scores(tmp_path: Path) -> None:
    data = Quadratic(forbidden)
    data.setup("fit")
    data.ground_truth = height
    samples = torch.zeros(NUM_SAMPLES, 2, dtype=torch.float64)

    class Iteration:
        search_model = None
        candidates = torch.zeros(NUM_SAMPLES, dtype=torch.bool)
        metrics: dict[str, float] = {}  # noqa: RUF012
        search_model = None

    Iteration.samples = type("Samples", (), {"designs": samples})
    trainer = type("Trainer", (), {"datamodule": data})
    callbacks.Scoring().on_search_model_update(trainer, None, Iteration)
    assert Iteration.metrics == {}


def test_a_truth_that_takes_long_is_read_of_some(tmp_path: Path) -> None:
    asked: list[Tensor] = []

    def slow(designs: Tensor) -> Tensor:
        asked.append(designs)
        return wavy(designs)

    data = Quadratic(slow)
    data.most_scored = 7
    trajectory = callbacks.Trajectory()
    _, recorder = run(tmp_path / "some", callbacks.Scoring(), trajectory, data=data)
    assert [len(designs) for designs in asked] == [14] * 3
    for iteration, designs, row in zip(recorder.iterations, asked, trajectory.rows, strict=True):
        samples = iteration.samples.designs
        assert torch.equal(designs[:7], samples[torch.arange(7) * NUM_SAMPLES // 7])
        chosen = samples[iteration.candidates]
        assert torch.equal(designs[7:], chosen[torch.arange(7) * len(chosen) // 7])
        assert row["ground_truth_p80"] == pytest.approx(np.quantile(wavy(designs[:7]), 0.8))
        assert row["candidate_ground_truth_max"] == wavy(designs[7:]).max().item()


def test_a_truth_that_takes_long_can_be_left_to_the_best_samples(tmp_path: Path) -> None:
    asked: list[Tensor] = []

    def slow(designs: Tensor) -> Tensor:
        asked.append(designs)
        return wavy(designs)

    found = []
    for most in (7, None):
        data = Quadratic(slow)
        data.most_scored = most
        best, trajectory = callbacks.BestSamples(), callbacks.Trajectory()
        scoring = callbacks.Scoring(skip_slow=True)
        run(tmp_path / str(most), scoring, best, trajectory, data=data)
        found.append((best, trajectory, len(asked)))
    (best, trajectory, calls), (other, scored, _) = found
    assert calls == 1
    assert torch.equal(asked[0], best.samples.designs)
    assert best.scores == other.scores
    assert {"median", "max", "pci"} <= best.scores.keys()
    assert not any("ground_truth" in name for row in trajectory.rows for name in row)
    assert all("ground_truth_p80" in row for row in scored.rows)


def test_few_samples_are_all_read_even_if_it_takes_long(tmp_path: Path) -> None:
    rows = []
    for most in (None, NUM_SAMPLES):
        data = Quadratic(wavy)
        data.most_scored = most
        trajectory = callbacks.Trajectory()
        run(tmp_path / str(most), callbacks.Scoring(), trajectory, data=data)
        rows.append(trajectory.rows)
    assert rows[0] == rows[1]
