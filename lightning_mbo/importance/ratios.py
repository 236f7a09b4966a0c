"""Density ratios p_θ/p_0 of rows of the table, of which several draws may have become one."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_mbo.memory import in_chunks
from lightning_mbo.problem import DesignProblem
from lightning_mbo.search_models import MultivariateNormal, SearchModel, with_unseen_levels
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import Cells, DesignSpace

_MOST_DRAWS = 64
_MOST_ENTRIES = 2**20
_FEWEST_DRAWS = 4
_NUM_SWEEPS = 10
_CHUNK_SIZE = 65_536


class Preimages(NamedTuple):
    """Designs, and draws that become them.

    Attributes:
        designs: Shape ``(n, *design_shape)``.
        rows: Which of them are made of more than one draw, row numbers ``(r,)``.
        drawn: Some draws of those, shape ``(c, r, *design_shape)``.
        log_proposal: The log-density that each was drawn with, up to a constant of its row, shape
            ``(c, r)``, nats.
    """

    designs: Tensor
    rows: Tensor
    drawn: Tensor
    log_proposal: Tensor

    def to(self, device: torch.device | str) -> Preimages:
        """The same on a device."""
        return Preimages(*(tensor.to(device) for tensor in self))


class DensityRatio(ABC):
    """log p_θ - log p_0 of designs, nats, float64."""

    @abstractmethod
    def of_training(self, search_model: SearchModel, training_distribution: SearchModel) -> Tensor:
        """Of the problem's training designs, shape ``(n,)``."""

    @abstractmethod
    def of_held_out(self, search_model: SearchModel, training_distribution: SearchModel) -> Tensor:
        """Of the problem's judged designs, shape ``(h,)``."""

    @abstractmethod
    def of_designs(
        self, designs: Tensor, search_model: SearchModel, training_distribution: SearchModel
    ) -> Tensor:
        """Of designs ``(m, *design_shape)`` that nobody has drawn, shape ``(m,)``."""


class ExactRatio(DensityRatio):
    """By the exact densities of what the models draw, of all that becomes a design."""

    def __init__(self, problem: DesignProblem, device: torch.device | str = "cpu") -> None:
        """Draw what the rows of the table may have been made of.

        Args:
            problem: Whose rows.
            device: Of the models.
        """
        self._problem = problem
        self._training = self._preimages(problem.training.designs, 0).to(device)
        self._held_out = (
            self._preimages(problem.evidence.designs, 1).to(device)
            if problem.held_out.any()
            else self._training
        )

    def of_training(self, search_model: SearchModel, training_distribution: SearchModel) -> Tensor:
        """Of the problem's training designs, shape ``(n,)``."""
        return log_density_ratios(search_model, training_distribution, self._training)

    def of_held_out(self, search_model: SearchModel, training_distribution: SearchModel) -> Tensor:
        """Of the problem's judged designs, shape ``(h,)``."""
        return log_density_ratios(search_model, training_distribution, self._held_out)

    def of_designs(
        self, designs: Tensor, search_model: SearchModel, training_distribution: SearchModel
    ) -> Tensor:
        """Of designs ``(m, *design_shape)`` that nobody has drawn, shape ``(m,)``."""
        preimages = self._preimages(designs.cpu(), 2).to(designs.device)
        return log_density_ratios(search_model, training_distribution, preimages)

    def _preimages(self, designs: Tensor, number: int) -> Preimages:
        problem = self._problem
        return preimages_of(
            designs,
            problem.cells_of(designs),
            problem.space,
            problem.training.designs,
            problem.stream.generator("preimages", number),
        )


def log_density_ratios(
    search_model: SearchModel, training_distribution: SearchModel, preimages: Preimages
) -> Tensor:
    """Log p_θ - log p_0 of designs, by the exact densities of what a model draws.

    Of a design that is made of one draw only, the ratio of the densities there. Of one that lies on
    a bound or a step, or in a fixed column, it is the ratio of the probabilities of all that
    becomes it, ∫ p_θ(z) dz / ∫ p_0(z) dz over its cell, since the density at one point of the cell
    says next to nothing of the rest. Both integrals are estimated with the same draws z_c from a
    proposal q, as Σ p(z_c) / q(z_c); where q is p_0 in the cell, the ratio is the mean of p_θ/p_0
    over draws of p_0.

    Args:
        search_model: p_θ.
        training_distribution: p_0.
        preimages: Of the designs, on the models' device.

    Returns:
        Shape ``(n,)``, nats, float64.
    """
    designs, rows, drawn, log_proposal = preimages
    log_ratios = in_chunks(
        lambda chunk: search_model.log_prob(chunk) - training_distribution.log_prob(chunk),
        designs,
        _CHUNK_SIZE,
    )
    if len(rows) == 0:
        return log_ratios
    flat = drawn.flatten(0, 1)
    above, below = (
        (model.log_prob(flat).unflatten(0, log_proposal.shape) - log_proposal).logsumexp(0)
        for model in (search_model, training_distribution)
    )
    return log_ratios.index_copy(0, rows, above - below)


def preimages_of(
    designs: Tensor,
    cells: Cells,
    space: DesignSpace,
    training_designs: Tensor,
    generator: torch.Generator,
) -> Preimages:
    """Draw what may have become designs.

    The numbers come from the maximum-likelihood normal of the training designs, conditioned on the
    design's cell, by Gibbs sampling; levels of fixed categories from the training designs'
    frequencies. Numbers that are what was drawn stay as they are.

    Reference: Geweke, "Efficient simulation from the multivariate normal and Student-t
    distributions subject to linear constraints", 1991, for the sampler.

    Args:
        designs: Shape ``(n, *design_shape)``, float64, on the CPU.
        cells: Theirs.
        space: What their entries mean.
        training_designs: What the normal is fitted to, shape ``(t, *design_shape)``.
        generator: Of the CPU.
    """
    wide = (cells.lower < cells.upper).any(1) | cells.any_level.any()
    rows = wide.nonzero()[:, 0]
    num_draws = _MOST_ENTRIES // max(1, len(rows) * math.prod(space.shape))
    num_draws = max(_FEWEST_DRAWS, min(num_draws, _MOST_DRAWS))
    chosen = designs[rows]
    drawn = chosen.expand(num_draws, *chosen.shape)
    log_proposal = chosen.new_zeros(num_draws, len(rows))
    if len(rows) == 0:
        return Preimages(designs, rows, drawn, log_proposal)
    numbers, one_hots = space.numbers(drawn), space.one_hots(drawn)
    if (cells.lower < cells.upper).any():
        normal = _normal(space.numbers(training_designs))
        numbers = _within(normal, numbers, cells.lower[rows], cells.upper[rows], generator)
        log_proposal = normal.log_prob(numbers.flatten(0, 1)).unflatten(0, log_proposal.shape)
    for group in cells.any_level.nonzero()[:, 0].tolist():
        known, weights = with_unseen_levels(training_designs, space)
        frequencies = space.one_hots(known)[group].mT @ weights / weights.sum()
        levels = frequencies.multinomial(
            log_proposal.numel(), replacement=True, generator=generator
        ).reshape(log_proposal.shape)
        one_hots[group] = one_hot(levels, len(frequencies))
        log_proposal = log_proposal + frequencies.log()[levels]
    return Preimages(designs, rows, space.join(numbers, one_hots), log_proposal)


def _normal(numbers: Tensor) -> MultivariateNormal:
    normal = MultivariateNormal().to(numbers.device)
    normal.build(DesignSpace(numbers.shape[1:]))
    with warnings.catch_warnings():
        # The training distribution has told of lost rank.
        warnings.simplefilter("ignore")
        normal.fit(numbers, torch.ones_like(numbers[:, 0]))
    return normal


def _within(
    normal: MultivariateNormal,
    start: Tensor,
    lower: Tensor,
    upper: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Draws ``(c, r, d)`` of a normal between bounds ``(r, d)``, from a place in between."""
    numbers = start.clone()
    precision = torch.cholesky_inverse(normal.cholesky)
    columns = (lower < upper).any(0).nonzero()[:, 0].tolist()
    for _ in range(_NUM_SWEEPS):
        for j in columns:
            std = precision[j, j].rsqrt()
            pull = (numbers - normal.mean) @ precision[j] * std.square()
            mean = numbers[..., j] - pull
            uniform = torch.rand(mean.shape, generator=generator, dtype=mean.dtype, device="cpu")
            between = truncated_normal(
                (lower[:, j] - mean) / std, (upper[:, j] - mean) / std, uniform
            )
            is_wide = lower[:, j] < upper[:, j]
            drawn = (mean + std * between).clamp(lower[:, j], upper[:, j])
            numbers[..., j] = torch.where(is_wide, drawn, numbers[..., j])
    return numbers


def truncated_normal(lower: Tensor, upper: Tensor, uniform: Tensor) -> Tensor:
    """Standard normal numbers between bounds, by the inverse of their distribution function.

    Args:
        lower: Shape ``(...)``, may be -inf.
        upper: Shape ``(...)``, not below `lower`, may be inf.
        uniform: Numbers in [0, 1), shape ``(...)``.

    Returns:
        Shape ``(...)``; the bound that is nearer to 0 where float64 knows no probability between.
    """
    # In the left half the distribution function is exact far into the tail, by its logarithm.
    mirrored = lower > 0
    left, right = torch.where(mirrored, -upper, lower), torch.where(mirrored, -lower, upper)
    below, above = (torch.special.log_ndtr(end).exp() for end in (left, right))
    limits = torch.finfo(uniform.dtype)
    reached = (below + uniform * (above - below)).clamp(limits.tiny, 1 - limits.eps)
    drawn = torch.special.ndtri(reached).maximum(left).minimum(right)
    return torch.where(mirrored, -drawn, drawn)
