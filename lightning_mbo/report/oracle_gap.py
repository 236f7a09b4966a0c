"""What is known of the oracle gap, in words."""

from __future__ import annotations

import math

from lightning_mbo.report.run_evidence import Evidence

_UNKNOWN = (
    "How far the oracle is off where the search is, is not known: fits to halves of the rows tell "
    "it of oracles that are fitted in one call, and --data.held_out_fraction 0.2 lets others be "
    "judged, where the search draws from a search model"
)


def gap_sentence(evidence: Evidence) -> str:
    """Of the chosen iteration, in the user's units."""
    found = evidence.of_chosen
    gap, most = (100 * found.get(name, math.nan) for name in ("oracle_gap", "oracle_gap_bound"))
    if gap != gap:
        return f"{_UNKNOWN}."
    sought = evidence.data.problem.property
    side, threshold = (
        "at least" if sought.sign > 0 else "at most",
        sought.measured(found["threshold"]),
    )
    bias, most_bias = found["oracle_bias"], found["oracle_bias_bound"]
    direction = "much" if bias > 0 else "little"
    said = (
        f"Where the search is in iteration {evidence.chosen}, the oracle's probability of "
        f"{side} {threshold:.4g} is off by about {gap:.0f} percentage points, and by at most "
        f"{most:.0f} nine times in ten; in the mean it promises about {abs(bias):.3g} too "
        f"{direction}, and at most {max(0.0, most_bias):.3g} too much"
    )
    limit = found.get("oracle_gap_proposition_1")
    if limit is not None and limit == limit:
        said += f". From the known errors of the labels follow {100 * limit:.0f} points"
    return f"{said}."
