"""Modules that a checkpoint can make anew, without the trainer that wrote it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.checkpoints import read_checkpoint
from lightning_mbo.errors import CheckpointError
from lightning_mbo.oracles.arguments import arguments_of, remade
from lightning_mbo.space import DesignSpace


class RestorableModule(pl.LightningModule, ABC):
    """A module whose checkpoints hold what it was made of: arguments, and the designs' space."""

    def __init__(self) -> None:
        """Not built yet."""
        super().__init__()
        self._built_for: DesignSpace | None = None
        # Names of those that it has only learnt from the training designs.
        self._learnt_buffers: list[str] = []

    @abstractmethod
    def build(self, space: DesignSpace) -> None:
        """Create and initialise the parameters for designs of this space."""

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """The fitted oracle of a run, without a trainer: it predicts what it did in the run.

        Args:
            checkpoint_path: A checkpoint that a trainer has written.
            map_location: As in `torch.load`.
            hparams_file: As in Lightning.
            strict: As in Lightning.
            weights_only: As in `torch.load`.
            **kwargs: Arguments of the constructor, in place of the checkpoint's.

        Raises:
            CheckpointError: If it cannot be read, is of another architecture, or an argument of the
                constructor is neither in it nor given: those are in it that are numbers, texts,
                lists or modules, and are attributes of the same name.
        """
        saved = read_checkpoint(checkpoint_path).get("oracle")
        if saved is None:
            raise CheckpointError(
                f"{checkpoint_path} does not say what its oracle was made of: go on from it with "
                "fit, or with predict"
            )
        unknown = [name for name in saved["unknown"] if name not in kwargs]
        if unknown:
            raise CheckpointError(
                f"{checkpoint_path} does not know what {', '.join(unknown)} of its oracle was: "
                f"give load_from_checkpoint(path, {unknown[0]}=...)"
            )
        known = {name: kept for name, kept in saved["arguments"].items() if name not in kwargs}
        return super().load_from_checkpoint(
            checkpoint_path,
            map_location,
            hparams_file,
            strict,
            weights_only,
            **{name: remade(kept) for name, kept in known.items()},
            **kwargs,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the oracle is made of, for `load_from_checkpoint`."""
        # Not as Lightning's hyper-parameters: on resuming, those would beat the command line's.
        if self._built_for is None:
            return
        arguments, unknown = arguments_of(self)
        checkpoint["oracle"] = {
            "arguments": arguments,
            "unknown": unknown,
            "design_shape": list(self._built_for.shape),
            "groups": list(self._built_for.groups),
            "descriptors": self._built_for.descriptors,
            "learnt_buffers": self._learnt_buffers,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another architecture; without a trainer, build first.

        Raises:
            CheckpointError: Naming the first parameter that differs.
        """
        if self._built_for is None and "oracle" in checkpoint:
            self._build_as_saved(checkpoint["oracle"], checkpoint["state_dict"])
        own, saved = self.state_dict(), checkpoint["state_dict"]
        for name in sorted(own.keys() | saved.keys()):
            shapes = [tuple(s[name].shape) if name in s else "absent" for s in (saved, own)]
            if shapes[0] != shapes[1]:
                raise CheckpointError(
                    f"the checkpoint is of another architecture: {name} is {shapes[0]} in it and "
                    f"{shapes[1]} in this {type(self).__name__}. Give the config of its own run"
                )

    @contextmanager
    def in_state(self, state: dict[str, Tensor]) -> Iterator[None]:
        """Be for a while as it was when its `state_dict` was copied."""
        present = copied(self.state_dict())
        self._take_over(state)
        try:
            yield
        finally:
            self._take_over(present)

    def _take_over(self, state: dict[str, Tensor]) -> None:
        self._reshape_like(state)
        self.load_state_dict(state)

    def _reshape_like(self, state: dict[str, Tensor]) -> None:
        """Give what it has learnt the shapes of a state, which fits may change."""
        for name in self._learnt_buffers:
            if name in state and state[name].shape != self.get_buffer(name).shape:
                owner, _, buffer = name.rpartition(".")
                self.get_submodule(owner).register_buffer(
                    buffer, torch.empty_like(state[name], device=self.device)
                )

    def _build_as_saved(self, saved: dict[str, Any], state: dict[str, Tensor]) -> None:
        self._built_for = DesignSpace(
            torch.Size(saved["design_shape"]), tuple(saved["groups"]), saved["descriptors"]
        )
        self._learnt_buffers = saved["learnt_buffers"]
        self.build(self._built_for)
        for name in self._learnt_buffers:
            owner, _, buffer = name.rpartition(".")
            self.get_submodule(owner).register_buffer(buffer, torch.empty_like(state[name]))


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A module's state, on the CPU, that does not change with the module."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
