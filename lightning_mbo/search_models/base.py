"""The contract of a search model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_mbo.distributed import all_reduce_sum, shard
from lightning_mbo.random import Stream
from lightning_mbo.space import Cells, DesignSpace

Reduce = Callable[[Tensor], Tensor]


class SearchModel(nn.Module, ABC):
    """A distribution over designs, p_θ(x), that can be sampled, evaluated and refitted in place.

    All state is in buffers or parameters, so that `state_dict` is complete. Densities are in
    float64: those of narrow distributions differ by hundreds of nats.

    Attributes:
        models_numbers: Whether designs may have numbers.
        models_categories: Whether they may have categories or letters.
        models_amounts: Whether it is of amounts that are often zero, and of nothing else.
        learns_ranks: Whether an update goes by the order of the weights alone.
        has_nodes: Whether it is updated by the weights of its `nodes` in place of samples'.
        remedy: What to do where designs are of another kind.
        stream: Of what a first fit begins with at random; set before `build`.
    """

    models_numbers: ClassVar[bool] = True
    models_categories: ClassVar[bool] = False
    models_amounts: ClassVar[bool] = False
    learns_ranks: ClassVar[bool] = False
    has_nodes: ClassVar[bool] = False
    remedy: ClassVar[str] = "give another --search.search_model"
    stream: Stream = Stream()

    @property
    def nodes(self) -> Tensor:
        """The draws whose weights an update needs, shape ``(m, *design_shape)``."""
        raise NotImplementedError(f"{type(self).__name__} learns from samples")

    def reweigh(self, log_weights: Tensor) -> bool:
        """Learn from the nodes' weights ``(m,)``, in logarithms; False if all of them are zero."""
        raise NotImplementedError(f"{type(self).__name__} learns from samples")

    def expectation(self, values: Tensor) -> Tensor:
        """∫ p_θ(x) v(x) dx of values at the nodes ``(m,)``: a scalar."""
        raise NotImplementedError(f"{type(self).__name__} has no nodes")

    @abstractmethod
    def build(self, space: DesignSpace) -> None:
        """Allocate the parameters for designs of this layout. Called once, before all else.

        Raises:
            ConfigurationError: If they are not of the kind that is modelled.
        """

    @abstractmethod
    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw designs.

        Args:
            num_samples: How many, m.
            generator: The source of randomness, on this model's device.

        Returns:
            Designs, shape ``(m, *design_shape)``, float64.
        """

    @abstractmethod
    def log_prob(self, designs: Tensor) -> Tensor:
        """The log-density.

        Args:
            designs: Shape ``(m, *design_shape)``.

        Returns:
            Shape ``(m,)``, nats, float64.
        """

    @abstractmethod
    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Replace the parameters by their weighted maximum-likelihood estimate.

        Args:
            designs: Shape ``(m, *design_shape)``.
            weights: Shape ``(m,)``, not negative, not all zero; their scale does not matter.
            reduce: Sums a tensor over processes, when each of them holds a share of the designs.
        """

    def figures(self) -> dict[str, float]:
        """What is told of it beside each design iteration, by name: by default nothing."""
        return {}

    def cells(self, designs: Tensor, cells: Cells) -> Cells:
        """What this model may have drawn of designs' cells: by default anything in them.

        Args:
            designs: Shape ``(n, *design_shape)``.
            cells: Theirs.
        """
        return cells

    def begin_search(self) -> None:
        """Become what the first samples are drawn from. Called once, after the fit to the data.

        By default nothing changes: the search begins with the training distribution.
        """

    def update(self, designs: Tensor, weights: Tensor) -> None:
        """Learn from what an algorithm made of the samples: by default, `fit` to it.

        Args:
            designs: Shape ``(m, *design_shape)``, all of them on every process.
            weights: Shape ``(m,)``, not negative, not all zero; their scale does not matter.
        """
        mine = shard(len(designs))
        self.fit(designs[mine], weights[mine], all_reduce_sum)
