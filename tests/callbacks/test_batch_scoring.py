"""What became of the batch: by the ground truth, of which nothing else knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo.evidence.verdict import Verdict
from lightning_mbo.oracles import GaussianProcess
from lightning_mbo.report.page import verdict_of
from tests.callbacks.quadratic import (
    OFFSET,
    SCALE,
    Quadratic,
    callbacks,
    ensemble,
    find,
    height,
    run,
)

pytestmark = [
    pytest.mark.usefixtures("_blank_pictures"),
    pytest.mark.filterwarnings("ignore:design iteration"),
]


class Minimised(Quadratic):
    """The same where the user measures the depth."""

    sign = -1

    @property
    def measured_name(self) -> str:
        return "depth (m)"


def scored(
    folder: Path, *more: Any, data: Quadratic | None = None, oracle: Any = None
) -> tuple[Any, Any]:
    trainer, _ = run(
        folder,
        callbacks.HeldOut(),
        callbacks.CandidateWriter(num_candidates=6),
        *more,
        callbacks.BatchScoring(),
        oracle=GaussianProcess() if oracle is None else oracle,
        data=Quadratic() if data is None else data,
    )
    return trainer, find(trainer, callbacks.BatchScoring)


def test_scores_are_of_the_batch_that_is_written(tmp_path: Path) -> None:
    data = Quadratic()
    data.noise_std = 0.01
    trainer, found = scored(tmp_path, callbacks.Report(write=False), data=data)
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    points = (candidates[["width", "length"]].to_numpy() - OFFSET) / SCALE
    truth = 5 - ((points - 2) ** 2).sum(1)
    labels = data.properties.numpy()
    outlook = find(trainer, callbacks.CandidateWriter).outlook
    scores = found.scores
    assert scores["batch_median"] == pytest.approx(np.median(truth))
    assert scores["batch_best"] == pytest.approx(truth.max())
    share = (truth > labels.max()).mean()
    # Labels are exact here.
    assert scores["realised_share"] == scores["realised_share_by_truth"] == share
    assert scores["predicted_share"] == outlook.share
    assert scores["brier_score"] == pytest.approx((outlook.share - share) ** 2)
    distances = (truth - candidates["lower_95"]) / (labels.max() - labels.min())
    assert scores["bound_distance"] == pytest.approx(distances.median())
    assert scores["infinite_bounds"] == 0
    assert 0 <= scores["bound_held"] <= 1


def test_the_verdict_is_that_of_the_report(tmp_path: Path) -> None:
    trainer, found = scored(tmp_path / "without", callbacks.Report(write=False))
    assert not (tmp_path / "without" / "report.html").exists()
    evidence = find(trainer, callbacks.Report).evidence(trainer)
    assert found.verdict == verdict_of(evidence).rating
    scored(tmp_path / "with", callbacks.Report())
    written = Verdict.of_run(tmp_path / "with")
    assert written is not None
    assert written.rating == found.verdict
    assert scored(tmp_path / "none")[1].verdict == ""


def test_bounds_from_above_are_turned_back(tmp_path: Path) -> None:
    _, plain = scored(tmp_path / "plain")
    _, turned = scored(tmp_path / "turned", data=Minimised())
    candidates = pd.read_csv(tmp_path / "turned" / "candidates.csv")
    assert "upper_95" in candidates
    assert "lower_95" not in candidates
    assert turned.scores == plain.scores


def test_blank_where_nothing_is_told(tmp_path: Path) -> None:
    _, found = scored(tmp_path, oracle=ensemble())
    assert "realised_share" in found.scores
    assert {"predicted_share", "bound_held"}.isdisjoint(found.scores)


@pytest.mark.parametrize("truth", [None, height])
def test_without_a_truth_or_a_batch_there_are_none(
    truth: Callable[[Tensor], Tensor] | None, tmp_path: Path
) -> None:
    found = callbacks.BatchScoring()
    more = [callbacks.CandidateWriter(num_candidates=6)] if truth is None else []
    run(tmp_path, *more, found, data=Quadratic(truth))
    assert (found.scores, found.verdict) == ({}, "")


def test_it_changes_nothing(tmp_path: Path) -> None:
    def dug(designs: Tensor) -> Tensor:
        return -torch.ones(len(designs), dtype=torch.float64)

    writer = callbacks.CandidateWriter(num_candidates=6)
    run(tmp_path / "plain", callbacks.HeldOut(), writer, oracle=GaussianProcess())
    for truth in (height, dug):
        scored(tmp_path / "scored", data=Quadratic(truth))
        mine, plain = (tmp_path / name / "candidates.csv" for name in ("scored", "plain"))
        assert mine.read_bytes() == plain.read_bytes()
