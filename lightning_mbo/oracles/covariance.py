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

_PAIRS_AT_ONCE = 100_000
"""Whose temporaries stay in a processor's cache."""


class Part(NamedTuple):
    """A factor of the covariance, by a squared distance in length scales.

    Attributes:
        function: Of the squared distance.
        with_log_slope: Also the derivative of its logarithm.
        entries: Of designs, between which the distance is.
        lengths: Of each of these.
    """

    function: Callable[[Tensor], Tensor]
    with_log_slope: Callable[[Tensor], tuple[Tensor, Tensor]]
    entries: slice
    lengths: Tensor

    def squares(self, left: Tensor, right: Tensor) -> Tensor:
        """Squared distances of designs ``(b, entries)`` and ``(n, entries)``, ``(b, n)``."""
        return squared_distances(self._scaled(left), self._scaled(right))

    def sums_of_squares(self, weights: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """What each entry adds to the sum of squared distances, weighed by ``(b, n)``."""
        left, right = self._scaled(left), self._scaled(right)
        # By products, as the distances.
        products = ((weights @ right) * left).sum(0)
        return weights.sum(1) @ left.square() + weights.sum(0) @ right.square() - 2 * products

    def _scaled(self, designs: Tensor) -> Tensor:
        return designs[:, self.entries] / self.lengths


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

    def log_prior(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Log-density of the hyper-parameters up to a constant; of s and v log-normal.

        Returns:
            A scalar, and its derivatives by them.
        """
        lengths, scale, slope = self._split(parameters)
        deviations = (lengths - self._expected_length) / _LENGTH_SPREAD
        parts = torch.stack([scale, slope - math.log(_SLOPE)]) / _PART_SPREAD
        value = -lengths.sum() - (deviations.square().sum() + parts.square().sum()) / 2
        return value, -torch.cat([1 + deviations / _LENGTH_SPREAD, parts / _PART_SPREAD])

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
        factors = [part.function(part.squares(left, right)) for part in self._parts(lengths)]
        stationary = scale.exp() * math.prod(factors[1:], start=factors[0])
        slopes = self._line(slope) * self._centred(left)
        return (stationary + 1).addmm(slopes, self._centred(right).T)

    def matrix(self, parameters: Tensor, designs: Tensor) -> Tensor:
        """K of designs ``(n, entries)`` with themselves, shape ``(n, n)``; nothing is tracked."""
        matrix = designs.new_empty(len(designs), len(designs))
        for first, last in _blocks(len(designs)):
            block = self(parameters, designs[first:last], designs[:last])
            matrix[first:last, :last] = block
            matrix[:first, first:last] = block[:, :first].T
        return matrix

    def pull_back(self, parameters: Tensor, designs: Tensor, by_matrix: Tensor) -> Tensor:
        """Make of something's derivatives by `matrix` those by the hyper-parameters.

        Args:
            parameters: Shape ``(num_parameters,)``.
            designs: Shape ``(n, entries)``.
            by_matrix: Symmetric, shape ``(n, n)``.

        Returns:
            Shape ``(num_parameters,)``.
        """
        lengths, scale, slope = self._split(parameters)
        parts, centred = self._parts(lengths), self._centred(designs)
        by_lengths = [torch.zeros_like(part.lengths) for part in parts]
        by_scale, by_slope = torch.zeros_like(scale), torch.zeros_like(slope)
        for first, last in _blocks(len(designs)):
            by_block = 2 * by_matrix[first:last, :last]  # the other half is the same
            by_block[:, first:] /= 2
            pair = designs[first:last], designs[:last]
            found = [part.with_log_slope(part.squares(*pair)) for part in parts]
            by_logarithm = math.prod((factor for factor, _ in found), start=by_block * scale.exp())
            for part, (_, log_slope), gradient in zip(parts, found, by_lengths, strict=True):
                gradient -= 2 * part.sums_of_squares(by_logarithm * log_slope, *pair)
            by_scale += by_logarithm.sum()
            by_line = (by_block @ centred[:last]) * centred[first:last]
            by_slope += self._line(slope) * by_line.sum()
        by_dimension = self._of_dimensions(torch.cat(by_lengths))
        return torch.cat([by_dimension, torch.stack([by_scale, by_slope])])

    def variances(self, parameters: Tensor, designs: Tensor) -> Tensor:
        """Of each design ``(b, entries)`` with itself, shape ``(b,)``."""
        _, scale, slope = self._split(parameters)
        return scale.exp() + self._line(slope) * self._centred(designs).square().sum(1) + 1

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return parameters[:-2], parameters[-2], parameters[-1]

    def _line(self, slope: Tensor) -> Tensor:
        return slope.exp() / self._num_dimensions

    def _parts(self, lengths: Tensor) -> list[Part]:
        count = self._num_numbers
        each = lengths.exp()
        of_entries = each[count:].repeat_interleave(
            self._sizes.to(each.device), output_size=self._num_entries
        )
        parts = [
            Part(matern, matern_with_log_slope, slice(count), each[:count]),
            Part(differing, differing_with_log_slope, slice(count, None), of_entries),
        ]
        return [part for part in parts if len(part.lengths)]

    def _of_dimensions(self, by_entries: Tensor) -> Tensor:
        """Sums of what belongs to the same length scale, ``(entries,)`` to ``(d,)``."""
        count = self._num_numbers
        groups = by_entries[count:].split(self._sizes.tolist())
        return torch.stack([*by_entries[:count], *[group.sum() for group in groups]])

    def _centred(self, designs: Tensor) -> Tensor:
        numbers, one_hots = designs[:, : self._num_numbers], designs[:, self._num_numbers :]
        return torch.cat([(numbers - 0.5) * math.sqrt(12), one_hots], dim=1)


def _blocks(n: int) -> list[tuple[int, int]]:
    """The first row of each block of rows, and that of the next one."""
    size = max(1, _PAIRS_AT_ONCE // n)
    return [(first, min(first + size, n)) for first in range(0, n, size)]


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Of each pair, ``(b, d)`` and ``(n, d)`` to ``(b, n)``."""
    # By products, which cost least; what is rounded is small against entries of about one.
    squares = left.square().sum(1)[:, None] + right.square().sum(1)
    return squares.addmm_(left, right.T, alpha=-2).clamp_(min=0)


def matern(squares: Tensor) -> Tensor:
    """The Matérn 5/2 function of a squared distance in length scales."""
    # Of zero the root has no gradient, and what it is rounded to from here has the right one: none.
    root = (5 * squares).clamp_(min=1e-30).sqrt_()
    return torch.addcmul(1 + root, root, root, value=1 / 3).mul_((-root).exp_())


def matern_with_log_slope(squares: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and the derivative of its logarithm by the squared distance."""
    root = (5 * squares).sqrt_()
    slope = 1 + root
    value = torch.addcmul(slope, root, root, value=1 / 3)
    slope.div_(value).mul_(-5 / 6)
    return value.mul_(root.neg_().exp_()), slope


def differing(squares: Tensor) -> Tensor:
    """exp(-½ r²): of one-hots, a factor exp(-1/ℓ²) for each group that differs."""
    return (-squares / 2).exp()


def differing_with_log_slope(squares: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and the derivative of its logarithm by the squared distance."""
    return differing(squares), squares.new_tensor(-0.5)
