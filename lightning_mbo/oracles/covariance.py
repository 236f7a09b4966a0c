"""How alike two designs are to a Gaussian process."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.space import DesignSpace

_LENGTH_SPREAD = math.sqrt(3)
_PART_SPREAD = 1.5
_SLOPE = 0.1
"""What the linear part's variance is expected to be, of that of the standardised property."""


Function = Callable[[Tensor], Tensor]


class Limits(NamedTuple):
    """Of logarithms of positive hyper-parameters: where a search starts, and what limits it.

    Attributes:
        starts: The prior's mode of the length scales, after values between it and the median: from
            either alone, some small tables lead to a lesser maximum of the posterior. Where levels
            have descriptors, also that they tell all of them.
        lower: Shape ``(num_parameters,)``.
        upper: Shape ``(num_parameters,)``.
    """

    starts: tuple[NDArray[np.float64], ...]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


class Covariance:
    """A Matérn 5/2 of the numbers times an exponential of what differs in the groups, and a line.

    k(x, x') = s · m(r) · exp(-Σ_g [x_g ≠ x'_g] / ℓ_g²) + v · u·u' / d + 1,
    with m(r) = (1 + √5 r + 5 r² / 3) exp(-√5 r) and r² = Σ_j (x_j - x'_j)² / ℓ_j². The dimensions
    are the d numbers (descriptors of levels among them) and one-hot groups (of a sequence its
    positions), with a length scale each;
    u are the numbers, centred and of variance one where they are uniform, and the one-hots. The 1
    is the variance of the constant mean of a standardised property. Between one-hots it is smooth,
    by half their squared distance.

    Length scales have the prior of Hvarfner, Hellsten and Nardi, "Vanilla Bayesian optimization
    performs great in high dimensions", ICML 2024: log-normal, with √2 + ½ log d and √3.

    Attributes:
        num_parameters: Logarithms of the d length scales, of s, and of v.
    """

    def __init__(self, space: DesignSpace) -> None:
        """Lay out the hyper-parameters of designs of this space, described."""
        self._num_numbers = space.described.num_numbers
        self._num_dimensions = self._num_numbers + len(space.groups)
        self._described = np.flatnonzero(space.num_descriptors) + self._num_numbers
        self._sizes = torch.tensor(space.groups, dtype=torch.long, device="cpu")
        self._num_entries = sum(space.groups)
        self.num_parameters = self._num_dimensions + 2
        self._expected_length = math.sqrt(2) + math.log(self._num_dimensions) / 2

    def limits(self) -> Limits:
        """Starts at likely values; the limits are where nothing changes any more."""
        start = np.full(self.num_parameters, self._expected_length - _LENGTH_SPREAD**2 / 2)
        start[-2:] = 0.0, math.log(_SLOPE)
        mode = start.copy()
        mode[:-2] -= _LENGTH_SPREAD**2 / 2
        starts = [start, mode]
        if len(self._described):
            starts.append(start.copy())
            starts[-1][self._described] = self._expected_length + _LENGTH_SPREAD
        below, above = np.full_like(start, 7.0), np.full_like(start, 7.0)
        below[:-2], above[:-2] = 5.5, 7.5
        return Limits(tuple(starts), start - below, start + above)

    def log_prior(self, parameters: Tensor) -> Tensor:
        """Log-density of the hyper-parameters up to a constant, a scalar; of s and v log-normal."""
        lengths, scale, slope = self._split(parameters)
        deviations = (lengths - self._expected_length) / _LENGTH_SPREAD
        parts = torch.stack([scale, slope - math.log(_SLOPE)]) / _PART_SPREAD
        return -lengths.sum() - (deviations.square().sum() + parts.square().sum()) / 2

    def __call__(self, parameters: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Of each pair.

        Args:
            parameters: Shape ``(num_parameters,)``.
            left: Designs, flat, whose numbers go from 0 to 1, shape ``(b, entries)``.
            right: Shape ``(n, entries)``.

        Returns:
            Shape ``(b, n)``.
        """
        lengths, scale, slope = self._split(parameters)
        factors = [
            function(squared_distances(left[:, entries] / length, right[:, entries] / length))
            for function, entries, length in self._stationary_parts(lengths)
        ]
        line = self._line(slope) * self._centred(left) @ self._centred(right).T
        return scale.exp() * math.prod(factors[1:], start=factors[0]) + line + 1

    def variances(self, parameters: Tensor, designs: Tensor) -> Tensor:
        """Of each design ``(b, entries)`` with itself, shape ``(b,)``."""
        _, scale, slope = self._split(parameters)
        return scale.exp() + self._line(slope) * self._centred(designs).square().sum(1) + 1

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return parameters[:-2], parameters[-2], parameters[-1]

    def _line(self, slope: Tensor) -> Tensor:
        return slope.exp() / self._num_dimensions

    def _stationary_parts(self, lengths: Tensor) -> list[tuple[Function, slice, Tensor]]:
        """Each factor: of which squared distance, of which entries, by which length scales."""
        count = self._num_numbers
        each = lengths.exp()
        of_entries = each[count:].repeat_interleave(
            self._sizes.to(each.device), output_size=self._num_entries
        )
        parts: list[tuple[Function, slice, Tensor]] = [
            (matern, slice(count), each[:count]),
            (differing, slice(count, None), of_entries),
        ]
        return [part for part in parts if len(part[2])]

    def _centred(self, designs: Tensor) -> Tensor:
        numbers, one_hots = designs[:, : self._num_numbers], designs[:, self._num_numbers :]
        return torch.cat([(numbers - 0.5) * math.sqrt(12), one_hots], dim=1)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Of each pair, ``(b, d)`` and ``(n, d)`` to ``(b, n)``."""
    # By products, which cost least; what is rounded is small against entries of about one.
    products = left @ right.T
    squares = left.square().sum(1)[:, None] + right.square().sum(1) - 2 * products
    return squares.clamp(min=0)


def matern(squares: Tensor) -> Tensor:
    """The Matérn 5/2 function of a squared distance in length scales."""
    # Of zero the root has no gradient, and what it is rounded to from here has the right one: none.
    root = (5 * squares).clamp(min=1e-30).sqrt()
    return (1 + root + root.square() / 3) * (-root).exp()


def differing(squares: Tensor) -> Tensor:
    """exp(-½ r²): of one-hots, a factor exp(-1/ℓ²) for each group that differs."""
    return (-squares / 2).exp()
