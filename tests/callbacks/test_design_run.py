"""Design runs with a trainer of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import (
    AdditiveRegression,
    ConservativeObjectiveModel,
    DeepEnsemble,
    GaussianProcess,
    KernelRidge,
    NormalizedLikelihoodModel,
    Oracle,
    PersistentParticles,
    RankingEnsemble,
    RegressionEnsemble,
    TreeEnsemble,
)
from tests.callbacks.quadratic import (
    Quadratic,
    callbacks,
    ensemble,
    read_table,
    run,
    search_update,
)

ORACLES = {
    "DeepEnsemble": lambda: DeepEnsemble(2, (8,), 0.02),
    "RegressionEnsemble": lambda: RegressionEnsemble(2, (8,), 0.02),
    "RankingEnsemble": lambda: RankingEnsemble(2, (8,), 0.02),
    "NormalizedLikelihoodModel": lambda: NormalizedLikelihoodModel((8,), 0.02, num_bins=5),
    "ConservativeObjectiveModel": lambda: ConservativeObjectiveModel(
        hidden_sizes=(8,), adversary=PersistentParticles()
    ),
    "GaussianProcess": GaussianProcess,
    "KernelRidge": KernelRidge,
    "AdditiveRegression": AdditiveRegression,
    "TreeEnsemble": lambda: TreeEnsemble(2, most_trees=9),
}

pytestmark = [
    pytest.mark.usefixtures("_blank_pictures"),
    # What Lightning says of trainers that nobody has quietened.
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:Starting from v1.9.0"),
]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lightning_mbo.callbacks.report.render", lambda evidence: "page")


def fitted(
    *more: pl.Callback,
    oracle: Oracle | None = None,
    num_candidates: int | None = None,
    **options: Any,
) -> pl.Trainer:
    used = [
        *callbacks.design_callbacks(
            search_update(num_iterations=2),
            callbacks.ImportanceWeighting(0.2),
            callbacks.OracleConvergence(max_epochs=2),
            num_candidates,
        ),
        *more,
    ]
    trainer = pl.Trainer(accelerator="cpu", max_epochs=-1, callbacks=used, **options)
    trainer.fit(ensemble() if oracle is None else oracle, datamodule=Quadratic())
    return trainer


def written() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ({}, "lightning_logs/version_0"),
        ({"logger": False}, None),
        ({"logger": False, "enable_checkpointing": False}, None),
        ({"logger": False, "enable_checkpointing": False, "default_root_dir": "."}, "."),
        ({"logger": False, "enable_checkpointing": False, "default_root_dir": "mine"}, "mine"),
        ({"logger": False, "default_root_dir": "mine"}, "mine"),
        ({"enable_checkpointing": False}, "lightning_logs/version_0"),
    ],
)
def test_files_go_where_the_trainer_s_do_and_never_into_the_working_directory(
    options: dict[str, Any], folder: str | None
) -> None:
    trainer = fitted(**options)
    candidates = callbacks.candidates_of(trainer)
    assert list(candidates)[-2:] == ["width", "length"]
    files = {name for name in written() if not name.endswith(".ckpt")}
    if folder is None:
        assert files == set()
        return
    names = ("candidates.csv", "report.html", "trajectory.csv", "trajectory.png")
    assert files >= {str(Path(folder) / name) for name in names}
    table = read_table(Path(folder) / "candidates.csv")
    pd.testing.assert_frame_equal(table, candidates, check_exact=True)


@pytest.mark.parametrize("keeps", [True, False])
def test_checkpoints_and_a_bar_of_its_own(keeps: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if keeps:
        fitted(callbacks.DesignProgress(), callbacks.DesignCheckpoint())
        folder = Path("lightning_logs/version_0")
        checkpoints = {path.name for path in (folder / "checkpoints").iterdir()}
        assert checkpoints == {"best.ckpt", "last.ckpt"}
    else:
        fitted(callbacks.DesignProgress(), logger=False, enable_checkpointing=False)
    printed = capsys.readouterr().out
    assert "2 design iterations in" in printed
    assert "The best of" in printed
    for line in ("files go to", "Candidates: ", "Report: ", "Trajectory: "):
        assert (line in printed) == keeps


@pytest.mark.parametrize("name", ORACLES)
def test_a_sanity_check_changes_nothing(name: str) -> None:
    found = []
    for steps in (0, 2):
        logger = CSVLogger(".", version=steps)
        trainer = fitted(oracle=ORACLES[name](), num_sanity_val_steps=steps, logger=logger)
        found.append(callbacks.candidates_of(trainer))
    pd.testing.assert_frame_equal(*found, check_exact=True)
    logs = [Path(f"lightning_logs/version_{steps}/metrics.csv").read_text() for steps in (0, 2)]
    assert logs[0] == logs[1]


def test_predict_hands_out_a_table_too(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = fitted(num_candidates=4, logger=False, enable_checkpointing=False)
    first = callbacks.candidates_of(trainer)
    oracle, data = trainer.lightning_module, trainer.datamodule
    trainer.predict(oracle, datamodule=data)
    second = callbacks.candidates_of(trainer)
    assert len(first) == len(second) == 4
    assert list(first) == list(second)
    assert not set(first["width"]) & set(second["width"])
    trainer.test(oracle, datamodule=data)
    assert written() == set()


def test_without_candidates(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a trainer with a CandidateWriter"):
        callbacks.candidates_of(pl.Trainer(logger=False, enable_checkpointing=False))
    used = callbacks.design_callbacks(search_update())
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, callbacks=used)
    with pytest.raises(ConfigurationError, match="there are no candidates yet"):
        callbacks.candidates_of(trainer)


def test_a_search_is_for_one_run(tmp_path: Path) -> None:
    trainer, _ = run(tmp_path, callbacks.CandidateWriter(), num_iterations=2)
    with pytest.warns(UserWarning, match="has made its 2 design iterations: for another run make"):
        trainer.fit(trainer.lightning_module, datamodule=trainer.datamodule)


def test_what_is_left_out_is_made() -> None:
    search, convergence = search_update(), callbacks.OracleConvergence(patience=7)
    used = callbacks.design_callbacks(search)
    assert used[0] is search
    kinds = [type(callback).__name__ for callback in used]
    assert "ImportanceWeighting" not in kinds
    assert kinds.count("OracleConvergence") == kinds.count("CandidateWriter") == 1
    # Whatever adds to the metrics comes before what records them.
    assert kinds.index("HeldOut") < kinds.index("Trajectory") < kinds.index("Report")
    assert kinds.index("Scoring") < kinds.index("Trajectory")
    # The table before any picture.
    assert kinds.index("CandidateWriter") < kinds.index("Trajectory")
    used = callbacks.design_callbacks(search, convergence=convergence, num_candidates=3)
    assert [c for c in used if isinstance(c, callbacks.OracleConvergence)] == [convergence]
    assert [c.num_candidates for c in used if isinstance(c, callbacks.CandidateWriter)] == [3]
