"""What a benchmark has found so far, on disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_mbo.benchmark.plan import Run
from lightning_mbo.benchmark.worker import Outcome
from lightning_mbo.console import say
from lightning_mbo.errors import DataError
from lightning_mbo.files import replacing, write_text

_SHOWN = ("oracle_p80", "effective_sample_size")
FACTS = [
    *("trial", "seconds", "cpu_seconds", "error", "key", "best_iteration", "verdict"),
    *("best_visible", *_SHOWN),
]
"""Columns of the rows that are no scores, besides method, arm and the grid's."""


class Results:
    """The finished runs of a benchmark, one row each, in a folder.

    `rows.csv` is written whenever a run has finished, `trajectories/` has one table a run,
    `initial_oracles/` the oracles that runs share, and `errors/` what became of failed runs.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is there.

        Raises:
            DataError: If `rows.csv` is none of a benchmark.
        """
        self.folder = folder
        self._rows: dict[tuple[str, int], dict[str, Any]] = {}
        self._oracles: dict[Path, bytes] = {}
        path = folder / "rows.csv"
        if path.is_file():
            try:
                table = pd.read_csv(path, keep_default_na=False, dtype=str)
                # The key stands last: where it is whole, so is the row.
                whole = table[table["key"].str.len() == table["key"].str.len().max()]
                self._rows = {
                    (row["key"], int(row["trial"])): {str(name): v for name, v in row.items()}
                    for row in whole.to_dict("records")
                }
            except (KeyError, ValueError) as error:
                raise DataError(
                    f"{path} is not the table of a benchmark: move it away, or give another "
                    "--output_dir"
                ) from error
            if len(whole) < len(table):
                say(
                    f"{path}: {len(table) - len(whole)} of {len(table)} rows cut short, whose runs "
                    "are to be done again"
                )

    def finished(self, run: Run) -> bool:
        """Whether there is a row of a run that went well."""
        row = self._rows.get((run.key, run.trial))
        return row is not None and not row["error"]

    def add(self, run: Run, outcome: Outcome) -> None:
        """Write what a run has left, its row last."""
        if outcome.initial_oracle is not None:
            with replacing(self._oracle_path(run)) as file:
                file.write(outcome.initial_oracle)
        if outcome.error:
            write_text(self.error_path(run), outcome.traceback)
        else:
            table = pd.DataFrame(outcome.trajectory)
            write_text(self._trajectory_path(run), table.to_csv(index=False))
        best = next(
            (r for r in outcome.trajectory if r["design_iteration"] == outcome.best_iteration), {}
        )
        self._rows[run.key, run.trial] = {
            "method": run.method,
            **run.cell,
            "arm": run.arm,
            "trial": run.trial,
            **outcome.scores,
            "best_iteration": outcome.best_iteration,
            **({"verdict": outcome.verdict} if outcome.verdict else {}),
            **{name: best[name] for name in _SHOWN if name in best},
            "seconds": round(outcome.seconds, 2),
            "cpu_seconds": round(outcome.cpu_seconds, 2),
            "error": outcome.error,
            "key": run.key,
        }
        write_text(self.folder / "rows.csv", pd.DataFrame(self._rows.values()).to_csv(index=False))

    def initial_oracle(self, run: Run) -> bytes | None:
        """The checkpoint of the oracle that a run starts from, if another run has left it."""
        path = self._oracle_path(run)
        if path not in self._oracles and path.is_file():
            self._oracles[path] = path.read_bytes()
        return self._oracles.get(path)

    def rows(self, runs: list[Run]) -> pd.DataFrame:
        """One row for each of these runs that has one, in their order and by their names."""
        found = [(run, self._rows.get((run.key, run.trial))) for run in runs]
        table = pd.DataFrame(
            {**row, "method": run.method, **run.cell, "arm": run.arm} for run, row in found if row
        )
        names = {"method", "arm", "verdict", "error", "key", *(runs[0].cell if runs else ())}
        for name in table.columns.difference(list(names)):
            table[name] = pd.to_numeric(table[name].replace("", None))
        return table

    def trajectories(self, runs: list[Run]) -> pd.DataFrame:
        """The design iterations of all finished runs among these."""
        tables = []
        for run in runs:
            path = self._trajectory_path(run)
            if self.finished(run) and path.is_file():
                known = {"method": run.method, **run.cell, "arm": run.arm, "trial": run.trial}
                tables.append(pd.read_csv(path).assign(**known))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def error_path(self, run: Run) -> Path:
        """Where the traceback of a failed run is."""
        return self.folder / "errors" / f"{_file_name(run)}.txt"

    def _trajectory_path(self, run: Run) -> Path:
        return self.folder / "trajectories" / f"{_file_name(run)}.csv"

    def _oracle_path(self, run: Run) -> Path:
        return self.folder / "initial_oracles" / f"{run.oracle_key}_{run.trial}.ckpt"


def _file_name(run: Run) -> str:
    # The key keeps the runs apart that other settings gave the same names.
    return f"{re.sub(r'[^A-Za-z0-9.=+-]+', '_', run.name)}_{run.key}"
