"""The oracle gap in a trainer's run: recorded, shown, and the same when it is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.evidence import halves
from lightning_mbo.evidence.gap import gap_figures
from lightning_mbo.oracles import AdditiveRegression, Oracle
from tests.callbacks.quadratic import (
    Quadratic,
    Recorder,
    callbacks,
    ensemble,
    find,
    read_table,
    run,
    search_update,
    trainer_with,
)
from tests.callbacks.test_held_out import Split

pytestmark = pytest.mark.usefixtures("_blank_pictures")

NAMES = ["oracle_gap", "oracle_gap_bound", "oracle_bias", "oracle_bias_bound"]


class Stop(callbacks.DesignCallback):
    """Ends the run after its second design iteration."""

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        trainer.should_stop = trainer.should_stop or iteration.number == 1


def recorded(
    folder: Path,
    oracle: Oracle,
    *more: Any,
    data: DesignDataModule | None = None,
    ckpt_path: Path | None = None,
) -> tuple[Any, Recorder]:
    folder.mkdir()
    recorder = Recorder()
    trainer = trainer_with(
        folder,
        search_update(),
        callbacks.ImportanceWeighting(0.2),
        callbacks.OracleConvergence(max_epochs=3),
        recorder,
        *more,
        callbacks.OracleGap(),
        callbacks.CandidateWriter(num_candidates=6),
        callbacks.Trajectory(),
        callbacks.Report(),
        callbacks.DesignProgress(),
        callbacks.DesignCheckpoint(dirpath=folder / "checkpoints"),
        enable_progress_bar=True,
    )
    trainer.fit(oracle, datamodule=data or Quadratic(), ckpt_path=ckpt_path)
    return trainer, recorder


def test_every_iteration_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, recorder = recorded(tmp_path / "run", AdditiveRegression())
    rows = read_table(tmp_path / "run" / "trajectory.csv")
    fits = find(trainer, callbacks.SearchModelUpdate).half_fits
    problem = trainer.datamodule.problem
    for row, iteration in zip(rows.to_dict("records"), recorder.iterations, strict=True):
        figures = gap_figures(problem, iteration, fits.of(trainer.lightning_module, problem))
        assert list(figures) == NAMES
        assert {name: row[name] for name in NAMES} == figures
        assert row["oracle_gap"] <= row["oracle_gap_bound"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "design iteration" in line]
    for line, most in zip(lines, rows["oracle_gap_bound"], strict=False):
        assert line.endswith(f"gap under {most:.2f}")
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'id="gap">Where the search is in iteration' in page


def test_halves_are_fitted_once_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, made = halves.half_fits, []

    def counted(oracle: Any, problem: Any) -> Any:
        made.append(problem)
        return fitted(oracle, problem)

    monkeypatch.setattr(halves, "half_fits", counted)
    recorded(tmp_path / "run", AdditiveRegression())
    assert len(made) == 1


def test_the_candidates_are_the_same_without_it(tmp_path: Path) -> None:
    recorded(tmp_path / "with", AdditiveRegression())
    run(tmp_path, callbacks.CandidateWriter(num_candidates=6), oracle=AdditiveRegression())
    texts = [(tmp_path / name / "candidates.csv").read_bytes() for name in ("with", ".")]
    assert texts[0] == texts[1]


def test_a_resumed_run_has_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    recorded(tmp_path / "whole", AdditiveRegression())
    recorded(tmp_path / "parts", AdditiveRegression(), Stop())
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    recorded(tmp_path / "resumed", AdditiveRegression(), ckpt_path=last)
    texts = [(tmp_path / name / "trajectory.csv").read_bytes() for name in ("whole", "resumed")]
    assert texts[0] == texts[1]


def test_of_networks_held_out_rows_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(tmp_path / "blank", ensemble())
    rows = read_table(tmp_path / "blank" / "trajectory.csv")
    assert rows.columns.intersection(NAMES).empty
    assert "gap" not in capsys.readouterr().out
    page = (tmp_path / "blank" / "report.html").read_text()
    assert "How far the oracle is off where the search is, is not known" in page
    recorded(tmp_path / "told", ensemble(), data=Split())
    rows = read_table(tmp_path / "told" / "trajectory.csv")
    assert rows["oracle_gap_bound"].between(0, 1).all()
    assert rows[NAMES].notna().all(axis=None)


def test_it_needs_a_search(tmp_path: Path) -> None:
    trainer = trainer_with(tmp_path, gap := callbacks.OracleGap())
    with pytest.raises(ConfigurationError, match="needs a search: add a SearchModelUpdate"):
        gap.on_search_model_update(trainer, ensemble(), None)
