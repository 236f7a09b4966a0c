"""Letters or categories that are drawn one by one."""

from __future__ import annotations

import math
from abc import ABC
from typing import ClassVar

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import DesignSpace


class OneHotModel(SearchModel, ABC):
    """What models of one-hot groups share: the pseudocount, and how many entries a group has."""

    models_numbers: ClassVar[bool] = False
    models_categories: ClassVar[bool] = True
    sizes: Tensor

    def __init__(self, pseudocount: float = 1.0) -> None:
        """Set the smoothing; `build` creates the distribution.

        Args:
            pseudocount: Designs of uniform letters that are added to those of a fit.

        Raises:
            ConfigurationError: If it is not positive.
        """
        super().__init__()
        if not 0 < pseudocount < math.inf:
            raise ConfigurationError(f"pseudocount must be positive and finite, not {pseudocount}")
        self.pseudocount = pseudocount

    def build(self, space: DesignSpace) -> None:
        """Learn the size of each entry's group, laid out as a design, ``(*design_shape)``.

        Raises:
            ConfigurationError: If designs have numbers.
        """
        if space.num_numbers:
            raise ConfigurationError(
                f"{type(self).__name__} needs designs of letters or categories alone, and these, "
                f"of shape {tuple(space.shape)}, have {space.num_numbers} numbers: leave "
                "--search.search_model out"
            )
        sizes = torch.tensor([n for n in space.groups for _ in range(n)], dtype=torch.float64)
        self.register_buffer("sizes", sizes.reshape(space.shape), persistent=False)


class Categorical(OneHotModel):
    """Search model of one-hot groups: of each group a distribution of its own, independent.

    A group is a place of a sequence, with letters, or a column of a table, with categories, of
    which columns may have different numbers. A letter that occurs in no weighted design must keep a
    probability, or its importance ratio p_θ / p_0 would be zero, infinite or undefined. To
    n_e = (Σw)² / Σw² designs, which is what the weighted ones count for, `pseudocount` designs of
    uniform letters are therefore added. In a group of v letters no probability falls below
    pseudocount / (v (n_e + pseudocount)), so that a log-ratio of two fits to sequences is at most
    l log(v (n_e + pseudocount) / pseudocount) from zero; a fit to a single design keeps half of its
    mass elsewhere; and a fit to many is the maximum-likelihood one.

    Attributes:
        log_probabilities: Laid out as a design, ``(*design_shape)``, float64, nats.
    """

    log_probabilities: Tensor
    places: Tensor

    def build(self, space: DesignSpace) -> None:
        """Start as uniform in each group.

        Raises:
            ConfigurationError: If designs have numbers.
        """
        super().build(space)
        self.register_buffer("log_probabilities", -self.sizes.log())
        # In a table with one row a group, as long as the largest: groups are drawn all at once.
        self._table_shape = len(space.groups), max(space.groups)
        places = [
            group * max(space.groups) + entry
            for group, size in enumerate(space.groups)
            for entry in range(size)
        ]
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, *design_shape)`` designs, one-hot in each group."""
        table = self.log_probabilities.new_zeros(self._table_shape)
        table.view(-1)[self.places] = self.log_probabilities.exp().flatten()
        tokens = table.multinomial(num_samples, replacement=True, generator=generator)
        groups = one_hot(tokens.mT, table.shape[1]).flatten(1)
        return groups[:, self.places].reshape(num_samples, *self.log_probabilities.shape)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-probability of ``(m, *design_shape)`` designs, shape ``(m,)``."""
        return (designs * self.log_probabilities).flatten(1).sum(1)

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Weighted frequencies in each group, with the pseudocount."""
        weights = weights.to(self.log_probabilities)
        weights = weights / reduce(weights.sum())
        size = 1 / reduce(weights.square().sum())
        frequencies = reduce(torch.tensordot(weights, designs.to(weights), 1))
        share = self.pseudocount / (size + self.pseudocount)
        smoothed = (1 - share) * frequencies + share / self.sizes
        self.log_probabilities.copy_(smoothed.log())


def draw_letters(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a letter in each row of ``(m, v)`` probabilities, or multiples of them: ``(m,)``."""
    # `multinomial(1)`, which draws these very numbers, has the host wait for its checks.
    exponential = torch.empty_like(probabilities).exponential_(generator=generator)
    return (probabilities / exponential).argmax(1)
