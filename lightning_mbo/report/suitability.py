"""What the user's table tells, in words."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_mbo.data import DesignDataModule
from lightning_mbo.evidence.suitability import Suitability, all_wanted
from lightning_mbo.oracles import Oracle, ResultOracles
from lightning_mbo.report.dependence import Dependence
from lightning_mbo.report.run_evidence import Evidence

_NAMED, _MOST_NAMED = 0.9, 6
"""Of what all columns move the prediction: so much is told column by column, of so many."""

_MOST_ENTRIES = 120_000
"""Of the rows that columns which add up are fitted to, in a second or two."""


def all_suitabilities(oracle: Oracle, data: DesignDataModule) -> dict[str, Suitability]:
    """How well the user's table suits a search, by what is wanted; empty of other data.

    Nothing is fitted but columns that add up.

    Args:
        oracle: Fitted in the run.
        data: What it was fitted to.
    """
    if data.columns_read is None:
        return {}
    problem = data.problem
    wanted = list(all_wanted(problem))
    asked: Sequence[Oracle | None] = [oracle]
    if isinstance(oracle, ResultOracles):
        asked = oracle.of_results
    elif problem.results is not None:  # of which it knows the advance alone
        asked = [None] * len(wanted)
    if problem.held_out.any() and data.held_out == "top":
        asked = [None] * len(wanted)
    return {
        name: Suitability.of(of_one, own, best, _MOST_ENTRIES)
        for (name, of_one, best), own in zip(wanted, asked, strict=True)
    }


def table_told(evidence: Evidence) -> dict[str, list[str]]:
    """What the table tells, a sentence a line, by what is wanted."""
    return {
        name: lines(name, evidence.dependences.get(name, ()), suitability)
        for name, suitability in evidence.suitabilities.items()
    }


def lines(name: str, dependences: Sequence[Dependence], suitability: Suitability) -> list[str]:
    """The same of one thing that is wanted.

    Args:
        name: Of what is measured.
        dependences: On each column, the most important first; none where nobody has looked.
        suitability: Of the table.
    """
    return [*([_columns(dependences)] if dependences else []), *suitability.lines(name)]


def _columns(dependences: Sequence[Dependence]) -> str:
    """Which columns move the prediction, and as how many equal ones: the participation ratio."""
    moved = [each.importance**2 for each in dependences]
    total = sum(moved)
    if not total > 0:
        return "Columns that matter: none."
    shares, told, parts = [part / total for part in moved], 0.0, list[str]()
    for each, share in zip(dependences, shares, strict=True):
        parts.append(f"{each.levels.name} {100 * share:.0f} %")
        told += share
        if told >= _NAMED or len(parts) == _MOST_NAMED:
            break
    if len(dependences) > len(parts):
        parts[-1] += f"; all others {100 * (1 - told):.0f} %"
    number = 1 / sum(share**2 for share in shares)
    equal = f"That is as many as {number:.1f} of equal weight, of {len(shares)}."
    return f"Columns that matter: {', '.join(parts)}. {equal}"
