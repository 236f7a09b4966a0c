"""A run's report: one page on how far to trust its candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from torch import Tensor

from lightning_mbo.console import shown_number
from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import spread
from lightning_mbo.evidence.conformal import (
    conformal_quantile,
    normal_coverage,
    normal_quantile,
)
from lightning_mbo.evidence.verdict import Judgement, Verdict, judge, verdict
from lightning_mbo.report import page_figures as figures
from lightning_mbo.report.dependence import Dependence
from lightning_mbo.report.dependence_figures import (
    MOST_LEVELS,
    draw_dependence,
    limits,
    shown_importance,
)
from lightning_mbo.report.headings import decimals_for
from lightning_mbo.report.motions import draw_motions
from lightning_mbo.report.oracle_gap import gap_sentence
from lightning_mbo.report.places import draw_map, draw_marginals
from lightning_mbo.report.run_evidence import Evidence
from lightning_mbo.report.several_results import held_out_results, result_columns, results_of
from lightning_mbo.report.shares import shares_of_results
from lightning_mbo.report.suitability import table_told
from lightning_mbo.report.trends import choices, draw_trends

if TYPE_CHECKING:
    import jinja2

NUM_LISTED = 25
_MOST_DRAWN = 300
_COLUMNS_LISTED = 6
_MOVED_LISTED = 4
_NUM_DEPENDENCES, _FEW_DEPENDENCES = 6, 4
"""Of a property, and of each of several results."""
_FEWEST_TESTED = 30
"""Unseen designs of which a rank correlation or a coverage tells something."""
_LEAST_IMPORTANCE = 0.02
"""Of the greatest: a column with less is not drawn."""
_BOUNDS = {"lower": "lower_95", "upper": "upper_95"}


def render(evidence: Evidence) -> str:
    """The page, which needs nothing else: neither network nor scripts."""
    data = evidence.data
    distances, limit = evidence.distances
    judgements = _judgements(evidence)
    marginals = draw_marginals(evidence)
    return _template().render(
        property_name=", ".join(data.measured_names),
        goals=() if data.results is None else data.results.advance.goals,
        beaten="all rows that meet the limits" if data.goals else "the best row",
        num_designs=len(data.designs),
        num_candidates=len(evidence.candidates),
        best_measured=_best_measured(data),
        smaller_is_better=data.problem.property.sign < 0,
        chosen=evidence.chosen,
        select=evidence.select,
        choices=choices(evidence),
        verdict=verdict_of(evidence).rating,
        judgements=judgements,
        table=_table(evidence, distances, [name for name, _ in marginals]),
        outlook=_outlook(evidence),
        has_bounds=not evidence.figures.keys().isdisjoint(_BOUNDS.values()),
        distance_limit=limit,
        held_out=_held_out(evidence),
        motions=draw_motions(evidence.motions) if evidence.motions else "",
        map=draw_map(evidence),
        marginals=[svg for _, svg in marginals],
        unseen=evidence.unseen,
        shares=shares_of_results(evidence.of_chosen, data.goals),
        results=results_of(evidence),
        table_told=table_told(evidence),
        dependences=_dependences(evidence),
        trends=draw_trends(evidence),
        overlap=evidence.of_chosen.get("overlap"),
        gap=gap_sentence(evidence),
        columns=_columns(data),
        remarks=data.remarks,
        configs=evidence.configs,
    )


@cache
def _template() -> jinja2.Template:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("lightning_mbo.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    ).get_template("page.jinja")


def _columns(data: DesignDataModule) -> dict[str, Any] | None:
    """What the columns of the user's table are taken for."""
    if data.columns_read is None:
        return None
    columns = data.columns_read.columns
    rows = zip(*(column.cells for column in columns), strict=True)
    return {"header": [column.header for column in columns], "rows": list(rows)}


def verdict_of(evidence: Evidence) -> Verdict:
    """How far to trust a run's candidates."""
    outlook = evidence.outlook
    rating = verdict(_judgements(evidence), outlook)
    if outlook is None:
        return Verdict(rating)
    return Verdict(rating, outlook.least_share, outlook.greatest_share)


def _judgements(evidence: Evidence) -> list[Judgement]:
    return judge(_values(evidence))


def _values(evidence: Evidence) -> dict[str, float]:
    """By the names of the rules."""
    distances, limit = evidence.distances
    is_tested = bool(evidence.held_out) and len(evidence.held_out["mean"]) >= _FEWEST_TESTED
    values = {
        "outside": (distances > limit).double().mean().item(),
        "promise": _promised(evidence),
        "rank_correlation": _rank_correlation(evidence) if is_tested else math.nan,
        "coverage": normal_coverage(evidence.residuals) if is_tested else math.nan,
    }
    overlap = evidence.of_chosen.get("overlap")
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


def _best_measured(data: DesignDataModule) -> float:
    return data.problem.property.measured(data.problem.properties.max().item())


def _rank_correlation(evidence: Evidence) -> float:
    """Of prediction and measurement, on the designs that the oracle is judged by."""
    measured = evidence.data.problem.judged.properties.numpy()
    return float(stats.spearmanr(evidence.held_out["mean"].numpy(), measured).statistic)


def _held_out(evidence: Evidence) -> dict[str, Any] | None:
    data = evidence.data
    if not evidence.held_out:
        return None
    residuals = evidence.residuals
    measured = data.problem.property.measured(data.problem.judged.properties.numpy())
    mean = data.problem.property.measured(evidence.held_out["mean"].numpy())
    rows = spread(len(measured), _MOST_DRAWN).numpy()
    margin = normal_quantile() * evidence.held_out["std"].numpy()
    return {
        "number": len(measured),
        "cross_validated": not data.problem.held_out.any(),
        "top": data.problem.held_out.any() and data.held_out == "top",
        "rank_correlation": _rank_correlation(evidence),
        "rmse": float(np.sqrt(np.mean((mean - measured) ** 2))),
        "normal_coverage": normal_coverage(residuals),
        "quantile": conformal_quantile(residuals).item(),
        "figure": figures.draw_held_out(
            measured[rows], mean[rows], margin[rows], data.measured_name
        ),
        "results": held_out_results(evidence, rows),
    }


def _table(evidence: Evidence, distances: Tensor, moved: list[str]) -> dict[str, Any]:
    import pandas as pd
    from pandas.api.types import is_float_dtype

    data, designs = evidence.data, evidence.candidates[:NUM_LISTED]
    shown = {name: values[:NUM_LISTED].numpy() for name, values in evidence.figures.items()}
    mean = _numbers(data.problem.property.measured(shown["oracle_mean"]))
    if data.goals:
        columns = {data.measured_name: mean, **result_columns(data.goals, shown)}
    else:
        columns = {"predicted": mean, "± std": _numbers(shown["oracle_std"])}
        for side, name in _BOUNDS.items():
            if name in shown:
                columns[f"{side} 95 % bound"] = _numbers(shown[name])
    columns["distance from the data"] = _numbers(distances[:NUM_LISTED].numpy())
    known, users = data.nearest_known(designs), data.to_user_units(designs)
    if data.goals:  # their results are in candidates.csv
        known = known[["nearest_row"]]
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


def _outlook(evidence: Evidence) -> str:
    if evidence.outlook is None:
        return ""
    return evidence.outlook.sentence(evidence.data.problem, len(evidence.candidates))


def _dependences(evidence: Evidence) -> list[dict[str, Any]]:
    """How each prediction depends on the columns that matter most to it."""
    of_several = len(evidence.dependences) > 1
    most, found = _FEW_DEPENDENCES if of_several else _NUM_DEPENDENCES, list[dict[str, Any]]()
    for name, depending in evidence.dependences.items():
        first = sum(len(part["figures"]) for part in found)
        part = _dependence(name, depending, most, first)
        if part is not None:
            found.append({"of_what": name if of_several else "", **part})
    return found


def _dependence(
    name: str, dependences: Sequence[Dependence], most: int, first: int
) -> dict[str, Any] | None:
    """Of one prediction, whose figures are numbered from the first on."""
    if not dependences:
        return None
    least = _LEAST_IMPORTANCE * dependences[0].importance
    shown = [d for d in dependences[:most] if d.importance > least]
    if not shown:
        return None
    rest, ends = dependences[len(shown) :], limits(shown)
    return {
        "figures": [
            {
                "name": d.levels.name,
                "importance": shown_importance(d),
                "svg": draw_dependence(d, name, ends, number),
                "num_levels": 0 if d.levels.is_number else len(d.mean),
            }
            for number, d in enumerate(shown, first)
        ],
        "rescaled": [d.levels.name for d in shown if d.levels.rescaled],
        "most_levels": MOST_LEVELS,
        "is_alone": len(dependences) == 1,
        "has_bands": any(d.std.any() for d in shown),
        "has_effects": any(d.effects is not None for d in shown),
        "num_rest": len(rest),
        "greatest_rest": shown_importance(rest[0]) if rest else "",
    }
