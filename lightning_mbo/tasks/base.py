"""The contract of a benchmark problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mbo.designs import Distances, euclidean
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.robots.motion import Motion
from lightning_mbo.space import Cells, DesignSpace
from lightning_mbo.tabular.types import DataFrame
from lightning_mbo.tasks.codecs import Codec

_ROUNDING = 1e-9
"""How far from its bound a standardised number still lies on it."""


@dataclass(frozen=True, eq=False)
class KnownProblem:
    """Designs with labels, where the expected property of every design is known.

    Attributes:
        designs: Shape ``(n, *design_shape)``, float64.
        properties: Their labels, shape ``(n,)``, float64.
        space: What the entries of a design mean.
        codec: From designs to what the user knows them as, and back.
        ground_truth: The expected property of designs ``(m, *design_shape)``, on their device:
            ``(m,)``. Only metrics may read it.
        noise_std: Standard deviation of the labels about the ground truth; 0 where they are exact,
            or nobody knows it. Only metrics may read it.
        most_scored: Of how many samples of an iteration metrics read the ground truth at most,
            where it takes long; None: of all.
        property_range: The least and the greatest property, hidden designs included, or None.
            Only metrics may read it.
        least: The least that each entry of a design can be, ``design_shape``; None: anything.
        feasible: Which of designs ``(m, *design_shape)`` can be at all, bool, ``(m,)``; None: all.
        greatest: The greatest that each entry can be, likewise.
        groups: Which rows are the same thing, although their designs differ: equal integers, shape
            ``(n,)``. None: none are.
        distances: How far designs lie from others.
        nearest_known: What the user may recognise each of designs ``(m, *design_shape)`` by, one a
            row; None where there is nothing.
        motions: What designs ``(m, *design_shape)`` look like while they move, to be drawn; None
            where there is nothing to be seen. Only reports look.
    """

    designs: Tensor
    properties: Tensor
    space: DesignSpace
    codec: Codec
    ground_truth: Callable[[Tensor], Tensor]
    noise_std: float = 0.0
    most_scored: int | None = None
    property_range: tuple[float, float] | None = None
    least: Tensor | None = None
    feasible: Callable[[Tensor], Tensor] | None = None
    greatest: Tensor | None = None
    groups: Tensor | None = None
    distances: Distances = euclidean
    nearest_known: Callable[[Tensor], DataFrame] | None = None
    motions: Callable[[Tensor], list[Motion]] | None = None

    def nearest_allowed(self, designs: Tensor) -> Tensor:
        """The nearest designs ``(m, *design_shape)`` that can be made: nothing out of bounds."""
        if self.least is not None:
            designs = designs.maximum(self.least.to(designs))
        return designs if self.greatest is None else designs.minimum(self.greatest.to(designs))

    def cells(self, designs: Tensor) -> Cells:
        """Which draws become each of designs ``(m, *design_shape)`` by `nearest_allowed`."""
        cells = Cells.of_points(designs, self.space)
        lower, upper = cells.lower, cells.upper
        if self.least is not None:
            least = self.space.numbers(self.least.to(designs))
            lower = torch.where(lower <= least + _ROUNDING, -torch.inf, lower)
        if self.greatest is not None:
            greatest = self.space.numbers(self.greatest.to(designs))
            upper = torch.where(upper >= greatest - _ROUNDING, torch.inf, upper)
        return Cells(lower, upper, cells.any_level)


class Task(ABC):
    """A benchmark problem: a sampler of designs with labels, and the truth of every design.

    Its options are given when it is made, which reads and draws nothing.

    Attributes:
        property_name: What is maximised, with its unit.
    """

    property_name: str = "property"

    def prepare(self) -> None:  # noqa: B027
        """Make what takes long and is kept in a file: by one process, before the others ask.

        By default, there is nothing of the kind.

        Raises:
            DataError: If a table cannot be used.
        """

    @abstractmethod
    def problem(self, generator: torch.Generator) -> KnownProblem:
        """Draw or read the table: the same generator, the same problem to the last bit.

        Args:
            generator: Of all that is drawn, on the CPU.

        Raises:
            DataError: If a table cannot be used.
        """


def check_percentile(percentile: float) -> None:
    """Refuse a percentile above which nothing is visible that is none.

    Raises:
        ConfigurationError: If it is out of its range.
    """
    if not 0 < percentile <= 100:
        raise ConfigurationError(f"data.visible_percentile must lie in (0, 100], not {percentile}")
