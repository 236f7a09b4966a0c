"""Whether a mixture should have more components: by designs that are left out of its fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from lightning_mbo.random import Stream
from lightning_mbo.search_models.base import Reduce

_NUM_FOLDS = 5
_LEAST_GAIN = 1e-2
"""Nats a left-out design that more components are worth."""

_SPREAD = 1e3
"""Of the numbers whose decimals put designs into folds, in standard deviations of the designs."""


class Table(Protocol):
    """Weighted designs, of which this process has a share."""

    @property
    def weights(self) -> Tensor:
        """Shape ``(m,)``; over all processes their sum is one."""

    @property
    def reduce(self) -> Reduce:
        """Sums a tensor over processes."""

    @property
    def size(self) -> float:
        """How many designs they count for, n_e."""

    def where(self, chosen: Tensor) -> Self:
        """Those of some places, bool, ``(m,)``."""

    def mean_of(self, values: Tensor) -> Tensor:
        """The weighted mean of values ``(m, ...)`` over all processes, ``(...)``."""


Mixture = TypeVar("Mixture")
Designs = TypeVar("Designs", bound=Table)


def folds_of(scaled: Tensor, stream: Stream, number: int = _NUM_FOLDS) -> Tensor:
    """The fold of each design, ``(m,)``: by what it is, so that equal ones are in the same.

    Nor does it matter then which process has which.

    Args:
        scaled: Designs about their mean, in standard deviations, ``(m, d)``.
        stream: Of the direction in which they are laid out.
        number: Of folds.
    """
    noise = torch.randn(
        scaled.shape[1], generator=stream.generator("folds"), dtype=scaled.dtype, device="cpu"
    )
    return (decimals(scaled, noise.to(scaled.device)) * number).long().clamp(max=number - 1)


def decimals(scaled: Tensor, directions: Tensor) -> Tensor:
    """Numbers between 0 and 1 that follow from designs ``(m, d)``, as if they were drawn.

    Args:
        scaled: Designs about their mean, in standard deviations.
        directions: Of each number, shape ``(d, ...)``.

    Returns:
        Shape ``(m, ...)``.
    """
    return (scaled @ directions * _SPREAD).remainder(1.0)


def mean_and_error(table: Table, values: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted mean of values ``(m,)`` over all processes, and its standard error."""
    mean = table.mean_of(values)
    spread = table.weights * (values - mean)
    return mean, table.reduce(spread.square().sum()).sqrt()


class LeftOut(Generic[Mixture, Designs]):
    """Mixtures without each fold, which say whether more components explain it better."""

    def __init__(
        self,
        folds: Tensor,
        table: Designs,
        begun: Callable[[Designs], Mixture],
        grown: Callable[[Mixture, Designs], Mixture],
        log_likelihoods: Callable[[Mixture, Tensor], Tensor],
    ) -> None:
        """Fit the first mixture without each fold.

        Args:
            folds: Of the designs, ``(m,)``.
            table: All of them.
            begun: Fits the first mixture to some designs.
            grown: Fits one of more components to them, from one that they have.
            log_likelihoods: By a mixture, of the designs at some places, bool, ``(m,)``, nats.
        """
        self.table, self.grown, self.log_likelihoods = table, grown, log_likelihoods
        left_out = [folds == fold for fold in range(_NUM_FOLDS)]
        self.left_out = [own for own in left_out if table.reduce(table.weights[own].sum()) > 0]
        self.rests = [table.where(~own) for own in self.left_out if len(self.left_out) > 1]
        self.mixtures = [begun(rest) for rest in self.rests]
        self.likelihoods = self._likelihoods()

    def want_more(self, fewest: float) -> bool:
        """Whether more components are worth it; goes on with as many if so.

        The gain must be more than its own standard error: that of the mean over designs.

        Args:
            fewest: Designs that as many components need.
        """
        if not self.rests or self.table.size < fewest:
            return False
        before = self.likelihoods
        self.mixtures = [
            self.grown(mixture, rest)
            for mixture, rest in zip(self.mixtures, self.rests, strict=True)
        ]
        self.likelihoods = self._likelihoods()
        gain, error = mean_and_error(self.table, self.likelihoods - before)
        return float(gain) > max(_LEAST_GAIN, float(error))

    def _likelihoods(self) -> Tensor:
        """The log-likelihood of each design where it is left out, ``(m,)``, nats."""
        likelihoods = torch.zeros_like(self.table.weights)
        for mixture, own in zip(self.mixtures, self.left_out, strict=False):
            likelihoods[own] = self.log_likelihoods(mixture, own)
        return likelihoods
