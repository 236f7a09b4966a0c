"""What a run has come to."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lightning_mbo.console import say, shown_number, with_deviation
from lightning_mbo.data import DesignDataModule
from lightning_mbo.evidence.verdict import rating_of
from lightning_mbo.files import run_folder, writes_files
from lightning_mbo.oracles import Oracle
from lightning_mbo.report.common_errors import common_error_line
from lightning_mbo.report.shares import in_one_line, shares_of_results
from lightning_mbo.results import PROBABILITY
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, callback_of, design_data
from .candidate_writer import CandidateWriter
from .search import SearchCallback, search_of
from .trajectory import Trajectory

if TYPE_CHECKING:
    import pandas as pd

_NUM_SHOWN = 5
_WIDTH = 120
"""Of what is no terminal."""

_WIDEST_COLUMN = 32
_BETWEEN_COLUMNS = 3


class Summary(DesignCallback):
    """Prints the best candidates and where the files are, on the first process.

    Acts at the end of `fit`, when all files have been written; and after the first fit, where
    several oracles were compared, with a line on them, with one on a mixture of normals, and of
    several results with one on whether their errors go together.
    Saves nothing.
    """

    def __init__(self) -> None:
        """Nothing has begun."""
        self._started = 0.0
        self._console = Console()

    def on_train_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Take the time."""
        self._started = time.monotonic()

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Say which oracles predict best, and of how many components the first samples are."""
        number = iteration.metrics.get("search_model_components")
        if iteration.number == 0 and number is not None:
            say(f"search model: {number:.0f} component{'s' * (number != 1)} to begin with")
        if iteration.number == 0:
            goals = design_data(trainer).goals
            for name, shares in shares_of_results(iteration.metrics, goals).items():
                say(f"oracle{name and f' of {name}'}: {in_one_line(shares)}")
            line = common_error_line(iteration.metrics, goals)
            if line is not None:
                say(line)

    def on_fit_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Sum the run up."""
        search = search_of(trainer)
        writer = callback_of(trainer, CandidateWriter)
        if not (trainer.is_global_zero and search and writer):
            return
        self._console = console()
        elapsed = time.monotonic() - self._started
        self._print(f"\n{search.search.num_done} design iterations in {elapsed:.0f} s.")
        if writer.designs is None:
            self._print("There are no candidates yet: the first oracle fit was not finished.")
            return
        data = design_data(trainer)
        if len(writer.designs) == 0:
            self._print("There are no candidates: a warning says why.")
            return
        left = self._print_candidates(data, search, writer)
        if left:
            place = "candidates.csv" if writes_files(trainer) else "candidates_of(trainer)"
            self._print(f"{left:,} more {'column is' if left == 1 else 'columns are'} in {place}.")
        best = "" if data.goals else f" Best training label: {best_label(data):.4g}."
        self._print_shares(trainer, writer.iteration, data)
        if search.search.pool is None:
            chosen = f"Chosen: design iteration {writer.iteration}, by {search.selector.label}."
            self._print(f"{chosen}{best}")
        elif best:
            self._print(best.strip())
        if writer.outlook is not None:
            self._print(writer.outlook.sentence(data.problem, len(writer.designs)))
            self._print(f"Verdict: {rating_of(writer.outlook)}.")
        elif search.search.pool is None:
            self._print(
                "The predictions are made far from the data: make a few candidates and measure "
                "before you trust the rest."
            )
        if writes_files(trainer):
            self._print_files(trainer, run_folder(trainer))

    def _print_candidates(
        self, data: DesignDataModule, search: SearchCallback, writer: CandidateWriter
    ) -> int:
        """Print the best, and count the columns for which there was no room."""
        import pandas as pd

        assert writer.designs is not None
        total, designs = len(writer.designs), writer.designs[:_NUM_SHOWN]
        pool = search.search.pool
        own = data.to_user_units(designs) if pool is None else pool.rows_of(designs)
        shown = pd.DataFrame(
            {"rank": range(1, len(designs) + 1), **_predicted(data, writer.figures)}
        ).astype(str)
        known = data.nearest_known(designs)
        if data.goals:  # their results would leave no room for the design
            known = known[["nearest_row"]]
        own, known = _texts(own), _texts(known)
        room = self._console.width - 1 - sum(_widths(shown)) - sum(_widths(known))
        number = _num_fitting(_widths(own), room)
        wanted = ", ".join(data.measured_names)
        table = Table(title=f"The best of {total:,} candidates: {wanted}")
        for part in (shown, own.iloc[:, :number], known):
            for name in part:
                table.add_column(
                    _header(name), justify="right", overflow="fold", max_width=_WIDEST_COLUMN
                )
        for row in pd.concat([shown, own.iloc[:, :number], known], axis=1).to_numpy():
            table.add_row(*row)
        self._console.print(table)
        return len(own.columns) - number

    def _print_shares(self, trainer: pl.Trainer, chosen: int, data: DesignDataModule) -> None:
        trajectory = callback_of(trainer, Trajectory)
        rows = [] if trajectory is None else trajectory.rows
        for row in rows:
            if row["design_iteration"] == chosen:
                for name, shares in shares_of_results(row, data.goals).items():
                    self._print(f"Oracle{name and f' of {name}'}: {in_one_line(shares)}.")
                line = common_error_line(row, data.goals)
                if line is not None:
                    self._print(f"{line[0].upper()}{line[1:]}.")

    def _print_files(self, trainer: pl.Trainer, folder: Path) -> None:
        self._print(f"Run:        {folder}")
        self._print(f"Candidates: {folder / 'candidates.csv'}")
        if (folder / "report.html").exists():
            self._print(f"Report:     {folder / 'report.html'}: how far to trust them")
        self._print(f"Trajectory: {folder / 'trajectory.png'} and trajectory.csv beside it")
        for what, name in (("Search:    ", "search.png"), ("Motions:   ", "motions.png")):
            if (folder / name).exists():
                self._print(f"{what} {folder / name}")
        checkpoint = trainer.checkpoint_callback
        best = getattr(checkpoint, "best_model_path", "")
        if best and design_data(trainer).ground_truth is not None:
            self._print(f"Scores:     python -m lightning_mbo test --ckpt_path {best}")

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)


def console() -> Console:
    """Where a run prints: of a width that files and batch systems show."""
    made = Console()
    if not made.is_terminal:
        made.width = _WIDTH
    return made


def best_label(data: DesignDataModule) -> float:
    """The best training label, in the user's units."""
    return data.problem.property.measured(data.properties.max().item())


def _texts(known: pd.DataFrame) -> pd.DataFrame:
    # By columns: a row of numbers and integers would be one of numbers.
    import pandas as pd

    texts = {
        name: ["" if pd.isna(entry) else shown_number(entry) for entry in column]
        for name, column in known.items()
    }
    return pd.DataFrame(texts, index=range(len(known)))


def _predicted(data: DesignDataModule, figures: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """What is predicted of the best, by the headings of a table."""
    best = {name: values[:_NUM_SHOWN] for name, values in figures.items()}
    if not data.goals:
        mean = data.problem.property.measured(best["oracle_mean"])
        return {"predicted": _figures(mean), "± std": _figures(best["oracle_std"])}
    means = best["oracle_mean"].tolist()
    # Zero has no sign of its own.
    columns = {data.measured_name: [f"{round(mean, 2) + 0.0:.2f}" for mean in means]}
    for goal in data.goals:
        if f"{goal.name}_mean" in best:
            pairs = zip(best[f"{goal.name}_mean"], best[f"{goal.name}_std"], strict=True)
            columns[goal.name] = [with_deviation(*map(float, pair)) for pair in pairs]
    if PROBABILITY in best:
        columns["limits"] = [f"{100 * share:.0f} %" for share in best[PROBABILITY].tolist()]
    return columns


def _figures(values: Tensor) -> list[str]:
    return [f"{value:.4g}" for value in values.tolist()]


def _header(name: Hashable) -> str:
    return str(name).replace("_", " ")


def _widths(texts: pd.DataFrame) -> list[int]:
    """Of columns on the screen, with what stands between them."""
    return [
        min(max(map(cell_len, (_header(name), *texts[name]))), _WIDEST_COLUMN) + _BETWEEN_COLUMNS
        for name in texts
    ]


def _num_fitting(widths: Sequence[int], room: int) -> int:
    """How many of the first columns have room."""
    number = 0
    while number < len(widths) and widths[number] <= room:
        room -= widths[number]
        number += 1
    return number
