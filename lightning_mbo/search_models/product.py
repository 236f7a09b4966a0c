"""Numbers, amounts and categories, drawn independently of each other."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.categorical import Categorical
from lightning_mbo.search_models.gaussian_mixture import GaussianMixture
from lightning_mbo.search_models.multivariate_normal import MOST_IN_PAIRS, MultivariateNormal
from lightning_mbo.search_models.sparse_amounts import SparseAmounts
from lightning_mbo.space import Cells, DesignSpace

_RANK = 10
"""Of the covariance of so many numbers that not each pair can have its own."""


class Product(SearchModel):
    """Search model of mixed designs: of each kind of entries a model of its own.

    The parts are independent, p_θ(x) = p_θ(numbers) p_θ(amounts) p_θ(categories), and are fitted to
    the same weighted designs.
    """

    models_categories: ClassVar[bool] = True

    def __init__(
        self,
        numbers: SearchModel | None = None,
        categories: SearchModel | None = None,
        amounts: SearchModel | None = None,
    ) -> None:
        """Set the parts.

        Args:
            numbers: Of the numbers; by default a `MultivariateNormal`.
            categories: Of the categories; by default a `Categorical`.
            amounts: Of those of the numbers that are amounts and often zero; by default they are
                numbers like the others.

        Raises:
            ConfigurationError: If a part does not model what it is to.
        """
        super().__init__()
        self.numbers = MultivariateNormal() if numbers is None else numbers
        self.categories = Categorical() if categories is None else categories
        self.amounts = amounts
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
        if not (amounts is None or amounts.models_amounts):
            raise ConfigurationError(
                f"{type(amounts).__name__} cannot model amounts that are often zero: leave "
                "--search.search_model out"
            )

    def build(self, space: DesignSpace) -> None:
        """Build the parts that designs have.

        Raises:
            ConfigurationError: If they are of one kind only.
        """
        self.space = space
        apart = space.amounts if self.amounts is not None else None
        own = [] if apart is None else list(apart.places)
        rest = [place for place in range(space.num_numbers) if place not in own]
        self._kinds: list[tuple[SearchModel, DesignSpace]] = []
        if rest:
            self._kinds.append((self.numbers, DesignSpace(torch.Size([len(rest)]))))
        if self.amounts is not None and apart is not None:
            self._kinds.append((self.amounts, apart.by_itself()))
        if space.groups:
            entries = torch.Size([sum(space.groups)])
            self._kinds.append((self.categories, DesignSpace(entries, space.groups)))
        if len(self._kinds) < 2:
            raise ConfigurationError(
                "Product needs designs of numbers and categories, and these, of shape "
                f"{tuple(space.shape)}, have only one of them: leave --search.search_model out"
            )
        self._places = [places for places in (rest, own) if places]
        # From numbers by kind to numbers in their order.
        self._order = torch.tensor([*rest, *own]).argsort().tolist()
        for model, part in self._kinds:
            model.stream = self.stream
            model.build(part)

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, *design_shape)`` designs."""
        drawn = [model.sample(num_samples, generator) for model, _ in self._kinds]
        numbers = torch.cat(drawn[: len(self._places)], dim=1)
        if len(self._places) > 1:
            numbers = numbers[:, self._order]
        return self.space.join(numbers, drawn[len(self._places) :])

    def log_prob(self, designs: Tensor) -> Tensor:
        """The sum of the parts' log-densities of ``(m, *design_shape)`` designs, ``(m,)``."""
        first, *others = (model.log_prob(part) for model, part in self._parts(designs))
        return sum(others, start=first)

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Fit each part to its share of the weighted designs."""
        for model, part in self._parts(designs):
            model.fit(part, weights, reduce)

    def cells(self, designs: Tensor, cells: Cells) -> Cells:
        """What the parts may have drawn of the designs' cells."""
        lower, upper = cells.lower.clone(), cells.upper.clone()
        parts = self._parts(designs)
        for places, (model, part) in zip(self._places, parts, strict=False):
            own = Cells(cells.lower[:, places], cells.upper[:, places], cells.any_level[:0])
            own = model.cells(part, own)
            lower[:, places], upper[:, places] = own.lower, own.upper
        return Cells(lower, upper, cells.any_level)

    def figures(self) -> dict[str, float]:
        """What is told of all parts."""
        return {name: value for model, _ in self._kinds for name, value in model.figures().items()}

    def begin_search(self) -> None:
        """Begin with all parts."""
        for model, _ in self._kinds:
            model.begin_search()

    def update(self, designs: Tensor, weights: Tensor) -> None:
        """Update each part with its share of the weighted designs."""
        for model, part in self._parts(designs):
            model.update(part, weights)

    def _parts(self, designs: Tensor) -> list[tuple[SearchModel, Tensor]]:
        """Each model with its entries ``(m, size)``."""
        numbers = self.space.numbers(designs)
        parts = [numbers]
        if len(self._places) > 1:
            parts = [numbers[:, places] for places in self._places]
        if self.space.groups:
            parts.append(torch.cat(self.space.one_hots(designs), dim=-1))
        return [(model, part) for (model, _), part in zip(self._kinds, parts, strict=True)]


def search_model_for(space: DesignSpace, given: SearchModel | None = None) -> SearchModel:
    """The search model of designs of some layout, not yet built.

    Args:
        space: The layout.
        given: What was asked for. None takes `MultivariateNormal` for numbers, of more than 4,000
            one of low rank, `SparseAmounts` for those that are amounts and often zero,
            `Categorical` for letters or categories; and all of them, independent of each other, for
            mixed designs, as is a given one together with default ones where it models but some of
            these. One for numbers models the amounts among them too.
    """
    amounts = None if space.amounts is None else SparseAmounts()
    num_others = space.num_numbers - space.num_amounts
    if given is None:
        if (num_others > 0) + (space.num_amounts > 0) + bool(space.groups) > 1:
            return Product(_of_numbers(num_others), amounts=amounts)
        return amounts or (Categorical() if space.groups else _of_numbers(num_others))
    if given.models_amounts:
        alone = space.amounts is None or not (num_others or space.groups)
        return given if alone else Product(_of_numbers(num_others), amounts=given)
    mixed = bool(space.num_numbers and space.groups)
    if not mixed or (given.models_numbers and given.models_categories):
        return given
    if given.models_numbers:
        return Product(given)
    return Product(_of_numbers(num_others), given, amounts)


def _of_numbers(number: int) -> SearchModel:
    if number > MOST_IN_PAIRS:
        return GaussianMixture(num_components=1, rank=_RANK)
    return MultivariateNormal()
