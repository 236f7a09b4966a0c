"""The report of a run on a table: of the oracle that judged its candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.data import CSV
from lightning_mbo.evidence.selection import Selector
from lightning_mbo.evidence.verdict import Verdict
from lightning_mbo.oracles import AdditiveRegression, ClosedFormOracle, Stack, TreeEnsemble
from lightning_mbo.report.dependence import dependences
from lightning_mbo.report.page import render
from lightning_mbo.report.run_evidence import Evidence
from tests.callbacks.quadratic import (
    Recorder,
    callbacks,
    equal_states,
    find,
    search_update,
    trainer_with,
)

pytestmark = pytest.mark.usefixtures("_blank_pictures")


def table() -> CSV:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"dose": rng.uniform(0, 5, 60), "cycles": rng.integers(1, 9, 60)})
    frame["solvent"] = rng.choice(["water", "ethanol", "toluene"], 60)
    frame["y"] = frame["dose"] - 0.2 * (frame["cycles"] - 5) ** 2
    frame["y"] += 3.0 * (frame["solvent"] == "ethanol") + 0.2 * rng.normal(size=60)
    return CSV(frame, "y")


def stack() -> Stack:
    return Stack([AdditiveRegression(), TreeEnsemble(num_members=2, most_trees=40)], num_folds=3)


def reported(
    folder: Path,
    oracle: ClosedFormOracle,
    *more: Any,
    num_iterations: int = 3,
    ckpt_path: Path | None = None,
) -> tuple[Any, Any]:
    recorder = Recorder()
    trainer = trainer_with(
        folder,
        search_update(num_iterations=num_iterations),
        callbacks.ImportanceWeighting(0.2),
        callbacks.OracleConvergence(),
        recorder,
        *more,
        callbacks.HeldOut(),
        callbacks.CandidateWriter(num_candidates=6),
        callbacks.Trajectory(),
        callbacks.Summary(),
        callbacks.Report(),
        callbacks.DesignCheckpoint(dirpath=folder / "checkpoints"),
    )
    trainer.fit(oracle, datamodule=table(), ckpt_path=ckpt_path)
    return trainer, recorder


def earlier(self: Selector, iteration: Any, problem: Any) -> float:
    """The first iteration is the best."""
    return -float(iteration.number)


@pytest.mark.parametrize("make", [AdditiveRegression, stack])
def test_the_oracle_of_the_chosen_iteration_speaks(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Evidence] = []
    monkeypatch.setattr(Selector, "_score", earlier)

    def noting(evidence: Evidence) -> str:
        shown.append(evidence)
        return render(evidence)

    monkeypatch.setattr("lightning_mbo.callbacks.report.render", noting)
    trainer, recorder = reported(tmp_path, make())
    writer, report = (find(trainer, kind) for kind in (callbacks.CandidateWriter, callbacks.Report))
    oracle = trainer.lightning_module
    assert writer.iteration == 0
    assert equal_states(report.oracle, recorder.oracles[0])
    # The run ends with the oracle that it ended with, which is another.
    assert equal_states(oracle.state_dict(), recorder.oracles[-1])
    assert not equal_states(oracle.state_dict(), recorder.oracles[0])
    (depending,) = shown[0].dependences.values()
    found = [one.mean for one in depending]
    with oracle.in_state(recorder.oracles[0]):
        expected = dependences(oracle, trainer.datamodule, writer.designs)
    last = dependences(oracle, trainer.datamodule, writer.designs)
    for mean, one in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mean, one.mean)
    assert {tuple(mean) for mean in found} != {tuple(one.mean) for one in last}


def test_what_is_printed_and_written_of_several_oracles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer, _ = reported(tmp_path, stack(), num_iterations=2)
    printed = capsys.readouterr().out
    row = find(trainer, callbacks.Trajectory).rows[0]
    share = f"AdditiveRegression {100 * row['share_AdditiveRegression']:.0f} %"
    (first,) = (line for line in printed.splitlines() if line.startswith("oracle: "))
    assert share in first
    (summed_up,) = (line for line in printed.splitlines() if line.startswith("Oracle: "))
    assert "AdditiveRegression" in summed_up
    page = (tmp_path / "report.html").read_text()
    for words in ("Which oracle spoke", "What matters, and how", "left-out designs", "effect"):
        assert words in page
    for name in ("dose", "cycles", "solvent"):
        assert f"<strong>{name}</strong> moves the prediction by" in page


def test_one_oracle_alone_is_not_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reported(tmp_path, AdditiveRegression(), num_iterations=1)
    assert "racle: " not in capsys.readouterr().out
    assert "Which oracle spoke" not in (tmp_path / "report.html").read_text()


class Stop(callbacks.DesignCallback):
    """Ends the run after its second design iteration."""

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        trainer.should_stop = trainer.should_stop or iteration.number == 1


def test_a_resumed_run_has_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Selector, "_score", earlier)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    reported(tmp_path / "whole", stack())
    stopped, _ = reported(tmp_path / "parts", stack(), Stop())
    assert find(stopped, callbacks.SearchModelUpdate).search.num_done == 2
    assert find(stopped, callbacks.CandidateWriter).iteration == 0
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    reported(tmp_path / "resumed", stack(), ckpt_path=last)
    pages = [(tmp_path / name / "report.html").read_bytes() for name in ("whole", "resumed")]
    assert pages[0] == pages[1]
    said = Verdict.of_run(tmp_path / "resumed")
    assert said is not None
    assert f'class="verdict is-{said.rating}"'.encode() in pages[1]
    assert b"What matters, and how" in pages[0]
