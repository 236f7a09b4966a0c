"""What is to be designed: a table, what its entries mean, and what a design may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from lightning_mbo.designs import Distances, euclidean, same_things
from lightning_mbo.label_noise import LabelNoise, of_labels
from lightning_mbo.random import Stream
from lightning_mbo.results import PredictionOfResults, Results
from lightning_mbo.samples import Prediction
from lightning_mbo.space import Cells, DesignSpace

if TYPE_CHECKING:
    import pandas as pd

GroundTruth = Callable[[Tensor], Tensor]
FEWEST_DESIGNS = 10
"""With fewer there is nothing to validate on."""

Numbers = TypeVar("Numbers", float, Tensor, np.ndarray[Any, Any], "pd.Series[float]")


@dataclass(frozen=True)
class Property:
    """What is sought after.

    Attributes:
        name: What is maximised, with its unit.
        measured_name: What the user measures, which the property is `sign` times.
        sign: 1, or -1 where the user wants what is measured to be small.
    """

    name: str = "property"
    measured_name: str = "property"
    sign: int = 1

    def measured(self, values: Numbers) -> Numbers:
        """Values of the property as the user measures them."""
        return self.sign * values


@dataclass(frozen=True, eq=False)
class DesignProblem:
    """A table of designs and their labels, and what is known of designs; nothing of how to search.

    Attributes:
        designs: Of all rows, shape ``(n, *design_shape)``, float64.
        properties: Their labels, shape ``(n,)``, float64.
        base_weights: What each counts before any importance weight, shape ``(n,)``, positive.
        space: What the entries of a design mean.
        held_out: Which rows no oracle and no search model is fitted to, bool, shape ``(n,)``.
        noise: Of the labels, shapes ``(n,)``; None where nothing is known of any.
        groups: Equal integers, shape ``(n,)``, for rows that are the same thing although their
            designs differ; None where there are none.
        results: Of the rows, where several are wanted, and the property is their `Advance`; None
            where the property is measured.
        property: What is maximised.
        nearest_allowed: From draws ``(m, *design_shape)`` to the nearest designs that can be made.
        feasible: Which of designs ``(m, *design_shape)`` meet all constraints, bool, ``(m,)``; None
            where all do.
        cells: Which draws become each of designs ``(m, *design_shape)``; None: the design itself.
        distances: How far designs lie from others.
        ground_truth: The expected property of designs ``(m, *design_shape)``, shape ``(m,)``, or
            None where nobody knows it. Only metrics may read it.
        stream: Of all that a run on this problem draws.
    """

    designs: Tensor
    properties: Tensor
    base_weights: Tensor
    space: DesignSpace
    held_out: Tensor
    noise: LabelNoise | None = None
    groups: Tensor | None = None
    results: Results | None = None
    property: Property = Property()
    nearest_allowed: Callable[[Tensor], Tensor] = lambda designs: designs
    feasible: Callable[[Tensor], Tensor] | None = None
    cells: Callable[[Tensor], Cells] | None = None
    distances: Distances = euclidean
    ground_truth: GroundTruth | None = None
    stream: Stream = field(default_factory=Stream)

    @classmethod
    def of_table(cls, designs: Tensor, properties: Tensor, seed: int = 0) -> Self:
        """The problem of designs and labels, of which nothing else is known.

        Args:
            designs: Shape ``(n, *design_shape)``, float64.
            properties: Shape ``(n,)``, float64.
            seed: Of all that a run on it draws.
        """
        return cls(
            designs,
            properties,
            base_weights=torch.ones_like(properties),
            space=DesignSpace.of_shape(designs.shape[1:]),
            held_out=torch.zeros_like(properties, dtype=torch.bool),
            stream=Stream(seed),
        )

    def of_rows(self, rows: Tensor) -> DesignProblem:
        """The same problem with some of the rows, a mask ``(n,)`` or row numbers."""
        return replace(
            self,
            designs=self.designs[rows],
            properties=self.properties[rows],
            base_weights=self.base_weights[rows],
            held_out=self.held_out[rows],
            noise=None if self.noise is None else self.noise.map(lambda of_all: of_all[rows]),
            groups=None if self.groups is None else self.groups[rows],
            results=None if self.results is None else self.results.of_rows(rows),
        )

    def of_result(self, number: int) -> DesignProblem:
        """The problem of one of the results, with further rows that have it behind its own.

        Raises:
            ValueError: If there are none.
        """
        if self.results is None:
            raise ValueError("this problem is of one property")
        return self.results.problem_of(self, number)

    def holding_out(self, rows: Tensor) -> DesignProblem:
        """The same problem with these rows held out, and no others: a mask ``(n,)``."""
        return replace(self, held_out=rows)

    @cached_property
    def things(self) -> Tensor:
        """Which thing each row is of, ``(n,)``: equal designs, and groups, are the same."""
        return same_things(self.designs, self.groups)

    @cached_property
    def training(self) -> DesignProblem:
        """The rows that are not held out."""
        return self.of_rows(~self.held_out) if self.held_out.any() else self

    @cached_property
    def evidence(self) -> DesignProblem:
        """The rows that are held out, to judge by."""
        return self.of_rows(self.held_out)

    @cached_property
    def judged(self) -> DesignProblem:
        """The rows that an oracle is judged by: the held-out ones, or all where there are none.

        Of all rows, each is predicted by a fit without it, by oracles that cross-validate.
        """
        return self.evidence if self.held_out.any() else self.training

    @cached_property
    def beaten(self) -> float:
        """What the property of a design is to exceed for it to be better than all rows.

        The best label; of several results not less than 0, which no row may come to.
        """
        best = self.properties.max().item()
        return best if self.results is None else max(best, 0.0)

    def beats(self, properties: Tensor, beaten: float) -> Tensor:
        """Which properties ``(m,)`` are better, bool, ``(m,)``; limits alone are only to be met."""
        limits_alone = self.results is not None and not self.results.advance.has_objectives
        return properties >= beaten if limits_alone else properties > beaten

    def is_feasible(self, designs: Tensor) -> Tensor:
        """Which of designs ``(m, *design_shape)`` meet all constraints, bool, ``(m,)``."""
        if self.feasible is None:
            return torch.ones(len(designs), dtype=torch.bool, device=designs.device)
        return self.feasible(designs)

    def cells_of(self, designs: Tensor) -> Cells:
        """Which draws become each of designs ``(m, *design_shape)``."""
        return Cells.of_points(designs, self.space) if self.cells is None else self.cells(designs)

    def label_prediction(self, prediction: Prediction) -> Prediction:
        """What a prediction of all rows ``(n,)`` says of their labels, whose own errors add to it.

        An error is no part of what more data would remove.
        """
        if self.results is not None and isinstance(prediction, PredictionOfResults):
            return self.results.label_prediction(prediction)
        if self.noise is None:
            return prediction
        with_errors = of_labels(prediction.normal, self.noise.errors.to(prediction.mean))
        return replace(prediction, std=with_errors.scale)
