"""The clock of oracle fits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_mbo.data.loading import (
    TrainingBatches,
    ValidationBatches,
    WeightedDesigns,
    split_rows,
)
from lightning_mbo.problem import DesignProblem


class Fits:
    """Which oracle fit is wanted, what each design counts in it, and its batches.

    An oracle is fitted between `begin` and `end`; otherwise there are no training batches.

    Attributes:
        problem: The training designs: no row is held out.
        weights: What each counts, base weights included, shape ``(n,)``, float64.
        fitting: Whether a fit is wanted.
        num_fits: How many have been asked for.
        num_epochs: How many epochs of them have begun.
    """

    def __init__(
        self, problem: DesignProblem, batch_size: int = 100, validation_fraction: float = 0.2
    ) -> None:
        """No fit has been asked for.

        Args:
            problem: Of the training designs.
            batch_size: Points in a training batch of one ensemble member, over all processes.
            validation_fraction: Share of the points that a member validates on, drawn anew for
                each member and each fit.
        """
        self.problem = problem
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.weights = problem.base_weights.clone()
        self.fitting = False
        self.num_fits = 0
        self.num_epochs = 0
        self._table: WeightedDesigns | None = None
        self._device = problem.designs.device
        self._num_members = 1
        self._split: tuple[Tensor, Tensor] | None = None

    def begin(self, weights: Tensor | None = None) -> None:
        """Ask for an oracle fit, on new splits.

        Args:
            weights: Importance weights, shape ``(n,)``; the base weights change their proportions
                and not their mean. None leaves the present ones as they are, at first ones.
        """
        if weights is None and self.num_fits == 0:
            weights = torch.ones_like(self.weights)
        if weights is not None:
            base = self.problem.base_weights
            weights = weights.to(base)
            weighted = weights * base
            self._weigh(weighted * (weights.mean() / weighted.mean()))
        self.fitting = True
        self.num_fits += 1
        self._split = None

    def end(self) -> None:
        """The oracle is fitted: there are no training batches until the next `begin`."""
        self.fitting = False

    def place(self, device: torch.device, num_members: int) -> None:
        """Have the batches made on a device, of so many ensemble members."""
        if (device, num_members) != (self._device, self._num_members):
            self._device, self._num_members = device, num_members
            self._table = self._split = None

    def training_batches(self) -> TrainingBatches:
        """Shuffled weighted minibatches, per member."""
        return TrainingBatches(
            self._on_device(),
            rows=lambda: self._rows()[0] if self.fitting else None,
            begin_epoch=self._begin_epoch,
            num_rows=self._rows()[0].shape[1],
            batch_size=self.batch_size,
        )

    def validation_batches(self) -> ValidationBatches:
        """Each member's validation points."""
        return ValidationBatches(self._on_device(), rows=lambda: self._rows()[1])

    def state_dict(self) -> dict[str, Any]:
        """Weights, fits and their epochs so far."""
        return {
            "weights": self.weights,
            "fitting": self.fitting,
            "num_fits": self.num_fits,
            "num_epochs": self.num_epochs,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on in the middle of a fit, or between two."""
        self._weigh(state_dict["weights"])
        self.fitting = state_dict["fitting"]
        self.num_fits = state_dict["num_fits"]
        self.num_epochs = state_dict["num_epochs"]
        self._split = None

    def _weigh(self, weights: Tensor) -> None:
        self.weights = weights.to(self.problem.base_weights, copy=True)
        if self._table is not None:
            self._table.weights.copy_(self.weights)

    def _begin_epoch(self) -> torch.Generator:
        # Not the trainer's epoch: that counts the idle ones too, of which a run that goes on from
        # another's oracle has one more.
        self.num_epochs += 1
        return self.problem.stream.generator("shuffle", self.num_epochs - 1)

    def _on_device(self) -> WeightedDesigns:
        if self._table is None:

            def moved(tensor: Tensor) -> Tensor:
                # A copy even on the CPU: the weights are updated in place.
                return tensor.to(self._device, torch.float32, copy=True)

            noise = self.problem.noise
            self._table = WeightedDesigns(
                moved(self.problem.designs),
                moved(self.problem.properties),
                moved(self.weights),
                None if noise is None else noise.map(moved),
            )
        return self._table

    def _rows(self) -> tuple[Tensor, Tensor]:
        if self._split is None:
            train, validation = split_rows(
                len(self.problem.designs),
                self._num_members,
                self.validation_fraction,
                self.problem.stream.generator("split", self.num_fits),
            )
            self._split = train.to(self._device), validation.to(self._device)
        return self._split
