"""How far an oracle is off where a search is, without the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.evidence.halves import HalfFit
from lightning_mbo.importance import effective_sample_size, importance_weights
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, Prediction

CONFIDENCE = 0.9
"""How often a bound is to hold."""

_MOST_SAMPLES = 1000
"""That a mean over the search model is taken of: it is known to 0.01 then."""

_LEAST_STD = 1e-300
"""Of a label around its mean, where an oracle says that it has none."""


class Gap(NamedTuple):
    """Of an oracle under a search model p_θ with the desired set S = {y ≥ γ}.

    All are NaN where there is nothing to tell them by.

    Attributes:
        gap: About what E|P(y ∈ S | x) - P_β(y ∈ S | x)| is, the oracle gap.
        gap_bound: What it does not exceed nine times in ten.
        bias: About what E[oracle mean - true mean] is, in the property's units.
        bias_bound: What it does not exceed nine times in ten; from below there is no bound, since
            what lies beyond the table may be much better than a fit to the table knows.
        divergence: Of the labels that the oracle expects from those that there are, expected under
            p_θ, in nats: ε. NaN where the errors of labels are not known.
    """

    gap: float = math.nan
    gap_bound: float = math.nan
    bias: float = math.nan
    bias_bound: float = math.nan
    divergence: float = math.nan

    @classmethod
    def of_halves(
        cls,
        prediction: Prediction,
        said: Sequence[Prediction],
        threshold: float,
        error: float | None = None,
    ) -> Self:
        """By fits to halves of the rows.

        A fit to half of the rows differs from that to all of them by as much, in the mean square,
        as that differs from the truth: the delete-half jackknife. Let s be the root mean square of
        these differences at a design. Designs that lie together share their errors, so that all of
        them are taken to be as many s off in the same direction: by one, the worse way, for the
        gap, and for its bound by as many as a Student's distribution says with one degree of
        freedom a split, whose two halves are off in opposite directions. Halves may agree for being
        of one kind: where the oracle itself says that it knows less, the bound takes it at its
        word. What halves are off on one side of the whole, the whole is off the truth: what goes as
        1/n in a fit to n rows is doubled by halving them.

        Reference: Efron, "The jackknife, the bootstrap and other resampling plans", 1982; McCarthy,
        "Pseudo-replication: half samples", 1969.

        Args:
            prediction: Of samples of p_θ by the oracle, ``(m,)``.
            said: Of the same by the fits to halves, both of each split.
            threshold: γ.
            error: The standard deviation of a label, where it is known.
        """
        differences = torch.stack([half.mean for half in said]) - prediction.mean
        spread = differences.square().mean(0).sqrt()
        noise = prediction.std.square() - prediction.epistemic_std.square()
        noise = noise.clamp(min=0).sqrt().clamp(min=_LEAST_STD)
        expected = _desired(threshold, prediction)

        def gap(shift: Tensor) -> float:
            """Were all designs so far off."""
            distance = prediction.mean + shift - threshold
            off = torch.special.ndtr(distance / noise) - expected
            return float(off.abs().mean())

        most = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(said) // 2))
        farthest = most * spread.maximum(prediction.epistemic_std)
        bias = differences.mean().item()
        divergence = math.nan
        if error is not None:
            variance = prediction.std.square() + error**2
            divergence = _divergence(error**2, spread.square(), variance).mean().item()
        return cls(
            max(gap(-spread), gap(spread)),
            max(gap(-farthest), gap(farthest)),
            bias,
            bias + most * spread.mean().item(),
            divergence,
        )

    @classmethod
    def of_unseen(
        cls,
        prediction: Prediction,
        properties: Tensor,
        log_ratios: Tensor,
        threshold: float,
        errors: Tensor | None = None,
    ) -> Self:
        """By labels that the oracle has not seen, each as often as the search would find it.

        With one label a design, E|1(y ∈ S) - P_β(y ∈ S | x)| is not less than the gap, and
        |E[1(y ∈ S) - P_β(y ∈ S | x)]| not more (Jensen's inequality): the latter is taken for it.
        What chance adds to the former is bounded as for n_e labels of equal weight (Hoeffding).

        Args:
            prediction: Of the labels of these designs by the oracle, ``(h,)``.
            properties: The labels, ``(h,)``.
            log_ratios: log p_θ(x) - log p_0(x), ``(h,)``.
            threshold: γ.
            errors: The standard deviations of the labels, ``(h,)``, where they are known.
        """
        weights = importance_weights(log_ratios, alpha=1.0)
        if not weights.any():
            return cls()
        weights = weights / weights.sum()
        number = effective_sample_size(weights).item()
        desired = (properties >= threshold).to(weights)
        off = desired - _desired(threshold, prediction)
        chance = math.sqrt(-math.log(1 - CONFIDENCE) / (2 * number))
        residuals = prediction.mean - properties
        bias = (weights * residuals).sum()
        variance = (weights * (residuals - bias).square()).sum()
        most = float(stats.t.ppf((1 + CONFIDENCE) / 2, number))
        divergence = math.nan
        if errors is not None:
            noise = Normal(0.0, errors.to(weights), validate_args=False)
            nats = -prediction.normal.log_prob(properties) - noise.entropy()
            divergence = max(0.0, (weights * nats).sum().item())
        return cls(
            (weights * off).sum().abs().item(),
            min(1.0, (weights * off.abs()).sum().item() + chance),
            bias.item(),
            bias.item() + most * math.sqrt(variance.item() / number),
            divergence,
        )

    @property
    def proposition_1(self) -> float:
        """√(ε/2), which the gap does not exceed.

        Reference: Fannjiang and Listgarten, NeurIPS 2020, proposition 1.
        """
        return math.sqrt(self.divergence / 2)


def gap_of(
    problem: DesignProblem, iteration: DesignIteration, fits: Sequence[HalfFit]
) -> Gap | None:
    """That of a design iteration's oracle, where its samples came from.

    Args:
        problem: What is designed.
        iteration: One step of the search.
        fits: Of the oracle to halves of the rows; where there are none, what the oracle says of
            rows that it has not seen speaks in their place, if the search has densities.

    Returns:
        None where there is nothing to tell it by.
    """
    errors = known_errors(problem)
    if fits:
        samples = iteration.samples
        known = samples.prediction.mean.isfinite().nonzero()[:, 0]
        some = known[:: -(-len(known) // _MOST_SAMPLES)] if len(known) else known
        if len(some) == 0:
            return Gap()
        said = [fit.oracle.predict(samples.designs[some]) for fit in fits]
        error = None if errors is None else errors.square().mean().sqrt().item()
        return Gap.of_halves(samples.prediction[some], said, iteration.threshold, error)
    log_ratios = iteration.held_out_log_ratios
    if iteration.held_out is None or log_ratios is None:
        return None
    judged = problem.judged
    prediction = judged.label_prediction(iteration.held_out)
    properties = judged.properties.to(prediction.mean)
    errors = None if errors is None else known_errors(judged)
    return Gap.of_unseen(
        prediction, properties, log_ratios.to(prediction.mean), iteration.threshold, errors
    )


def gap_figures(
    problem: DesignProblem, iteration: DesignIteration, fits: Sequence[HalfFit]
) -> dict[str, float]:
    """The same by name; with what proposition 1 says, where the errors of labels are known.

    Nothing where there is nothing to tell them by.
    """
    found = gap_of(problem, iteration, fits)
    if found is None:
        return {}
    figures = {
        "oracle_gap": found.gap,
        "oracle_gap_bound": found.gap_bound,
        "oracle_bias": found.bias,
        "oracle_bias_bound": found.bias_bound,
    }
    if known_errors(problem) is not None:
        figures["oracle_gap_proposition_1"] = found.proposition_1
    return figures


def known_errors(problem: DesignProblem) -> Tensor | None:
    """The standard deviations of all labels, ``(n,)``; None where one is not known."""
    errors = None if problem.noise is None else problem.noise.errors
    return errors if errors is not None and bool((errors > 0).all()) else None


def _desired(threshold: float, prediction: Prediction) -> Tensor:
    """P_β(y ≥ γ | x), ``(m,)``."""
    above: Tensor = torch.special.log_ndtr((prediction.mean - threshold) / prediction.std)
    return above.exp()


def _divergence(variance: float, off: Tensor, expected: Tensor) -> Tensor:
    """KL(Normal(f, variance) ‖ Normal(μ, expected)), where (f - μ)² is `off`, nats, ``(m,)``."""
    ratio = variance / expected
    return (ratio + off / expected - 1 - ratio.log()) / 2
