"""The words of a command line, before they are parsed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

COMMANDS = {
    "fit": "Search for better designs: a new run, or on from a checkpoint.",
    "validate": "Each ensemble member's weighted validation loss.",
    "test": "Score a run's samples by the ground truth, where there is one.",
    "predict": "Draw further candidates from a run, finished or not.",
    "inspect": "Say what a table tells, before anything is designed; has a --help of its own.",
    "compare": "Compare a run's candidates with what was measured; has a --help of its own.",
    "benchmark": "Compare methods over trials; has a --help of its own.",
}
"""Each command, and what it does."""


def values_of(words: Sequence[str], option: str) -> list[str]:
    """All values of an option, given as `--option=value` or as `--option value`.

    Args:
        words: Of the command line.
        option: With its dashes.
    """
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return joined + [after for word, after in pairwise(words) if word == option]
