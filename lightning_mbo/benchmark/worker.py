"""One run of a benchmark, in a process of its own."""

from __future__ import annotations

import io
import tempfile
import time
import traceback
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningCLI

from lightning_mbo.command_line import MBOCommandLine
from lightning_mbo.console import quieten
from lightning_mbo.memory import give_back_large_arrays
from lightning_mbo.mistakes import users_mistake
from lightning_mbo.runs import leave_run_folder

if TYPE_CHECKING:
    import callbacks
else:
    from lightning_mbo import callbacks

_HELD_OUT = (
    "held_out_rank_correlation",
    "held_out_top_overlap",
    "held_out_log_likelihood",
    "held_out_weighted_log_likelihood",
)
"""What a row has of held-out designs, known without a ground truth."""


@dataclass(frozen=True)
class Outcome:
    """What a run leaves.

    Attributes:
        scores: Of its best design iteration, by the ground truth where there is one and by
            held-out designs where there are any; where a batch is chosen, of it and of what was
            said of it.
        verdict: Of the run, where a batch is chosen.
        trajectory: One row a design iteration.
        best_iteration: Its number.
        seconds: From start to end, imports not included.
        cpu_seconds: Of the processor in that time.
        initial_oracle: A checkpoint of the oracle before the search, where that was asked for.
        error: Of a run that failed, in one line; otherwise empty.
        traceback: Of a run that failed.
    """

    scores: dict[str, float] = field(default_factory=dict)
    trajectory: list[dict[str, float]] = field(default_factory=list)
    best_iteration: int = -1
    verdict: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    initial_oracle: bytes | None = None
    error: str = ""
    traceback: str = ""


class _Run(MBOCommandLine):
    """A `fit` that writes and draws nothing."""

    def __init__(self, words: list[str], keep_oracle: bool) -> None:
        self.initial_oracle = callbacks.InitialOracle() if keep_oracle else None
        self.best_samples = callbacks.BestSamples()
        self.batch = callbacks.BatchScoring()
        self.trajectory = callbacks.Trajectory(write=False)
        super().__init__(words)

    def recording_callbacks(self) -> list[pl.Callback]:
        # All figures are there before the record; rows have the scores of the best iteration, and
        # to simulate those of all others would take longer than the search.
        return [
            callbacks.HeldOut(),
            callbacks.Scoring(skip_slow=True),
            self.best_samples,
            *self._batch_callbacks(),
            self.trajectory,
        ]

    def _batch_callbacks(self) -> list[pl.Callback]:
        """What chooses a batch and judges it, where a number of candidates is given."""
        number = self._get(self.config_init, "num_candidates")
        if number is None:
            return []
        writer = callbacks.CandidateWriter(
            number,
            self._get(self.config_init, "keep_known"),
            false_share=self._get(self.config_init, "false_share"),
        )
        return [writer, callbacks.Report(write=False), self.batch]

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        self.save_config_callback = None
        trainer = super().instantiate_trainer(**kwargs)
        if self.initial_oracle is not None:
            # It is kept before the search begins.
            trainer.callbacks.insert(0, self.initial_oracle)  # type: ignore[attr-defined]
        return trainer

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": LightningCLI.subcommands()["fit"]}


def execute(words: list[str], initial_oracle: bytes | None, keep_oracle: bool) -> Outcome:
    """Run `fit` once, on one thread, without leaving files.

    Args:
        words: Of the command line, after `fit`.
        initial_oracle: A checkpoint of the oracle to search with; None to fit it.
        keep_oracle: Whether to hand back the initial oracle.
    """
    quieten()
    give_back_large_arrays()
    torch.set_num_threads(1)
    started, started_cpu = time.monotonic(), time.process_time()
    with (
        tempfile.TemporaryDirectory() as folder,
        redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        # What a run warns of is in its trajectory, and nothing that is printed says whose it is.
        warnings.simplefilter("ignore")
        words = [
            "fit",
            *words,
            "--trainer.logger=false",
            "--trainer.enable_checkpointing=false",
            "--trainer.enable_progress_bar=false",
            f"--trainer.default_root_dir={folder}",
        ]
        if initial_oracle is not None:
            path = Path(folder) / "initial.ckpt"
            path.write_bytes(initial_oracle)
            words.append(f"--ckpt_path={path}")
        try:
            run = _Run(words, keep_oracle)
        except (Exception, SystemExit) as error:
            mistake = users_mistake(error) or error
            message = " ".join(str(mistake).split()) or type(mistake).__name__
            return Outcome(
                seconds=time.monotonic() - started,
                cpu_seconds=time.process_time() - started_cpu,
                error=message,
                traceback=traceback.format_exc(),
            )
        finally:
            leave_run_folder()
    rows = run.trajectory.rows
    best = rows[run.best_samples.iteration]
    scores = run.best_samples.scores | {name: best[name] for name in _HELD_OUT if name in best}
    if "expected_ground_truth" in rows[-1]:
        scores = {"expected_ground_truth": rows[-1]["expected_ground_truth"], **scores}
    return Outcome(
        scores=scores | run.batch.scores,
        verdict=run.batch.verdict,
        trajectory=rows,
        best_iteration=run.best_samples.iteration,
        seconds=time.monotonic() - started,
        cpu_seconds=time.process_time() - started_cpu,
        initial_oracle=None if run.initial_oracle is None else run.initial_oracle.checkpoint,
    )
