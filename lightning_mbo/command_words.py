"""What the words of a command line say, before they are parsed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def values_of(words: Sequence[str], option: str) -> list[str]:
    """All values of an option, given as `--option=value` or as `--option value`.

    Args:
        words: Of the command line.
        option: With its dashes.
    """
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return joined + [after for word, after in pairwise(words) if word == option]
