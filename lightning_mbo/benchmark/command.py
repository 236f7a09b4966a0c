"""``python -m lightning_mbo benchmark``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lightning_mbo.benchmark.engines import LostProcessError, processes
from lightning_mbo.benchmark.fit_options import FitOptions
from lightning_mbo.benchmark.plan import Benchmark, Run
from lightning_mbo.benchmark.progress import BenchmarkProgress
from lightning_mbo.benchmark.report import write_report
from lightning_mbo.benchmark.results import Results
from lightning_mbo.benchmark.worker import Outcome, execute
from lightning_mbo.console import say
from lightning_mbo.data import CSV, KnownFunction
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.files import write_text
from lightning_mbo.locks import FolderLock
from lightning_mbo.parsing import ConfigFile, Parser


class BenchmarkFile(ConfigFile):
    """The config of a benchmark."""

    of_benchmark = True


def benchmark_parser() -> ArgumentParser:
    """The parser of the benchmark's own options."""
    parser = Parser(
        prog="lightning-mbo benchmark",
        description="Compare methods and arms over trials. Any option of fit holds for all runs.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-c",
        "--config",
        action=BenchmarkFile,
        help="A config file, or the name of a shipped one, for instance table1.yaml.",
    )
    parser.add_class_arguments(Benchmark)
    return parser


def benchmark(words: Sequence[str]) -> None:
    """Run a benchmark, or go on with it.

    Args:
        words: Of the command line, after `benchmark`.
    """
    parser = benchmark_parser()
    own, common = _split(words, parser)
    settings = parser.parse_args(own)
    settings.options = (settings.options or {}) | common
    files = settings.pop("config")
    settings.output_dir = folder = settings.output_dir or Path("runs") / _name(files)
    plan = Benchmark(**vars(settings))
    fit_options = FitOptions()
    runs = plan.runs(fit_options.plain)
    _prepare(runs, fit_options)
    with _taken(folder):
        results = Results(folder)
        missing = [run for run in runs if not results.finished(run)]
        num_done = len(runs) - len(missing)
        say(f"{len(runs)} runs, of which {num_done} are done; results go to {folder}")
        write_text(folder / "benchmark.yaml", parser.dump(settings))
        with BenchmarkProgress(missing) as progress:
            for run, outcome in _outcomes(missing, results, plan):
                results.add(run, outcome)
                progress.advance(run, outcome)
        write_report(
            folder,
            plan,
            results.rows(runs),
            results.trajectories(runs),
            fit_options.data(runs[0].words).property_name,
        )
    failed = [run for run in runs if not results.finished(run)]
    if failed:
        sys.exit(
            f"error: {len(failed)} of {len(runs)} runs failed; the reasons are in "
            f"{results.error_path(failed[0]).parent}. The same command tries them again"
        )


@contextmanager
def _taken(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder, otherwise="give another --output_dir")
    try:
        yield
    finally:
        lock.release()


def _split(words: Sequence[str], parser: ArgumentParser) -> tuple[list[str], dict[str, str]]:
    """The benchmark's own words, and the options of all runs."""
    names = {name for action in parser._actions for name in action.option_strings}
    own: list[str] = []
    common: dict[str, str] = {}
    option: str | None = None
    for word in words:
        name, _, value = word.partition("=")
        if name in names or name.split(".")[0] in names:
            option = None
            own.append(word)
        elif word.startswith("--"):
            option = name.removeprefix("--")
            if option in common:
                raise ConfigurationError(f"{name} is given twice")
            common[option] = value
        elif option is None:
            own.append(word)
        else:
            common[option] = word
    return own, common


def _name(files: Any) -> str:
    if not files:
        return "benchmark"
    path = Path(str(files[-1].relative))
    return path.resolve().parent.name if path.name == "benchmark.yaml" else path.stem


def _prepare(runs: list[Run], fit_options: FitOptions) -> None:
    """Let each data set do once what is done once, before many processes do it.

    Raises:
        ConfigurationError: If there is nothing that a method's runs could be judged by.
    """
    for run in {run.oracle_key: run for run in runs}.values():
        data = fit_options.data(run.words)
        is_own = isinstance(data, CSV) and not isinstance(data, KnownFunction)
        if is_own and data.held_out_fraction == 0:
            raise ConfigurationError(
                "a benchmark scores designs by a ground truth, and nobody has one of a table of "
                "your own. Give --data.held_out_fraction 0.2 to compare what oracles say of "
                "held-out rows, compare methods on --data TFBind8, or use fit for designs and "
                "their report"
            )
        data.prepare_data()


def _outcomes(runs: list[Run], results: Results, plan: Benchmark) -> Iterator[tuple[Run, Outcome]]:
    """Execute runs in processes; the first of those that share an oracle go before the others."""
    leaders: dict[tuple[str, int], Run] = {}
    for run in runs:
        if results.initial_oracle(run) is None:
            leaders.setdefault((run.oracle_key, run.trial), run)
    leading = {run.name for run in leaders.values()}
    followers = [run for run in runs if run.name not in leading]
    with processes(plan.engine, plan.num_processes) as submit:
        for group, keep_oracle in ((list(leaders.values()), True), (followers, False)):
            submitted = {
                submit(execute, run.words, results.initial_oracle(run), keep_oracle): run
                for run in group
            }
            for future in as_completed(submitted):
                yield submitted[future], _outcome(future)


def _outcome(future: Future[Outcome]) -> Outcome:
    """What a run has left: if its process was lost, the reason."""
    try:
        return future.result()
    except LostProcessError as error:
        return Outcome(error=str(error), traceback=f"{error}\n")
