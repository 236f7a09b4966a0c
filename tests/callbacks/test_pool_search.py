"""Search in a list of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.batch import diverse_batch
from lightning_mbo.data import CSV
from lightning_mbo.errors import CheckpointError, ConfigurationError
from lightning_mbo.oracles import GradientOracle
from lightning_mbo.space import DesignSpace
from tests.callbacks.quadratic import Quadratic, callbacks, find, trainer_with

pytestmark = [
    pytest.mark.usefixtures("_blank_pictures"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to"),
]

NUM_MEASURED, NUM_LISTED = 60, 30


class Bowl(GradientOracle):
    """Knows the property, and is not sure of it; training moves nothing that counts."""

    learning_rate = 0.0

    def __init__(self) -> None:
        super().__init__(num_members=2)

    def build(self, space: DesignSpace) -> None:
        self.offsets = torch.nn.Parameter(torch.zeros(2, 1))

    def member_outputs(self, designs: Tensor) -> Normal:
        means = self.offsets - (designs - 1).square().sum(-1)
        return Normal(means, torch.ones_like(means), validate_args=False)


def table() -> pd.DataFrame:
    """Measured points, and the listed ones, which have no y."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(NUM_MEASURED + NUM_LISTED, 2)).round(3)
    frame = pd.DataFrame(points, columns=["a", "b"])
    frame["y"] = rng.normal(size=len(frame))
    frame.loc[NUM_MEASURED:, "y"] = np.nan
    return frame


def pool() -> pd.DataFrame:
    """The listed points and five of the measured ones, with a number of each."""
    rows = [*range(NUM_MEASURED, NUM_MEASURED + NUM_LISTED), *range(5)]
    listed = table().iloc[rows, :2].reset_index(drop=True)
    listed.insert(0, "number", [f"N{i:02d}" for i in range(len(listed))])
    return listed


def data(**options: Any) -> CSV:
    return CSV(table(), target="y", **options)


def searched(
    folder: Path,
    *used: pl.Callback,
    path: pd.DataFrame | None = None,
    problem: CSV | None = None,
    number: int | None = None,
    keep_known: bool = False,
    **options: Any,
) -> pl.Trainer:
    listed = pool() if path is None else path
    trainer = trainer_with(
        folder,
        callbacks.PoolSearch(listed),
        *used,
        callbacks.OracleConvergence(max_epochs=1),
        callbacks.CandidateWriter(number, keep_known),
    )
    with pytest.warns(UserWarning, match="left out for missing entries: y 30"):
        trainer.fit(Bowl(), datamodule=problem or data(), **options)
    return trainer


def expected_order(listed: pd.DataFrame) -> Sequence[int]:
    measured = table().iloc[:NUM_MEASURED][["a", "b"]]
    designs = (listed[["a", "b"]] - measured.mean()) / measured.std(ddof=0)
    return ((designs - 1) ** 2).sum(axis=1).sort_values(kind="stable").index.tolist()


def test_the_list_is_ranked_with_its_own_columns(tmp_path: Path) -> None:
    trainer = searched(tmp_path)
    found = pd.read_csv(tmp_path / "candidates.csv")
    order = expected_order(pool().iloc[:NUM_LISTED])
    assert found["number"].tolist() == [f"N{i:02d}" for i in order]
    pd.testing.assert_frame_equal(
        found[["number", "a", "b"]], pool().iloc[order].reset_index(drop=True)
    )
    assert (found["oracle_mean"].diff().iloc[1:] <= 0).all()
    # The figures of a search without densities.
    assert list(found)[:3] == ["oracle_mean", "oracle_std", "probability_above_threshold"]
    assert list(found)[3:5] == ["nearest_row", "nearest_y"]
    assert find(trainer, callbacks.PoolSearch).num_iterations == 1
    search = find(trainer, callbacks.PoolSearch).search
    assert search.num_done == 1
    assert search.densities is None
    assert torch.equal(search.last_samples(trainer.lightning_module), search.pool.designs)
    assert torch.equal(
        search.more_samples(trainer.lightning_module, 7).designs,
        search.pool.designs[:7],
    )


def test_a_batch_of_the_list(tmp_path: Path) -> None:
    trainer = searched(tmp_path, number=6)
    found = callbacks.candidates_of(trainer)
    problem = trainer.datamodule
    designs = problem.encode(pool().iloc[:NUM_LISTED])
    means = trainer.lightning_module.predict(designs).mean
    rows = diverse_batch(designs, means, problem.distances, 6)
    assert set(found["number"]) == {f"N{i:02d}" for i in rows.tolist()}
    assert found["number"].tolist() != [f"N{i:02d}" for i in expected_order(pool())[:6]]


def test_known_designs_of_the_list(tmp_path: Path) -> None:
    searched(tmp_path, keep_known=True)
    found = pd.read_csv(tmp_path / "candidates.csv")
    assert found["number"].tolist() == [f"N{i:02d}" for i in expected_order(pool())]


def test_rows_without_a_target_are_a_list(tmp_path: Path) -> None:
    search = callbacks.PoolSearch()
    used = callbacks.OracleConvergence(max_epochs=1), callbacks.CandidateWriter()
    trainer = trainer_with(tmp_path, search, *used)
    with pytest.warns(UserWarning, match="left out for missing entries: y 30"):
        trainer.fit(Bowl(), datamodule=data())
    found = pd.read_csv(tmp_path / "candidates.csv")
    order = expected_order(table().iloc[NUM_MEASURED:])
    np.testing.assert_array_equal(found[["a", "b"]], table()[["a", "b"]].iloc[order])


def test_evidence_of_held_out_rows(tmp_path: Path) -> None:
    history = callbacks.Trajectory()
    problem = data(held_out_fraction=0.3)
    searched(tmp_path, callbacks.HeldOut(), history, problem=problem)
    (row,) = history.rows
    held_out = {name for name in row if name.startswith("held_out")}
    assert "held_out_rank_correlation" in held_out
    assert "held_out_weighted_log_likelihood" not in held_out
    found = pd.read_csv(tmp_path / "candidates.csv")
    assert (found["lower_95"] < found["oracle_mean"]).all()


def test_predict_ranks_the_list_again(tmp_path: Path) -> None:
    trainer = searched(tmp_path, callbacks.DesignCheckpoint())
    trainer.predict(ckpt_path="last", datamodule=trainer.datamodule)
    one, two = (
        pd.read_csv(tmp_path / name) for name in ("candidates.csv", "predicted_candidates.csv")
    )
    pd.testing.assert_frame_equal(one, two)


def test_the_list_is_scored_where_there_is_a_truth(tmp_path: Path) -> None:
    class Known(CSV):
        ground_truth = staticmethod(lambda designs: designs.sum(1))

    search = callbacks.PoolSearch(pool())
    used = callbacks.Scoring(), callbacks.OracleConvergence(max_epochs=1)
    trainer = trainer_with(tmp_path, search, *used)
    with pytest.warns(UserWarning, match="left out for missing entries"):
        trainer.fit(Bowl(), datamodule=Known(table(), target="y"))
    trainer.test(trainer.lightning_module, datamodule=trainer.datamodule)
    scores = pd.read_csv(tmp_path / "scores.csv", index_col=0)
    assert scores.index.tolist() == ["search", "training designs"]
    best = search.search.pool.designs.sum(1).max().item()
    assert scores.loc["search", "max"] == pytest.approx(best)


def test_another_list_is_refused(tmp_path: Path) -> None:
    trainer = searched(tmp_path, callbacks.DesignCheckpoint())
    state = find(trainer, callbacks.PoolSearch).state_dict()
    last = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(CheckpointError, match="another list of designs than these 34"):
        searched(tmp_path, path=pool().iloc[1:], ckpt_path=last)
    # A run that is evaluated reads its list when it needs it, and compares it then.
    search = callbacks.PoolSearch(pool().iloc[1:])
    search.setup(trainer, trainer.lightning_module, "predict")
    search.load_state_dict(state)
    with pytest.raises(CheckpointError, match="another list of designs than these 34"):
        search.search.last_samples(trainer.lightning_module)


def test_autofocus_is_refused(tmp_path: Path) -> None:
    weighting = callbacks.ImportanceWeighting(0.2)
    with pytest.raises(ConfigurationError, match=r"PoolSearch has none: give --autofocus\.enabled"):
        searched(tmp_path, weighting)
    searched(tmp_path, callbacks.ImportanceWeighting(enabled=False))


def test_data_without_a_table_are_refused(tmp_path: Path) -> None:
    trainer = trainer_with(tmp_path, callbacks.PoolSearch())
    with pytest.raises(ConfigurationError, match="Quadratic has none"):
        trainer.fit(Bowl(), datamodule=Quadratic())
