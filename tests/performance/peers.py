"""The default run beside BoTorch, boosted trees with a local search, and random designs.

`python tests/performance/peers.py` prints the regret and the CPU seconds of each, by problem and
number of rows; `--help` lists what can be chosen. BoTorch has to be installed for it:
`pip install '.[compare]'`. Every run is a process of its own, whose CPU time is all that counts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from comparison import (
    NUM_CANDIDATES,
    Comparison,
    Encoding,
    boosted_trees,
    climbed,
    gaussian_process,
    optimized,
    random_designs,
)
from problems import PROBLEMS, regrets

from lightning_mbo.tasks.known_tables import KnownTable


def trees(problem: KnownTable, path: Path, seed: int) -> pd.DataFrame:
    """Boosted trees, climbed by an evolutionary search from the best rows."""
    table, random = pd.read_csv(path), np.random.default_rng(seed)
    known = table.drop(columns="y")
    best = known.iloc[np.argsort(-table["y"])[:100]]
    score = boosted_trees(problem, table, "y", seed)
    return climbed(problem, known, best, score, random).head(NUM_CANDIDATES)


def botorch(problem: KnownTable, path: Path, seed: int) -> pd.DataFrame:
    """A Gaussian process with BoTorch's defaults, and a batch by qLogNEI."""
    import torch
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    table = pd.read_csv(path)
    x = torch.from_numpy(Encoding(problem, one_hot=False).encode(table))
    model = gaussian_process(problem, table, "y")
    return optimized(problem, qLogNoisyExpectedImprovement(model, x, prune_baseline=True))


def judged(problem: KnownTable, batch: pd.DataFrame, table: pd.DataFrame) -> dict[str, float]:
    """The regret, and the median of the batch in the same measure."""
    found = regrets(problem, batch, table)
    return {
        "regret": float(found.min()),
        "median": float(np.median(found)),
        "above": float((found < 1).mean()),
    }


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
    Comparison(
        script=__file__,
        description=__doc__,
        problems=PROBLEMS,
        methods={"botorch": botorch, "xgboost": trees, "random": random_designs},
        rows=[50, 200, 500, 2000],
        wanted=lambda problem: ["--data.target", "y"],
        judged=judged,
        show=show,
    ).main()
