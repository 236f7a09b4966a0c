"""What is recorded of a run, in its files and in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)

from tests.callbacks.quadratic import (
    NUM_SAMPLES,
    Quadratic,
    callbacks,
    ensemble,
    find,
    height,
    read_table,
    run,
    search_update,
    trainer_with,
)

COLUMNS = [
    "design_iteration",
    "oracle_p80",
    "threshold",
    "search_model_entropy",
    "kl_from_training",
    "ensemble_disagreement",
    "search_effective_sample_size",
    "effective_sample_size",
    "oracle_refitted",
]
TRUE_COLUMNS = ["ground_truth_p80", "candidate_ground_truth_median", "candidate_ground_truth_max"]


def table(folder: Path) -> pd.DataFrame:
    return read_table(folder / "trajectory.csv")


def sum_of_weights_squared_over_squares(recorder: Any, t: int) -> float:
    """Of CbAS's weights of the samples, by scipy."""
    _, means, stds, log_prob, log_prob_training = recorder.numpy(t)
    threshold = recorder.iterations[t].threshold
    weights = np.exp(log_prob_training - log_prob + stats.norm.logsf(threshold, means, stds))
    weights[weights < 1e-8 * weights.max()] = 0
    return weights.sum() ** 2 / (weights**2).sum()


@pytest.mark.parametrize("known", [True, False])
def test_rows_are_the_iterations(known: bool, tmp_path: Path) -> None:
    _, recorder = run(
        tmp_path,
        callbacks.Scoring(),
        callbacks.Trajectory(),
        data=Quadratic(height if known else None),
    )
    rows = table(tmp_path)
    search_sizes = [sum_of_weights_squared_over_squares(recorder, t) for t in range(3)]
    assert list(rows.columns) == COLUMNS + (TRUE_COLUMNS if known else [])
    assert rows["design_iteration"].tolist() == [0, 1, 2]
    for t, row in rows.iterrows():
        designs, means, _, log_prob, log_prob_training = recorder.numpy(t)
        p80 = np.quantile(means, 0.8)
        disagreement = recorder.iterations[t].samples.prediction.epistemic_std
        expected = {
            "oracle_p80": p80,
            "threshold": max(np.quantile(recorder.numpy(s)[1], 0.9) for s in range(t + 1)),
            "search_model_entropy": -log_prob.mean(),
            "kl_from_training": (log_prob - log_prob_training).mean(),
            "ensemble_disagreement": disagreement.numpy().mean(),
            "search_effective_sample_size": search_sizes[t],
            "effective_sample_size": recorder.weights[t].sum().item() ** 2
            / recorder.weights[t].square().sum().item(),
            "oracle_refitted": 1.0,
        }
        if known:
            truth = 5 - ((designs - 2) ** 2).sum(1)
            candidates = truth[means >= p80]
            assert len(candidates) == NUM_SAMPLES // 5
            expected |= {
                "ground_truth_p80": np.quantile(truth, 0.8),
                "candidate_ground_truth_median": np.median(candidates),
                "candidate_ground_truth_max": candidates.max(),
            }
        assert row.drop("design_iteration").to_dict() == pytest.approx(expected, rel=1e-9)


def test_metrics_of_other_callbacks_are_recorded(tmp_path: Path) -> None:
    class Mine(callbacks.DesignCallback):
        def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
            iteration.metrics["mine"] = 10.0 + iteration.number

    trainer, _ = run(tmp_path, Mine(), callbacks.Trajectory())
    assert table(tmp_path)["mine"].tolist() == [10.0, 11.0, 12.0]
    assert trainer.callback_metrics["design/mine"] == 12.0


def test_is_written_after_every_iteration(tmp_path: Path) -> None:
    lengths: list[int] = []

    class Reader(callbacks.DesignCallback):
        def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
            lengths.append(len(table(tmp_path)))
            assert not (tmp_path / "trajectory.png").exists()

    run(tmp_path, callbacks.Trajectory(), Reader())
    assert lengths == [1, 2, 3]
    assert (tmp_path / "trajectory.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_run_without_an_iteration_leaves_nothing(tmp_path: Path) -> None:
    trainer = trainer_with(
        tmp_path,
        search_update(),
        callbacks.OracleConvergence(max_epochs=5),
        callbacks.Trajectory(),
        max_epochs=1,
    )
    trainer.fit(ensemble(), datamodule=Quadratic())
    assert list(tmp_path.iterdir()) == []


def test_state_goes_on(tmp_path: Path) -> None:
    trainer, _ = run(tmp_path, callbacks.Trajectory(), num_iterations=2)
    trajectory = callbacks.Trajectory()
    trajectory.load_state_dict(find(trainer, callbacks.Trajectory).state_dict())
    pd.testing.assert_frame_equal(trajectory.table(), table(tmp_path), check_dtype=False)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventAccumulator, Any, Path]:
    """The event files of a run of three iterations, with fits of three epochs of three steps."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("board")
    logger = TensorBoardLogger(folder, "name", "run")
    oracle = ensemble()
    # Steadily better for so few epochs, so that no member is frozen.
    oracle.learning_rate = 0.001
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PL_GLOBAL_SEED", "0")
        trainer, recorder = run(
            folder, callbacks.Scoring(), callbacks.Trajectory(), oracle=oracle, logger=logger
        )
    assert isinstance(trainer, pl.Trainer)
    logger.experiment.close()
    torch.set_num_threads(threads)
    accumulator = EventAccumulator(str(folder / "name" / "run"), STORE_EVERYTHING_SIZE_GUIDANCE)
    accumulator.Reload()
    return accumulator, recorder, folder / "name" / "run"


def test_files_go_to_the_loggers_folder(board: tuple[EventAccumulator, Any, Path]) -> None:
    _, _, folder = board
    assert {"trajectory.csv", "trajectory.png"} <= {path.name for path in folder.iterdir()}


def test_scalars(board: tuple[EventAccumulator, Any, Path]) -> None:
    accumulator, _, folder = board
    scalars = {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"]}
    design = {f"design/{name}" for name in [*COLUMNS[1:], *TRUE_COLUMNS]}
    fits = {"fit/epochs", "fit/validation_loss"}
    losses = {
        f"oracle/{name}/member_{j}"
        for name in ("training_loss", "validation_loss")
        for j in (0, 1, 2)
    }
    assert {tag for tag in scalars if "/" in tag} == design | fits | losses
    rows = table(folder)
    for tag in design:
        assert [event.step for event in scalars[tag]] == [0, 1, 2]
        np.testing.assert_allclose(
            [event.value for event in scalars[tag]], rows[tag.partition("/")[2]], rtol=1e-6
        )
    for tag in fits:
        assert [event.step for event in scalars[tag]] == [0, 1, 2]
    assert [event.value for event in scalars["fit/epochs"]] == [3, 3, 3]
    for tag in losses:
        assert [event.step for event in scalars[tag]] == [3, 6, 9, 12, 15, 18, 21, 24, 27]
    last = [
        np.mean([scalars[f"oracle/validation_loss/member_{j}"][i].value for j in (0, 1, 2)])
        for i in (2, 5, 8)
    ]
    np.testing.assert_allclose(
        [event.value for event in scalars["fit/validation_loss"]], last, rtol=1e-6
    )


def test_histograms_and_figures(board: tuple[EventAccumulator, Any, Path]) -> None:
    accumulator, recorder, _ = board
    tags = accumulator.Tags()
    assert set(tags["histograms"]) == {"design/oracle_means", "design/log10_importance_weights"}
    for t, event in enumerate(accumulator.Histograms("design/oracle_means")):
        means = recorder.numpy(t)[1]
        histogram = event.histogram_value
        assert event.step == t
        assert histogram.num == NUM_SAMPLES
        assert [histogram.min, histogram.max] == pytest.approx([means.min(), means.max()])
    for t, event in enumerate(accumulator.Histograms("design/log10_importance_weights")):
        logarithms = np.log10(recorder.weights[t].numpy())
        histogram = event.histogram_value
        assert event.step == t
        assert [histogram.min, histogram.max] == pytest.approx([logarithms.min(), logarithms.max()])
    assert tags["images"] == ["design/trajectory"]
    (image,) = accumulator.Images("design/trajectory")
    assert image.step == 2
    assert image.encoded_image_string.startswith(b"\x89PNG\r\n")


def test_custom_charts(board: tuple[EventAccumulator, Any, Path]) -> None:
    accumulator, _, _ = board
    (event,) = accumulator.Tensors("custom_scalars__config__")
    # Lengths stand between the names, and need not be text.
    text = event.tensor_proto.string_val[0].decode(errors="replace")
    for tag in ("design/oracle_p80", "design/oracle_gap.*", "oracle/validation_loss/.*"):
        assert tag in text


def test_frozen_members_are_not_logged(tmp_path: Path) -> None:
    oracle = ensemble()
    oracle.learning_rate = 0.1
    frozen: list[list[bool]] = []

    class Frozen(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, oracle: Any) -> None:
            frozen.append(oracle.frozen.tolist())

    logger = TensorBoardLogger(tmp_path, "", "")
    trainer = trainer_with(
        tmp_path,
        search_update(num_iterations=1),
        callbacks.OracleConvergence(patience=1),
        Frozen(),
        logger=logger,
    )
    trainer.fit(oracle, datamodule=Quadratic())
    logger.experiment.close()
    accumulator = EventAccumulator(logger.log_dir)
    accumulator.Reload()
    lengths = [
        len(accumulator.Scalars(f"oracle/validation_loss/member_{member}")) for member in range(3)
    ]
    assert lengths == [1 + sum(not row[member] for row in frozen) for member in range(3)]
    assert len(set(lengths)) > 1
