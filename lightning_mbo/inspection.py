"""``python -m lightning_mbo inspect``: what a table tells, before anything is designed."""

from __future__ import annotations

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from lightning_mbo.benchmark.fit_options import FitOptions
from lightning_mbo.console import say
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.evidence.suitability import Suitability, all_wanted, fitted, some_rows
from lightning_mbo.oracles import Stack
from lightning_mbo.parsing import Parser
from lightning_mbo.report.dependence import dependences
from lightning_mbo.report.suitability import lines


def inspect_parser() -> ArgumentParser:
    """The parser of its own options: there are none but --help."""
    return Parser(
        prog="lightning-mbo inspect",
        description="What a table tells, before anything is designed: how much of the property its "
        "rows tell of each other, by which columns, what is noise, where the best rows lie, and "
        "what to expect of a search.",
        epilog="Its options are those of fit that say what the table is: --data.path FILE "
        "--data.target COLUMN, and what fit --data.help CSV lists.",
        allow_abbrev=False,
    )


def inspect(words: Sequence[str]) -> None:
    """Look at a table, and say what it tells.

    Args:
        words: Of the command line, after `inspect`.

    Raises:
        ConfigurationError: If an option is of a search.
        DataError: If the table cannot be used.
    """
    if {"-h", "--help"} & set(words):
        inspect_parser().parse_args(["--help"])
    for word in words:
        if word.startswith("-") and not word.startswith(("--data", "--config", "-c", "--seed")):
            raise ConfigurationError(
                f"inspect looks at a table and searches nothing: leave {word.split('=')[0]} out"
            )
    data = FitOptions().data(["--config=my_data.yaml", *words])
    data.setup("fit")
    for name, problem, best in all_wanted(data.problem):
        rows = some_rows(problem)
        oracle = fitted(Stack(), rows)
        say(f"\n{name}: {len(rows.designs):,} designs")
        depending = dependences(oracle, data, data.designs[:1])
        for line in lines(name, depending, Suitability.of(rows, oracle, best)):
            say(line)
