"""What comparisons with peers share: how they run, are written and gone on with, and search."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peer_models import process

from lightning_mbo.tasks.known_tables import KnownDesigns

Array = NDArray[np.float64]
Random = np.random.Generator
Method = Callable[[Any, Path, int], pd.DataFrame]

NUM_CANDIDATES = 24


@dataclass(frozen=True)
class Comparison:
    """The default run beside peers, on tables of known truth; every run is a process of its own.

    Attributes:
        script: The file that is run.
        description: For `--help`.
        problems: By name.
        methods: Of the peers, by name: a problem, the path of its table and a seed to a batch.
        rows: Of the tables.
        wanted: Options of the command line that say what is wanted of a problem's results.
        judged: Figures of a batch, by the truth, from a problem, the batch and the table.
        show: Prints all figures.
    """

    script: str
    description: str | None
    problems: Mapping[str, KnownDesigns]
    methods: Mapping[str, Method]
    rows: Sequence[int]
    wanted: Callable[[Any], list[str]]
    judged: Callable[[Any, pd.DataFrame, pd.DataFrame], dict[str, float]]
    show: Callable[[pd.DataFrame], None]

    def main(self) -> None:
        parser = argparse.ArgumentParser(description=self.description)
        parser.add_argument(
            "--problems", nargs="+", default=list(self.problems), choices=self.problems
        )
        parser.add_argument("--rows", nargs="+", type=int, default=self.rows)
        parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
        parser.add_argument("--methods", nargs="+", default=["ours", *self.methods])
        parser.add_argument("--noise", type=float, default=0.1, help="of labels, in spreads")
        parser.add_argument("--idle", action="store_true", help="two columns of nothing but noise")
        parser.add_argument(
            "--options", nargs=argparse.REMAINDER, default=[], help="of our own fit"
        )
        parser.add_argument(
            "--write", type=Path, help="a CSV file of all runs, which is gone on with"
        )
        parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
        given = parser.parse_args()
        if given.one:
            self._one(*given.one)
        else:
            self.show(self._all(given))

    def _all(self, given: argparse.Namespace) -> pd.DataFrame:
        found: list[dict[str, Any]] = []
        if given.write and given.write.exists():
            found = pd.read_csv(given.write).to_dict("records")
        done = {(r["problem"], r["rows"], r["method"], r["seed"]) for r in found}
        for rows in given.rows:
            for seed in given.seeds:
                for name in given.problems:
                    for method in given.methods:
                        if (name, rows, method, seed) in done:
                            continue
                        found.append(self._measured(method, name, rows, seed, given))
                        if given.write:
                            pd.DataFrame(found).to_csv(given.write, index=False)
        return pd.DataFrame(found)

    def _measured(
        self, method: str, name: str, rows: int, seed: int, given: argparse.Namespace
    ) -> dict[str, Any]:
        """One run's figures, and its CPU seconds."""
        problem = self._chosen(name, given.noise, given.idle)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            table = problem.table(rows, seed)
            table.to_csv(path, index=False)
            before = _children_seconds()
            if method == "ours":
                batch = ours(problem, self.wanted(problem), path, seed, given.options)
            else:
                words = [method, name, str(path), str(seed), str(given.noise), str(int(given.idle))]
                subprocess.run([sys.executable, self.script, "--one", *words], check=True)
                batch = pd.read_csv(path.with_suffix(".batch.csv"))
            seconds = _children_seconds() - before
        key = {"problem": name, "rows": rows, "method": method, "seed": seed}
        figures = self.judged(problem, batch, table)
        return {**key, **figures, "seconds": seconds, "number": len(batch)}

    def _chosen(self, name: str, noise: float, idle: bool) -> Any:
        return replace(self.problems[name], noise=noise).with_idle_columns(2 if idle else 0)

    def _one(self, method: str, name: str, path: str, seed: str, noise: str, idle: str) -> None:
        """A run of a peer, in this process."""
        problem = self._chosen(name, float(noise), idle == "1")
        batch = self.methods[method](problem, Path(path), int(seed))
        batch.to_csv(Path(path).with_suffix(".batch.csv"), index=False)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(
    problem: KnownDesigns, wanted: list[str], path: Path, seed: int, options: list[str]
) -> pd.DataFrame:
    """A run of the command line, as a user makes it."""
    out = path.parent / "run"
    columns = {name: column.options() for name, column in problem.columns.items()}
    command = [
        *(sys.executable, "-m", "lightning_mbo", "fit", "--config", "my_data.yaml"),
        *("--data.path", str(path), *wanted, "--data.columns", json.dumps(columns)),
        *("--seed_everything", str(seed), "--num_candidates", str(NUM_CANDIDATES)),
        *("--trainer.default_root_dir", str(out), *options),
    ]
    if problem.constraints:
        command += ["--data.constraints", json.dumps(problem.constraints)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (candidates,) = out.rglob("candidates.csv")
    return pd.read_csv(candidates)


def random_designs(problem: KnownDesigns, path: Path, seed: int) -> pd.DataFrame:
    return problem.draw(NUM_CANDIDATES, np.random.default_rng((seed, 99)))


class Encoding:
    """Numbers scaled to [0, 1], and categories as one-hots or as numbers of their levels."""

    def __init__(self, problem: KnownDesigns, one_hot: bool) -> None:
        self.problem, self.one_hot = problem, one_hot

    def encode(self, table: pd.DataFrame) -> Array:
        parts: list[Array] = []
        for name, column in self.problem.columns.items():
            if not column.levels:
                numbers = table[name].to_numpy(np.float64)
                parts.append((numbers - column.lower) / (column.upper - column.lower))
                continue
            codes = table[name].map(column.levels.index).to_numpy()
            parts.append(np.eye(len(column.levels))[codes].T if self.one_hot else codes)
        return np.vstack(parts).T.astype(np.float64)

    def decode(self, encoded: Array) -> pd.DataFrame:
        """Of numbers and codes, on their steps."""
        table = {}
        for (name, column), values in zip(self.problem.columns.items(), encoded.T, strict=True):
            if column.levels:
                table[name] = np.array(column.levels, dtype=object)[values.round().astype(int)]
                continue
            numbers = column.lower + values.clip(0, 1) * (column.upper - column.lower)
            if column.step is not None:
                numbers = (
                    column.lower + column.step * ((numbers - column.lower) / column.step).round()
                )
            table[name] = numbers
        return pd.DataFrame(table)


def boosted_trees(problem: KnownDesigns, table: pd.DataFrame, target: str, seed: int) -> Any:
    """From designs to what trees predict of a column."""
    import xgboost

    encoding = Encoding(problem, one_hot=True)
    options = {"max_depth": 4, "eta": 0.05, "subsample": 0.8, "nthread": 1, "seed": seed}
    rows = xgboost.DMatrix(encoding.encode(table), table[target])
    model = xgboost.train(options, rows, num_boost_round=300)
    return lambda designs: model.inplace_predict(encoding.encode(designs))


def climbed(
    problem: KnownDesigns,
    known: pd.DataFrame,
    best: pd.DataFrame,
    score: Callable[[pd.DataFrame], Array],
    random: Random,
) -> pd.DataFrame:
    """Designs that are not known, the greatest scores first, by an evolutionary search.

    It begins with the best that are known and with random ones.
    """
    pool = pd.concat([best, problem.draw(200, random)])
    for _ in range(30):
        children = _varied(problem, pool, random)
        pool = pd.concat([pool, children], ignore_index=True).drop_duplicates()
        pool = pool.iloc[np.argsort(-score(pool))[:200]]
    new = pool.merge(known, how="left", indicator=True)["_merge"].to_numpy() == "left_only"
    return pool[new]


def _varied(problem: KnownDesigns, pool: pd.DataFrame, random: Random) -> pd.DataFrame:
    """As many children: parents with a few entries of others, or new ones near by."""
    encoding = Encoding(problem, one_hot=False)
    parents = encoding.encode(pool)
    mates = parents[random.permutation(len(parents))]
    crossed = np.where(random.random(parents.shape) < 0.3, mates, parents)
    fresh = encoding.encode(problem.draw(len(parents), random))
    moved = random.random(parents.shape) < 1.5 / parents.shape[1]
    is_number = np.array([not column.levels for column in problem.columns.values()])
    nearby = crossed + random.normal(0, 0.1, crossed.shape)
    children = np.where(moved, np.where(is_number, nearby, fresh), crossed)
    table = encoding.decode(children)
    if problem.sums_to_one:
        parts = table[list(problem.sums_to_one)].clip(lower=1e-9)
        table[list(problem.sums_to_one)] = parts.div(parts.sum(axis=1), axis=0)
    return table


def gaussian_process(problem: KnownDesigns, table: pd.DataFrame, target: str) -> Any:
    """BoTorch's, with its defaults, of one column."""
    import torch
    from botorch.models.transforms import Standardize

    x = torch.from_numpy(Encoding(problem, one_hot=False).encode(table))
    y = torch.tensor(table[[target]].to_numpy(np.float64))
    return process(x, y, _categories(problem), outcome_transform=Standardize(1))


def _categories(problem: KnownDesigns) -> list[int]:
    return [i for i, column in enumerate(problem.columns.values()) if column.levels]


def optimized(problem: KnownDesigns, acquisition: Any) -> pd.DataFrame:
    """A batch, chosen one after the other by an acquisition function of BoTorch."""
    import torch
    from botorch.optim import optimize_acqf, optimize_acqf_mixed_alternating

    columns, categories = list(problem.columns.values()), _categories(problem)
    decode = Encoding(problem, one_hot=False).decode
    upper = [float(len(c.levels) - 1) if c.levels else 1.0 for c in columns]
    given = {
        "acq_function": acquisition,
        "bounds": torch.tensor([[0.0] * len(columns), upper]),
        "q": NUM_CANDIDATES,
        "num_restarts": 10,
        "raw_samples": 256,
    }
    grids = {
        i: np.linspace(0, 1, round((c.upper - c.lower) / c.step) + 1).tolist()
        for i, c in enumerate(columns)
        if c.step is not None
    }
    if problem.sums_to_one:
        parts = [list(problem.columns).index(name) for name in problem.sums_to_one]
        law = (torch.tensor(parts), torch.ones(len(parts)), 1.0)
        batch = optimize_acqf(**given, equality_constraints=[law], sequential=True)[0]
    elif not grids and not categories:
        batch = optimize_acqf(**given, sequential=True)[0]
    else:
        levels = {i: list(range(len(columns[i].levels))) for i in categories}
        batch = optimize_acqf_mixed_alternating(**given, discrete_dims=grids, cat_dims=levels)[0]
    return decode(batch.numpy())
