"""``python -m lightning_mbo inspect``: what a table tells, before anything is designed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jsonargparse import ArgumentParser

from lightning_mbo.benchmark.fit_options import FitOptions
from lightning_mbo.console import say
from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.evidence.suitability import Suitability, fitted, some_rows
from lightning_mbo.oracles import Stack
from lightning_mbo.parsing import Parser
from lightning_mbo.problem import DesignProblem
from lightning_mbo.report.dependence import dependences

_NAMED = 0.9
"""Of what all columns move the prediction: so much is told column by column."""


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
    for name, problem, has_best in _problems(data):
        oracle = fitted(Stack(), problem)
        say(f"\n{name}: {len(problem.designs):,} designs")
        said = Suitability.of(problem, oracle, has_best).lines(name)
        for line in (_columns(oracle, data), *said):
            say(line)


def _problems(data: DesignDataModule) -> Iterator[tuple[str, DesignProblem, bool]]:
    """What is wanted by name, with the rows that have it, and whether more of it is better."""
    problem = some_rows(data.problem)
    if problem.results is None:
        yield data.measured_name, problem, True
        return
    for number, goal in enumerate(problem.results.goals):
        own, sides = problem.of_result(number), goal.sides
        if sides == ("upper",):
            own = replace(own, properties=-own.properties)
        yield goal.name, own, len(sides) == 1


def _columns(oracle: Stack, data: DesignDataModule) -> str:
    """Which columns move the prediction."""
    depending = dependences(oracle, data, data.designs[:1])
    total = sum(each.importance**2 for each in depending)
    if not total > 0:
        return "Columns that matter: none."
    told, parts = 0.0, []
    for each in depending:
        share = each.importance**2 / total
        parts.append(f"{each.levels.name} {100 * share:.0f} %")
        told += share
        if told >= _NAMED:
            break
    others = len(depending) > len(parts)
    rest = f"; all others {100 * (1 - told):.0f} %" if others else ""
    return f"Columns that matter: {', '.join(parts)}{rest}."
