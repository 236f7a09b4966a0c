"""The errors that a user can cause and mend, each one line on the command line; and warnings."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


def one_line(text: str) -> str:
    """A text of several lines, in one."""
    return " ".join(line.strip() for line in text.splitlines())


class MBOError(Exception):
    """Base of all errors whose message tells the user what is wrong and what to do.

    In one line, whatever lines there are in what it quotes.
    """

    def __str__(self) -> str:
        """The message."""
        return one_line(super().__str__())


class DataError(MBOError):
    """A table of designs cannot be used: the message names the file, column and row."""


class ConfigurationError(MBOError):
    """Options that do not go together, or a value outside its range."""


class CheckpointError(MBOError):
    """A checkpoint cannot be read, or belongs to another run, model or data set."""


class FileError(MBOError):
    """A file cannot be written: the message names it, the reason, and what to do."""


class MBOWarning(UserWarning):
    """What this project warns of, whichever part of it; to be filtered by this class."""


def optional(package: str, extra: str, needing: str, otherwise: str = "") -> ModuleType:
    """Import a package that not every installation has.

    Args:
        package: Its name.
        extra: The extra of this project that it is installed with.
        needing: What cannot be done without.
        otherwise: What can be done instead, or nothing.

    Raises:
        ConfigurationError: If it is not installed, with the line that installs it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        package = package.partition(".")[0]
        raise ConfigurationError(
            f"{needing} needs the package {package}: pip install 'lightning-mbo[{extra}]'"
            + (f", or {otherwise}" if otherwise else "")
        ) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """How a message about a word that is not known ends: with the nearest ones, or with all."""
    known = list(dict.fromkeys(known))
    folded = {name.casefold(): name for name in reversed(known)}
    near = [folded[n] for n in difflib.get_close_matches(word.casefold(), folded, 3, cutoff=0.6)]
    if near:
        return f". Did you mean {' or '.join(near)}?"
    short = [name if len(name) <= 40 else f"{name[:37]}..." for name in known[:10]]
    shown = ", ".join(short) + (f" and {len(known) - 10} more" * (len(known) > 10))
    return f": there are {shown}"
