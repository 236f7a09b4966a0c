"""What is said of designs, in the user's units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

import lightning_mbo
from lightning_mbo.data import CSV
from lightning_mbo.errors import DataError
from lightning_mbo.oracles import DeepEnsemble
from lightning_mbo.report.candidates import candidate_table, in_user_units, predictions_of
from tests.callbacks.quadratic import callbacks, trainer_with

FIGURES = {
    "oracle_mean": torch.tensor([1.0, 2.0]),
    "oracle_std": torch.tensor([0.1, 0.2]),
    "probability_above_threshold": torch.tensor([0.3, 0.4]),
}


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.uniform(1, 9, 60).round(2), "c": rng.choice(["x", "z"], 60)})
    frame["cost"] = (200 + 7 * frame["a"] - 20 * (frame["c"] == "x")).round(1)
    return frame


@pytest.mark.parametrize("maximize", [True, False])
def test_figures_have_the_user_s_sign(maximize: bool) -> None:
    data = CSV(table(), target="cost", maximize=maximize)
    data.setup("fit")
    found = in_user_units(data, FIGURES)
    sign, side = (1, "above") if maximize else (-1, "below")
    expected = {
        "oracle_mean": [sign * 1.0, sign * 2.0],
        "oracle_std": [0.1, 0.2],
        f"probability_{side}_threshold": [0.3, 0.4],
    }
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected), check_dtype=False)


def test_rows_of_a_list_stand_as_they_were_given() -> None:
    data = CSV(table(), target="cost")
    data.setup("fit")
    designs = data.known_designs[[4, 2]]
    names = [*FIGURES, "nearest_row", "nearest_cost"]
    own = candidate_table(data, designs, FIGURES)
    assert list(own) == [*names, "a", "c"]
    assert own["nearest_row"].tolist() == [5, 3]
    rows = pd.DataFrame({"number": [7, 8], "nearest_row": [0, 0], "a": [1, 2], "oracle_mean": 0})
    given = candidate_table(data, designs, FIGURES, rows)
    assert list(given) == [*names, "number", "a"]
    assert given["oracle_mean"].tolist() == [1, 2]
    assert given["nearest_row"].tolist() == [5, 3]


@pytest.mark.parametrize("maximize", [True, False])
def test_predictions_of_a_frame(maximize: bool, tmp_path: Path) -> None:
    """Also by an oracle from a checkpoint, and the same as those of the candidates."""
    pl.seed_everything(0)
    data = CSV(table(), target="cost", maximize=maximize)
    trainer = trainer_with(
        tmp_path,
        callbacks.PoolSearch(table().iloc[:20]),
        callbacks.OracleConvergence(max_epochs=150, patience=20),
        callbacks.CandidateWriter(keep_known=True),
        callbacks.DesignCheckpoint(),
    )
    trainer.fit(DeepEnsemble(hidden_sizes=(16,), learning_rate=0.02), datamodule=data)
    frame = table().drop(columns="cost").set_axis(range(100, 160))
    found = predictions_of(trainer.lightning_module, data, frame)
    assert list(found) == ["oracle_mean", "oracle_std"]
    assert found.index.tolist() == frame.index.tolist()
    cost = table()["cost"].to_numpy()
    assert np.corrcoef(found["oracle_mean"], cost)[0, 1] > 0.9
    assert found["oracle_mean"].between(cost.min() - 20, cost.max() + 20).all()
    candidates = callbacks.candidates_of(trainer)
    again = predictions_of(trainer.lightning_module, data, candidates)
    columns = ["oracle_mean", "oracle_std"]
    # Of other rows beside it a design's sums in float32 may end with another bit.
    pd.testing.assert_frame_equal(again, candidates[columns], rtol=1e-5)
    loaded = DeepEnsemble.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    fresh = CSV(table(), target="cost", maximize=maximize)
    pd.testing.assert_frame_equal(
        lightning_mbo.predictions_of(loaded, fresh, frame), found, check_exact=True
    )
    with pytest.raises(DataError, match="the data frame, column 'c', data row 2: 'w' is no level"):
        predictions_of(loaded, fresh, frame.iloc[:3].assign(c=["x", "w", "w"]))
