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


class Part(NamedTuple):
    """A factor of the covariance.

    Attributes:
        function: Of a squared distance in length scales.
        log_slope: The derivative of its logarithm.
        entries: Between which of the designs' entries the distance is.
        lengths: Of each of these.
    """

    function: Function
    log_slope: Function
    entries: slice
    lengths: Tensor


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
        factors = [
            part.function(
                squared_distances(
                    left[:, part.entries] / part.lengths, right[:, part.entries] / part.lengths
                )
            )
            for part in self._parts(lengths)
        ]
        stationary = scale.exp() * math.prod(factors[1:], start=factors[0])
        slopes = self._line(slope) * self._centred(left)
        return (stationary + 1).addmm(slopes, self._centred(right).T)

    def with_derivatives(
        self, parameters: Tensor, designs: Tensor
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Of each pair of designs, and what depends on it by the hyper-parameters.

        Args:
            parameters: Shape ``(num_parameters,)``.
            designs: As those of a call, shape ``(n, entries)``.

        Returns:
            K, shape ``(n, n)``, and a function that makes of the derivatives of something by K,
            symmetric, those by the parameters.
        """
        lengths, scale, slope = self._split(parameters)
        parts, line, centred = self._parts(lengths), self._line(slope), self._centred(designs)
        scaled = [designs[:, part.entries] / part.lengths for part in parts]
        squares = [squared_distances(inputs, inputs) for inputs in scaled]
        stationary = parts[0].function(squares[0]).mul_(scale.exp())
        for part, values in zip(parts[1:], squares[1:], strict=True):
            stationary.mul_(part.function(values))

        def pull_back(by_covariance: Tensor) -> Tensor:
            by_line = line * ((by_covariance @ centred) * centred).sum()
            by_logarithm = by_covariance * stationary
            by_lengths = torch.cat(
                [
                    -2 * sums_of_squares(by_logarithm * part.log_slope(values), inputs)
                    for part, values, inputs in zip(parts, squares, scaled, strict=True)
                ]
            )
            by_scale_and_line = torch.stack([by_logarithm.sum(), by_line])
            return torch.cat([self._of_dimensions(by_lengths), by_scale_and_line])

        return (stationary + 1).addmm_(line * centred, centred.T), pull_back

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
            Part(matern, log_slope_of_matern, slice(count), each[:count]),
            Part(differing, log_slope_of_differing, slice(count, None), of_entries),
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


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Of each pair, ``(b, d)`` and ``(n, d)`` to ``(b, n)``."""
    # By products, which cost least; what is rounded is small against entries of about one.
    squares = left.square().sum(1)[:, None] + right.square().sum(1)
    return squares.addmm_(left, right.T, alpha=-2).clamp_(min=0)


def sums_of_squares(weights: Tensor, designs: Tensor) -> Tensor:
    """Σ_ik w_ik (x_ij - x_kj)² for each j, of symmetric weights, ``(n, n)``, ``(n, d)`` to ``(d,)``."""
    # By products, as the distances.
    own, products = weights.sum(1)[:, None] * designs, weights @ designs
    return 2 * ((own - products) * designs).sum(0)


def matern(squares: Tensor) -> Tensor:
    """The Matérn 5/2 function of a squared distance in length scales."""
    # Of zero the root has no gradient, and what it is rounded to from here has the right one: none.
    root = (5 * squares).clamp_(min=1e-30).sqrt_()
    return torch.addcmul(1 + root, root, root, value=1 / 3).mul_((-root).exp_())


def log_slope_of_matern(squares: Tensor) -> Tensor:
    """The derivative of its logarithm by the squared distance."""
    root = (5 * squares).sqrt_()
    above = 1 + root
    below = torch.addcmul(above, root, root, value=1 / 3)
    return above.div_(below).mul_(-5 / 6)


def differing(squares: Tensor) -> Tensor:
    """exp(-½ r²): of one-hots, a factor exp(-1/ℓ²) for each group that differs."""
    return (-squares / 2).exp()


def log_slope_of_differing(squares: Tensor) -> Tensor:
    """The derivative of its logarithm by the squared distance."""
    return squares.new_tensor(-0.5)
