"""A place in the training distribution for levels that no row has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_mbo.search_models.base import SearchModel
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import DesignSpace


def fit_to_designs(model: SearchModel, designs: Tensor, space: DesignSpace) -> None:
    """Fit a search model to the training designs ``(n, *design_shape)``: make it p_0.

    Levels with descriptors that no design has are as frequent as the seen ones in the mean.
    """
    model.fit(*with_unseen_levels(designs, space))


def with_unseen_levels(designs: Tensor, space: DesignSpace) -> tuple[Tensor, Tensor]:
    """Designs beside copies of them that have levels with descriptors that no design has.

    Left to a search model's pseudocount, such a level would hardly ever be drawn, and weigh next to
    nothing in the ratio p_0 / p_θ. Each of a group's unseen levels has as many copies as the
    others, of a weight that makes it as frequent as its seen levels are in the mean.

    Args:
        designs: Shape ``(n, *design_shape)``.
        space: Of the designs.

    Returns:
        Designs ``(m, *design_shape)``, the given ones first, and their weights ``(m,)``.
    """
    one_hots, copies = space.one_hots(designs), [designs]
    weights = [designs.new_ones(len(designs), dtype=torch.float64)]
    for group, table in enumerate(space.descriptors):
        is_seen = one_hots[group].any(0)
        unseen = (~is_seen).nonzero()[:, 0]
        if not (table and len(unseen)):
            continue
        number = len(unseen) * math.ceil(len(designs) / len(unseen))
        places = torch.arange(number, device=designs.device)
        levels = one_hot(unseen[places % len(unseen)], len(is_seen)).to(designs)
        changed = [other[places % len(designs)] for other in one_hots]
        changed[group] = levels
        copies.append(space.join(space.numbers(designs)[places % len(designs)], changed))
        share = len(unseen) / is_seen.sum()
        weights.append(weights[0].new_ones(number) * (share * len(designs) / number))
    return (torch.cat(copies) if len(copies) > 1 else designs), torch.cat(weights)
