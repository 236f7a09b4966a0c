"""Several results: the default run beside BoTorch, boosted trees, and random designs.

`python tests/performance/tradeoffs.py` prints by problem and number of rows which share of the
hypervolume that there is to gain a batch gains, by the truth, which share of it meets all limits,
and the CPU seconds. Where all results have limits, BoTorch's Gaussian process is searched for the
greatest probability that these are met; otherwise its batch is by qLogNEHVI. `--help` lists what
can be chosen. BoTorch has to be installed for it: `pip install '.[compare]'`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from comparison import (
    NUM_CANDIDATES,
    Array,
    Comparison,
    Encoding,
    Random,
    boosted_trees,
    climbed,
    gaussian_process,
    optimized,
    random_designs,
)
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.tasks.several_results import SEVERAL_RESULTS, KnownResults

_AUGMENTED, _NOT_MET = 0.05, -100.0


def results(problem: KnownResults, table: pd.DataFrame) -> Tensor:
    """What was measured, ``(n, q)``."""
    return torch.tensor(table[list(problem.targets)].to_numpy(np.float64))


def trees(problem: KnownResults, path: Path, seed: int) -> pd.DataFrame:
    """Boosted trees of each result, climbed from the best rows: a random goal for each design.

    Reference: Knowles, "ParEGO", IEEE TEC 2006.
    """
    table, random = pd.read_csv(path), np.random.default_rng(seed)
    models = [boosted_trees(problem, table, name, seed) for name in problem.targets]
    advance = Advance.beyond(problem.goals, results(problem, table))
    known, chosen = table.drop(columns=list(problem.targets)), pd.DataFrame()
    while len(chosen) < NUM_CANDIDATES:
        goal = scalarisation(advance, results(problem, table), random)

        def score(designs: pd.DataFrame, goal: Callable[[Tensor], Array] = goal) -> Array:
            predicted = np.stack([model(designs) for model in models], 1)
            return goal(torch.from_numpy(predicted.astype(np.float64)))

        best = known.iloc[np.argsort(-goal(results(problem, table)))[:100]]
        new = climbed(problem, pd.concat([known, chosen]), best, score, random)
        chosen = pd.concat([chosen, new.head(1 if problem.reference else NUM_CANDIDATES)])
    return chosen


def scalarisation(advance: Advance, rows: Tensor, random: Random) -> Callable[[Tensor], Array]:
    """From results ``(m, q)`` to a score ``(m,)``: augmented Chebyshev's, where limits are met."""
    heights = advance.heights(rows)
    weights = torch.from_numpy(random.dirichlet(np.ones(heights.shape[1])))
    top, spread = heights.amax(0), heights.amax(0) - heights.amin(0)

    def score(values: Tensor) -> Array:
        within = advance.shortfall(values)
        if not len(weights):
            return within.numpy()
        lost = weights * (top - advance.heights(values)) / spread
        scores = -lost.amax(1) - _AUGMENTED * lost.sum(1)
        return torch.where(within >= 0, scores, _NOT_MET + within).numpy()

    return score


def botorch(problem: KnownResults, path: Path, seed: int) -> pd.DataFrame:
    """Gaussian processes with BoTorch's defaults, one a result."""
    from botorch.models import ModelListGP

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    table = pd.read_csv(path)
    model = ModelListGP(*(gaussian_process(problem, table, name) for name in problem.targets))
    if not problem.reference:
        return likeliest(problem, table, model, np.random.default_rng(seed))
    return optimized(problem, hypervolume_improvement(problem, table, model))


def hypervolume_improvement(problem: KnownResults, table: pd.DataFrame, model: Any) -> Any:
    """qLogNEHVI with the limits as outcome constraints, and what BoTorch infers as reference."""
    from botorch.acquisition.multi_objective.logei import (
        qLogNoisyExpectedHypervolumeImprovement,
    )
    from botorch.acquisition.multi_objective.objective import WeightedMCMultiOutputObjective
    from botorch.utils.multi_objective import infer_reference_point, is_non_dominated

    goals, rows = problem.goals, results(problem, table)
    free = [i for i, goal in enumerate(goals) if not goal.is_limit]
    signs = torch.tensor([float(goals[i].sign) for i in free])
    met = Advance.beyond(goals, rows).shortfall(rows) >= 0
    seen = rows[met if met.any() else slice(None)][:, free] * signs
    x = torch.from_numpy(Encoding(problem, one_hot=False).encode(table))
    return qLogNoisyExpectedHypervolumeImprovement(
        model,
        infer_reference_point(seen[is_non_dominated(seen)]),
        x,
        objective=WeightedMCMultiOutputObjective(signs, outcomes=free, num_outcomes=len(goals)),
        constraints=constraints(problem) or None,
        prune_baseline=True,
    )


def constraints(problem: KnownResults) -> list[Callable[[Tensor], Tensor]]:
    """Negative where results ``(..., q)`` lie on the right side of a limit."""
    return [
        partial(_beyond, number=i, bound=bound, sign=sign)
        for i, goal in enumerate(problem.goals)
        for bound, sign in ((goal.lower, -1), (goal.upper, 1))
        if np.isfinite(bound)
    ]


def _beyond(values: Tensor, number: int, bound: float, sign: int) -> Tensor:
    return sign * (values[..., number] - bound)


def likeliest(
    problem: KnownResults, table: pd.DataFrame, model: Any, random: Random
) -> pd.DataFrame:
    """The designs that meet all limits with the greatest probability."""
    encoding = Encoding(problem, one_hot=False)
    advance = Advance.beyond(problem.goals, results(problem, table))

    def score(designs: pd.DataFrame) -> Array:
        with torch.no_grad():
            said = model.posterior(torch.from_numpy(encoding.encode(designs)))
        return advance.log_probability_of_limits(said.mean, said.variance.sqrt()).numpy()

    known = table.drop(columns=list(problem.targets))
    best = known.iloc[np.argsort(-score(known))[:100]]
    return climbed(problem, known, best, score, random).head(NUM_CANDIDATES)


def judged(problem: KnownResults, batch: pd.DataFrame, table: pd.DataFrame) -> dict[str, float]:
    """By the truth of the batch and of the rows."""
    from lightning_mbo.metrics import HypervolumeGained, ShareBeyondFront, ShareMeetingLimits

    visible, found = (torch.from_numpy(problem.truth(rows)) for rows in (table, batch))
    advance = Advance.beyond(problem.goals, visible)
    metrics = {"met": ShareMeetingLimits(advance), "beyond": ShareBeyondFront(advance)}
    figures = {"gained": np.nan} | {name: of(found).item() for name, of in metrics.items()}
    if problem.reference:
        gained = HypervolumeGained(advance, visible, problem.reference, problem.best_volume)
        figures["gained"] = gained(found).item()
    return figures


def show(found: pd.DataFrame) -> None:
    titles = {
        "gained": "of the hypervolume to gain, the share gained",
        "met": "share that meets all limits",
        "beyond": "share beyond the front",
        "seconds": "CPU seconds",
    }
    for rows, part in found.groupby("rows"):
        for figure, title in titles.items():
            print(f"\n{rows} rows; {title}, mean over seeds")
            table = part.pivot_table(index="problem", columns="method", values=figure)
            table.loc["mean"] = table.mean()
            print(table.round(3).to_string())


if __name__ == "__main__":
    Comparison(
        script=__file__,
        description=__doc__,
        problems=SEVERAL_RESULTS,
        methods={"botorch": botorch, "xgboost": trees, "random": random_designs},
        rows=[50, 200],
        wanted=lambda problem: ["--data.targets", json.dumps(dict(problem.targets))],
        judged=judged,
        show=show,
    ).main()
