"""The entries of a design as a latent variable model sees and writes them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lightning_mbo.search_models.amount_rows import least_amounts
from lightning_mbo.search_models.base import Reduce
from lightning_mbo.search_models.categorical import draw_letters
from lightning_mbo.search_models.normal_components import is_beyond_rounding
from lightning_mbo.sequences import closed, one_hot
from lightning_mbo.space import Amounts, Cells, DesignSpace

_LEAST_SPREAD = 1e-3
"""Of a column in a fit, in standard deviations that it had in the one before."""

_LEAST_DEVIATION = 0.03
"""Of a number given the latent variables, in standard deviations of its column."""

_PSEUDOCOUNT = 1.0
"""Designs of uniform levels that are added to those of a fit."""

_MOST_GROWTH = 2.0
"""Of an amount, from the greatest of the first fit to the greatest that is drawn."""

_POWER = 64.0
"""Whose mean tells the greatest of the amounts, over all processes."""

_HIGHEST = 1e6
"""Ceiling of a number, in standard units."""

_NO_BOUND = 40.0
"""Deviations beyond which nothing is cut off."""

_NO_LEVEL = -1e9
"""Nats: of what is beyond a group's levels."""

_RAREST = 1e-12
"""Of quantiles: none is infinite."""


@dataclass(frozen=True)
class Entries:
    """Designs, as the numbers and groups that a latent variable model has.

    Attributes:
        numbers: In standard units; those of amounts are logarithms, and zero where nothing is
            there, shape ``(m, d)``.
        counted: Ones, and zeros of amounts that are not there, ``(m, d)``.
        groups: One-hot; zeros behind the end of a word, ``(m, g, v)``, v that of the largest group.
        log_jacobian: From a density of numbers in standard units to that of designs, ``(m,)``.
    """

    numbers: Tensor
    counted: Tensor
    groups: Tensor
    log_jacobian: Tensor

    @property
    def features(self) -> Tensor:
        """All of them side by side, ``(m, d + g v)``."""
        return torch.cat([self.numbers, self.groups.flatten(1)], dim=1)

    def at(self, rows: Tensor | slice) -> Entries:
        """Those of some rows."""
        parts = self.numbers, self.counted, self.groups, self.log_jacobian
        return Entries(*(part[rows] for part in parts))


class EntryLayout(nn.Module):
    """From designs to numbers in standard units and one-hot groups, and back; and how likely.

    Amounts that are often zero are a group of two, there or not, and the logarithm of how much.
    What is learnt here is what each entry is like by itself: location and scale of a number, and of
    a level how frequent it is. What decoders write, outputs ``(..., d + g v)``, is relative to it.

    Attributes:
        locations: Of the numbers, ``(d,)``, float64.
        scales: Theirs, ``(d,)``, float64.
        ceilings: Above which no logarithm of an amount is drawn, ``(d,)``; infinite of others.
        log_frequencies: Of the levels, ``(g, v)``, float64, nats.
        fitted: Whether it has been fitted.
    """

    locations: Tensor
    scales: Tensor
    ceilings: Tensor
    log_frequencies: Tensor
    fitted: Tensor
    sizes: Tensor
    is_amount: Tensor
    zeros: Tensor

    def __init__(self, space: DesignSpace) -> None:
        """Start with units of 1 and levels that are equally frequent.

        Args:
            space: The layout of designs.
        """
        super().__init__()
        self.space = space
        self.amounts = space.amounts or Amounts((), (), ())
        d, groups = space.num_numbers, space.groups + (2,) * space.num_amounts
        places = list(self.amounts.places)
        is_amount, zeros = torch.zeros(2, d, dtype=torch.float64)
        is_amount[places] = 1.0
        zeros[places] = torch.tensor(self.amounts.zeros, dtype=torch.float64)
        sizes = torch.tensor(groups, dtype=torch.float64)
        within = torch.arange(max(groups, default=0)) < sizes[:, None]
        uniform = (-sizes.log()[:, None]).where(within, _NO_LEVEL)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("is_amount", is_amount.bool(), persistent=False)
        self.register_buffer("zeros", zeros, persistent=False)
        self.register_buffer("locations", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("scales", torch.ones(d, dtype=torch.float64))
        self.register_buffer("ceilings", torch.full((d,), torch.inf, dtype=torch.float64))
        self.register_buffer("log_frequencies", uniform)
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def width(self) -> int:
        """How many features and outputs there are, d + g v."""
        return len(self.locations) + self.log_frequencies.numel()

    @property
    def num_free(self) -> int:
        """In how many dimensions designs may differ."""
        return len(self.locations) + int(self.sizes.sum()) - len(self.sizes)

    def entries(self, designs: Tensor) -> Entries:
        """What designs ``(m, *design_shape)`` are made of."""
        return self._standardised(self._raw(designs))

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce) -> Entries:
        """Learn what each entry is like by itself.

        Args:
            designs: Shape ``(m, *design_shape)``.
            weights: Shape ``(m,)``; over all processes their sum is one.
            reduce: Sums a tensor over processes.

        Returns:
            Them, in the new units.
        """
        raw = self._raw(designs)
        counts = reduce(weights @ raw.counted)
        seen = counts.where(counts > 0, 1.0)
        locations = reduce(weights @ raw.numbers) / seen
        centred = (raw.numbers - locations) * raw.counted
        scales = (reduce(weights @ centred.square()) / seen).sqrt()
        self.locations.copy_(locations.where(counts > 0, self.locations))
        if not self.fitted:
            self._start(scales, counts, reduce(weights @ (_POWER * centred).exp()) / seen)
        self.scales.copy_(
            scales.where(counts > 0, self.scales).maximum(_LEAST_SPREAD * self.scales)
        )
        size = 1 / reduce(weights.square().sum())
        share = _PSEUDOCOUNT / (size + _PSEUDOCOUNT)
        frequencies = reduce(torch.tensordot(weights, raw.groups, 1))
        # Behind the end of a word there are no letters.
        frequencies = frequencies / frequencies.sum(1, keepdim=True).clamp(min=_RAREST)
        smoothed = (1 - share) * frequencies + share / self.sizes[:, None]
        within = self.log_frequencies > _NO_LEVEL
        self.log_frequencies.copy_(smoothed.log().where(within, _NO_LEVEL))
        self.fitted.fill_(True)
        return self._standardised(raw)

    def log_likelihood(self, entries: Entries, outputs: Tensor, log_deviations: Tensor) -> Tensor:
        """Of m designs given what was decoded, in the entries' own measure, nats.

        Args:
            entries: The designs.
            outputs: Of a decoder, ``(..., m, d + g v)``.
            log_deviations: Of the numbers, ``(d,)``.

        Returns:
            Shape ``(..., m)``; with `log_jacobian` the density of the designs.
        """
        means, groups = self._split(outputs)
        deviations = _deviations(log_deviations)
        each = -((entries.numbers - means) / deviations).square() / 2 - deviations.log()
        each = each - math.log(2 * math.pi) / 2
        if len(self.amounts.places):
            bounds = self._bounds(means, deviations).clamp(max=_NO_BOUND)
            each = each - torch.special.log_ndtr(bounds)
        scores = (groups * entries.groups).sum((-1, -2))
        return (each * entries.counted).sum(-1) + scores

    def sample(self, outputs: Tensor, log_deviations: Tensor, generator: torch.Generator) -> Tensor:
        """Draw designs ``(m, *design_shape)`` by what was decoded, ``(m, d + g v)``."""
        means, groups = self._split(outputs)
        deviations = _deviations(log_deviations)
        quantiles = torch.empty_like(means).uniform_(generator=generator).clamp(min=_RAREST)
        below = torch.special.ndtr(self._bounds(means, deviations))
        noise = torch.special.ndtri(quantiles * below)
        numbers = self.locations + self.scales * (means + deviations * noise)
        chances = groups.exp().flatten(0, 1)
        drawn = draw_letters(chances, generator) if len(chances) else chances[:, :0].sum(1).long()
        levels = drawn.unflatten(0, groups.shape[:2])
        present, num_own = torch.ones_like(numbers), len(self.space.groups)
        present[:, list(self.amounts.places)] = 1.0 - levels[:, num_own:].to(numbers)
        above = numbers.where(self.is_amount, 0.0).exp().maximum(2 * least_amounts(self.zeros))
        amounts = self.zeros + above * present
        one_hots = [one_hot(levels[:, group], size) for group, size in enumerate(self.space.groups)]
        designs = self.space.join(numbers.where(~self.is_amount, amounts), one_hots)
        return self._ended(designs) if self.space.has_gap else designs

    def cells(self, designs: Tensor, cells: Cells) -> Cells:
        """What may have been drawn: amounts that are not there as zero, others as more.

        Args:
            designs: Shape ``(n, *design_shape)``.
            cells: Theirs.
        """
        numbers, least = self.space.numbers(designs), self.zeros + least_amounts(self.zeros)
        absent = self.is_amount & (numbers <= least)
        lower = cells.lower.where(~self.is_amount, cells.lower.maximum(least))
        return Cells(
            numbers.where(absent, lower), numbers.where(absent, cells.upper), cells.any_level
        )

    def _start(self, scales: Tensor, counts: Tensor, powers: Tensor) -> None:
        """What a first fit alone learns: scales of columns without, and the greatest amounts."""
        # A constant column has no scale of its own: it takes a share of the largest.
        spread = is_beyond_rounding(scales.square(), self.locations)
        largest = scales.where(spread, 0.0).amax() if spread.any() else self.scales
        self.scales.copy_(scales.where(spread, largest))
        greatest = self.locations + powers.log() / _POWER + math.log(_MOST_GROWTH)
        self.ceilings.copy_(greatest.where(self.is_amount & (counts > 0), torch.inf))

    def _raw(self, designs: Tensor) -> Entries:
        """Entries whose numbers are not yet in standard units."""
        designs = designs.to(self.locations)
        if self.space.has_gap:
            designs = closed(designs)
        numbers, one_hots = self.space.numbers(designs), self.space.one_hots(designs)
        above = (numbers - self.zeros).where(self.is_amount, 1.0)
        present = above > least_amounts(self.zeros)
        counted = (present | ~self.is_amount).to(numbers)
        logs = above.where(present, 1.0).log()
        numbers = numbers.where(~self.is_amount, logs)
        there = counted[:, list(self.amounts.places)]
        one_hots += [torch.stack([own, 1 - own], dim=1) for own in there.unbind(1)]
        groups = numbers.new_zeros(len(numbers), *self.log_frequencies.shape)
        for group, levels in enumerate(one_hots):
            groups[:, group, : levels.shape[1]] = levels
        if self.space.has_gap:
            gaps = groups[..., -1]
            groups = groups * (gaps.cumsum(1) - gaps < 1)[..., None]
        return Entries(numbers, counted, groups, -logs.sum(1))

    def _standardised(self, raw: Entries) -> Entries:
        numbers = (raw.numbers - self.locations) / self.scales * raw.counted
        log_jacobian = raw.log_jacobian - raw.counted @ self.scales.log()
        return replace(raw, numbers=numbers, log_jacobian=log_jacobian)

    def _split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Means ``(..., d)`` and log-probabilities ``(..., g, v)`` of a decoder's outputs."""
        means, scores = outputs.split([len(self.locations), self.log_frequencies.numel()], dim=-1)
        scores = scores.unflatten(-1, self.log_frequencies.shape) + self.log_frequencies
        return means, scores.log_softmax(-1)

    def _bounds(self, means: Tensor, deviations: Tensor) -> Tensor:
        """How many deviations above the means the ceilings are, ``(..., d)``."""
        # Of infinity there would be no gradient.
        ceilings = ((self.ceilings - self.locations) / self.scales).clamp(max=_HIGHEST)
        return (ceilings - means) / deviations

    def _ended(self, words: Tensor) -> Tensor:
        """Words ``(m, l, v)`` with nothing but gaps from the first gap on."""
        ended = words[..., -1].cummax(1).values.bool()
        gap = torch.zeros_like(words[0, 0])
        gap[-1] = 1.0
        return words.where(~ended[..., None], gap)


def _deviations(log_deviations: Tensor) -> Tensor:
    """Of numbers in standard units given the latent variables, ``(d,)``."""
    return _LEAST_DEVIATION + log_deviations.exp()
