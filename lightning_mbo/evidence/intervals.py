"""Intervals of what is handed out."""

from __future__ import annotations

from torch import Tensor

from lightning_mbo.evidence.conformal import (
    as_promising,
    conformal_quantile,
    normalized_residuals,
    shifted_quantiles,
)
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import Prediction


def intervals(
    problem: DesignProblem,
    prediction: Prediction,
    held_out: Prediction | None,
    held_out_log_ratios: Tensor | None,
    log_ratios: Tensor | None,
) -> dict[str, Tensor]:
    """Conformal intervals of what is handed out, in the user's units, where designs were held out.

    They are calibrated on the held-out designs that are `as_promising`, and infinite where these
    are too few. `lower_90` and `upper_90` hold for nine in ten of designs that come as the table's
    came and whose prediction is as good as the worst of those handed out; where ratios are given,
    `lower_90_shifted` and `upper_90_shifted` for nine in ten of those that come from the search
    model and whose prediction is as good. Where the designs with the `top` labels were held out,
    both speak only of designs that are better than all that the oracle was trained on.

    Nothing is promised of a choice among these: a batch that prefers the best of them has
    intervals that hold a little less often.

    Args:
        problem: Of the held-out designs.
        prediction: Of what is handed out, all of it.
        held_out: What the same oracle says of the held-out designs; None where there are none.
        held_out_log_ratios: log p_θ(x) - log p_0(x) of the held-out designs, shape ``(h,)``; None
            where the search has no densities.
        log_ratios: Those of what is handed out, shape ``(c,)``; None likewise.

    Returns:
        Shape ``(c,)`` each; empty where no designs were held out.
    """
    if held_out is None:
        return {}
    judged = problem.judged
    of_labels = judged.label_prediction(held_out).normal
    residuals = normalized_residuals(of_labels, judged.properties.to(held_out.mean))
    passed = as_promising(held_out.mean, prediction.mean)
    quantile = conformal_quantile(residuals[passed])
    quantiles = {"90": quantile.expand(len(prediction))}
    if held_out_log_ratios is not None and log_ratios is not None:
        # Fewer than the plain quantile needs say nothing of a shift either.
        quantiles["90_shifted"] = (
            quantiles["90"]
            if quantile.isinf()
            else shifted_quantiles(residuals[passed], held_out_log_ratios[passed], log_ratios)
        )
    found: dict[str, Tensor] = {}
    for name, margins in quantiles.items():
        middle, margin = problem.property.measured(prediction.mean), margins * prediction.std
        found |= {f"lower_{name}": middle - margin, f"upper_{name}": middle + margin}
    return found
