"""Amounts of what is there or is not."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.amount_components import (
    Components,
    WeightedRows,
    halved,
    maximised,
)
from lightning_mbo.search_models.amount_rows import Rows, Total, least_amounts, totals_of
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.left_out import LeftOut, folds_of
from lightning_mbo.space import Cells, DesignSpace

_MOST_COMPONENTS = 32
"""Of a mixture that finds their number."""

_MOST_GROWTH = 2.0
"""Of an amount in no total, from the greatest of the first fit to the greatest that is drawn."""

_RAREST = 1e-12
"""Of quantiles: no logarithm is infinitely small."""

_FEWEST = 20
"""Designs of each component, if there are to be twice as many."""


class SparseAmounts(SearchModel):
    """Search model of amounts that are often exactly zero: formulas, recipes, alloys.

    A mixture. In each component every ingredient is there with a probability of its own, and how
    much of it is log-normal; amounts that sum to a total are divided by their sum, which makes them
    logistic-normal. Of others none is drawn that is more than about twice the greatest in the first
    fit: what a logarithm leads to would run away. Which ingredients go together, and in which
    proportions, is said by the components. Samples have real zeros. It is fitted by expectation
    maximisation: the first time from one component, halved again and again as long as designs that
    are left out of the fit become likelier, later from the components that it has.

    The density is the exact one, with respect to the counting measure of what is there and the
    Lebesgue measure of the entries that are; in a total of all of these but the last. Of amounts
    that are never drawn, for being too great, it is as if it went on.

    References: Aitchison and Shen, "Logistic-normal distributions", Biometrika 1980; Dempster,
    Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.

    Attributes:
        log_shares: Of the components, shape ``(c,)``, float64, nats; -inf of those that are not.
        presences: The probability that an amount is there in each component, ``(c, d)``.
        means: Of the amounts' logarithms in each component, ``(c, d)``.
        stds: Theirs, ``(c, d)``.
        log_scales: Means and standard deviations of the logarithms in the last fit that had them,
            ``(2, d)``.
        ceilings: Above which no logarithm of an amount is drawn, ``(d,)``; infinite in a total.
        fitted: Whether it has been fitted.
    """

    models_amounts: ClassVar[bool] = True
    log_shares: Tensor
    presences: Tensor
    means: Tensor
    stds: Tensor
    log_scales: Tensor
    ceilings: Tensor
    fitted: Tensor
    zeros: Tensor
    scales: Tensor

    def __init__(self, num_components: int | None = None, pseudocount: float = 1.0) -> None:
        """Set the size; `build` creates the distribution.

        Args:
            num_components: c; None finds it by the likelihood of designs that are left out, at
                most 32.
            pseudocount: Designs like all of them together that are added to each component's.

        Raises:
            ConfigurationError: If a value is not positive.
        """
        super().__init__()
        if num_components is not None and num_components < 1:
            raise ConfigurationError(f"num_components must be at least 1, not {num_components}")
        if not 0 < pseudocount < float("inf"):
            raise ConfigurationError(f"pseudocount must be positive and finite, not {pseudocount}")
        self.num_components = num_components
        self.pseudocount = pseudocount

    def build(self, space: DesignSpace) -> None:
        """Start with amounts that are there or not, alike, of the size of a unit of their entries.

        Raises:
            ConfigurationError: If designs are not of such amounts alone.
        """
        if space.amounts is None or space.groups or space.num_amounts < space.num_numbers:
            raise ConfigurationError(
                f"SparseAmounts needs amounts that are often exactly zero, and these designs, of "
                f"shape {tuple(space.shape)}, have none, or others beside them: leave "
                "--search.search_model out"
            )
        d, most = space.num_numbers, self.num_components or _MOST_COMPONENTS
        log_shares = torch.full((most,), -torch.inf, dtype=torch.float64)
        log_shares[0] = 0.0
        self.register_buffer("log_shares", log_shares)
        zeros = torch.tensor(space.amounts.zeros, dtype=torch.float64)
        scales = torch.tensor(space.amounts.scales, dtype=torch.float64)
        self.register_buffer("zeros", zeros, persistent=False)
        self.register_buffer("scales", scales, persistent=False)
        self.register_buffer("presences", torch.full((most, d), 0.5, dtype=torch.float64))
        self.register_buffer("means", scales.log().repeat(most, 1))
        self.register_buffer("stds", torch.full((most, d), 0.5, dtype=torch.float64))
        log_scales = torch.stack([scales.log(), torch.full_like(scales, 0.5)])
        self.register_buffer("log_scales", log_scales)
        self.register_buffer("ceilings", torch.full_like(scales, torch.inf))
        self.register_buffer("fitted", torch.tensor(False))
        self._totals = totals_of(space.amounts)

    @property
    def components(self) -> Components:
        """Those that there are."""
        number = int(self.log_shares.isfinite().sum())
        parts = self.log_shares, self.presences, self.means, self.stds
        return Components(*(part[:number] for part in parts))

    @property
    def totals(self) -> tuple[Total, ...]:
        """Of the amounts, on this model's device."""
        return tuple(Total(members.to(self.zeros), bound) for members, bound in self._totals)

    def figures(self) -> dict[str, float]:
        """How many components there are."""
        return {"search_model_components": float(len(self.components.log_shares))}

    def cells(self, designs: Tensor, cells: Cells) -> Cells:
        """What is not there was drawn as zero; what is there, in a total, as it is."""
        entries = designs.flatten(1)
        rows = self._rows(entries)
        points = rows.present == 0
        for total in self.totals:
            points = points | (total.members > 0)
        least = self.zeros + least_amounts(self.zeros)
        return Cells(
            torch.where(points, entries, cells.lower.maximum(least)),
            torch.where(points, entries, cells.upper),
            cells.any_level,
        )

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, d)`` designs."""
        log_shares, presences, means, stds = self.components
        chosen = log_shares.exp().multinomial(num_samples, replacement=True, generator=generator)
        uniform = torch.empty_like(means[chosen]).uniform_(generator=generator)
        present = uniform < presences[chosen]
        below = torch.special.ndtr((self.ceilings - means) / stds)[chosen]
        quantiles = torch.empty_like(uniform).uniform_(generator=generator).clamp(min=_RAREST)
        logs = means[chosen] + stds[chosen] * torch.special.ndtri(quantiles * below)
        for total in self.totals:
            members = total.members > 0
            own = presences * total.members
            absent_before = (-own).log1p().cumsum(1) - (-own).log1p()
            firsts = own * absent_before.exp()
            first = firsts[chosen].multinomial(1, generator=generator)
            places = torch.arange(len(members), device=members.device)
            # What is drawn behind the first that is there is independent of which that is.
            present = torch.where(
                members, (places == first) | (present & (places > first)), present
            )
            sums = torch.where(present & members, logs, -torch.inf).logsumexp(1, keepdim=True)
            shares = logs - sums + math.log(total.bound)
            logs = torch.where(members, shares, logs)
        amounts = (logs.exp() / self.scales).maximum(2 * least_amounts(self.zeros))
        return torch.where(present, self.zeros + amounts, self.zeros)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-density of ``(m, d)`` designs, shape ``(m,)``."""
        rows = self._rows(designs)
        return self.components.log_joint(rows).logsumexp(1) + rows.log_jacobian(self.scales)

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """A local maximum of the weighted likelihood, with the pseudocount."""
        weights = weights.to(self.zeros)
        table = WeightedRows(
            self._rows(designs), weights, reduce, self.pseudocount, self.log_scales
        ).where(weights > 0)
        if not self.fitted:
            self.ceilings.copy_(self._highest(table))  # the table's too
        components = maximised(self.components, table) if self.fitted else self._grown(table)
        number = len(components.log_shares)
        self.log_shares.fill_(-torch.inf)
        buffers = self.log_shares, self.presences, self.means, self.stds
        for buffer, values in zip(buffers, components, strict=True):
            buffer[:number] = values
        self.log_scales.copy_(torch.cat([table.prior.means, table.prior.stds]))
        self.fitted.fill_(True)

    def _highest(self, table: WeightedRows) -> Tensor:
        """Above the amounts that the search begins with: what lies far beyond is a guess."""
        found = table.greatest() + math.log(_MOST_GROWTH)
        for total in self.totals:
            found = torch.where(total.members > 0, torch.inf, found)
        return found

    def _rows(self, designs: Tensor) -> Rows:
        return Rows.of(designs, self.zeros, self.scales, self.ceilings, self.totals)

    def _grown(self, table: WeightedRows) -> Components:
        """From one component to as many as there may be, or as designs left out call for."""
        most = len(self.log_shares)
        components = maximised(table.prior, table)
        left_out = None if self.num_components else self._left_out(table)
        while (number := len(components.log_shares)) < most:
            if left_out is not None and not left_out.want_more(_FEWEST * number):
                break
            components = _cut(halved(components, table), most)
            components = maximised(components, table)
        return components

    def _left_out(self, table: WeightedRows) -> LeftOut[Components, WeightedRows]:
        features = torch.cat([table.rows.present, table.rows.logs], dim=1)
        centred = features - table.mean_of(features)
        scale = table.mean_of(centred.square()).sqrt()
        return LeftOut(
            folds_of(centred / torch.where(scale > 1e-9, scale, torch.inf), self.stream),
            table,
            lambda rest: maximised(rest.prior, rest),
            lambda mixture, rest: maximised(halved(mixture, rest), rest),
            lambda mixture, own: mixture.log_joint(table.rows.where(own)).logsumexp(1),
        )


def _cut(components: Components, most: int) -> Components:
    """The most frequent components, if there are too many."""
    if len(components.log_shares) <= most:
        return components
    kept = components.log_shares.topk(most).indices
    log_shares, *others = (part[kept] for part in components)
    return Components(log_shares.log_softmax(0), *others)
