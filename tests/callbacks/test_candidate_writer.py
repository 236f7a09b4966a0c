"""What is handed to the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.spatial import distance
from torch import Tensor

from lightning_mbo.batch import diverse_batch
from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import MultivariateNormal
from tests.callbacks.quadratic import (
    NUM_SAMPLES,
    OFFSET,
    SCALE,
    Indifferent,
    PromisingOracle,
    Quadratic,
    callbacks,
    ensemble,
    find,
    read_table,
    run,
    search_update,
    trainer_with,
)

pytestmark = pytest.mark.usefixtures("_blank_pictures")

FIGURES = [
    "oracle_mean",
    "oracle_std",
    "probability_above_threshold",
    "log_prob_search_model",
    "log_prob_training_distribution",
]


@pytest.mark.filterwarnings("ignore:.* where 1000 are wanted")
@pytest.mark.parametrize("num_candidates", [None, 1, 1000])
def test_candidates_are_the_best_of_the_best_iteration(
    num_candidates: int | None, tmp_path: Path
) -> None:
    """Where there are fewer candidates than are wanted, all samples are."""
    _, recorder = run(tmp_path, callbacks.CandidateWriter(num_candidates))
    candidates = read_table(tmp_path / "candidates.csv")
    assert list(candidates.columns) == [*FIGURES, "width", "length"]
    promises = [np.quantile(recorder.numpy(t)[1], 0.8) for t in range(3)]
    best = int(np.argmax(promises))
    designs, means, stds, log_prob, log_prob_training = recorder.numpy(best)
    order = np.argsort(-means, kind="stable")[: num_candidates or NUM_SAMPLES // 5]
    assert (means[order[: NUM_SAMPLES // 5]] >= promises[best]).all()
    threshold = recorder.iterations[best].threshold
    expected = np.column_stack(
        [
            means[order],
            stds[order],
            stats.norm.sf(threshold, means[order], stds[order]),
            log_prob[order],
            log_prob_training[order],
            designs[order] * SCALE + OFFSET,
        ]
    )
    np.testing.assert_allclose(candidates.to_numpy(), expected, rtol=1e-12)
    assert (np.diff(candidates["oracle_mean"]) <= 0).all()


def test_a_batch_is_of_candidates_that_are_unlike_each_other(tmp_path: Path) -> None:
    writer = callbacks.CandidateWriter(7)
    trainer, recorder = run(tmp_path, writer, num_iterations=1)
    designs, means, *_ = recorder.numpy(0)
    candidates = np.argsort(-means, kind="stable")[: NUM_SAMPLES // 5]
    batch = read_table(tmp_path / "candidates.csv")
    assert batch["oracle_mean"].is_monotonic_decreasing
    assert batch["oracle_mean"][0] == pytest.approx(means.max())
    assert set(batch["oracle_mean"]) <= set(means[candidates])
    points = (batch[["width", "length"]].to_numpy() - OFFSET) / SCALE
    apart, of_the_best = (distance.pdist(p).mean() for p in (points, designs[candidates[:7]]))
    assert apart > of_the_best
    chosen = diverse_batch(
        torch.from_numpy(designs[candidates]),
        torch.from_numpy(means[candidates]),
        trainer.datamodule.distances,
        7,
    )
    expected = designs[candidates][np.sort(chosen.numpy())]
    np.testing.assert_allclose(points, expected, rtol=1e-12, atol=1e-12)


class Measured(Quadratic):
    """Points of a small lattice, most of which have been measured."""

    def load(self) -> tuple[Tensor, Tensor]:
        lattice = torch.cartesian_prod(*[torch.arange(-2.0, 3.0).double()] * 2)
        designs = lattice[lattice.sum(1) < 2]
        return designs, -designs.square().sum(1)

    def nearest_allowed(self, designs: Tensor) -> Tensor:
        # In the last digits another number than the one in the table.
        return designs.clamp(-2, 2).round() * (1 + 1e-15)


@pytest.mark.parametrize("num_candidates", [None, 2])
@pytest.mark.parametrize("keep_known", [False, True])
def test_what_has_been_measured_is_left_out(
    num_candidates: int | None, keep_known: bool, tmp_path: Path
) -> None:
    writer = callbacks.CandidateWriter(num_candidates, keep_known)
    trainer, _ = run(
        tmp_path,
        writer,
        callbacks.DesignCheckpoint(),
        data=Measured(),
        num_iterations=1,
        algorithm=Indifferent(),
    )
    trainer.predict(ckpt_path="last", datamodule=trainer.datamodule)
    measured = set(map(tuple, trainer.datamodule.designs.numpy()))
    for name in ("candidates.csv", "predicted_candidates.csv"):
        written = read_table(tmp_path / name)[["width", "length"]].to_numpy()
        points = [tuple(point) for point in ((written - OFFSET) / SCALE).round()]
        assert 0 < len(points) == len(set(points))
        assert num_candidates is None or len(points) == num_candidates
        assert keep_known or not measured & set(points)
    # A predicted hundred is taken from all samples, as the lattice has no hundred candidates.
    if num_candidates is None:
        assert bool(measured & set(points)) == keep_known


@pytest.mark.parametrize("keep_known", [False, True])
def test_held_out_rows_are_known(keep_known: bool, tmp_path: Path) -> None:
    """Of a grid of 8 x 8 x 8 designs, most were measured, and a fifth of them held out."""
    grid = np.stack(np.unravel_index(np.arange(512), (8, 8, 8)), axis=1)
    rows = np.random.default_rng(0).permutation(512)[:400]
    frame = pd.DataFrame(grid[rows], columns=["a", "b", "c"])
    frame["y"] = -((frame[["a", "b", "c"]] - [5, 4, 3]) ** 2).sum(axis=1)
    limits = {name: {"upper": 7} for name in "abc"}
    data = CSV(frame, "y", columns=limits, held_out_fraction=0.2)
    writer = callbacks.CandidateWriter(12, keep_known)
    run(tmp_path, writer, data=data, num_iterations=1, algorithm=Indifferent())
    assert len(data.held_out_designs) == 80
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    measured, held_out = (
        set(data.to_user_units(designs).itertuples(index=False, name=None))
        for designs in (data.designs, data.held_out_designs)
    )
    found = set(candidates[["a", "b", "c"]].itertuples(index=False, name=None))
    assert len(found) == 12
    assert bool(found & (held_out | measured)) == keep_known
    # Of what is known, a held-out row is named like any other.
    table, given = (f[["a", "b", "c"]] / frame[["a", "b", "c"]].std() for f in (frame, candidates))
    distances = distance.cdist(given, table)
    rows = candidates["nearest_row"].to_numpy() - 1
    np.testing.assert_allclose(distances[np.arange(12), rows], distances.min(1), atol=1e-9)
    np.testing.assert_array_equal(frame["y"].iloc[rows], candidates["nearest_y"])


def test_where_all_has_been_measured_nothing_is_left(tmp_path: Path) -> None:
    class All(Measured):
        def load(self) -> tuple[Tensor, Tensor]:
            designs = torch.cartesian_prod(*[torch.arange(-2.0, 3.0).double()] * 2)
            return designs, -designs.square().sum(1)

    with pytest.warns(UserWarning, match="there is no candidate.* --keep_known true"):
        run(tmp_path, callbacks.CandidateWriter(), data=All(), num_iterations=1)
    assert read_table(tmp_path / "candidates.csv").empty


def test_fewer_than_are_wanted_are_told_of(tmp_path: Path) -> None:
    """A lattice of 5 x 5 designs has fewer than 30 that have not been measured."""
    told = r"candidates are handed out where 30 are wanted: .* --search\.num_samples"
    with pytest.warns(UserWarning, match=told):
        run(tmp_path, callbacks.CandidateWriter(30), data=Measured(), num_iterations=1)
    assert 0 < len(read_table(tmp_path / "candidates.csv")) < 30


@pytest.mark.parametrize(
    ("promises", "best"), [([1.0, 3.0, 2.0], 1), ([3.0, 1.0, 2.0], 0), ([1.0, 2.0, 3.0], 2)]
)
def test_candidates_are_of_the_iteration_that_promises_most(
    promises: list[float], best: int, tmp_path: Path
) -> None:
    _, recorder = run(
        tmp_path,
        callbacks.CandidateWriter(),
        oracle=PromisingOracle(promises),
        algorithm=Indifferent(),
        max_epochs=1,
    )
    candidates = read_table(tmp_path / "candidates.csv")
    # All samples are equally good, and stay in their order.
    designs = recorder.numpy(best)[0] * SCALE + OFFSET
    np.testing.assert_allclose(candidates[["width", "length"]].to_numpy(), designs, rtol=1e-12)
    assert set(candidates["oracle_mean"]) == {promises[best]}
    # The threshold is 0, the standard deviation 1.
    np.testing.assert_allclose(
        candidates["probability_above_threshold"], stats.norm.cdf(promises[best])
    )


def test_far_tails_keep_their_probability(tmp_path: Path) -> None:
    run(
        tmp_path,
        callbacks.CandidateWriter(),
        oracle=PromisingOracle([-30.0]),
        algorithm=Indifferent(),
        max_epochs=1,
        num_iterations=1,
    )
    probability = read_table(tmp_path / "candidates.csv")["probability_above_threshold"]
    np.testing.assert_allclose(probability, stats.norm.sf(30.0), rtol=1e-9)


def test_a_design_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = MultivariateNormal.sample
    monkeypatch.setattr(MultivariateNormal, "sample", lambda *args: drawn(*args).round())
    trainer, recorder = run(
        tmp_path,
        callbacks.CandidateWriter(),
        callbacks.DesignCheckpoint(),
        algorithm=Indifferent(),
        num_iterations=1,
    )
    designs, means, *_ = recorder.numpy(0)
    chosen = means >= np.quantile(means, 0.8)
    best = dict(zip(map(tuple, designs[chosen]), means[chosen], strict=True))
    assert len(best) < chosen.sum()
    candidates = read_table(tmp_path / "candidates.csv")
    assert candidates["oracle_mean"].tolist() == sorted(best.values(), reverse=True)
    points = (candidates[["width", "length"]].to_numpy() - OFFSET) / SCALE
    assert {tuple(point) for point in points.round()} == set(best)
    trainer.predict(ckpt_path="last", datamodule=trainer.datamodule)
    predicted = read_table(tmp_path / "predicted_candidates.csv")
    assert not predicted[["width", "length"]].duplicated().any()
    assert 0 < len(predicted) < 100


class Known(Quadratic):
    def nearest_known(self, designs: Tensor) -> pd.DataFrame:
        return pd.DataFrame({"nearest_x": self.designs[:, 0].numpy()[: len(designs)]})


def test_what_is_known_stands_between(tmp_path: Path) -> None:
    run(tmp_path, callbacks.CandidateWriter(), data=Known(), num_iterations=1)
    columns = list(read_table(tmp_path / "candidates.csv").columns)
    assert columns == [*FIGURES, "nearest_x", "width", "length"]


def test_nothing_is_written_before_the_first_iteration(tmp_path: Path) -> None:
    trainer = trainer_with(
        tmp_path,
        search_update(),
        callbacks.OracleConvergence(max_epochs=5),
        callbacks.CandidateWriter(),
        max_epochs=1,
    )
    trainer.fit(ensemble(), datamodule=Quadratic())
    assert list(tmp_path.iterdir()) == []


class Stop(callbacks.DesignCallback):
    """Ends the run after the second iteration."""

    def __init__(self, how: type[BaseException] | None) -> None:
        self.how = how

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        if iteration.number == 1:
            if self.how:
                raise self.how
            trainer.should_stop = True


def test_a_run_that_is_stopped_writes_what_it_has(tmp_path: Path) -> None:
    run(tmp_path, callbacks.CandidateWriter(), Stop(None))
    assert len(read_table(tmp_path / "candidates.csv")) == NUM_SAMPLES // 5


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to")
def test_an_interrupted_run_can_still_predict(tmp_path: Path) -> None:
    used = [callbacks.Trajectory(), callbacks.CandidateWriter(), callbacks.DesignCheckpoint()]
    with pytest.raises(SystemExit):
        run(tmp_path, *used, Stop(KeyboardInterrupt))
    assert not (tmp_path / "candidates.csv").exists()
    trainer = trainer_with(tmp_path, search_update(), callbacks.CandidateWriter(9))
    last = tmp_path / "checkpoints" / "last.ckpt"
    trainer.predict(ensemble(), datamodule=Quadratic(), ckpt_path=last)
    assert len(read_table(tmp_path / "predicted_candidates.csv")) == 9


def test_state_goes_on(tmp_path: Path) -> None:
    trainer, _ = run(tmp_path, callbacks.CandidateWriter())
    writer, saved = find(trainer, callbacks.CandidateWriter), callbacks.CandidateWriter()
    saved.load_state_dict(writer.state_dict())
    assert saved.iteration == writer.iteration >= 0
    assert torch.equal(saved.designs, writer.designs)
    assert list(saved.figures) == FIGURES


@pytest.mark.parametrize(("num_candidates", "rows"), [(None, 100), (7, 7)])
def test_predict(num_candidates: int | None, rows: int, tmp_path: Path) -> None:
    # Above all samples' scores of one fit are those of an oracle that stays as it is.
    never = callbacks.ImportanceWeighting(enabled=False)
    trainer, recorder = run(
        tmp_path,
        callbacks.Trajectory(),
        callbacks.CandidateWriter(num_candidates),
        callbacks.DesignCheckpoint(),
        weighting=never,
    )
    written = (tmp_path / "candidates.csv").read_bytes()
    for name in ("predicted_candidates.csv", "predicted_candidates-2.csv"):
        trainer.predict(ckpt_path="last", datamodule=trainer.datamodule)
        assert (tmp_path / name).exists()
    one, two = (read_table(path) for path in sorted(tmp_path.glob("predicted*")))
    pd.testing.assert_frame_equal(one, two)
    assert (tmp_path / "candidates.csv").read_bytes() == written
    assert list(one.columns) == [*FIGURES, "width", "length"]
    assert len(one) == rows
    assert (np.diff(one["oracle_mean"]) <= 0).all()
    # New draws of the model of the last iteration, by the oracle of that iteration.
    designs = (one[["width", "length"]].to_numpy() - OFFSET) / SCALE
    sampled = recorder.sampled_models[-1]
    density = stats.multivariate_normal(sampled.mean.numpy(), sampled.covariance.numpy())
    np.testing.assert_allclose(one["log_prob_search_model"], density.logpdf(designs), rtol=1e-6)
    with torch.no_grad():
        prediction = trainer.lightning_module(torch.tensor(designs, dtype=torch.float32))
    np.testing.assert_allclose(one["oracle_mean"], prediction.loc.numpy(), rtol=1e-4)
    np.testing.assert_allclose(
        one["probability_above_threshold"],
        stats.norm.sf(recorder.iterations[-1].threshold, one["oracle_mean"], one["oracle_std"]),
        rtol=1e-5,
    )
    # Of the best fifth of twenty times as many draws, none of them seen before.
    assert not np.isin(designs, recorder.numpy(2)[0]).any()


def test_predict_needs_a_search(tmp_path: Path) -> None:
    trainer = trainer_with(tmp_path, callbacks.CandidateWriter())
    with pytest.raises(ConfigurationError, match="add a SearchModelUpdate"):
        trainer.predict(ensemble(), datamodule=Quadratic())


@pytest.mark.parametrize("num_candidates", [0, -1])
def test_refused_numbers(num_candidates: int) -> None:
    with pytest.raises(ConfigurationError, match="num_candidates must be at least 1"):
        callbacks.CandidateWriter(num_candidates)


def test_needs_a_search(tmp_path: Path) -> None:
    trainer = trainer_with(tmp_path, callbacks.OracleConvergence(), callbacks.CandidateWriter())
    with pytest.raises(ConfigurationError, match="need a search callback: add a SearchModelUpdate"):
        trainer.fit(ensemble(), datamodule=Quadratic())
