"""Oracles on real tables, beside scikit-learn's forest and BoTorch's Gaussian process.

`python tests/performance/tables.py --tables FOLDER` fetches the tables into the folder, where they
are not there yet, cross-validates every oracle on each (repeats × folds, the same for all), and
prints the rank correlation of the left-out labels and their root mean squared error, in standard
deviations of the labels, both with the standard error of the mean over the folds.

`--design` chooses 24 rows of a pool instead. Of a table 200 rows are visible, none of them of the
better fifth, and all others are the pool. What the command line chooses (`PoolSearch`, with the
oracle that `--model` names) stands beside random rows, neighbours of the best visible rows, and
BoTorch's qLogNEI among the rows of the pool; of each, the share above the best visible row, the
best and the median, more being better.

scikit-learn and BoTorch have to be installed for it: `pip install '.[compare]'`. `--write FILE`
keeps what is done, and a later call goes on with it. Two repeats take some 25 minutes on one core.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pools
import torch
from numpy.typing import NDArray
from packaged import TABLES
from peer_models import forest, gaussian_process
from scipy.stats import spearmanr
from torch import Tensor

from lightning_mbo import oracles
from lightning_mbo.data.fits import Fits
from lightning_mbo.oracles import Convergence
from lightning_mbo.oracles.folds import grouped_folds
from lightning_mbo.problem import DesignProblem

Array = NDArray[np.float64]
Method = Callable[[DesignProblem, Tensor], Array]

OURS = (
    "KernelRidge",
    "DeepEnsemble",
    "GaussianProcess",
    "AdditiveRegression",
    "TreeEnsemble",
    "Stack",
)


def oracle(name: str) -> Method:
    """One of ours, fitted as a run on a table of one's own does first."""

    def predicted(problem: DesignProblem, designs: Tensor) -> Array:
        fitted = getattr(oracles, name)()
        fitted.prepare(problem)
        fits = Fits(problem, batch_size=max(8, min(len(problem.designs) // 20, 100)))
        fits.begin()
        fitted.fit(fits, Convergence(patience=10))
        means: Array = fitted.predict(designs).mean.numpy()
        return means

    return predicted


METHODS: dict[str, Method] = {
    **{name: oracle(name) for name in OURS},
    "forest": forest,
    "botorch": gaussian_process,
}


def cross_validation(given: argparse.Namespace, name: str, found: Found) -> None:
    """The figures that are still missing of a table, one for a method and fold."""
    whole = TABLES[name].data(given.tables).problem
    for repeat in range(given.repeats):
        random = torch.Generator().manual_seed(repeat)
        rows = torch.randperm(len(whole.designs), generator=random)[: given.rows].sort().values
        problem = whole.of_rows(rows)
        folds = grouped_folds(problem.things, given.folds, random)
        for fold in range(given.folds):
            for method in given.methods or METHODS:
                key = {"table": name, "repeat": repeat, "fold": fold, "method": method}
                found.add(key, partial(scored, METHODS[method], problem, folds == fold))


def choices(given: argparse.Namespace, name: str, found: Found) -> None:
    """The same of rows chosen from a pool, one for a method and seed."""
    for seed in range(given.repeats):
        for method in given.methods or [*given.model, *pools.METHODS]:
            key = {"table": name, "seed": seed, "method": method}
            found.add(key, partial(pools.outcome, name, method, given.tables, seed))


def scored(method: Method, problem: DesignProblem, left_out: Tensor) -> dict[str, Any]:
    """Of one fold, left out."""
    labels, out = problem.properties.numpy(), problem.of_rows(left_out)
    start = time.process_time()
    means = method(problem.of_rows(~left_out), out.designs)
    seconds, true = time.process_time() - start, out.properties.numpy()
    ranks = spearmanr(means, true).statistic if means.std() > 0 else 0.0
    error = np.sqrt(((means - true) ** 2).mean()) / labels.std()
    return {"rank": float(ranks), "rmse": float(error), "seconds": seconds}


class Found:
    """All figures so far, in a file or not."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path is not None and path.exists():
            self.rows = pd.read_csv(path).to_dict("records")

    def add(self, key: dict[str, Any], measured: Callable[[], dict[str, Any]]) -> None:
        """Measure what has not been measured."""
        if any(all(row[name] == value for name, value in key.items()) for row in self.rows):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = {**key, **measured()}
        self.rows.append(row)
        if self.path is not None:
            pd.DataFrame([row]).to_csv(
                self.path, mode="a", header=not self.path.exists(), index=False
            )


def show(found: pd.DataFrame) -> None:
    """A line a table, a column a method; below, what each falls short of the best by."""
    methods = [name for name in METHODS if name in set(found["method"])]
    for figure, sign in (("rank", 1), ("rmse", -1)):
        lines, behind = {}, {}
        for name, part in found.groupby("table", sort=False):
            by_fold = part.pivot_table(index=["repeat", "fold"], columns="method", values=figure)
            by_fold = by_fold[[m for m in methods if m in by_fold]].dropna()
            best = (sign * by_fold.mean()).idxmax()
            lines[name] = {m: _with_error(by_fold[m]) for m in by_fold}
            short = -sign * by_fold.sub(by_fold[best], axis=0)
            behind[name] = {m: _with_error(short[m]) if m != best else "best" for m in short}
        print(f"\n{figure}: mean over folds ± its standard error")
        print(pd.DataFrame(lines).T.to_string())
        print(f"\n{figure}: short of the best method, fold by fold ± the standard error of that")
        print(pd.DataFrame(behind).T.to_string())
    seconds = found.groupby("method")["seconds"].agg(["mean", "sum"]).loc[methods]
    print(f"\nCPU seconds of a fit, and of all\n{seconds.round(1).to_string()}")


def _with_error(values: pd.Series) -> str:
    return f"{values.mean():.3f} ± {values.std() / np.sqrt(len(values)):.3f}"


def show_choices(found: pd.DataFrame) -> None:
    """A line for a table and a way of choosing: means over seeds."""
    by = found.groupby(["table", "method"], sort=False)
    means = by.mean(numeric_only=True).drop(columns="seed")
    means.insert(1, "its error", by["above"].sem())
    print(means.round(3).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, required=True, help="a folder, to fetch them into")
    parser.add_argument("--names", nargs="+", choices=TABLES, help="default: all, or all pools")
    parser.add_argument("--methods", nargs="+", help="default: all")
    parser.add_argument("--rows", type=int, default=200, help="at most so many, others each repeat")
    parser.add_argument("--repeats", type=int, default=2, help="with --design: seeds")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--design", action="store_true", help="choose from pools instead")
    parser.add_argument("--model", nargs="+", default=["Stack"], help="with --design: our oracles")
    parser.add_argument("--write", type=Path, help="a CSV file, which is gone on with")
    given = parser.parse_args()
    given.tables.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found = Found(given.write)
    measure, names = (choices, pools.TABLES) if given.design else (cross_validation, TABLES)
    for name in given.names or names:
        measure(given, name, found)
    (show_choices if given.design else show)(pd.DataFrame(found.rows))


if __name__ == "__main__":
    main()
