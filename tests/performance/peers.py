"""The default run beside BoTorch, boosted trees with a local search, and random designs.

`python tests/performance/peers.py` prints the regret and the CPU seconds of each, by problem and
number of rows; `--help` lists what can be chosen. BoTorch has to be installed for it:
`pip install '.[compare]'`. Every run is a process of its own, whose CPU time is all that counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from problems import PROBLEMS, regrets

from lightning_mbo.tasks.known_tables import KnownTable

Array = NDArray[np.float64]
Random = np.random.Generator

NUM_CANDIDATES = 24


def ours(problem: KnownTable, path: Path, seed: int, options: list[str]) -> pd.DataFrame:
    """A run of the command line, as a user makes it."""
    out = path.parent / "run"
    columns = {name: column.options() for name, column in problem.columns.items()}
    command = [
        *(sys.executable, "-m", "lightning_mbo", "fit", "--config", "my_data.yaml"),
        *("--data.path", str(path), "--data.target", "y", "--data.columns", json.dumps(columns)),
        *("--seed_everything", str(seed), "--num_candidates", str(NUM_CANDIDATES)),
        *("--trainer.default_root_dir", str(out), *options),
    ]
    if problem.constraints:
        command += ["--data.constraints", json.dumps(problem.constraints)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (candidates,) = out.rglob("candidates.csv")
    return pd.read_csv(candidates)


def random_designs(problem: KnownTable, path: Path, seed: int) -> pd.DataFrame:
    return problem.draw(NUM_CANDIDATES, np.random.default_rng((seed, 99)))


class Encoding:
    """Numbers scaled to [0, 1], and categories as one-hots or as numbers of their levels."""

    def __init__(self, problem: KnownTable, one_hot: bool) -> None:
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


def trees(problem: KnownTable, path: Path, seed: int) -> pd.DataFrame:
    """Boosted trees, climbed by an evolutionary search from the best rows."""
    import xgboost

    table, random = pd.read_csv(path), np.random.default_rng(seed)
    encoding = Encoding(problem, one_hot=True)
    options = {"max_depth": 4, "eta": 0.05, "subsample": 0.8, "nthread": 1, "seed": seed}
    rows = xgboost.DMatrix(encoding.encode(table), table["y"])
    model = xgboost.train(options, rows, num_boost_round=300)
    known = table.drop(columns="y")
    pool = pd.concat([known.iloc[np.argsort(-table["y"])[:100]], problem.draw(200, random)])
    for _ in range(30):
        children = _varied(problem, pool, random)
        pool = pd.concat([pool, children], ignore_index=True).drop_duplicates()
        score = model.inplace_predict(encoding.encode(pool))
        pool = pool.iloc[np.argsort(-score)[:200]]
    new = pool.merge(known, how="left", indicator=True)["_merge"].to_numpy() == "left_only"
    return pool[new].head(NUM_CANDIDATES)


def _varied(problem: KnownTable, pool: pd.DataFrame, random: Random) -> pd.DataFrame:
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


def botorch(problem: KnownTable, path: Path, seed: int) -> pd.DataFrame:
    """A Gaussian process with BoTorch's defaults, and a batch by qLogNEI."""
    import torch
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import MixedSingleTaskGP, SingleTaskGP
    from botorch.models.transforms import Standardize
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    table, encoding = pd.read_csv(path), Encoding(problem, one_hot=False)
    x = torch.from_numpy(encoding.encode(table))
    y = torch.from_numpy(table[["y"]].to_numpy(np.float64))
    categories = [i for i, column in enumerate(problem.columns.values()) if column.levels]
    scaled = Standardize(1)
    if categories:
        model = MixedSingleTaskGP(x, y, cat_dims=categories, outcome_transform=scaled)
    else:
        model = SingleTaskGP(x, y, outcome_transform=scaled)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    acquisition = qLogNoisyExpectedImprovement(model, x, prune_baseline=True)
    return encoding.decode(_optimized(problem, acquisition, categories).numpy())


def _optimized(problem: KnownTable, acquisition: Any, categories: list[int]) -> Any:
    import torch
    from botorch.optim import optimize_acqf, optimize_acqf_mixed_alternating

    columns = list(problem.columns.values())
    upper = [float(len(c.levels) - 1) if c.levels else 1.0 for c in columns]
    given = {
        "acq_function": acquisition,
        "bounds": torch.tensor([[0.0] * len(columns), upper]),
        "q": NUM_CANDIDATES,
        "num_restarts": 10,
        "raw_samples": 256,
    }
    if problem.sums_to_one:
        parts = [list(problem.columns).index(name) for name in problem.sums_to_one]
        law = (torch.tensor(parts), torch.ones(len(parts)), 1.0)
        return optimize_acqf(**given, equality_constraints=[law], sequential=True)[0]
    grids = {
        i: np.linspace(0, 1, round((c.upper - c.lower) / c.step) + 1).tolist()
        for i, c in enumerate(columns)
        if c.step is not None
    }
    if not grids and not categories:
        return optimize_acqf(**given, sequential=True)[0]
    levels = {i: list(range(len(columns[i].levels))) for i in categories}
    return optimize_acqf_mixed_alternating(**given, discrete_dims=grids, cat_dims=levels)[0]


METHODS = {"botorch": botorch, "xgboost": trees, "random": random_designs}


def measured(
    method: str, name: str, rows: int, seed: int, noise: float, idle: bool, options: list[str]
) -> dict[str, Any]:
    """One run's regret, the median of its batch in the same measure, and its CPU seconds."""
    problem = chosen(name, noise, idle)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        table = problem.table(rows, seed)
        table.to_csv(path, index=False)
        before = _children_seconds()
        if method == "ours":
            batch = ours(problem, path, seed, options)
        else:
            given = [method, name, str(path), str(seed), str(noise), str(int(idle))]
            subprocess.run([sys.executable, __file__, "--one", *given], check=True)
            batch = pd.read_csv(path.with_suffix(".batch.csv"))
        seconds = _children_seconds() - before
    found = regrets(problem, batch, table)
    return {
        "problem": name,
        "rows": rows,
        "method": method,
        "seed": seed,
        "regret": float(found.min()),
        "median": float(np.median(found)),
        "above": float((found < 1).mean()),
        "seconds": seconds,
        "number": len(batch),
    }


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def chosen(name: str, noise: float, idle: bool) -> KnownTable:
    return replace(PROBLEMS[name], noise=noise).with_idle_columns(2 if idle else 0)


def one(method: str, name: str, path: str, seed: str, noise: str, idle: str) -> None:
    """A run of a peer, in this process."""
    problem = chosen(name, float(noise), idle == "1")
    batch = METHODS[method](problem, Path(path), int(seed))
    batch.to_csv(Path(path).with_suffix(".batch.csv"), index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--rows", nargs="+", type=int, default=[50, 200, 500, 2000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--methods", nargs="+", default=["ours", *METHODS])
    parser.add_argument("--noise", type=float, default=0.1, help="of labels, in spreads")
    parser.add_argument("--idle", action="store_true", help="two columns of nothing but noise")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of our own fit")
    parser.add_argument("--write", type=Path, help="a CSV file of all runs, which is gone on with")
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(*given.one)
        return
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
                    found.append(
                        measured(method, name, rows, seed, given.noise, given.idle, given.options)
                    )
                    if given.write:
                        pd.DataFrame(found).to_csv(given.write, index=False)
    show(pd.DataFrame(found))


def show(found: pd.DataFrame) -> None:
    for rows, part in found.groupby("rows"):
        print(f"\n{rows} rows; regret of the best of {NUM_CANDIDATES}, mean over seeds")
        table = part.pivot_table(index="problem", columns="method", values="regret")
        table.loc["mean"] = table.mean()
        by_method = part.groupby("method")
        table.loc["mean, of the median design"] = by_method["median"].mean()
        table.loc["share above the best row"] = by_method["above"].mean()
        table.loc["CPU seconds"] = by_method["seconds"].mean()
        print(table.round(3).to_string())


if __name__ == "__main__":
    main()
