"""Whether what was said of a batch came true."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.advance import Advance
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.metrics.several_results import ShareMeetingLimits
from lightning_mbo.problem import DesignProblem


def outlook_scores(outlook: Outlook, realised_share: float) -> dict[str, float]:
    """What was expected of a batch, and how far off that was.

    Reference: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78, 1950, for the score.

    Args:
        outlook: Of the batch.
        realised_share: Of its designs, those that are better than the best label.

    Returns:
        `predicted_share`, `least_predicted_share` and `greatest_predicted_share`, and the
        `brier_score`, the squared difference of the first from the realised share.
    """
    return {
        "predicted_share": outlook.share,
        "least_predicted_share": outlook.least_share,
        "greatest_predicted_share": outlook.greatest_share,
        "brier_score": (outlook.share - realised_share) ** 2,
    }


def batch_scores(truth: Tensor, best_truth: float, problem: DesignProblem) -> dict[str, float]:
    """What a batch is worth.

    Args:
        truth: Of the batch, shape ``(c,)``.
        best_truth: That of the row with the best label.
        problem: Of the rows.

    Returns:
        `batch_median` and `batch_best`, in the property's units; the `realised_share` of its
        designs that are better than the best label, and the `realised_share_by_truth` of those that
        are better than the row that has it.
    """
    return {
        "batch_median": truth.quantile(0.5).item(),
        "batch_best": truth.max().item(),
        "realised_share": _share(problem.beats(truth, problem.beaten)),
        "realised_share_by_truth": _share(problem.beats(truth, best_truth)),
    }


def limit_scores(results: Tensor, advance: Advance) -> dict[str, float]:
    """Whether a batch meets its limits, where several results are wanted.

    Args:
        results: True ones of the batch, in the user's units, shape ``(c, q)``.
        advance: With what is wanted of each.

    Returns:
        `realised_share_meeting_limits`, of its designs those that meet all limits; absent where no
        result has any.
    """
    if not advance.has_limits:
        return {}
    return {"realised_share_meeting_limits": ShareMeetingLimits(advance)(results).item()}


def bound_scores(
    truth: Tensor, bounds: Tensor, noise_std: float, problem: DesignProblem
) -> dict[str, float]:
    """Whether bounds of measurements held, and what they cost.

    Args:
        truth: Of the batch, shape ``(c,)``.
        bounds: From below, in the property's units, shape ``(c,)``.
        noise_std: Standard deviation of a measurement about the truth.
        problem: Of the rows.

    Returns:
        `bound_held`, the share of designs whose measurement lies at or above its bound, in
        expectation over the measurements' noise; `bound_distance`, the median of the truth above
        finite bounds, in ranges of the labels, absent where none is finite; and
        `infinite_bounds`, a share.
    """
    margins, finite = truth - bounds, bounds.isfinite()
    exact = noise_std == 0
    held = _share(margins >= 0) if exact else torch.special.ndtr(margins / noise_std).mean().item()
    scores = {"bound_held": held, "infinite_bounds": _share(~finite)}
    if finite.any():
        labels = problem.properties
        distances = margins[finite] / (labels.max() - labels.min())
        scores["bound_distance"] = distances.quantile(0.5).item()
    return scores


def _share(chosen: Tensor) -> float:
    return chosen.double().mean().item()
