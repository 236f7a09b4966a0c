"""Statistics of paired trials: averages of the arms, and differences between them.

The functions read a table with one row a run: the columns `method`, those of the grid, `arm`,
`trial`, `seconds`, `error` (empty or missing where the run went well), and one a metric. Runs that
failed are left out, and so is a metric's value that is not finite: the columns `n` say how many
are left. Methods and cells of the grid keep the order in which they first appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

if TYPE_CHECKING:
    import pandas as pd

_MOST_ASSIGNMENTS = 2**16


def finished(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs that went well."""
    return rows[rows["error"].isna() | rows["error"].eq("")]


def averages(
    rows: pd.DataFrame, metrics: Sequence[str], grid: Sequence[str], arms: Sequence[str]
) -> pd.DataFrame:
    """Each arm's average over trials.

    Args:
        rows: One a run.
        metrics: Columns of `rows`.
        grid: Columns of `rows` that set the cells of the grid apart.
        arms: In the order of the result.

    Returns:
        The columns `method`, those of the grid, `metric`, `arm`, `n` (trials), `mean`, `std` (of
        the sample) and `standard_error` (of the mean), NaN where there are too few trials.
    """
    import pandas as pd

    records = []
    for cell, runs in rows.groupby(["method", *grid], sort=False, dropna=False):
        for metric in metrics:
            values = _by_trial(runs, metric, arms)
            records += [
                (*cell, metric, arm, column.count(), column.mean(), column.std(), column.sem())
                for arm, column in values.items()
            ]
    figures = ["n", "mean", "std", "standard_error"]
    return pd.DataFrame(records, columns=["method", *grid, "metric", "arm", *figures])


def compare(
    rows: pd.DataFrame, metrics: Sequence[str], grid: Sequence[str], arms: Sequence[str]
) -> pd.DataFrame:
    """Each arm against every one before it, over the trials that have both.

    Args:
        rows: One a run.
        metrics: Columns of `rows`.
        grid: Columns of `rows` that set the cells of the grid apart.
        arms: In order: a later one is compared with the earlier ones.

    Returns:
        The columns `method`, those of the grid, `metric`, `arm`, `reference`, `n` (pairs), `mean`
        and `reference_mean` (of the pairs), `mean_difference` (arm minus reference),
        `standard_error` (of the mean difference), `p_value` of `signed_rank_p_value`, and `stars`.
    """
    import pandas as pd

    pairs = [(arm, reference) for reference, arm in combinations(arms, 2)]
    pairs.sort(key=lambda pair: arms.index(pair[0]))
    records = []
    for cell, runs in rows.groupby(["method", *grid], sort=False, dropna=False):
        for metric in metrics:
            values = _by_trial(runs, metric, arms)
            for arm, reference in pairs:
                paired = values[[arm, reference]].dropna()
                differences = paired[arm] - paired[reference]
                p_value = signed_rank_p_value(differences.to_numpy())
                means = (paired[arm].mean(), paired[reference].mean(), differences.mean())
                figures = (len(paired), *means, differences.sem(), p_value, stars(p_value))
                records.append((*cell, metric, arm, reference, *figures))
    columns = ["n", "mean", "reference_mean", "mean_difference", "standard_error", "p_value"]
    keys = ["method", *grid, "metric", "arm", "reference"]
    return pd.DataFrame(records, columns=[*keys, *columns, "stars"])


def improvement(
    rows: pd.DataFrame, metric: str, grid: Sequence[str], arms: Sequence[str]
) -> pd.DataFrame:
    """What the last arm gains over the first in each cell of the grid.

    Args:
        rows: One a run.
        metric: Column of `rows`.
        grid: Columns of `rows` that set the cells of the grid apart.
        arms: In order, two or more.

    Returns:
        The columns `method`, those of the grid, `n` (pairs), `mean_difference` and
        `standard_error`.
    """
    gains = compare(rows, [metric], grid, [arms[0], arms[-1]])
    return gains[["method", *grid, "n", "mean_difference", "standard_error"]]


def signed_rank_p_value(differences: NDArray[np.float64]) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test.

    Differences of zero are dropped. Without ties among the rest the distribution is exact. With
    ties it is taken over assignments of signs to the midranks: over all of them, and so exact,
    for up to 16 differences, and over 65,536 random ones for more.

    Args:
        differences: Of pairs, shape ``(n,)``, finite.

    Returns:
        The p-value; 1 if all differences are zero, NaN if there are none.
    """
    if len(differences) == 0:
        return np.nan
    largest = np.abs(differences).max()
    if largest == 0:
        return 1.0
    # 0.15 - 0.1 and 0.05 are a tie, whatever their last bits say.
    informative = np.round(differences / largest, 9)
    informative = informative[informative != 0]
    ranks = stats.rankdata(np.abs(informative))
    if len(np.unique(ranks)) == len(ranks):
        return float(stats.wilcoxon(informative, method="exact").pvalue)
    result = stats.permutation_test(
        (np.sign(informative) * ranks,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_MOST_ASSIGNMENTS,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def stars(p_value: float) -> str:
    """`**` for a p-value under 0.01, `*` for one under 0.05, and nothing for any other."""
    return "**" if p_value < 0.01 else "*" if p_value < 0.05 else ""


def _by_trial(runs: pd.DataFrame, metric: str, arms: Sequence[str]) -> pd.DataFrame:
    """A metric of one cell's runs: a row a trial, a column an arm, NaN where it is not known."""
    values = finished(runs).pivot(index="trial", columns="arm", values=metric)
    values = values.reindex(columns=list(arms)).astype(float)
    return values.where(np.isfinite(values))
