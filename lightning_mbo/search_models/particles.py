"""Densities for searches that move particles, and have none of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.search_models.base import SearchModel
from lightning_mbo.space import DesignSpace


def fit_to_particles(
    model: SearchModel, particles: Tensor, designs: Tensor, space: DesignSpace
) -> None:
    """Fit a search model to few particles, with the training designs as a prior of its shape.

    In d dimensions the covariance of m particles is mostly noise where m is not many times d, and
    has no rank where the particles have met, as they do on a hill. The training designs, moved to
    the particles' mean, are therefore added with a total weight of d particles. The mean stays the
    particles', and their covariance S becomes (m S + d Σ_0) / (m + d), Σ_0 being p_0's: the
    estimate under an inverse Wishart prior of d pseudo-observations. It

    - changes with the units as the designs do, since Σ_0 does: shrunk towards a sphere, or
      towards variances alone, p_θ would ignore that some directions are narrow in the data;
    - has d / (m + d) of p_0's variance in every direction at least, so that ratios to p_0 are
      bounded by the distance from the particles, not by the accident of a narrow direction;
    - tends to S with many particles. Σ_0 alone, moved, would not: its ratio to p_0 grows without
      end in one direction, and weighs most what lies farthest beyond the particles.

    One-hot entries have no dimensions of numbers, and the search model's own pseudocount.

    Args:
        model: Built, on the particles' device.
        particles: Shape ``(m, *design_shape)``.
        designs: The training designs, shape ``(n, *design_shape)``.
        space: What their entries mean.
    """
    numbers = space.numbers(designs)
    shift = space.numbers(particles).mean(0) - numbers.mean(0)
    moved = space.join(numbers + shift, space.one_hots(designs))
    prior = particles.new_full((len(moved),), space.num_numbers / len(moved))
    weights = torch.cat([particles.new_ones(len(particles)), prior])
    model.fit(torch.cat([particles, moved]), weights)
