"""Letters or categories of which every pair has a preference of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce
from lightning_mbo.search_models.categorical import OneHotModel, draw_letters
from lightning_mbo.search_models.newton import newton
from lightning_mbo.space import DesignSpace

_MOST_ENUMERATED = 2**20
"""Designs that there may be for all of them to be gone through."""

_NUM_CHAINS = 1000
"""By which the constant is estimated where there are more."""


class Potts(OneHotModel):
    """Search model of one-hot groups: a preference for each letter, and for each pair of letters.

    log p(x) = Σ_i (log q_i(x_i) + h_i(x_i)) + Σ_{i<j} J_ij(x_i, x_j) - log Z. The q_i are what a
    `Categorical` would be fitted to, with its pseudocount; h and J maximise the weighted
    pseudo-likelihood, the product of each group's probability given all others, under a normal
    prior around zero. It is concave, so that a fit depends on the designs alone. With few
    designs, or a great `penalty`, what is left is the `Categorical`.

    Where there are up to about a million designs, all of them are gone through: log Z is exact, and
    samples are independent. Where there are more, samples are of annealed chains: these begin at
    draws of q, and see the preferences grow to their full size in `num_sweeps` steps, with one
    sweep of Gibbs sampling after each. The same chains estimate log Z, once a fit: the density is
    then normalised but for a factor that all designs have in common, which drops out of
    self-normalised weights.

    Memory and time grow with the square of the number of entries.

    Reference: Ekeberg, Lövkvist, Lan, Weigt and Aurell, "Improved contact prediction in proteins:
    using pseudolikelihoods to infer Potts models", Physical Review E 2013; Neal, "Annealed
    importance sampling", Statistics and Computing 2001.

    Attributes:
        log_independent: log q of the entries of a flattened design, ``(entries,)``, float64.
        fields: h, shape ``(entries,)``, float64, nats.
        couplings: J, symmetric, zero within a group, shape ``(entries, entries)``, float64, nats.
        log_partition: log Z, a scalar, float64.
    """

    log_independent: Tensor
    fields: Tensor
    couplings: Tensor
    log_partition: Tensor
    groups_of: Tensor
    is_pair: Tensor

    def __init__(
        self, penalty: float = 1.0, num_sweeps: int = 50, pseudocount: float = 1.0
    ) -> None:
        """Set the prior and the chains; `build` creates the distribution.

        Args:
            penalty: One over the variance of h and J in the prior.
            num_sweeps: Steps of the chains, where not all designs can be gone through.
            pseudocount: Designs of uniform letters that are added to those of a fit.

        Raises:
            ConfigurationError: If a value is not positive.
        """
        super().__init__(pseudocount)
        if not 0 < penalty < math.inf:
            raise ConfigurationError(f"penalty must be positive and finite, not {penalty}")
        if num_sweeps < 1:
            raise ConfigurationError(f"num_sweeps must be at least 1, not {num_sweeps}")
        self.penalty = penalty
        self.num_sweeps = num_sweeps

    def build(self, space: DesignSpace) -> None:
        """Start as uniform in each group.

        Raises:
            ConfigurationError: If designs have numbers.
        """
        super().build(space)
        self.space = space
        uniform = -self.sizes.flatten().log()
        self.register_buffer("log_independent", uniform)
        self.register_buffer("fields", torch.zeros_like(uniform))
        self.register_buffer("couplings", uniform.new_zeros(len(uniform), len(uniform)))
        self.register_buffer("log_partition", uniform.new_zeros(()))
        groups_of = torch.block_diag(*(torch.ones(n, 1) for n in space.groups)).double()
        self.register_buffer("groups_of", groups_of, persistent=False)
        self.register_buffer("is_pair", 1 - groups_of @ groups_of.mT, persistent=False)

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, *design_shape)`` one-hot designs."""
        if self._is_enumerable:
            left, right, scores = self._every_score()
            chances = (scores - scores.max()).exp().flatten()
            drawn = chances.multinomial(num_samples, replacement=True, generator=generator)
            entries = torch.cat([left[drawn // len(right)], right[drawn % len(right)]], dim=1)
        else:
            entries, _ = self._annealed(num_samples, generator)
        return entries.reshape(num_samples, *self.space.shape)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-probability of ``(m, *design_shape)`` designs, shape ``(m,)``."""
        entries = designs.to(self.fields).flatten(1)
        return entries @ self.log_independent + self._tilt(entries) - self.log_partition

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """The greatest weighted pseudo-likelihood, under the prior."""
        entries, weights = designs.to(self.fields).flatten(1), weights.to(self.fields)
        weights = weights / reduce(weights.sum())
        size = 1 / reduce(weights.square().sum())
        share = self.pseudocount / (size + self.pseudocount)
        frequencies = reduce(weights @ entries)
        self.log_independent.copy_(((1 - share) * frequencies + share / self.sizes.flatten()).log())
        self._maximize(entries, weights, reduce, self.penalty / size)
        self.log_partition.copy_(self._estimated_log_partition())

    def _maximize(self, entries: Tensor, weights: Tensor, reduce: Reduce, strength: Tensor) -> None:
        """Find h and J from those before, by Newton's method; processes step as all others do."""
        # Fields above couplings, (1 + entries, entries). Each half of a symmetric matrix is half
        # of its parameters, in the prior too.
        both = torch.cat([self.fields[None], self.couplings])
        prior = torch.ones_like(both) / 2 * strength
        prior[0] = strength

        def slope(missed: Tensor) -> Tensor:
            """Of -Σ_i w_i m_i · scores_i in h and J, with `missed` w_i m_i, ``(m, entries)``."""
            pairs = entries.mT @ missed
            symmetric = (pairs + pairs.mT) / 2 * self.is_pair
            return reduce(torch.cat([missed.sum(0)[None], symmetric]))

        def gradient(both: Tensor) -> tuple[Tensor, Tensor]:
            chances = self._conditionals(both, entries)
            return slope(weights[:, None] * (chances - entries)) + prior * both, chances

        def curve(chances: Tensor, step: Tensor) -> Tensor:
            scores = chances * torch.addmm(step[0], entries, step[1:])
            within = chances * (scores @ self.groups_of @ self.groups_of.mT)
            return slope(weights[:, None] * (scores - within)) + prior * step

        both = newton(gradient, curve, both)
        self.fields.copy_(both[0])
        self.couplings.copy_(both[1:])

    def _conditionals(self, both: Tensor, entries: Tensor) -> Tensor:
        """Of each entry the probability given all other groups, ``(m, entries)``."""
        scores = torch.addmm(self.log_independent + both[0], entries, both[1:])
        parts = scores.split(self.space.groups, dim=1)
        return torch.cat([part.softmax(1) for part in parts], dim=1)

    def _tilt(self, entries: Tensor) -> Tensor:
        """What h and J add to the log-probability of ``(m, entries)``, shape ``(m,)``."""
        return ((self.fields + entries @ self.couplings / 2) * entries).sum(1)

    @property
    def _is_enumerable(self) -> bool:
        return math.prod(self.space.groups) <= _MOST_ENUMERATED

    def _estimated_log_partition(self) -> Tensor:
        """Exact where all designs can be gone through."""
        if self._is_enumerable:
            return self._every_score()[2].flatten().logsumexp(0)
        generator = self.stream.generator("partition", device=self.fields.device)
        _, log_weights = self._annealed(_NUM_CHAINS, generator)
        return log_weights.logsumexp(0) - math.log(_NUM_CHAINS)

    def _every_score(self) -> tuple[Tensor, Tensor, Tensor]:
        """All left and right parts of designs, and the score log p + log Z of each pair of them."""
        groups = self.space.groups
        cut = min(range(len(groups)), key=lambda i: math.prod(groups[:i]) + math.prod(groups[i:]))
        left, right = (_every(part).to(self.fields) for part in (groups[:cut], groups[cut:]))
        log_weights = self.log_independent + self.fields
        places = torch.arange(len(log_weights), device=left.device).tensor_split([left.shape[1]])
        alone = [
            part @ log_weights[own] + (part @ self.couplings[own][:, own] * part).sum(1) / 2
            for part, own in zip((left, right), places, strict=True)
        ]
        across = left @ self.couplings[places[0]][:, places[1]] @ right.mT
        return left, right, alone[0][:, None] + alone[1] + across

    def _annealed(self, num_chains: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Ends of chains ``(m, entries)``, and log-weights ``(m,)`` whose mean weight is Z."""
        starts = self.log_independent.expand(num_chains, -1).split(self.space.groups, dim=1)
        entries = torch.cat([_draw(start, generator) for start in starts], dim=1)
        log_weights = entries.new_zeros(num_chains)
        for step in range(1, self.num_sweeps + 1):
            log_weights += self._tilt(entries) / self.num_sweeps
            share, place = step / self.num_sweeps, 0
            for size in self.space.groups:
                own = slice(place, place + size)
                tilt = torch.addmm(self.fields[own], entries, self.couplings[:, own])
                entries[:, own] = _draw(self.log_independent[own] + share * tilt, generator)
                place += size
        return entries, log_weights


def _draw(scores: Tensor, generator: torch.Generator) -> Tensor:
    """One-hots ``(m, v)`` of unnormalised log-probabilities ``(m, v)``."""
    letters = draw_letters(scores.softmax(1), generator)
    return torch.zeros_like(scores).scatter_(1, letters[:, None], 1.0)


def _every(groups: tuple[int, ...]) -> Tensor:
    """All combinations of one-hots, ``(product of the sizes, sum of the sizes)``."""
    rows = torch.zeros(1, 0, dtype=torch.float64)
    for size in groups:
        own = torch.eye(size, dtype=torch.float64).repeat(len(rows), 1)
        rows = torch.cat([rows.repeat_interleave(size, 0), own], dim=1)
    return rows
