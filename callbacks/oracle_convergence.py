"""When an oracle fit is finished."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import Oracle

from .base import DesignCallback, announce, design_data


class OracleConvergence(DesignCallback):
    """Freezes ensemble members that have stopped improving, and announces the end of a fit.

    Acts at the end of every training epoch, before checkpoints are written. A member is frozen
    when its weighted validation loss has not improved for `patience` epochs. When all are, it
    announces `on_oracle_fit_end`; the next epoch fits the oracle anew if a callback has asked for
    that with `begin_fit`, with a fresh optimiser, and is empty otherwise. Logs the epochs and the
    final validation loss of each fit as `fit/...` over fits. Saves the members' best
    losses and the epochs since.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, section S4.
    """

    def __init__(
        self, patience: int = 2, max_epochs: int = 2000, max_refit_epochs: int | None = None
    ) -> None:
        """Set the rule.

        Args:
            patience: Epochs without improvement after which a member is frozen.
            max_epochs: Of one fit, after which it ends in any case.
            max_refit_epochs: Of every fit but the first, which start from a fitted oracle;
                default: `max_epochs`.

        Raises:
            ConfigurationError: If any is below 1.
        """
        max_refit_epochs = max_epochs if max_refit_epochs is None else max_refit_epochs
        if min(patience, max_epochs, max_refit_epochs) < 1:
            raise ConfigurationError(
                "convergence.patience, max_epochs and max_refit_epochs must be at least 1"
            )
        self.patience = patience
        self.max_epochs = max_epochs
        self.max_refit_epochs = max_refit_epochs
        self.num_epochs = 0
        self.best_losses: Tensor | None = None
        self.epochs_since_best: Tensor | None = None
        self._kept: list[Tensor] = []

    def on_train_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Restore which members are frozen."""
        assert isinstance(oracle, Oracle)
        oracle.frozen.copy_(self._frozen(oracle))

    def on_train_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Keep the frozen members' parameters: Adam's momentum would go on moving them."""
        assert isinstance(oracle, Oracle)
        if self._frozen(oracle).any():
            self._kept = [parameter.clone() for parameter in member_parameters(oracle)]

    def on_validation_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Put the frozen members' parameters back."""
        assert isinstance(oracle, Oracle)
        self._put_back(oracle)

    def on_train_epoch_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Judge the members; when all are done, announce it and prepare for the next fit."""
        assert isinstance(oracle, Oracle)
        data = design_data(trainer)
        self._put_back(oracle)
        if data.fitting:
            self._judge(oracle)
            limit = self.max_epochs if data.num_fits == 1 else self.max_refit_epochs
            if not (self._frozen(oracle).all() or self.num_epochs >= limit):
                return
            data.end_fit()
            self._log(trainer, oracle, data.num_fits)
        announce(trainer, "on_oracle_fit_end", oracle)
        if data.fitting:
            self._start_over(trainer, oracle)

    def state_dict(self) -> dict[str, Any]:
        """Best losses and epochs since, per member, and the epochs of this fit."""
        return {
            "num_epochs": self.num_epochs,
            "best_losses": self.best_losses,
            "epochs_since_best": self.epochs_since_best,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on in the middle of a fit."""
        self.num_epochs = state_dict["num_epochs"]
        self.best_losses = state_dict["best_losses"]
        self.epochs_since_best = state_dict["epochs_since_best"]

    def _log(self, trainer: pl.Trainer, oracle: Oracle, fit: int) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(
                {
                    "fit/epochs": self.num_epochs,
                    "fit/validation_loss": oracle.validation_losses.mean().item(),
                },
                step=fit - 1,
            )

    def _put_back(self, oracle: Oracle) -> None:
        for parameter, kept in zip(member_parameters(oracle), self._kept, strict=False):
            frozen = oracle.frozen.view(-1, *[1] * (parameter.dim() - 1))
            parameter.copy_(torch.where(frozen, kept, parameter))
        self._kept = []

    def _judge(self, oracle: Oracle) -> None:
        losses = oracle.validation_losses.detach().cpu()
        if self.best_losses is None or self.epochs_since_best is None:
            self.best_losses = torch.full_like(losses, torch.inf)
            self.epochs_since_best = torch.zeros(
                len(losses), dtype=torch.long, device=losses.device
            )
        improved = losses < self.best_losses
        self.best_losses = torch.where(improved, losses, self.best_losses)
        running = self.epochs_since_best < self.patience
        self.epochs_since_best = torch.where(
            running & improved, 0, self.epochs_since_best + running.long()
        )
        self.num_epochs += 1
        oracle.frozen.copy_(self._frozen(oracle))

    def _frozen(self, oracle: Oracle) -> Tensor:
        """Which members are frozen, bool, ``(k,)``, where the host knows it: on the CPU."""
        if self.epochs_since_best is None:
            return torch.zeros(oracle.num_members, dtype=torch.bool, device="cpu")
        return self.epochs_since_best >= self.patience

    def _start_over(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        self.num_epochs = 0
        self.best_losses = self.epochs_since_best = None
        oracle.frozen.zero_()
        for optimizer in trainer.optimizers:
            optimizer.state.clear()


def member_parameters(oracle: Oracle) -> list[Tensor]:
    """The oracle's parameters, each with the members along its first dimension."""
    return [parameter.data for parameter in oracle.parameters()]
