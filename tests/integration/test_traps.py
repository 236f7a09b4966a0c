"""Each table of `tests/traps` goes through `fit`, `predict` and resuming as its owner means it.

Beside each table stands what it is about and what must come of it:

    trap: What is to be known of the table.
    table: Its file.
    target: The column of what is measured.
    options: Further words for the command line.
    refuses: What the command says instead of running.
    fix: Options, which it has named, with which it runs; without them it is not to.
    says: What is printed, among others.
    columns: Of the candidates, without figures.
    keeps: What holds of every candidate.
    some: What holds of one at least.
    among: Columns whose entries occur together in the table.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lightning_mbo.cli import main
from tests.blank_pages import blank_pages

_FOLDER = Path(__file__).parent.parent / "traps"
_SMALL = [
    "--search.num_samples=200",
    "--num_candidates=16",
]
_FIRST_FIGURES = ["oracle_mean", "oracle_std"]


@dataclass
class Trap:
    """What must come of a table."""

    trap: str
    table: str
    target: str
    options: list[str] = field(default_factory=list)
    refuses: str | None = None
    fix: list[str] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)
    some: list[str] = field(default_factory=list)
    among: list[list[str]] = field(default_factory=list)

    def check(self, candidates: pd.DataFrame, rows: pd.DataFrame | None) -> None:
        """Whether the candidates are such as can be made."""
        assert len(candidates) == 16
        assert list(candidates)[:2] == _FIRST_FIGURES
        designs = candidates[[name for name in self.columns if name in candidates]]
        assert list(candidates)[-len(self.columns) :] == self.columns
        assert designs.notna().all(axis=None)
        for rule in self.keeps:
            assert designs.eval(rule, engine="python").all(), rule
        for rule in self.some:
            assert designs.eval(rule, engine="python").any(), rule
        for names in self.among:
            assert rows is not None
            assert len(designs[names].merge(rows[names].drop_duplicates())) == len(designs)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("name", sorted(path.stem for path in _FOLDER.glob("*.yaml")))
def test_trap(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    trap = Trap(**yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))
    shutil.copy(_FOLDER / trap.table, trap.table)
    rows = pd.read_csv(trap.table) if trap.among else None
    fit = ["fit", "--config=my_data.yaml", f"--data.path={trap.table}", *_SMALL, *trap.options]
    fit += ["--data.target", trap.target]
    if trap.refuses is not None:
        with pytest.raises(SystemExit) as stopped:
            main([*fit, "--search.num_iterations=2"])
        assert str(stopped.value).startswith("error: ")
        assert trap.refuses in str(stopped.value)
        assert not [*Path().glob("runs/*/*")]
        if not trap.fix:
            return
    fit += trap.fix
    with blank_pages():  # They are drawn once: at the end.
        main([*fit, "--search.num_iterations=2"])
    printed = capsys.readouterr()
    for said in trap.says:
        assert said in printed.out + printed.err
    (run,) = Path("runs/my_data").iterdir()
    trap.check(pd.read_csv(run / "candidates.csv", keep_default_na=False), rows)
    main(["predict", "--ckpt_path", str(run), "--num_candidates=16"])
    trap.check(pd.read_csv(run / "predicted_candidates.csv", keep_default_na=False), rows)
    main([*fit, "--search.num_iterations=3", "--ckpt_path=last"])
    trap.check(pd.read_csv(run / "candidates.csv", keep_default_na=False), rows)
    assert len(pd.read_csv(run / "trajectory.csv")) == 3
