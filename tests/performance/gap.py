"""The oracle gap as it is estimated and bounded, beside the true one, by design iteration.

`python tests/performance/gap.py` runs CbAS on tables of known truth, and prints how often the
bounds hold and how wide they are, by number of rows and noise; `--help` lists what can be chosen.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from problems import PROBLEMS, Problem
from scipy.stats import norm

from lightning_mbo import oracles
from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import CSV
from lightning_mbo.evidence.gap import gap_figures
from lightning_mbo.evidence.halves import HalfFits
from lightning_mbo.importance import Autofocus
from lightning_mbo.searches import SamplingSearch
from lightning_mbo.searches.run import design

_NUM_COMPARED = 500


def measured(
    problem: Problem, rows: int, seed: int, args: argparse.Namespace
) -> list[dict[str, float]]:
    """One run: the figures of each iteration, and what is true of its samples."""
    os.environ["PL_GLOBAL_SEED"] = str(seed)
    law = [f"{' + '.join(problem.sums_to_one)} == 1"] if problem.sums_to_one else None
    columns: Any = {name: column.options() for name, column in problem.columns.items()}
    table = problem.table(rows, seed)
    data = CSV(
        table,
        target="y",
        columns=columns,
        constraints=law,
        held_out_fraction=args.held_out_fraction,
    )
    data.setup("fit")
    spread = float(data.problem.properties.std())
    oracle = getattr(oracles, args.oracle)()
    search = SamplingSearch(CbAS(), num_samples=args.num_samples)
    autofocus = Autofocus() if args.autofocused else None
    found, half_fits, began, spent = [], HalfFits(), time.process_time(), [0.0, 0.0, 0.0]
    for iteration in design(data.problem, oracle, search, 20, autofocus):
        start = time.process_time()
        fits = half_fits.of(oracle, data.problem)
        fitted = time.process_time()
        figures = gap_figures(data.problem, iteration, fits)
        judged = time.process_time()
        samples = iteration.samples
        some = slice(None, None, max(1, len(samples.designs) // _NUM_COMPARED))
        means = samples.prediction.mean[some].numpy()
        true = problem.truth(data.to_user_units(samples.designs[some]))
        probabilities = norm.sf((iteration.threshold - true) / problem.noise_std)
        said = norm.sf((iteration.threshold - means) / samples.prediction.std[some].numpy())
        figures["true_gap"] = float(np.abs(probabilities - said).mean())
        figures["true_bias"] = float((means - true).mean())
        found.append({"iteration": iteration.number, "spread": spread, **figures})
        spent = [
            sum(pair)
            for pair in zip(
                spent, (fitted - start, judged - fitted, time.process_time() - judged), strict=True
            )
        ]
    own = time.process_time() - began - sum(spent)
    costs = {"cost_of_halves": spent[0] / own, "cost_of_gap": spent[1] / own}
    return [row | costs for row in found]


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """By kind of table: how often the bounds hold, and how wide they are."""
    found = found.assign(
        holds=found["oracle_gap_bound"] >= found["true_gap"],
        bias_holds=found["oracle_bias_bound"] >= found["true_bias"],
        true_bias=found["true_bias"] / found["spread"],
        bias=found["oracle_bias"] / found["spread"],
        bias_bound=found["oracle_bias_bound"] / found["spread"],
    )
    names = ["true_gap", "oracle_gap", "oracle_gap_bound", "holds"]
    return found.groupby(["noise", "rows"])[
        [*names, "true_bias", "bias", "bias_bound", "bias_holds", "cost_of_halves", "cost_of_gap"]
    ].mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS))
    parser.add_argument("--rows", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 1.0, 3.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--oracle", default="GaussianProcess")
    parser.add_argument("--autofocused", action="store_true")
    parser.add_argument("--held_out_fraction", type=float, default=0.0)
    parser.add_argument("--num_samples", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="a CSV file for the figures of all iterations")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    for name in args.problems:
        for rows in args.rows:
            for noise in args.noise:
                for seed in args.seeds:
                    problem = PROBLEMS[name].noisy(noise)
                    key = {"problem": name, "rows": rows, "noise": noise, "seed": seed}
                    found += [key | row for row in measured(problem, rows, seed, args)]
    table = pd.DataFrame(found)
    if args.out is not None:
        table.to_csv(args.out, index=False)
    correlation = table[["true_gap", "oracle_gap"]].corr("spearman").iloc[0, 1]
    print(summary(table).round(3).to_string())
    print(f"rank correlation of the estimate with the true gap: {correlation:.2f}")


if __name__ == "__main__":
    main()
