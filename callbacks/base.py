"""The hooks of design time."""

from __future__ import annotations

from typing import Any, TypeVar

import pytorch_lightning as pl

from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration

T = TypeVar("T")


class DesignCallback(pl.Callback):
    """A Lightning callback with two more hooks, for what happens between oracle fits.

    The hooks of single training steps are absent: nothing here acts within an oracle fit's
    epochs, and to call them for every callback costs as much as a small network's step. A
    subclass that needs one defines it.
    """

    on_train_batch_start = None  # type: ignore[assignment]
    on_before_zero_grad = None  # type: ignore[assignment]
    on_before_backward = None  # type: ignore[assignment]
    on_after_backward = None  # type: ignore[assignment]
    on_before_optimizer_step = None  # type: ignore[assignment]
    on_train_batch_end = None  # type: ignore[assignment]

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        """Act when the oracle has been fitted, or does not need to be."""

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Act when the search model has been updated, the oracle not yet."""


def announce(trainer: pl.Trainer, hook: str, *args: Any) -> None:
    """Call a design-time hook of every callback that has it, in the trainer's order."""
    for callback in callbacks_of(trainer, DesignCallback):
        getattr(callback, hook)(trainer, *args)


def callbacks_of(trainer: pl.Trainer, kind: type[T]) -> list[T]:
    """The trainer's callbacks of a class, in their order."""
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]


def callback_of(trainer: pl.Trainer, kind: type[T]) -> T | None:
    """The trainer's first callback of a class, or None."""
    return next(iter(callbacks_of(trainer, kind)), None)


def design_data(trainer: pl.Trainer) -> DesignDataModule:
    """The trainer's design problem.

    Raises:
        ConfigurationError: If it has none.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, DesignDataModule):
        raise ConfigurationError("a design run needs fit(model, datamodule=a DesignDataModule)")
    return data


def problem_of(trainer: pl.Trainer) -> DesignProblem:
    """What the trainer's run is to design."""
    return design_data(trainer).problem
