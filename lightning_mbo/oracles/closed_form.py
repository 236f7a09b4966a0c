"""Oracles that are fitted in one call."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn

from lightning_mbo.data.fits import Fits
from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.distributed import rank, state_from_rank_zero, world_size
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.oracles.base import Oracle
from lightning_mbo.oracles.convergence import Convergence
from lightning_mbo.problem import DesignProblem


class ClosedFormOracle(Oracle, ABC):
    """An oracle without epochs: a fit is one call, at the start of an epoch that trains nothing.

    Of several processes the first fits, and the others receive what it has found. What `start`
    registers may change its shape in a fit, but not its type.
    """

    fit_is_finished = True

    def __init__(self, num_members: int = 1) -> None:
        """Set up the bookkeeping that all oracles share.

        Args:
            num_members: Ensemble members, k.
        """
        super().__init__(num_members)
        # Never used: torch has several processes together only for a module with a parameter.
        self.unused = nn.Parameter(torch.zeros(num_members))

    @abstractmethod
    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """Fit the parameters and buffers.

        Args:
            problem: Of the training designs, on the CPU.
            weights: Of the designs, shape ``(n,)``, not negative, not all zero.
            generator: Of the CPU, for folds and the like.
        """

    @abstractmethod
    def validation_loss(self) -> Tensor:
        """What the last fit says of designs that it has not seen, a scalar: less is better."""

    def fit(self, fits: Fits, convergence: Convergence | None = None) -> None:
        """Make a whole fit, which no rule of convergence has a part in."""
        if fits.fitting:
            self._solve(fits)
            self.validation_losses = self.validation_loss()[None]
            fits.end()

    def refitted(self, problem: DesignProblem, generator: torch.Generator) -> Self:
        """One more of its kind, fitted afresh to a problem's rows."""
        other = self._blank()
        other.prepare(problem)
        other.solve(problem, problem.base_weights.double(), generator)
        return other

    def _blank(self) -> Self:
        """A copy that is in no trainer, and to be built."""
        other = copy.deepcopy(self, {id(self._trainer): None})
        other._built_for = None
        return other

    def _solve(self, fits: Fits) -> None:
        if rank() == 0:
            generator = fits.problem.stream.generator("folds", fits.num_fits)
            self.solve(fits.problem, fits.weights, generator)
        if world_size() > 1:
            self._take_over(state_from_rank_zero(self.state_dict()))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the shapes of what it has learnt, which a fit may have changed."""
        self._reshape_like(checkpoint["state_dict"])
        super().on_load_checkpoint(checkpoint)

    def standardized_noise(self, problem: DesignProblem) -> LabelNoise:
        """That of a problem's labels ``(n,)``, beside the standardised property; zeros for none."""
        if problem.noise is None:
            none = torch.zeros_like(self.property_std).expand(len(problem.properties))
            return LabelNoise(none, none)
        return problem.noise.map(lambda values: values.to(self.property_std) / self.property_std)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """None: nothing is learnt by gradients."""
        return []

    def on_train_epoch_start(self) -> None:
        """Fit, where a fit is wanted."""
        fits = self.trainer.datamodule.fits  # type: ignore[attr-defined]
        if fits.fitting:
            self._solve(fits)

    def training_step(self, batch: list[DesignBatch], batch_idx: int) -> None:
        """Nothing: the epoch began with the fit."""

    def validation_step(self, batch: DesignBatch, batch_idx: int) -> None:
        """Nothing: the fit was validated when it was made."""

    def on_validation_epoch_end(self) -> None:
        """Log the validation loss."""
        self.validation_losses = self.validation_loss()[None]
        # Within a fit, there are no optimiser steps for a logger to draw it over.
        logger = None if self.trainer.state.fn == "validate" else False
        self.log("oracle/validation_loss", self.validation_losses[0], logger=logger)
