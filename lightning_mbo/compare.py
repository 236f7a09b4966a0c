"""``python -m lightning_mbo compare``: a run's candidates, when they have been measured."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jsonargparse import ArgumentParser

from lightning_mbo.benchmark.fit_options import FitOptions
from lightning_mbo.config_files import read_config
from lightning_mbo.console import say
from lightning_mbo.data import CSV
from lightning_mbo.data.measurements import (
    Measurements,
    candidate_means,
    longer_table,
    measurements_of,
)
from lightning_mbo.designs import are_among
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.evidence.outcomes import Outcomes, bound_names
from lightning_mbo.evidence.verdict import Verdict
from lightning_mbo.files import unused_path, write_text
from lightning_mbo.goals import Goal
from lightning_mbo.parsing import Parser
from lightning_mbo.report.figures import draw_comparison
from lightning_mbo.report.outcomes import outcome_lines, result_lines, verdict_line
from lightning_mbo.results import PROBABILITY, Results
from lightning_mbo.spreadsheets import csv_text, unescaped
from lightning_mbo.tabular.wording import listed, verb
from lightning_mbo.trust import check_found, trusted_modules

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMED = 5
_OPTIONS = ("escape_formulas", "keep_known")


def compare_parser() -> ArgumentParser:
    """The parser of its options."""
    parser = Parser(
        prog="lightning-mbo compare",
        description="Compare what a run predicted with what was measured, and make the table for "
        "the next run. Options of the run's table can be given anew, such as --data.path where it "
        "has been moved.",
        allow_abbrev=False,
    )
    parser.add_argument("--run", type=Path | None, help="The folder of a finished run.")
    parser.add_argument(
        "--measured",
        type=Path | None,
        help="A file of new measurements, with the columns of your table: the rows of "
        "candidates.csv that were made, with the target's column filled in, or the results'.",
    )
    parser.add_argument(
        "--trust",
        type=str | None,
        help="Modules, separated by commas, whose code the run's config may name.",
    )
    return parser


def compare(words: Sequence[str]) -> None:
    """Compare a run's candidates with measurements of them.

    Args:
        words: Of the command line, after `compare`.

    Raises:
        ConfigurationError: If an option is missing, or there is no such run.
        DataError: If the measurements cannot be read, or are of no candidate.
    """
    own, of_data = _split(words)
    given = compare_parser().parse_args(own)
    if given.run is None:
        raise ConfigurationError("give --run, the folder of a finished run")
    if given.measured is None:
        raise ConfigurationError("give --measured, the file of the new measurements")
    run = _FinishedRun.of(given.run, of_data, trusted_modules(words))
    data, source = run.data, str(given.measured)
    rows = run.read(given.measured, "--measured")
    measurements = measurements_of(data, rows, run.candidates, source)
    made = np.unique(measurements.candidates[measurements.candidates >= 0])
    if not len(made):
        raise DataError(
            f"{source}: none of its {len(measurements.rows):,} measured rows is one of the "
            f"{len(run.candidates):,} candidates of {run.folder}. Give designs as they are written "
            f"in its candidates.csv. {_no_candidate(measurements, measurements.others[0])}"
        )
    for line in _lines_of_rows(measurements, run, len(made)):
        say(line)
    means = {
        name: candidate_means(data, measurements, source, name) for name in data.measured_names
    }
    if data.results is None:
        outcomes = {data.measured_name: _compare_property(run, means[data.measured_name])}
        goals = {}
    else:
        outcomes = _compare_results(run, means, data.results)
        goals = {goal.name: goal for goal in data.results.advance.goals}
    figure = unused_path(run.folder / "comparison.png")
    draw_comparison(outcomes, figure, goals)
    say(f"Figure:       {figure}")
    _write_what_remains(run, made)
    _write_longer_table(run, measurements, source)


def _compare_property(run: _FinishedRun, means: pd.Series) -> Outcomes:
    """Say what became of the property."""
    outcomes = run.outcomes(means)
    for line in (
        *outcome_lines(outcomes, run.data.measured_name),
        verdict_line(Verdict.of_run(run.folder), outcomes),
    ):
        say(line)
    return outcomes


def _compare_results(
    run: _FinishedRun, of_each: Mapping[str, pd.Series], results: Results
) -> dict[str, Outcomes]:
    """Say what became of each result, and of what they come to where all were measured.

    Returns:
        By name, of those that were measured.
    """
    import pandas as pd

    found = {}
    for goal in results.advance.goals:
        if len(of_each[goal.name]):
            found[goal.name] = run.outcomes_of(goal, of_each[goal.name])
            for line in result_lines(found[goal.name], goal):
                say(line)
    whole = pd.DataFrame(of_each).dropna()
    if whole.empty:
        say("No candidate has all results: whether they meet the limits together is not known")
        return found
    values = torch.tensor(whole.to_numpy(np.float64))
    made = run.candidates.iloc[whole.index]
    if PROBABILITY in made:
        num_met = int((results.advance.shortfall(values) >= 0).sum())
        say(
            f"{num_met} of {len(whole)} meet all limits, where {made[PROBABILITY].sum():.1f} were "
            "expected to"
        )
    advances = pd.Series(results.advance.of(values).numpy(), index=whole.index)
    return found | {run.data.measured_name: _compare_property(run, advances)}


@dataclass(frozen=True)
class _FinishedRun:
    """What a run has left.

    Attributes:
        folder: Its folder.
        data: Its table.
        escapes: Whether texts like formulas are escaped in the files of its candidates.
        keeps_known: Whether its candidates may be designs of the table.
    """

    folder: Path
    data: CSV
    escapes: bool
    keeps_known: bool

    @classmethod
    def of(cls, folder: Path, of_data: Sequence[str], trusted: Sequence[str]) -> _FinishedRun:
        """Read a run's folder.

        Args:
            folder: Of the run.
            of_data: Options of its table that are to be others, as words of a command line.
            trusted: Modules whose code its config may name.

        Raises:
            ConfigurationError: If it is no folder of a finished run on a table of the user's.
            DataError: If the table cannot be used.
        """
        config = folder / "config.yaml"
        if not config.is_file():
            raise ConfigurationError(
                f"{folder} has no config.yaml and is no folder of a run: give --run one such as "
                "runs/my_data/version_0"
            )
        if not (folder / "candidates.csv").is_file():
            raise ConfigurationError(
                f"{folder} has no candidates.csv: finish the run first, by the command that began "
                "it with --ckpt_path last"
            )
        check_found(config, trusted)
        data = FitOptions().data([f"--config={config}", *of_data])
        if not isinstance(data, CSV):
            raise ConfigurationError(
                f"compare is for a table of your own, with --data CSV: {folder} is a run on "
                f"{type(data).__name__}"
            )
        data.setup("predict")
        options = read_config(config)
        return cls(folder, data, *(bool(options.get(name)) for name in _OPTIONS))

    @cached_property
    def candidates(self) -> pd.DataFrame:
        """Those of `candidates.csv`.

        Raises:
            DataError: If there are none, or the table holds some of them by now.
        """
        candidates = self.read(self.folder / "candidates.csv", "--run")
        if candidates.empty:
            raise DataError(f"{self.folder} has no candidates: there is nothing to compare")
        designs, _ = self.data.encode_readable(candidates, "candidates.csv")
        known = int(are_among(designs, self.data.known_designs).sum())
        if known and not self.keeps_known:
            raise DataError(
                f"{self.data.source} holds {known} of the run's {len(designs)} candidates by now: "
                "give the table as the run had it, by --data.path"
            )
        return candidates

    def read(self, path: Path, option: str) -> pd.DataFrame:
        """A file of candidates, or of what was made of one."""
        table = self.data.read(path, option)
        return unescaped(table) if self.escapes else table

    def outcomes(self, means: pd.Series) -> Outcomes:
        """Of candidates that were measured, what was; labelled by candidates from 0."""
        made, sought = self.candidates.iloc[means.index], self.data.problem.property
        own = set(self.data.to_user_units(self.data.known_designs[:1]))
        names = bound_names([str(name) for name in made if name not in own])
        return Outcomes(
            made["oracle_mean"].to_numpy(np.float64),
            made["oracle_std"].to_numpy(np.float64),
            means.to_numpy(np.float64),
            {name: made[name].to_numpy(np.float64) for name in names},
            sought.measured(self.data.problem.beaten),
            sought.sign,
        )

    def outcomes_of(self, goal: Goal, means: pd.Series) -> Outcomes:
        """The same of one of several results.

        Raises:
            DataError: If the run has said nothing of each.
        """
        made = self.candidates.iloc[means.index]
        if f"{goal.name}_mean" not in made:
            raise DataError(
                f"{self.folder}: its oracle predicts what all results come to and none of them: "
                "compare needs one that is fitted in one call, as that of my_data.yaml"
            )
        return Outcomes(
            made[f"{goal.name}_mean"].to_numpy(np.float64),
            made[f"{goal.name}_std"].to_numpy(np.float64),
            means.to_numpy(np.float64),
            {
                f"{side}_95": made[f"{goal.name}_{side}_95"].to_numpy(np.float64)
                for side in goal.sides
                if f"{goal.name}_{side}_95" in made
            },
            math.nan,  # the best row is that of all results together
            goal.sign,
        )


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own words, and the options of the run's table."""
    own: list[str] = []
    of_data: list[str] = []
    part = own
    for word in words:
        if word.startswith("-"):
            part = of_data if word.startswith("--data.") else own
        part.append(word)
    return own, of_data


def _lines_of_rows(measurements: Measurements, run: _FinishedRun, num_made: int) -> Iterator[str]:
    num, others = len(measurements.rows), measurements.others
    yield (
        f"{run.folder}: {num_made} of {len(run.candidates)} candidates were measured, in "
        f"{num - len(others)} of {num} measured rows; {len(run.candidates) - num_made} were not"
    )
    for label in others[:_MOST_NAMED]:
        yield _no_candidate(measurements, label)
    if len(others) > _MOST_NAMED:
        yield f"No candidates: {len(others) - _MOST_NAMED:,} more"
    if measurements.num_empty:
        wanted = " or ".join(run.data.measured_names)
        yield f"{measurements.num_empty:,} rows have no {wanted} and are left out"
    if measurements.num_known:
        yield f"{measurements.num_known:,} rows stand in {run.data.source} and are left out"


def _no_candidate(measurements: Measurements, label: int) -> str:
    """What is said of a row that is of no candidate."""
    if label in measurements.reasons:
        return f"No candidate: {measurements.reasons[label]}"
    most_similar = measurements.nearest[measurements.rows.index.get_loc(label)]
    return f"No candidate: data row {label + 1}, most similar to candidate {most_similar + 1}"


def _write_what_remains(run: _FinishedRun, made: np.ndarray) -> None:
    """A list of the candidates that were not made, for the next run to rank."""
    remaining = run.candidates.drop(index=made.tolist())
    if remaining.empty:
        return
    path = unused_path(run.folder / "remaining_candidates.csv")
    write_text(path, csv_text(remaining, run.escapes))
    say(f"Not made:     {path}; predict --candidates ranks them anew by the next run")


def _write_longer_table(run: _FinishedRun, measurements: Measurements, source: str) -> None:
    """The table with all measurements, and how to go on with it."""
    table, behind = longer_table(run.data, measurements)
    path = unused_path(run.folder / "longer_table.csv")
    write_text(path, table.to_csv(index=False))
    say(f"Longer table: {path}, of {len(table):,} rows")
    if behind:
        say(
            f"{listed(behind)} {verb(behind, 'is', 'are')} not in it: {source} lacks "
            f"{verb(behind, 'it', 'them')}, and the run made no use of {verb(behind, 'it', 'them')}"
        )
    words = ["fit", "--config", str(run.folder / "config.yaml"), "--data.path", str(path)]
    # The longer table is written as plain CSV, whatever the other was.
    words += ["--data.header", "1"] * (run.data.file.header != 1)
    words += ["--data.sheet", "null"] * (run.data.file.sheet is not None)
    say(f"To go on:     {shlex.join(['python', '-m', 'lightning_mbo', *words])}")
