"""Which checkpoints are left, and what is in them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from lightning_mbo.space import DesignSpace
from tests.callbacks.quadratic import (
    Indifferent,
    PromisingOracle,
    Quadratic,
    Recorder,
    callbacks,
    ensemble,
    find,
    run,
    search_update,
    trainer_with,
)

pytestmark = pytest.mark.usefixtures("_blank_pictures")


def load(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def num_done_in(checkpoint: dict[str, Any]) -> int:
    return checkpoint["callbacks"]["SearchModelUpdate"]["search"]["_extra_state"]["num_done"]


def assert_is_of_iteration(checkpoint: dict[str, Any], recorder: Recorder, t: int) -> None:
    search = checkpoint["callbacks"]["SearchModelUpdate"]["search"]
    assert search["_extra_state"]["num_done"] == t + 1
    for part, models in (
        ("search_model", recorder.search_models),
        ("sampled_model", recorder.sampled_models),
    ):
        for name, value in models[t].state_dict().items():
            assert torch.equal(search[f"{part}.{name}"], value)
    for name, value in recorder.oracles[t].items():
        assert torch.equal(checkpoint["state_dict"][name], value)
    assert torch.equal(checkpoint["Quadratic"]["weights"], recorder.weights[t])


@pytest.mark.parametrize(
    ("promises", "mode", "best"),
    [
        ([1.0, 3.0, 2.0], "max", 1),
        ([3.0, 1.0, 2.0], "max", 0),
        ([1.0, 2.0, 3.0], "max", 2),
        ([1.0, 3.0, 2.0], "min", 0),
        ([2.0, 2.0, 2.0], "max", 0),
        ([1.0, 1.0 + 1e-12, 0.5], "max", 0),
    ],
)
def test_best_and_last(promises: list[float], mode: str, best: int, tmp_path: Path) -> None:
    checkpoints = callbacks.DesignCheckpoint(mode=mode)
    trainer, recorder = run(
        tmp_path,
        callbacks.Trajectory(),
        callbacks.CandidateWriter(),
        checkpoints,
        oracle=PromisingOracle(promises),
        algorithm=Indifferent(),
        max_epochs=1,
    )
    folder = tmp_path / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert_is_of_iteration(load(tmp_path, "best"), recorder, best)
    assert_is_of_iteration(load(tmp_path, "last"), recorder, 2)
    assert checkpoints.best_model_path == str(folder / "best.ckpt")
    if mode == "max":
        # The three that choose agree.
        assert find(trainer, callbacks.SearchModelUpdate).selector.best_iteration == best
        assert find(trainer, callbacks.CandidateWriter).iteration == best


def test_best_of_an_autofocused_ensemble(tmp_path: Path) -> None:
    checkpoints = callbacks.DesignCheckpoint()
    _, recorder = run(tmp_path, callbacks.Trajectory(), checkpoints)
    promises = [iteration.metrics["oracle_p80"] for iteration in recorder.iterations]
    best = promises.index(max(promises))
    assert_is_of_iteration(load(tmp_path, "best"), recorder, best)
    assert checkpoints.best_model_score.item() == pytest.approx(promises[best], rel=1e-6)
    # It restores the oracle that made the promise, in its units, though later fits changed it.
    oracle = ensemble()
    oracle.build(DesignSpace.of_shape(torch.Size([2])))
    oracle.load_state_dict(load(tmp_path, "best")["state_dict"])
    samples = recorder.iterations[best].samples
    assert torch.equal(oracle.predict(samples.designs).mean, samples.prediction.mean)


def test_another_figure(tmp_path: Path) -> None:
    class Mine(callbacks.DesignCallback):
        def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
            iteration.metrics["mine"] = [5.0, 7.0, 6.0][iteration.number]

    _, recorder = run(
        tmp_path, Mine(), callbacks.Trajectory(), callbacks.DesignCheckpoint("design/mine")
    )
    assert_is_of_iteration(load(tmp_path, "best"), recorder, 1)


def test_last_is_of_the_epoch_before(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    class Reader(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
            if trainer.current_epoch:
                last = load(tmp_path, "last")
                num_done = num_done_in(last)
                seen.append((last["epoch"], num_done))
                assert (tmp_path / "checkpoints" / "best.ckpt").exists() is (num_done > 0)

    run(tmp_path, callbacks.Trajectory(), callbacks.DesignCheckpoint(), Reader(), max_epochs=2)
    assert seen == [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)]
    assert num_done_in(load(tmp_path, "last")) == 3


def test_a_promise_that_is_no_number_is_not_best(tmp_path: Path) -> None:
    _, recorder = run(
        tmp_path,
        callbacks.Trajectory(),
        callbacks.DesignCheckpoint(),
        oracle=PromisingOracle([1.0, math.nan, math.nan]),
        algorithm=Indifferent(),
        max_epochs=1,
    )
    assert_is_of_iteration(load(tmp_path, "best"), recorder, 0)


def test_first_promise_that_is_no_number(tmp_path: Path) -> None:
    trainer, recorder = run(
        tmp_path,
        callbacks.Trajectory(),
        callbacks.DesignCheckpoint(),
        oracle=PromisingOracle([math.nan, 1.0, 0.5]),
        algorithm=Indifferent(),
        max_epochs=1,
    )
    assert find(trainer, callbacks.SearchModelUpdate).selector.best_iteration == 1
    assert_is_of_iteration(load(tmp_path, "best"), recorder, 1)


def test_no_best_before_the_first_iteration(tmp_path: Path) -> None:
    trainer = trainer_with(
        tmp_path,
        search_update(),
        callbacks.OracleConvergence(),
        callbacks.Trajectory(),
        callbacks.DesignCheckpoint(),
        max_epochs=1,
    )
    trainer.fit(ensemble(), datamodule=Quadratic())
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_checkpoints_go_to_a_loggers_folder(tmp_path: Path) -> None:
    logger = pl.loggers.TensorBoardLogger(tmp_path, "name", "run")
    run(tmp_path, callbacks.Trajectory(), callbacks.DesignCheckpoint(), logger=logger)
    folder = tmp_path / "name" / "run" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_no_code_is_needed_to_read_them(tmp_path: Path) -> None:
    run(
        tmp_path,
        callbacks.Scoring(),
        callbacks.Trajectory(),
        callbacks.CandidateWriter(),
        callbacks.DesignCheckpoint(),
    )
    states = load(tmp_path, "last")["callbacks"]
    names = {"SearchModelUpdate", "OracleConvergence", "Trajectory", "CandidateWriter"}
    assert names <= {name.partition("{")[0] for name in states}


def test_the_figure_must_be_recorded(tmp_path: Path) -> None:
    checkpoints = callbacks.DesignCheckpoint("design/nothing")
    with pytest.raises(MisconfigurationException, match=r"design/nothing.*design/oracle_p80"):
        run(tmp_path, callbacks.Trajectory(), checkpoints)
