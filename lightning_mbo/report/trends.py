"""How a run's figures went, iteration by iteration."""

from __future__ import annotations

import numpy as np

from lightning_mbo.report import page_figures as figures
from lightning_mbo.report.run_evidence import Evidence


def choices(evidence: Evidence) -> dict[str, int]:
    """Which iteration each rule would choose, where it applies."""
    import pandas as pd

    table = pd.DataFrame(evidence.iterations)
    rules = {
        "oracle_p80": "greatest promise",
        "held_out_weighted_log_likelihood": f"greatest {evidence.unseen} likelihood",
    }
    return {
        # As the search compares them: by their float32 values, the first of the greatest.
        label: int(table["design_iteration"].iloc[table[metric].astype(np.float32).argmax()])
        for metric, label in rules.items()
        if metric in table and table[metric].notna().any()
    }


def draw_trends(evidence: Evidence) -> dict[str, str]:
    """Figures by design iteration, where there are several."""
    import pandas as pd

    table = pd.DataFrame(evidence.iterations)
    if len(table) < 2:
        return {}
    steps, marks = table["design_iteration"].to_numpy(np.float64), choices(evidence)
    found = {}
    if "oracle_gap" in table and table["oracle_gap"].notna().any():
        curves = {
            "oracle gap": table["oracle_gap"].to_numpy(np.float64),
            "its bound": table["oracle_gap_bound"].to_numpy(np.float64),
        }
        found["gap"] = figures.draw_iterations("gap", steps, curves, "probability", marks)
    if "overlap" in table:
        curves = {"n_e on the training designs": table["overlap"].to_numpy(np.float64)}
        # By cross-validation they are the same designs.
        if "held_out_effective_sample_size" in table and evidence.unseen == "held-out":
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
        others = evidence.unseen if evidence.held_out else "training"
        found["disagreement"] = figures.draw_iterations(
            "disagreement",
            steps,
            {"on the samples": table["ensemble_disagreement"].to_numpy(np.float64)},
            evidence.data.measured_name,
            marks,
            {
                "on the candidates": evidence.disagreement["candidates"],
                f"on {others} designs": evidence.disagreement["others"],
            },
        )
    return found
