"""What a run shows while it goes on, and at its end."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lightning_mbo.data import DesignDataModule
from lightning_mbo.files import run_folder, writes_files
from lightning_mbo.oracles import Oracle

from .base import DesignCallback, DesignIteration, callback_of, design_data
from .candidate_writer import CandidateWriter
from .oracle_convergence import OracleConvergence
from .search import search_of

_NUM_SHOWN = 5
_MOST_COLUMNS = 5
_RULES = {
    "promise": "the greatest promise of the oracle",
    "held_out_likelihood": "the greatest likelihood of the held-out designs",
}


class DesignProgress(ProgressBar, DesignCallback):
    """A bar of design iterations, and a summary after the last.

    Acts at the end of every epoch and on `on_search_model_update`. Where the output is no
    terminal, it prints one line a design iteration instead of a bar.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        super().__init__()
        self.console = Console()
        if not self.console.is_terminal:
            self.console.width = 120
        self._progress: Progress | None = None
        self._enabled = True
        self._started = 0.0
        self._latest = ""

    def disable(self) -> None:
        """Show nothing, as on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put up the bar."""
        super().on_train_start(trainer, pl_module)
        self._started = time.monotonic()
        search = search_of(trainer)
        if not (self._enabled and search):
            return
        data = design_data(trainer)
        line = f"{len(data.designs):,} designs, best {data.measured_name} {_best_label(data):.4g}"
        if writes_files(trainer):
            line += f"; files go to {run_folder(trainer)}"
        self._print(line)
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("design iteration"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=self.console,
                auto_refresh=False,
            )
            self._progress.add_task(
                "fitting the oracle", total=search.num_iterations, completed=search.num_done
            )
            self._progress.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show how the oracle fit goes."""
        assert isinstance(pl_module, Oracle)
        convergence = callback_of(trainer, OracleConvergence)
        fitting = design_data(trainer).fitting
        if self._progress and convergence and fitting:
            loss = pl_module.validation_losses.mean().item()
            self._show(
                f"{self._latest}oracle fit: epoch {convergence.num_epochs}, "
                f"validation loss {loss:.3f}"
            )

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Advance by one design iteration."""
        if not self._enabled:
            return
        sign = design_data(trainer).sign
        percentile = 80 if sign > 0 else 20
        line = f"oracle's {percentile}th percentile {sign * iteration.metrics['oracle_p80']:.4g}"
        if "alpha" in iteration.metrics:
            line += f", alpha {iteration.metrics['alpha']:.2g}"
        elif "effective_sample_size" in iteration.metrics:
            line += f", n_e {iteration.metrics['effective_sample_size']:.0f}"
        if self._progress:
            self._latest = f"{line}; "
            self._progress.update(self._progress.task_ids[0], advance=1)
            self._show(line)
        else:
            self.console.print(
                f"design iteration {iteration.number}: {line}", soft_wrap=True, highlight=False
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take down the bar."""
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Take down the bar."""
        self._stop()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sum the run up."""
        search = search_of(trainer)
        writer = callback_of(trainer, CandidateWriter)
        if not (self._enabled and search and writer):
            return
        elapsed = time.monotonic() - self._started
        self._print(f"\n{search.num_done} design iterations in {elapsed:.0f} s.")
        if writer.designs is None:
            self._print("There are no candidates yet: the first oracle fit was not finished.")
            return
        data = design_data(trainer)
        self.console.print(_candidates_table(data, writer))
        self._print(
            f"Chosen: design iteration {writer.iteration}, by {_RULES[search.select]}. "
            f"Best training label: {_best_label(data):.4g}."
        )
        self._print(
            "The predictions are the oracle's own, made far from its data: make a few candidates "
            "and measure before you trust the rest."
        )
        if writes_files(trainer):
            self._print_files(trainer, run_folder(trainer))

    def _print_files(self, trainer: pl.Trainer, folder: Path) -> None:
        self._print(f"Candidates: {folder / 'candidates.csv'}")
        if (folder / "report.html").exists():
            self._print(f"Report:     {folder / 'report.html'}: how far to trust them")
        self._print(f"Trajectory: {folder / 'trajectory.png'} and trajectory.csv beside it")
        if (folder / "search.png").exists():
            self._print(f"Search:     {folder / 'search.png'}")
        checkpoint = trainer.checkpoint_callback
        best = getattr(checkpoint, "best_model_path", "")
        if best and design_data(trainer).ground_truth is not None:
            self._print(f"Scores:     python -m lightning_mbo test --ckpt_path {best}")

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False)

    def _show(self, description: str) -> None:
        assert self._progress is not None
        self._progress.update(self._progress.task_ids[0], description=description)
        self._progress.refresh()

    def _stop(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None


def _best_label(data: DesignDataModule) -> float:
    return data.sign * data.properties.max().item()


def _candidates_table(data: DesignDataModule, writer: CandidateWriter) -> Table:
    assert writer.designs is not None
    total = len(writer.designs)
    table = Table(title=f"The best of {total:,} candidates: {data.measured_name}")
    designs = data.to_user_units(writer.designs[:_NUM_SHOWN])
    known = data.nearest_known(writer.designs[:_NUM_SHOWN])
    # Of a design with many columns, a material that is known says more than the first few.
    if known.columns.empty or len(designs.columns) <= _MOST_COLUMNS:
        known = pd.concat([designs.iloc[:, :_MOST_COLUMNS], known], axis=1)
    for header in ("rank", "predicted", "± std", *known.columns):
        table.add_column(header.replace("_", " "), justify="right", overflow="fold")
    # By columns: a row of numbers and integers would be one of numbers.
    for rank, entries in enumerate(known.round(2).itertuples(index=False)):
        table.add_row(
            str(rank + 1),
            f"{data.sign * writer.figures['oracle_mean'][rank]:.4g}",
            f"{writer.figures['oracle_std'][rank]:.4g}",
            *(str(entry) for entry in entries),
        )
    return table
