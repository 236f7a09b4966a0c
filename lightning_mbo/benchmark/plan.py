"""Which runs make a benchmark."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from lightning_mbo.errors import ConfigurationError

_OF_THE_BENCHMARK = ("seed_everything", "ckpt_path")
_OF_THE_ORACLE = ("model", "data", "convergence", "trainer")
_WITHOUT_EFFECT = (
    "config",
    "seed_everything",
    "ckpt_path",
    "candidates",
    "trust",
    "escape_formulas",
)

ParseFit = Callable[[Sequence[str]], Mapping[str, Any]]
"""From the words of a `fit` to all of its options, plain values only."""


@dataclass(frozen=True)
class Run:
    """One run of a benchmark.

    Attributes:
        method: Name of the method.
        cell: The name of the task, where there are several, and values of the grid's options.
        arm: Name of the arm.
        trial: Its number, which is the run's seed.
        words: Of the command line, after `fit`.
        key: A digest of all options that the result depends on, but the seed.
        oracle_key: A digest of those that the initial oracle depends on, but the seed.
    """

    method: str
    cell: dict[str, Any]
    arm: str
    trial: int
    words: list[str]
    key: str
    oracle_key: str

    @property
    def name(self) -> str:
        """What to call it on the console and in file names."""
        cell = [f"{option.rpartition('.')[2]}={value}" for option, value in self.cell.items()]
        return " ".join([self.method, *cell, self.arm, "trial", str(self.trial)])


class Benchmark:
    """Methods, in several arms, on several trials of the same data.

    The arms of a trial are paired: they share the data, the initial oracle and the seed, which is
    the number of the trial. Any option of `fit` may follow on the command line, and holds for all
    runs.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, sections 5 and S4.
    """

    def __init__(
        self,
        methods: dict[str, str | list[str] | dict[str, Any]],
        tasks: dict[str, str | list[str] | dict[str, Any]] | None = None,
        arms: dict[str, dict[str, Any]] | None = None,
        grid: dict[str, list[Any]] | None = None,
        options: dict[str, Any] | None = None,
        groups: dict[str, str] | None = None,
        only: str | None = None,
        num_trials: int = 10,
        num_processes: int | None = None,
        engine: Literal["local", "ray"] = "local",
        output_dir: Path | None = None,
    ) -> None:
        """Describe the benchmark.

        Args:
            methods: Name of each method, and its config, a list of configs of which later ones
                win, or its options of `fit`.
            tasks: Name of each task, and its config, configs or options of `fit`, which win over a
                method's. Each method is run on each. Under `methods` a task may have what is to be
                run in place of a method's own, or null for none.
            arms: Name of each arm, and what it changes of a method. Every arm is compared with
                those before it. Default: one, which changes nothing.
            grid: Options of `fit` with the values to go through, all combined; the results are
                drawn as a map where there are two.
            options: Of `fit`, for all runs.
            groups: Name of each group of methods, and the pattern that their names follow, such as
                `* cliff`; the first that fits counts. What was said of batches is summed up by
                group.
            only: The pattern of the methods to be run, where not all of them are; where there are
                tasks, of both: `CbAS*, TF Bind 8`.
            num_trials: Trials, with the seeds 0, 1, 2 and so on.
            num_processes: Runs at a time; default: as many as there are cores.
            engine: `local` processes, or the `ray` cluster that is reached from here.
            output_dir: Default: a folder in `runs` with the name of the config.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        if not methods:
            raise ConfigurationError("a benchmark needs methods")
        for name, value in (("num_trials", num_trials), ("num_processes", num_processes)):
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {value}")
        self.methods = {name: _options(method) for name, method in methods.items()}
        self.tasks = {name: _options(task) for name, task in (tasks or {}).items()}
        for name, task in self.tasks.items():
            unknown = sorted(set(task.get("methods", {})) - set(methods))
            if unknown:
                raise ConfigurationError(f"tasks.{name}.methods: there is no method {unknown[0]}")
        self.only = only
        self.groups = groups or {}
        self.arms = arms or {"as configured": {}}
        self.grid = grid or {}
        self.options = options or {}
        self.num_trials = num_trials
        self.num_processes = num_processes
        self.engine = engine
        self.output_dir = output_dir

    def runs(self, parse_fit: ParseFit) -> list[Run]:
        """All runs: trial by trial, so that an unfinished benchmark has whole trials.

        Args:
            parse_fit: Parses a run's words.

        Raises:
            ConfigurationError: If a run's options cannot be parsed, or two runs are the same.
        """
        for name in _OF_THE_BENCHMARK:
            if name in self.options:
                raise ConfigurationError(
                    f"--{name} does not go with benchmark, whose trials have seeds and starting "
                    "points of their own: leave it out"
                )
        variants: dict[str, Run] = {}
        for (method, task, options), values, arm in itertools.product(
            self._methods_on_tasks(), self._cells(), self.arms
        ):
            words = [
                *itertools.chain.from_iterable(map(_words, options)),
                *_words(self.options),
                *_words(self.arms[arm]),
                *_words(values),
            ]
            parsed = parse_fit(words)
            relevant = {name: v for name, v in parsed.items() if name not in _WITHOUT_EFFECT}
            run = Run(
                method,
                task | {name: _label(value) for name, value in values.items()},
                arm,
                trial=0,
                words=words,
                key=_digest(relevant),
                oracle_key=_digest({name: parsed.get(name) for name in _OF_THE_ORACLE}),
            )
            if run.key in variants:
                raise ConfigurationError(
                    f"{variants[run.key].name} and {run.name} have the same options: leave one out"
                )
            variants[run.key] = run
        if not variants:
            raise ConfigurationError(f"only {self.only}: no method has such a name")
        return [
            replace(run, trial=trial, words=[*run.words, f"--seed_everything={trial}"])
            for trial in range(self.num_trials)
            for run in variants.values()
        ]

    @property
    def cell_names(self) -> list[str]:
        """What sets the runs of a method and an arm apart, but the trial: columns of the rows."""
        return [*(["task"] if self.tasks else []), *self.grid]

    def group_of(self, method: str) -> str:
        """The group of a method, by its name; empty where it is in none."""
        fitting = (name for name, like in self.groups.items() if fnmatchcase(method, like))
        return next(fitting, "")

    def _methods_on_tasks(self) -> Iterator[tuple[str, dict[str, str], list[dict[str, Any]]]]:
        """The name of each method, of its task if there are any, and its options, the last win."""
        for name, own in self.methods.items():
            if not self.tasks and self._wanted(name):
                yield name, {}, [own]
            for task, options in self.tasks.items():
                method = _options(options.get("methods", {}).get(name, own))
                if method and self._wanted(f"{name}, {task}"):
                    others = {key: value for key, value in options.items() if key != "methods"}
                    yield name, {"task": task}, [method, others]

    def _wanted(self, name: str) -> bool:
        return self.only is None or fnmatchcase(name, self.only)

    def _cells(self) -> Iterator[dict[str, Any]]:
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


def _options(entry: str | list[str] | dict[str, Any] | None) -> dict[str, Any]:
    """Of `fit`: of a config, several of which later ones win, or as they are; of None none."""
    if entry is None or isinstance(entry, dict):
        return entry or {}
    return {"config": entry}


def _label(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _words(options: Mapping[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        if name == "config" and isinstance(value, list):
            words += [f"--config={config}" for config in value]
            continue
        plain = value if isinstance(value, str) else json.dumps(value)
        words.append(f"--{name}={plain}")
    return words


def _digest(options: Mapping[str, Any]) -> str:
    text = json.dumps(options, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
