"""A run's report: one page on how far to trust its candidates."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.console import shown_number
from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import nearest, nearest_others
from lightning_mbo.evidence.conformal import (
    as_promising,
    conformal_quantile,
    normal_coverage,
    normal_quantile,
)
from lightning_mbo.evidence.verdict import judge, verdict
from lightning_mbo.report import page_figures as figures
from lightning_mbo.report.headings import decimals_for

if TYPE_CHECKING:
    import pandas as pd

NUM_LISTED = 25
NUM_MARGINALS = 12
_MOST_DRAWN = 600
_MOST_COMPARED = 1000
_MOST_FOR_COMPONENTS = 500
_COLUMNS_LISTED = 6
_MOVED_LISTED = 4
_CHOICES = {
    "oracle_p80": "greatest promise",
    "held_out_weighted_log_likelihood": "greatest held-out likelihood",
}


@dataclass(frozen=True)
class Evidence:
    """What a run has to show.

    Attributes:
        data: The design problem.
        candidates: Best first, shape ``(c, *design_shape)``.
        figures: Of the candidates, as `CandidateWriter` has them, ``(c,)`` each.
        iterations: One row a design iteration: its metrics and, where there are densities,
            `overlap`, the effective sample size of p_θ/p_0 on the training designs.
        chosen: The design iteration that the candidates are of.
        select: The rule that chose it.
        disagreement: Of the ensemble, means: on the `candidates`, and on `others`.
        held_out: Of the chosen iteration's oracle on the held-out designs: `mean` and `std`,
            ``(h,)`` each; empty where there are none.
        configs: The run's options, by the name of their file.
    """

    data: DesignDataModule
    candidates: Tensor
    figures: dict[str, Tensor]
    iterations: list[dict[str, float]]
    chosen: int
    select: str
    disagreement: dict[str, float]
    held_out: dict[str, Tensor] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def residuals(self) -> Tensor:
        """|y - μ| / σ of the held-out designs, ``(h,)``."""
        errors = self.data.problem.judged.properties - self.held_out["mean"]
        return errors.abs() / self.held_out["std"]


def render(evidence: Evidence) -> str:
    """The page, which needs nothing else: neither network nor scripts."""
    import jinja2

    template = jinja2.Environment(
        loader=jinja2.PackageLoader("lightning_mbo.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    ).get_template("page.jinja")
    data = evidence.data
    distances, limit = _distances(evidence)
    held_out = _held_out(evidence)
    judgements = judge(_values(evidence, distances, limit, held_out))
    marginals = _marginals(evidence)
    return template.render(
        property_name=data.measured_name,
        num_designs=len(data.designs),
        num_candidates=len(evidence.candidates),
        best_measured=_best_measured(data),
        smaller_is_better=data.problem.property.sign < 0,
        chosen=evidence.chosen,
        select=evidence.select,
        choices=_choices(evidence),
        verdict=verdict(judgements),
        judgements=judgements,
        table=_table(evidence, distances, [name for name, _ in marginals]),
        promise=_promise(evidence),
        distance_limit=limit,
        held_out=held_out,
        map=_map(evidence),
        marginals=[svg for _, svg in marginals],
        trends=_trends(evidence),
        overlap=_of_chosen(evidence).get("overlap"),
        columns=_columns(data),
        remarks=data.remarks,
        configs=evidence.configs,
    )


def _columns(data: DesignDataModule) -> dict[str, Any] | None:
    """What the columns of the user's table are taken for."""
    if data.columns_read is None:
        return None
    columns = data.columns_read.columns
    rows = zip(*(column.cells for column in columns), strict=True)
    return {"header": [column.header for column in columns], "rows": list(rows)}


def _values(
    evidence: Evidence, distances: Tensor, limit: float, held_out: dict[str, Any] | None
) -> dict[str, float]:
    """By the names of the rules."""
    values = {
        "outside": (distances > limit).double().mean().item(),
        "promise": _promised(evidence),
        "rank_correlation": held_out["rank_correlation"] if held_out else math.nan,
        "coverage": held_out["normal_coverage"] if held_out else math.nan,
    }
    overlap = _of_chosen(evidence).get("overlap")
    if overlap is not None:
        values["overlap"] = overlap / len(evidence.data.designs)
    if evidence.disagreement["others"] > 0:
        values["disagreement"] = (
            evidence.disagreement["candidates"] / evidence.disagreement["others"]
        )
    return values


def _promised(evidence: Evidence) -> float:
    """How far the best prediction lies beyond the best measurement, in ranges of all of them."""
    measured = evidence.data.problem.properties
    best = evidence.figures["oracle_mean"].max()
    return ((best - measured.max()) / (measured.max() - measured.min())).item()


def _of_chosen(evidence: Evidence) -> dict[str, float]:
    rows = {int(row["design_iteration"]): row for row in evidence.iterations}
    return rows[evidence.chosen]


def _best_measured(data: DesignDataModule) -> float:
    return data.problem.property.measured(data.problem.properties.max().item())


def _distances(evidence: Evidence) -> tuple[Tensor, float]:
    """Of each candidate from the data, and which 95 % of the training designs do not exceed."""
    data = evidence.data
    rows = _spread(len(data.designs), _MOST_COMPARED)
    own = nearest_others(data.designs, rows, data.distances)
    found, _ = nearest(evidence.candidates[:_MOST_COMPARED], data.designs, data.distances)
    return found, own.quantile(0.95).item()


def _spread(length: int, most: int) -> Tensor:
    """Row numbers, evenly spaced: all of them, or as many as are to be drawn or compared."""
    return torch.arange(min(length, most), device="cpu") * length // min(length, most)


def _held_out(evidence: Evidence) -> dict[str, Any] | None:
    data = evidence.data
    if not evidence.held_out:
        return None
    residuals = evidence.residuals
    measured = data.problem.property.measured(data.problem.judged.properties.numpy())
    mean = data.problem.property.measured(evidence.held_out["mean"].numpy())
    rows = _spread(len(measured), _MOST_DRAWN // 2).numpy()
    margin = normal_quantile() * evidence.held_out["std"].numpy()
    return {
        "number": len(measured),
        "cross_validated": not data.problem.held_out.any(),
        "top": data.held_out == "top",
        "rank_correlation": float(stats.spearmanr(mean, measured).statistic),
        "rmse": float(np.sqrt(np.mean((mean - measured) ** 2))),
        "normal_coverage": normal_coverage(residuals),
        "quantile": conformal_quantile(residuals).item(),
        "figure": figures.draw_held_out(
            measured[rows], mean[rows], margin[rows], data.measured_name
        ),
    }


def _table(evidence: Evidence, distances: Tensor, moved: list[str]) -> dict[str, Any]:
    import pandas as pd
    from pandas.api.types import is_float_dtype

    data, designs = evidence.data, evidence.candidates[:NUM_LISTED]
    shown = {name: values[:NUM_LISTED].numpy() for name, values in evidence.figures.items()}
    columns = {
        "predicted": _numbers(data.problem.property.measured(shown["oracle_mean"])),
        "± std": _numbers(shown["oracle_std"]),
    }
    if "lower_90" in shown:
        columns["90 % interval"] = _intervals(shown["lower_90"], shown["upper_90"])
    if "lower_90_shifted" in shown:
        columns["shifted interval"] = _intervals(
            shown["lower_90_shifted"], shown["upper_90_shifted"]
        )
    columns["distance from the data"] = _numbers(distances[:NUM_LISTED].numpy())
    known, users = data.nearest_known(designs), data.to_user_units(designs)
    chosen = users.columns[:_COLUMNS_LISTED]
    if len(users.columns) > _COLUMNS_LISTED:
        chosen = pd.Index([name for name in moved if name in users.columns][:_MOVED_LISTED])
    for frame in (known, users[chosen]):
        for name in frame.columns:
            column = frame[name]
            decimal = is_float_dtype(column)
            entries = _numbers(column.to_numpy()) if decimal else [str(entry) for entry in column]
            columns[str(name).replace("_", " ")] = entries
    return {"header": list(columns), "rows": list(zip(*columns.values(), strict=True))}


def _numbers(values: Any) -> list[str]:
    """With as many decimals each, unless one that is not zero would be shown so."""
    decimals = decimals_for(np.abs(values).max())
    if ((values != 0) & (np.round(values, decimals) == 0)).any():
        return [shown_number(value) for value in values]
    return [f"{value:.{decimals}f}" for value in values]


def _intervals(lower: Any, upper: Any) -> list[str]:
    finite = np.isfinite(lower)
    ends = iter(_numbers(np.concatenate([lower[finite], upper[finite], [0.0]])))
    lows = list(itertools.islice(ends, int(finite.sum())))
    shown = (f"{low} to {high}" for low, high in zip(lows, ends, strict=False))
    return [next(shown) if known else "none" for known in finite]


def _promise(evidence: Evidence) -> dict[str, Any] | None:
    """What the intervals rest on: how many held-out designs, and for how many candidates."""
    if "lower_90" not in evidence.figures:
        return None
    means = evidence.figures["oracle_mean"]
    finite = {
        name: int(evidence.figures[column].isfinite().sum())
        for name, column in (("plain", "lower_90"), ("shifted", "lower_90_shifted"))
        if column in evidence.figures
    }
    return {
        "passed": int(as_promising(evidence.held_out["mean"], means).sum()),
        "least": evidence.data.problem.property.measured(means.min().item()),
        "finite": finite,
    }


def _map(evidence: Evidence) -> str | None:
    """None of designs that are one number: the marginal says it all."""
    designs, candidates = (d.flatten(1) for d in (evidence.data.designs, evidence.candidates))
    if designs.shape[1] < 2:
        return None
    center = designs.mean(0)
    some = designs[_spread(len(designs), _MOST_FOR_COMPONENTS)] - center
    # By the products of the designs with each other: there may be more entries than designs.
    variances, vectors = torch.linalg.eigh(some @ some.mT)
    components = some.mT @ vectors[:, [-1, -2]]
    components = components / components.norm(dim=0).clamp(min=torch.finfo().tiny)
    drawn = [
        ((points[_spread(len(points), most)] - center) @ components).numpy()
        for points, most in ((designs, _MOST_DRAWN), (candidates, _MOST_DRAWN // 2))
    ]
    shares = (variances[[-1, -2]] / variances.clamp(min=0).sum()).numpy()
    return figures.draw_map(drawn[0], drawn[1], shares)


def _marginals(evidence: Evidence) -> list[tuple[str, str]]:
    """Names and pictures of the columns in which candidates and data differ most."""
    data = evidence.data
    rows = _spread(len(data.designs), 5 * _MOST_DRAWN)
    known, new = (
        _letters(data, data.to_user_units(designs))
        for designs in (data.designs[rows], evidence.candidates[:_MOST_COMPARED])
    )
    moved = {name: _moved(known[name], new[name]) for name in known.columns}
    most = sorted(moved, key=lambda name: -moved[name])[:NUM_MARGINALS]
    return [
        (str(name), figures.draw_marginal(str(name), known[name], new[name], number))
        for number, name in enumerate(most)
    ]


def _letters(data: DesignDataModule, designs: pd.DataFrame) -> pd.DataFrame:
    """Sequences by their places; other designs as they are."""
    import pandas as pd

    if not data.space.is_sequences:
        return designs
    words = designs.iloc[:, 0].tolist()
    places = pd.DataFrame([list(word) for word in words])
    return places.rename(columns=lambda place: f"place {place + 1}")


def _moved(data: pd.Series[Any], candidates: pd.Series[Any]) -> float:
    """How far two distributions are apart, 0 to 1: Kolmogorov's distance, or total variation."""
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(data):
        return float(stats.ks_2samp(data, candidates, method="asymp").statistic)
    shares = figures.frequencies(data, candidates)
    return float((shares["data"] - shares["new"]).abs().sum() / 2)


def _choices(evidence: Evidence) -> dict[str, int]:
    """Which iteration each rule would choose, where it applies."""
    import pandas as pd

    table = pd.DataFrame(evidence.iterations)
    return {
        # As the search compares them: by their float32 values, the first of the greatest.
        label: int(table["design_iteration"].iloc[table[metric].astype(np.float32).argmax()])
        for metric, label in _CHOICES.items()
        if metric in table and table[metric].notna().any()
    }


def _trends(evidence: Evidence) -> dict[str, str]:
    """Figures by design iteration, where there are several."""
    import pandas as pd

    table = pd.DataFrame(evidence.iterations)
    if len(table) < 2:
        return {}
    steps, marks = table["design_iteration"].to_numpy(np.float64), _choices(evidence)
    found = {}
    if "overlap" in table:
        curves = {"n_e on the training designs": table["overlap"].to_numpy(np.float64)}
        if "held_out_effective_sample_size" in table:
            held_out = table["held_out_effective_sample_size"]
            curves["n_e on the held-out designs"] = held_out.to_numpy(np.float64)
        found["overlap"] = figures.draw_iterations(
            "overlap", steps, curves, "designs that count", marks, log_scale=True
        )
    if "held_out_weighted_log_likelihood" in table:
        name = "held_out_weighted_log_likelihood"
        curves = {
            "present oracle": table[name].to_numpy(np.float64),
            "original oracle": table[f"{name}_original"].to_numpy(np.float64),
        }
        found["likelihood"] = figures.draw_iterations(
            "likelihood", steps, curves, "log-likelihood (nats)", marks
        )
    if evidence.disagreement["others"] > 0:
        found["disagreement"] = figures.draw_iterations(
            "disagreement",
            steps,
            {"on the samples": table["ensemble_disagreement"].to_numpy(np.float64)},
            evidence.data.measured_name,
            marks,
            {
                "on the candidates": evidence.disagreement["candidates"],
                f"on {_others(evidence)}": evidence.disagreement["others"],
            },
        )
    return found


def _others(evidence: Evidence) -> str:
    return f"{'held-out' if evidence.held_out else 'training'} designs"
