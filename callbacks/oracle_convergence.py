"""When an oracle fit is finished, and what happens then."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from lightning_mbo.oracles import Convergence, Oracle

from .base import DesignCallback, announce, design_data


class OracleConvergence(DesignCallback):
    """Ends an oracle's fit by the rule of `Convergence`, and announces it.

    Acts at the end of every training epoch, before checkpoints are written. When a fit is finished,
    it announces `on_oracle_fit_end`; the next epoch fits the oracle anew if a callback has asked
    the data's `fits` for that, with a fresh optimiser, and is empty otherwise. Logs the epochs and
    the final validation loss of each fit as `fit/...` over fits. Saves the members' best losses
    and the epochs since.

    Attributes:
        rule: When a fit is finished.
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
        self.rule = Convergence(patience, max_epochs, max_refit_epochs)

    def on_train_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Restore which members are frozen."""
        assert isinstance(oracle, Oracle)
        oracle.frozen.copy_(self.rule.frozen(oracle))

    def on_train_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Keep the frozen members' parameters."""
        assert isinstance(oracle, Oracle)
        self.rule.begin_epoch(oracle)

    def on_validation_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Put the frozen members' parameters back."""
        assert isinstance(oracle, Oracle)
        self.rule.put_back(oracle)

    def on_train_epoch_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Judge the members; when all are done, announce it and prepare for the next fit."""
        assert isinstance(oracle, Oracle)
        fits = design_data(trainer).fits
        self.rule.put_back(oracle)
        if fits.fitting:
            self.rule.judge(oracle)
            if not self.rule.is_over(oracle, fits.num_fits):
                return
            fits.end()
            self._log(trainer, oracle, fits.num_fits)
        announce(trainer, "on_oracle_fit_end", oracle)
        if fits.fitting:
            self.rule.start_over(oracle)
            for optimizer in trainer.optimizers:
                optimizer.state.clear()

    def state_dict(self) -> dict[str, Any]:
        """Best losses and epochs since, per member, and the epochs of this fit."""
        return self.rule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on in the middle of a fit."""
        self.rule.load_state_dict(state_dict)

    def _log(self, trainer: pl.Trainer, oracle: Oracle, fit: int) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(
                {
                    "fit/epochs": self.rule.num_epochs,
                    "fit/validation_loss": oracle.validation_losses.mean().item(),
                },
                step=fit - 1,
            )
