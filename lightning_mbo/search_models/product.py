"""Numbers and categories, drawn independently of each other."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.categorical import Categorical
from lightning_mbo.search_models.multivariate_normal import MultivariateNormal
from lightning_mbo.space import DesignSpace


class Product(SearchModel):
    """Search model of mixed designs: one model of the numbers, another of the categories.

    The two are independent, p_θ(x) = p_θ(numbers) p_θ(categories), and are fitted to the same
    weighted designs.
    """

    models_categories: ClassVar[bool] = True

    def __init__(
        self, numbers: SearchModel | None = None, categories: SearchModel | None = None
    ) -> None:
        """Set the parts.

        Args:
            numbers: Of the numbers; by default a `MultivariateNormal`.
            categories: Of the categories; by default a `Categorical`.

        Raises:
            ConfigurationError: If a part does not model what it is to.
        """
        super().__init__()
        self.numbers = MultivariateNormal() if numbers is None else numbers
        self.categories = Categorical() if categories is None else categories
        if self.numbers.learns_ranks or self.numbers.has_nodes:
            # It learns from whole designs: from their order, or at nodes of its own.
            raise ConfigurationError(
                f"{type(self.numbers).__name__} needs designs of numbers alone, and does not go "
                f"together with a model of categories: {self.numbers.remedy}"
            )
        if not (self.numbers.models_numbers and self.categories.models_categories):
            raise ConfigurationError(
                f"{type(self.numbers).__name__} cannot model numbers, or "
                f"{type(self.categories).__name__} categories: leave --search.search_model out"
            )

    def build(self, space: DesignSpace) -> None:
        """Build both parts.

        Raises:
            ConfigurationError: If designs are not of numbers and categories.
        """
        if not (space.num_numbers and space.groups):
            raise ConfigurationError(
                "Product needs designs of numbers and categories, and these, of shape "
                f"{tuple(space.shape)}, have only one of them: leave --search.search_model out"
            )
        self.space = space
        self.numbers.stream = self.stream
        self.numbers.build(DesignSpace(torch.Size([space.num_numbers])))
        self.categories.stream = self.stream
        self.categories.build(DesignSpace(torch.Size([sum(space.groups)]), space.groups))

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, *design_shape)`` designs."""
        numbers = self.numbers.sample(num_samples, generator)
        return self.space.join(numbers, [self.categories.sample(num_samples, generator)])

    def log_prob(self, designs: Tensor) -> Tensor:
        """The sum of the parts' log-densities of ``(m, *design_shape)`` designs, ``(m,)``."""
        numbers, categories = self._parts(designs)
        return self.numbers.log_prob(numbers) + self.categories.log_prob(categories)

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Fit each part to its share of the weighted designs."""
        numbers, categories = self._parts(designs)
        self.numbers.fit(numbers, weights, reduce)
        self.categories.fit(categories, weights, reduce)

    def figures(self) -> dict[str, float]:
        """What is told of both parts."""
        return self.numbers.figures() | self.categories.figures()

    def begin_search(self) -> None:
        """Begin with both parts."""
        self.numbers.begin_search()
        self.categories.begin_search()

    def update(self, designs: Tensor, weights: Tensor) -> None:
        """Update each part with its share of the weighted designs."""
        numbers, categories = self._parts(designs)
        self.numbers.update(numbers, weights)
        self.categories.update(categories, weights)

    def _parts(self, designs: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers ``(m, d)`` and the entries of all groups, ``(m, entries)``."""
        return self.space.numbers(designs), torch.cat(self.space.one_hots(designs), dim=-1)


def search_model_for(space: DesignSpace, given: SearchModel | None = None) -> SearchModel:
    """The search model of designs of some layout, not yet built.

    Args:
        space: The layout.
        given: What was asked for. None takes `MultivariateNormal` for numbers, `Categorical` for
            letters or categories; and both, independent of each other, for mixed designs, as is
            a given one together with a default one where it models but one of the two.
    """
    mixed = bool(space.num_numbers and space.groups)
    if given is None:
        if mixed:
            return Product()
        return Categorical() if space.groups else MultivariateNormal()
    if not mixed or (given.models_numbers and given.models_categories):
        return given
    return Product(given) if given.models_numbers else Product(categories=given)
