"""What a Gaussian process is fitted to, and what it weighs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Labelled(NamedTuple):
    """Rows that a process is fitted to, of the standardised property.

    Attributes:
        designs: Flat and described, the numbers from 0 to 1, shape ``(n, entries)``.
        labels: Shape ``(n,)``.
        weights: Shape ``(n,)``; a single measurement weighs one.
        errors: As in `LabelNoise`, shape ``(n,)``.
        scatters: As in `LabelNoise`, shape ``(n,)``.
    """

    designs: Tensor
    labels: Tensor
    weights: Tensor
    errors: Tensor
    scatters: Tensor

    def of_rows(self, rows: Tensor) -> Labelled:
        """Some of the rows, by their numbers."""
        return Labelled(*(values[rows.to(values.device)] for values in self))


def as_measurements(weights: Tensor, base_weights: Tensor) -> Tensor:
    """Weights on the scale on which a single measurement weighs one.

    Importance weights say which rows matter, and not that they were measured more often: they are
    scaled to have the sum of the effective sample size. Were it n, in a table of which few rows
    matter those would count as many measurements each; and a noise that is learnt would come out
    too small by what is taken for residuals of zero, were rows of no weight counted.

    Args:
        weights: Importance weights times base weights, on any scale, shape ``(n,)``.
        base_weights: Of so many measurements is each label the mean, shape ``(n,)``.

    Returns:
        Shape ``(n,)``; the base weights, where all importance weights are the same.
    """
    weights = weights / weights.max()
    importance = weights / base_weights.to(weights)
    scaled: Tensor = weights * (weights.sum() / (weights * importance).sum())
    return scaled


def heaviest(weights: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """The rows of the greatest weights ``(n,)``, drawn where weights are the same; in order."""
    if len(weights) <= number:
        return torch.arange(len(weights))
    shuffled = torch.randperm(len(weights), generator=generator, device="cpu")
    order = weights.cpu()[shuffled].argsort(descending=True, stable=True)
    return shuffled[order[:number]].sort().values
