"""The mathematics of mixtures of sparse amounts: densities, expectation maximisation, halves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.search_models.amount_rows import Rows, Total
from lightning_mbo.search_models.base import Reduce

_LEAST_GAIN = 1e-3
"""Nats a design, of the mean log-likelihood, below which a fit has converged."""

_MOST_STEPS = 50
_LEAST_SPREAD = 0.05
"""Of the logarithm of an amount: amounts are seldom known better than to a twentieth."""

_LOG_IMPOSSIBLE = -1e3
"""Of a design without anything where there is a total, whichever the component."""

_POWER = 16
"""Of amounts, whose mean is about that of the greatest."""

_POWER_STEPS = 10
_LOG_2PI = math.log(2 * math.pi)


class Components(NamedTuple):
    """A mixture of c distributions in which each amount is there or not, by itself.

    The logarithms of those that are there are normal, cut off at a ceiling, and independent; in a
    total they are divided by their sum, which makes them logistic-normal.

    Attributes:
        log_shares: Shape ``(c,)``, float64, nats.
        presences: The probability that each amount is there, inside (0, 1), ``(c, d)``; of a total
            before it is known that one of them is.
        means: Of the logarithms, ``(c, d)``.
        stds: Theirs, ``(c, d)``.
    """

    log_shares: Tensor
    presences: Tensor
    means: Tensor
    stds: Tensor

    def log_joint(self, rows: Rows) -> Tensor:
        """Log-densities of rows' logarithms together with each component, ``(m, c)``, nats."""
        present, logs = rows.present, rows.logs
        precisions = self.stds.square().reciprocal()
        absences = (-self.presences).log1p()
        each = (
            self.presences.log()
            - absences
            - self.stds.log()
            - (self.means.square() * precisions + _LOG_2PI) / 2
            - torch.special.log_ndtr((rows.ceilings - self.means) / self.stds)
        )
        joint: Tensor = present @ each.mT + logs @ (self.means * precisions).mT
        joint = joint - logs.square() @ precisions.mT / 2 + absences.sum(1) + self.log_shares
        for total in rows.totals:
            weights, pulls = self._shifts(rows, total)
            some = weights > 0
            weights = torch.where(some, weights, 1.0)
            integral = (pulls.square() / weights + _LOG_2PI - weights.log()) / 2
            nothing = self.log_shares + _LOG_IMPOSSIBLE
            joint = torch.where(some, joint + integral - self._log_some(total), nothing)
        return joint

    def shifts(self, rows: Rows, total: Total) -> tuple[Tensor, Tensor]:
        """What the logarithms in a total may have been before they were divided by their sum.

        Returns:
            The mean and the variance of what is added to all of them, given each component,
            ``(m, c)`` each.
        """
        weights, pulls = self._shifts(rows, total)
        variances = torch.where(weights > 0, weights, torch.inf).reciprocal()
        return pulls * variances, variances

    def cut_off(self, ceilings: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithms above ceilings that were drawn beside so many below, in expectation.

        Args:
            ceilings: Shape ``(d,)``.
            counts: Of those below, ``(c, d)``.

        Returns:
            How many, their sum, and that of their squares, ``(c, d)`` each.
        """
        bound = (ceilings - self.means) / self.stds
        below = torch.special.ndtr(bound)
        number = counts * torch.special.ndtr(-bound) / below
        density = counts * (-bound.square() / 2).exp() / (math.sqrt(2 * math.pi) * below)
        bound = torch.where(bound.isfinite(), bound, 0.0)
        firsts = number * self.means + density * self.stds
        squares = number * (self.means.square() + self.stds.square())
        seconds = squares + density * self.stds * (2 * self.means + self.stds * bound)
        return number, firsts, seconds

    def probability_of_some(self, total: Total) -> Tensor:
        """That something of a total is there, when each is drawn by itself, ``(c,)``."""
        return self._log_some(total).exp()

    def _log_some(self, total: Total) -> Tensor:
        log_none = (total.members * (-self.presences).log1p()).sum(1)
        return (-log_none.expm1()).log()

    def _shifts(self, rows: Rows, total: Total) -> tuple[Tensor, Tensor]:
        precisions = total.members / self.stds.square()
        weights = rows.present @ precisions.mT
        pulls = rows.present @ (self.means * precisions).mT - rows.logs @ precisions.mT
        return weights, pulls


@dataclass(frozen=True)
class WeightedRows:
    """What a mixture is fitted to: this process's share of it. `where` normalises it.

    Attributes:
        rows: This process's.
        weights: Shape ``(m,)``, not negative; over all processes their sum is one.
        reduce: Sums a tensor over processes.
        pseudocount: Designs like all of them that are added to each component's.
        log_scales: The logarithms' means and standard deviations, ``(2, d)``, of amounts that are
            nowhere.
        size: How many designs they count for, n_e.
        whole: What the amounts are in all components together.
    """

    rows: Rows
    weights: Tensor
    reduce: Reduce
    pseudocount: float
    log_scales: Tensor
    size: float = math.nan
    whole: Components | None = None

    def where(self, chosen: Tensor) -> WeightedRows:
        """Those of some places, bool, ``(m,)``; some process has one that weighs something."""
        weights = self.weights[chosen]
        weights = weights / self.reduce(weights.sum())
        size = 1 / float(self.reduce(weights.square().sum()))
        part = replace(self, rows=self.rows.where(chosen), weights=weights, size=size)
        return replace(part, whole=part._of_all())

    def mean_of(self, values: Tensor) -> Tensor:
        """The weighted mean of values ``(m, ...)`` over all processes, ``(...)``."""
        return self.reduce(torch.tensordot(self.weights, values, 1))

    @property
    def prior(self) -> Components:
        """What the amounts are in all components together."""
        assert self.whole is not None
        return self.whole

    def greatest(self) -> Tensor:
        """Of the logarithms of each amount, ``(d,)``, nearly; infinite of one that is nowhere.

        By a high power of the amounts, as maxima are not what processes sum.
        """
        present, means = self.rows.present, self.prior.means
        frequencies = self.mean_of(present)
        powers = self.mean_of(present * (_POWER * (self.rows.logs - means) * present).exp())
        found = means[0] + (powers / frequencies).log() / _POWER
        highest: Tensor = torch.where(frequencies > 0, found, torch.inf)
        return highest

    def _of_all(self) -> Components:
        frequencies = self.mean_of(self.rows.present)
        counts = torch.where(frequencies > 0, frequencies, 1.0)
        means = self.mean_of(self.rows.logs) / counts
        centred = (self.rows.logs - means) * self.rows.present
        variances = self.mean_of(centred.square()) / counts
        some = frequencies > 0
        return Components(
            self.weights.new_zeros(1),
            # Half a design of each kind more, so that nothing is certain.
            ((frequencies * self.size + 0.5) / (self.size + 1))[None],
            torch.where(some, means, self.log_scales[0])[None],
            torch.where(some, variances.sqrt().clamp(min=_LEAST_SPREAD), self.log_scales[1])[None],
        )


def maximised(components: Components, table: WeightedRows) -> Components:
    """Expectation maximisation, to where the likelihood gains next to nothing.

    To the amounts of each component those of `pseudocount` designs of `prior` are added, so that
    none is certain or narrows down to one value; as many, in equal shares to all components, to
    the shares of these, so that none dies out.
    """
    before = -math.inf
    for _ in range(_MOST_STEPS):
        joint = components.log_joint(table.rows)
        likelihood = joint.logsumexp(1)
        after = table.mean_of(likelihood).item()
        if after - before < _LEAST_GAIN:
            break
        before = after
        ascribed = table.weights[:, None] * (joint - likelihood[:, None]).exp()
        components = _maximised(components, ascribed, table)
    return components


def _maximised(components: Components, ascribed: Tensor, table: WeightedRows) -> Components:
    """The components that explain best what is ascribed to them, weights ``(m, c)``.

    What is not seen is filled in by its expectation: logarithms above a ceiling that had to be
    drawn again; and where there is a total, the designs without anything, and the sums that the
    amounts were divided by.

    Reference: Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM
    algorithm", 1977, section 4.2, for truncated data.
    """
    rows, prior = table.rows, table.prior
    shares = table.reduce(ascribed.sum(0))
    counts = table.reduce(ascribed.mT @ rows.present)
    firsts = ascribed.mT @ rows.logs
    seconds = ascribed.mT @ rows.logs.square()
    trials = shares[:, None].expand_as(counts)
    for total in rows.totals:
        shifts, variances = components.shifts(rows, total)
        moved = (ascribed * shifts).mT
        own = rows.present * total.members
        firsts = firsts + moved @ own
        seconds = seconds + 2 * moved @ (rows.logs * total.members)
        seconds = seconds + (ascribed * (shifts.square() + variances)).mT @ own
        drawn = shares / components.probability_of_some(total)
        trials = torch.where(total.members > 0, drawn[:, None], trials)
    firsts, seconds = table.reduce(firsts), table.reduce(seconds)
    added = table.pseudocount / table.size
    presences = (counts + added * prior.presences) / (trials + added)
    above = components.cut_off(rows.ceilings, counts)
    counts, firsts, seconds = (
        seen + unseen for seen, unseen in zip((counts, firsts, seconds), above, strict=True)
    )
    means = (firsts + added * prior.means) / (counts + added)
    squares = seconds - 2 * means * firsts + means.square() * counts
    squares = squares + added * ((means - prior.means).square() + prior.stds.square())
    variances = squares / (counts + added)
    grown = shares + added / len(shares)
    return Components(
        (grown / grown.sum()).log(),
        presences,
        means.minimum(rows.ceilings),
        variances.clamp(min=_LEAST_SPREAD**2).sqrt(),
    )


def halved(components: Components, table: WeightedRows) -> Components:
    """Twice as many: each component's designs to both sides in the direction that they vary most.

    That is the first principal component of which amounts are there and of their logarithms, found
    by power iteration, from the variances.
    """
    rows, prior = table.rows, table.prior
    logs = (rows.logs - prior.means * rows.present) / prior.stds
    features = torch.cat([rows.present, logs], dim=1)
    ascribed = table.weights[:, None] * components.log_joint(rows).softmax(1)
    shares = table.reduce(ascribed.sum(0))[:, None].clamp(min=1e-300)
    centres = table.reduce(ascribed.mT @ features) / shares
    directions = table.reduce(ascribed.mT @ features.square()) / shares - centres.square()
    for _ in range(_POWER_STEPS):
        along = ascribed * (features @ directions.mT - (centres * directions).sum(1))
        sums = table.reduce(along.sum(0))[:, None]
        directions = table.reduce(along.mT @ features) - sums * centres
        directions = directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-300)
    along = features @ directions.mT - (centres * directions).sum(1)
    sides = torch.cat([ascribed * (along > 0), ascribed * (along <= 0)], dim=1)
    return _maximised(Components(*(torch.cat([part, part]) for part in components)), sides, table)
