"""``python -m lightning_mbo compare``: a run's candidates, when they have been measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jsonargparse import ArgumentParser

from lightning_mbo.benchmark.fit_options import FitOptions
from lightning_mbo.config_files import read_config
from lightning_mbo.console import say, shown_number
from lightning_mbo.data import CSV
from lightning_mbo.data.measurements import (
    Measurements,
    candidate_means,
    longer_table,
    measurements_of,
)
from lightning_mbo.designs import are_among
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.evidence.outcomes import Outcomes, bound_names, promise_of
from lightning_mbo.evidence.verdict import Rating, read_verdict
from lightning_mbo.files import unused_path, write_text
from lightning_mbo.parsing import Parser
from lightning_mbo.report.figures import draw_comparison
from lightning_mbo.tabular.wording import listed, verb
from lightning_mbo.trust import check_found, trusted_modules

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMED = 5


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
        "candidates.csv that were made, with the target's column filled in.",
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
    rows = data.read(given.measured, "--measured")
    measurements = measurements_of(data, rows, run.candidates, source)
    made = np.unique(measurements.candidates[measurements.candidates >= 0])
    if not len(made):
        raise DataError(
            f"{source}: none of its {len(measurements.rows):,} measured rows is one of the "
            f"{len(run.candidates):,} candidates of {run.folder}. Give designs as they are written "
            f"in its candidates.csv. {_no_candidate(measurements, measurements.others[0])}"
        )
    means = candidate_means(data, measurements, source)
    outcomes = run.outcomes(means)
    for line in (
        *_lines_of_rows(measurements, run, len(made)),
        *_lines_of_outcomes(outcomes, data.measured_name),
        _verdict_line(run.verdict, outcomes),
    ):
        say(line)
    figure = unused_path(run.folder / "comparison.png")
    draw_comparison(outcomes, data.measured_name, figure)
    say(f"Figure:       {figure}")
    _write_what_remains(run, made)
    _write_longer_table(run, measurements, source)


@dataclass(frozen=True)
class _FinishedRun:
    """What a run has left.

    Attributes:
        folder: Its folder.
        data: Its table.
        candidates: Those of `candidates.csv`.
        verdict: How far they were to be trusted; None where that was not said.
    """

    folder: Path
    data: CSV
    candidates: pd.DataFrame
    verdict: Rating | None

    @classmethod
    def of(cls, folder: Path, of_data: Sequence[str], trusted: Sequence[str]) -> _FinishedRun:
        """Read a run's folder.

        Args:
            folder: Of the run.
            of_data: Options of its table that are to be others, as words of a command line.
            trusted: Modules whose code its config may name.

        Raises:
            ConfigurationError: If it is no folder of a finished run on a table of the user's.
            DataError: If the table is no longer that of the run.
        """
        config, file = folder / "config.yaml", folder / "candidates.csv"
        if not config.is_file():
            raise ConfigurationError(
                f"{folder} has no config.yaml and is no folder of a run: give --run one such as "
                "runs/my_data/version_0"
            )
        if not file.is_file():
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
        candidates = data.read(file, "--run")
        if candidates.empty:
            raise ConfigurationError(f"{file} has no candidates, and nothing can be compared")
        if not read_config(config).get("keep_known"):
            designs, _ = data.encode_readable(candidates, str(file))
            known = int(are_among(designs, data.known_designs).sum())
            if known:
                raise DataError(
                    f"{data.source} holds {known} of the run's {len(designs)} candidates by now: "
                    "give the table as the run had it, by --data.path"
                )
        return cls(folder, data, candidates, read_verdict(folder))

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
            sought.measured(self.data.problem.properties.max().item()),
            sought.sign,
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
        yield f"{measurements.num_empty:,} rows have no {run.data.measured_name} and are left out"
    if measurements.num_known:
        yield f"{measurements.num_known:,} rows stand in {run.data.source} and are left out"


def _no_candidate(measurements: Measurements, label: int) -> str:
    """What is said of a row that is of no candidate."""
    if label in measurements.reasons:
        return f"No candidate: {measurements.reasons[label]}"
    most_similar = measurements.nearest[measurements.rows.index.get_loc(label)]
    return f"No candidate: data row {label + 1}, most similar to candidate {most_similar + 1}"


def _lines_of_outcomes(outcomes: Outcomes, name: str) -> Iterator[str]:
    num = len(outcomes.measured)
    yield (
        f"Predicted against measured {name}: rank correlation {_shown(outcomes.rank_correlation)}, "
        f"RMSE {_shown(outcomes.rmse)}, measured less predicted {_shown(outcomes.mean_error)} in "
        "the mean"
    )
    yield (
        f"{outcomes.num_better} of {num} beat the best row of the table, {_shown(outcomes.best)}, "
        f"where {outcomes.promised_better:.1f} were predicted to; the best is "
        f"{_shown(outcomes.best_measured)}"
    )
    for bound in outcomes.bounds:
        side, _ = promise_of(bound)
        kept = outcomes.kept(bound)
        if not kept.total:
            yield f"{bound}: infinite for all, so that nothing was promised"
            continue
        of_others = f"; of {num - kept.total} others it is infinite" * (kept.total < num)
        yield (
            f"{bound}: {kept.held} of {kept.total} measured are at or "
            f"{'above' if side == 'lower' else 'below'} it, {'as' if kept.as_promised else 'not'} "
            f"promised: at least {100 * kept.promised:.0f} %{of_others}"
        )


def _verdict_line(verdict: Rating | None, outcomes: Outcomes) -> str:
    """Whether the verdict came true, and by what."""
    better = "worse" if outcomes.shortfall > 0 else "better"
    by = (
        f"in the mean the candidates are {_shown(abs(outcomes.shortfall))} {better} than "
        f"predicted, where the oracle's own error allows for {_shown(outcomes.allowed_shortfall)} "
        "worse"
    )
    if verdict is None:
        return f"The run has left no verdict: {by}"
    came_true = {
        "trust": ("did not come true", "came true"),
        "caution": ("was right to doubt", "was more careful than it had to be"),
        "extrapolation": ("came true", "was more careful than it had to be"),
    }[verdict][outcomes.as_predicted]
    return f"The verdict, {verdict}, {came_true}: {by}"


def _write_what_remains(run: _FinishedRun, made: np.ndarray) -> None:
    """A list of the candidates that were not made, for the next run to rank."""
    remaining = run.candidates.drop(index=made.tolist())
    if remaining.empty:
        return
    path = unused_path(run.folder / "remaining_candidates.csv")
    write_text(path, remaining.to_csv(index=False))
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


def _shown(value: float) -> str:
    return "not known" if np.isnan(value) else shown_number(value)
