"""What a run shows while it goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lightning_mbo.files import run_folder, writes_files
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration

from .base import DesignCallback, callback_of, design_data, problem_of
from .oracle_convergence import OracleConvergence
from .search import search_of
from .summary import best_label, console


class DesignProgress(ProgressBar, DesignCallback):
    """A bar of design iterations.

    Acts at the end of every epoch and on `on_search_model_update`. Where the output is no
    terminal, it prints one line a design iteration instead of a bar.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        super().__init__()
        self.console = console()
        self._progress: Progress | None = None
        self._enabled = True
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
        search = search_of(trainer)
        if not (self._enabled and search):
            return
        data = design_data(trainer)
        line = f"{len(data.designs):,} designs"
        if not data.goals:
            line += f", best {data.measured_name} {best_label(data):.4g}"
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
                "fitting the oracle", total=search.num_iterations, completed=search.search.num_done
            )
            self._progress.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show how the oracle fit goes."""
        assert isinstance(pl_module, Oracle)
        convergence = callback_of(trainer, OracleConvergence)
        fitting = design_data(trainer).fits.fitting
        if self._progress and convergence and fitting:
            loss = pl_module.validation_losses.mean().item()
            self._show(
                f"{self._latest}oracle fit: epoch {convergence.rule.num_epochs}, "
                f"validation loss {loss:.3f}"
            )

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Advance by one design iteration."""
        if not self._enabled:
            return
        line = _promise(problem_of(trainer), iteration.metrics)
        if "alpha" in iteration.metrics:
            line += f", alpha {iteration.metrics['alpha']:.2g}"
        elif "effective_sample_size" in iteration.metrics:
            line += f", n_e {iteration.metrics['effective_sample_size']:.0f}"
        most = iteration.metrics.get("oracle_gap_bound", math.nan)
        if not math.isnan(most):
            line += f", gap under {most:.2f}"
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


def _promise(problem: DesignProblem, metrics: Mapping[str, float]) -> str:
    """What the oracle says of an iteration's samples."""
    sought, promise = problem.property, metrics["oracle_p80"]
    if problem.results is None:
        percentile = 80 if sought.sign > 0 else 20
        return f"oracle's {percentile}th percentile {sought.measured(promise):.4g}"
    line = f"{sought.measured_name}'s 80th percentile {promise:.4g}"
    for name, said in (("limits_met", "meet the limits"), ("beyond_front", "beat all rows")):
        if name in metrics:
            line += f", {100 * metrics[name]:.0f} % {said}"
    return line
