"""What a run prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from tests.callbacks.quadratic import OFFSET, SCALE, Quadratic, callbacks, find, run

pytestmark = pytest.mark.usefixtures("_blank_pictures")


class Wide(Quadratic):
    """Designs of many columns for the user, of which each shows the same number."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(ground_truth=None)
        self.names = names

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        values = designs[:, :1].numpy() * SCALE[0] + OFFSET[0]
        return pd.DataFrame(np.repeat(values, len(self.names), axis=1), columns=self.names)

    def nearest_known(self, designs: Tensor) -> pd.DataFrame:
        return pd.DataFrame({"nearest_row": range(1, len(designs) + 1)})


def summed_up(folder: Path, *more: Any, **options: Any) -> Any:
    used = callbacks.Summary(), callbacks.CandidateWriter(), *more
    return run(folder, *used, num_iterations=1, **options)[0]


def test_without_a_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = summed_up(tmp_path)
    printed = capsys.readouterr().out
    assert "1 design iterations in" in printed
    assert "The best of 20 candidates: height (m)" in printed
    assert "Chosen: design iteration 0, by the greatest promise of the oracle." in printed
    assert f"Run:        {tmp_path}\n" in printed
    assert f"Candidates: {tmp_path / 'candidates.csv'}\n" in printed
    assert "more column" not in printed
    best = callbacks.candidates_of(trainer).iloc[0]
    (first,) = (line for line in printed.splitlines() if line.startswith("│    1 │"))
    shown = [entry.strip() for entry in first.strip("│").split("│")]
    assert shown[1:3] == [f"{best['oracle_mean']:.4g}", f"{best['oracle_std']:.4g}"]
    assert [float(entry) for entry in shown[3:]] == [
        float(f"{best[n]:.4g}") for n in ("width", "length")
    ]


@pytest.mark.parametrize(
    ("names", "shown", "line"),
    [
        ([f"c{i}" for i in range(9)], 9, ""),
        ([f"c{i:02d}" for i in range(40)], 9, "31 more columns are in candidates.csv."),
        (["one", "two", "w" * 31, *"abcdefgh", "last"], 6, "6 more columns are in"),
        ([f"{'long':_<31}{i}" for i in range(3)], 2, "1 more column is in candidates.csv."),
    ],
)
def test_as_many_columns_as_fit(
    names: list[str],
    shown: int,
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    summed_up(tmp_path, data=Wide(names))
    printed = capsys.readouterr().out
    rows = [row for row in printed.splitlines() if row.startswith("┃ rank")]
    headers = [entry.strip() for entry in rows[0].strip("┃").split("┃")]
    wanted = [name.replace("_", " ") for name in names[:shown]]
    assert headers == ["rank", "predicted", "± std", *wanted, "nearest row"]
    assert len(rows[0]) <= 120
    assert (line in printed) if line else ("more column" not in printed)


def test_only_the_first_process_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = summed_up(tmp_path)
    summary = find(trainer, callbacks.Summary)
    capsys.readouterr()
    summary.on_fit_end(trainer, trainer.lightning_module)
    assert "The best of" in capsys.readouterr().out
    monkeypatch.setattr(type(trainer), "is_global_zero", False)
    summary.on_fit_end(trainer, trainer.lightning_module)
    assert capsys.readouterr().out == ""


def test_a_run_without_files_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = summed_up(Path.cwd(), data=Wide([f"c{i:02d}" for i in range(40)]))
    printed = capsys.readouterr().out
    assert "31 more columns are in candidates_of(trainer)." in printed
    assert "Candidates: " not in printed
    assert len(callbacks.candidates_of(trainer).columns) > 40


def test_a_run_that_had_no_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Stop(callbacks.DesignCallback):
        def on_train_epoch_end(self, trainer: Any, oracle: Any) -> None:
            trainer.should_stop = True

    summed_up(tmp_path, Stop(), max_epochs=50)
    printed = capsys.readouterr().out
    assert "There are no candidates yet" in printed
