"""The estimate of the time left."""

from __future__ import annotations

import pytest

from lightning_mbo.benchmark.plan import Run
from lightning_mbo.benchmark.progress import BenchmarkProgress
from lightning_mbo.benchmark.worker import Outcome


def run_of(method: str, arm: str, trial: int = 0) -> Run:
    return Run(method, {}, arm, trial, [], f"{method}{arm}", "")


def test_runs_are_expected_to_last_as_long_as_their_like_or_the_average() -> None:
    kinds = [("A", "fast"), ("A", "slow"), ("B", "fast")]
    progress = BenchmarkProgress([run_of(*kind, trial=t) for kind in kinds for t in (0, 1, 2)])
    assert progress.seconds_left(3.0) == 0
    progress.advance(run_of("A", "fast"), Outcome(seconds=2.0))
    progress.advance(run_of("A", "slow"), Outcome(seconds=10.0))
    # Two fast, two slow, and three of which only the average is known; 12 seconds' work took 6.
    assert progress.seconds_left(6.0) == pytest.approx((2 * 2 + 2 * 10 + 3 * 6) / 2)


def test_a_failed_run_is_named_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    progress = BenchmarkProgress([run_of("A", "fast")])
    with progress:
        progress.advance(run_of("A", "fast"), Outcome(seconds=1.0, error="no [such] file"))
    assert "failed: A fast trial 0: no [such] file" in capsys.readouterr().out
