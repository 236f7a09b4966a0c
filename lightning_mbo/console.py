"""What the command line says besides its tables."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import warnings
from typing import Any, TextIO

import numpy as np
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from lightning_mbo.files import disk_error

LOST = "another process of this run has ended, and the run with it"


def is_first_process() -> bool:
    """Whether this is the first of the run's processes, also before they know of each other."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def shown_number(value: Any) -> str:
    """An entry of a table for the screen: of a number with decimals four significant digits."""
    if not isinstance(value, (float, np.floating)):
        return str(value)
    # Without an exponent where there are hardly more digits than that.
    number = float(value)
    return f"{number:.0f}" if 1e4 <= abs(number) < 1e7 else f"{number:.4g}"


def with_deviation(mean: float, std: float) -> str:
    """Both to the second digit of the standard deviation."""
    if not 1e-4 < std < 1e4:
        return f"{mean:.4g} ± {std:.2g}"
    decimals = max(0, 1 - math.floor(math.log10(std)))
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}"


@rank_zero_only
def say(message: str) -> None:
    """Print a line, on the first process only."""
    print(message, flush=True)


@rank_zero_only
def show(table: Table) -> None:
    """Print a table, on the first process only."""
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(table)


def quieten() -> None:
    """Leave out what the libraries say of matters settled here, and print warnings as one line."""
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    for message in (
        r"LightningCLI's args parameter is intended",
        r"Checkpoint directory .* exists and is not empty",
        r"The number of training batches .* is smaller than the logging interval",
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
        r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
        r"Metric `SpearmanCorrcoef` will save all targets",
    ):
        warnings.filterwarnings("ignore", message=f".*{message}")
    warnings.showwarning = _one_line
    threading.excepthook = _without_disk_errors
    observer = logging.getLogger("lightning_fabric.strategies.launchers.subprocess_script")
    observer.setLevel(logging.INFO)
    observer.addFilter(_tell_of_loss)


def spare_output() -> None:
    """Where the output cannot be written, keep Python from trying once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _without_disk_errors(raised: threading.ExceptHookArgs) -> None:
    # The thread that writes TensorBoard's file hands its error on to the main thread.
    if raised.exc_value is None or disk_error(raised.exc_value) is None:
        threading.__excepthook__(raised)


def _tell_of_loss(record: logging.LogRecord) -> bool:
    # Lightning is about to kill the run's other processes, this one too.
    if "Forcefully terminating" in record.getMessage():
        print(f"error: {LOST}: the same command with --ckpt_path last goes on", file=sys.stderr)
    return False


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        print(f"warning: {' '.join(str(message).split())}", file=file or sys.stderr, flush=True)
