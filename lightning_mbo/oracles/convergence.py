"""When an ensemble's fit is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError

if TYPE_CHECKING:
    from lightning_mbo.oracles.base import Oracle


class Convergence:
    """Freezes ensemble members that have stopped improving; the fit ends when all have.

    A member is frozen when its weighted validation loss has not improved for `patience` epochs.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, section S4.

    Attributes:
        num_epochs: Of the present fit, so far.
        best_losses: Each member's, so far, on the CPU, ``(k,)``; None before the first epoch.
        epochs_since_best: Likewise.
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

    def begin_epoch(self, oracle: Oracle) -> None:
        """Keep the frozen members' parameters: Adam's momentum would go on moving them."""
        if self.frozen(oracle).any():
            self._kept = [parameter.clone() for parameter in member_parameters(oracle)]

    def put_back(self, oracle: Oracle) -> None:
        """Give the frozen members the parameters that they had when the epoch began."""
        for parameter, kept in zip(member_parameters(oracle), self._kept, strict=False):
            frozen = oracle.frozen.view(-1, *[1] * (parameter.dim() - 1))
            parameter.copy_(torch.where(frozen, kept, parameter))
        self._kept = []

    def judge(self, oracle: Oracle) -> None:
        """Freeze the members that have stopped improving, by the losses of the epoch that ends."""
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
        oracle.frozen.copy_(self.frozen(oracle))

    def is_over(self, oracle: Oracle, fit: int) -> bool:
        """Whether the fit, by its number from 1, is finished."""
        limit = self.max_epochs if fit == 1 else self.max_refit_epochs
        all_frozen = bool(self.frozen(oracle).all())
        return oracle.fit_is_finished or all_frozen or self.num_epochs >= limit

    def start_over(self, oracle: Oracle) -> None:
        """Prepare for the next fit."""
        self.num_epochs = 0
        self.best_losses = self.epochs_since_best = None
        oracle.frozen.zero_()

    def frozen(self, oracle: Oracle) -> Tensor:
        """Which members are frozen, bool, ``(k,)``, where the host knows it: on the CPU."""
        if self.epochs_since_best is None:
            return torch.zeros(oracle.num_members, dtype=torch.bool, device="cpu")
        return self.epochs_since_best >= self.patience

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


def member_parameters(oracle: Oracle) -> list[Tensor]:
    """The oracle's parameters, each with the members along its first dimension."""
    return [parameter.data for parameter in oracle.parameters()]
