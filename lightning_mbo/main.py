"""The command's first lines, which import no torch: what can be answered at once, is."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from lightning_mbo import __version__
from lightning_mbo.command_words import COMMANDS, values_of
from lightning_mbo.errors import ConfigurationError, MBOError, did_you_mean
from lightning_mbo.memory import give_back_large_arrays
from lightning_mbo.shipped_configs import found_config
from lightning_mbo.signals import ended_by_signals

_NAME = "lightning-mbo"


def main(args: list[str] | None = None) -> None:
    """Run the command line; a signal ends it with one line from the beginning on.

    Args:
        args: Its words; None for those of the process.
    """
    words = sys.argv[1:] if args is None else args
    with ended_by_signals(signal.SIGTERM):
        try:
            answer = quick_answer(words)
        except MBOError as error:
            sys.exit(f"error: {error}")
        if answer is not None:
            print(answer)
            return
        give_back_large_arrays()
        # Not before: torch takes seconds to import.
        from lightning_mbo.cli import main as command_line

        command_line(words)


def quick_answer(words: Sequence[str]) -> str | None:
    """What is said of a command line that asks for no work; None of another.

    Args:
        words: Of the command line.

    Raises:
        ConfigurationError: If there is no such command or config, or no command at all.
    """
    first = words[0] if words else ""
    if first in ("-h", "--help"):
        return _help()
    if first == "--version":
        return f"{_NAME} {__version__}"
    if not first:
        raise ConfigurationError(
            f"give a command, one of {', '.join(COMMANDS)}; --help tells what they do"
        )
    if first not in COMMANDS and not first.startswith("-"):
        raise ConfigurationError(f"there is no command {first}{did_you_mean(first, COMMANDS)}")
    for option in ("-c", "--config"):
        for name in values_of(words, option):
            if not name.startswith("-"):  # which would be the next option
                found_config(name)
    return None


def _help() -> str:
    parser = argparse.ArgumentParser(
        prog=_NAME,
        description="From a table of measured designs to better ones.",
        epilog=f"{_NAME} COMMAND --help lists the options of a command. A first run: {_NAME} fit "
        "--config toy.yaml",
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)
    return parser.format_help().rstrip()
