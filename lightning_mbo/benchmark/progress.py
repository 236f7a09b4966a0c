"""How far a benchmark has come."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lightning_mbo.benchmark.plan import Run
from lightning_mbo.benchmark.worker import Outcome


class BenchmarkProgress:
    """A bar of runs with an estimate of the time left; without a terminal, one line a run.

    The estimate takes each run to last as long as other trials of it did, and as
    many of them to go on at a time as have until now.
    """

    def __init__(self, runs: list[Run]) -> None:
        """Show nothing yet.

        Args:
            runs: Those to be done.
        """
        self.console = Console()
        if not self.console.is_terminal:
            self.console.width = 120
        self.total = len(runs)
        self._left: dict[str, int] = defaultdict(int)
        for run in runs:
            self._left[run.key] += 1
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._num_done = 0
        self._started = 0.0
        self._progress: Progress | None = None

    def __enter__(self) -> BenchmarkProgress:
        """Put up the bar."""
        self._started = time.monotonic()
        if self.console.is_terminal and self.total:
            self._progress = Progress(
                TextColumn("runs"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=self.console,
            )
            self._progress.add_task("", total=self.total)
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take down the bar."""
        if self._progress:
            self._progress.stop()

    def advance(self, run: Run, outcome: Outcome) -> None:
        """Show that a run has ended."""
        self._num_done += 1
        self._left[run.key] -= 1
        self._seconds[run.key].append(outcome.seconds)
        elapsed = time.monotonic() - self._started
        left = f"about {_duration(self.seconds_left(elapsed))} left"
        if outcome.error:
            self._print(f"failed: {run.name}: {outcome.error}")
        if self._progress:
            self._progress.update(self._progress.task_ids[0], advance=1, description=left)
        elif not outcome.error:
            scores = ", ".join(f"{name} {value:.4g}" for name, value in outcome.scores.items())
            self._print(
                f"{self._num_done}/{self.total} {run.name}: {scores} "
                f"({outcome.seconds:.0f} s); {left}"
            )

    def seconds_left(self, elapsed: float) -> float:
        """An estimate from the runs that have ended.

        Args:
            elapsed: Seconds that they took together.
        """
        known = [seconds for each in self._seconds.values() for seconds in each]
        if not known:
            return 0.0
        average = statistics.fmean(known)
        work = sum(
            number * (statistics.fmean(self._seconds[kind]) if self._seconds[kind] else average)
            for kind, number in self._left.items()
        )
        return work * elapsed / max(sum(known), 1e-9)

    def _print(self, line: str) -> None:
        console = self._progress.console if self._progress else self.console
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
