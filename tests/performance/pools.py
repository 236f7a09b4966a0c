"""24 rows chosen from the rows of a real table that are left, whose labels are looked up then."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from packaged import TABLES as ALL
from packaged import Packaged, understood
from peer_models import coded, fitted_process
from torch import Tensor

from lightning_mbo import CSV

TABLES = ("doyle", "suzuki", "steel", "hplc", "photo_pce10", "fluence")
NUM_CHOSEN, NUM_VISIBLE = 24, 200
_HIDDEN = 0.2
_NUMBER = "catalogue number"
"""A column of the pool by which its rows are found again."""


@dataclass
class Choice:
    """What is visible of a table, the pool of its other rows, and how they are understood."""

    table: Packaged
    visible: pd.DataFrame
    pool: pd.DataFrame
    seed: int

    @classmethod
    def of(cls, name: str, folder: Path, seed: int) -> Choice:
        """Visible rows at random, but none of the better fifth."""
        table = ALL[name]
        frame = table.frame(folder)
        random = np.random.default_rng(seed)
        sign = 1 if table.maximize else -1
        order = np.argsort(sign * frame[table.target].to_numpy(), kind="stable")
        lower = order[: round((1 - _HIDDEN) * len(order))]
        rows = random.permutation(lower)[: min(NUM_VISIBLE, len(lower) // 2)]
        visible = frame.iloc[rows].reset_index(drop=True)
        pool = frame.drop(index=rows)
        for column in table.designed(frame):
            # A level that no visible row has cannot be judged by anyone.
            if not pd.api.types.is_numeric_dtype(frame[column]):
                known = pool[column].isin(visible[column]) | pool[column].isna()
                pool = pool[known]
        return cls(table, visible, pool.reset_index(drop=True), seed)

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of rows of the pool, more being better."""
        return self._sign * self.pool[self.table.target].to_numpy(np.float64)[rows]

    def best_visible(self) -> float:
        return float((self._sign * self.visible[self.table.target]).max())

    def understood(self) -> tuple[CSV, Tensor]:
        """The visible rows' problem, and the pool's designs."""
        data = understood(self.visible, **self.table.options())
        return data, data.encode(self.pool)

    @property
    def _sign(self) -> int:
        return 1 if self.table.maximize else -1


def random_rows(choice: Choice) -> NDArray[np.int64]:
    random = np.random.default_rng((choice.seed, 99))
    return random.permutation(len(choice.pool))[:NUM_CHOSEN]


def neighbours(choice: Choice) -> NDArray[np.int64]:
    """Of the best visible rows, each the nearest one that is not taken."""
    data, pool = choice.understood()
    problem, chosen = data.problem, []
    best = problem.properties.argsort(descending=True)[:NUM_CHOSEN]
    for distances in problem.distances(problem.designs[best], pool):
        distances[chosen] = torch.inf
        chosen.append(int(distances.argmin()))
    return np.array(chosen)


def qlognei(choice: Choice) -> NDArray[np.int64]:
    """BoTorch's default process, and the pool's rows that its acquisition takes together."""
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.optim import optimize_acqf_discrete

    torch.manual_seed(choice.seed)
    data, designs = choice.understood()
    problem = data.problem
    model = fitted_process(problem)
    pool, known = coded(designs, problem.space)[0], coded(problem.designs, problem.space)[0]
    acquisition = qLogNoisyExpectedImprovement(model, known, prune_baseline=True)
    taken, _ = optimize_acqf_discrete(
        acquisition, q=NUM_CHOSEN, choices=pool, max_batch_size=512, unique=True
    )
    chosen: NDArray[np.int64] = torch.cdist(taken, pool).argmin(1).numpy()
    return chosen


def ours(model: str) -> Callable[[Choice], NDArray[np.int64]]:
    """By the command line, as a user does it."""

    def chosen(choice: Choice) -> NDArray[np.int64]:
        with tempfile.TemporaryDirectory() as folder:
            table, pool = Path(folder, "table.csv"), Path(folder, "pool.csv")
            choice.visible.to_csv(table, index=False)
            listed = choice.pool.drop(columns=choice.table.target)
            listed.insert(0, _NUMBER, range(len(listed)))
            listed.to_csv(pool, index=False)
            said = choice.table.options()
            command = [
                *(sys.executable, "-m", "lightning_mbo", "fit", "--config", "my_data.yaml"),
                *("--model", model, "--data.path", str(table), "--data.target", said["target"]),
                *("--data.maximize", str(said["maximize"]).lower()),
                *("--data.columns", json.dumps(said.get("columns", {}))),
                *("--search", "PoolSearch", "--search.path", str(pool)),
                *("--autofocus.enabled", "false", "--num_candidates", str(NUM_CHOSEN)),
                *("--seed_everything", str(choice.seed)),
                *("--trainer.default_root_dir", str(Path(folder, "run"))),
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            (candidates,) = Path(folder).rglob("candidates.csv")
            return pd.read_csv(candidates)[_NUMBER].to_numpy(np.int64)

    return chosen


METHODS: dict[str, Callable[[Choice], NDArray[np.int64]]] = {
    "random": random_rows,
    "neighbours": neighbours,
    "qLogNEI": qlognei,
}


def outcome(name: str, method: str, folder: Path, seed: int) -> dict[str, Any]:
    """What the chosen rows turn out to be, more being better."""
    choice = Choice.of(name, folder, seed)
    start = _cpu_seconds()
    rows = METHODS.get(method, ours(method))(choice)
    seconds = _cpu_seconds() - start
    labels, best = choice.labels(rows), choice.best_visible()
    whole = choice.labels(np.arange(len(choice.pool)))
    return {
        "above": float((labels > best).mean()),
        "best": float(labels.max()),
        "median": float(np.median(labels)),
        "best_visible": best,
        "best_in_pool": float(whole.max()),
        "above_in_pool": float((whole > best).mean()),
        "seconds": seconds,
    }


def _cpu_seconds() -> float:
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)
