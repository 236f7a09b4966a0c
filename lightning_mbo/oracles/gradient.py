"""Oracles that are trained by gradients, in epochs."""

from __future__ import annotations

from abc import ABC

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from lightning_mbo.data.fits import Fits
from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.distributed import all_reduce_sum, world_size
from lightning_mbo.label_noise import LabelNoise, negative_log_likelihoods
from lightning_mbo.oracles.base import Oracle
from lightning_mbo.oracles.convergence import Convergence


class GradientOracle(Oracle, ABC):
    """An oracle whose members are trained on minibatches, until they stop improving."""

    learning_rate: float

    def __init__(self, num_members: int = 1) -> None:
        """Set up the sums of an epoch.

        Args:
            num_members: Ensemble members, k.
        """
        super().__init__(num_members)
        self._sums: dict[str, Tensor] = {}
        self._step_sums: dict[str, Tensor] = {}
        self._num_steps = 0

    def point_losses(self, batch: DesignBatch) -> Tensor:
        """The loss of each point before weighting, shape ``(k, b)``: negative log-likelihood.

        Of the label, with the noise that is known of it: see `LabelNoise`.

        Reference: Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017, equation 1.
        """
        targets = self.standardized(batch.properties)
        outputs = self.member_outputs(batch.designs)
        return negative_log_likelihoods(outputs, targets, self.standardized_noise(batch))

    def standardized_noise(self, batch: DesignBatch) -> LabelNoise | None:
        """The noise of a batch's labels, of the standardised property."""
        noise = batch.noise
        return None if noise is None else noise.map(lambda values: values / self.property_std)

    def member_losses(self, batch: DesignBatch) -> Tensor:
        """Each member's weighted loss of a batch, shape ``(k,)``: every point by its own weight."""
        return (batch.weights * self.point_losses(batch)).sum(1) / batch.size

    def fit(self, fits: Fits, convergence: Convergence | None = None) -> None:
        """Make a whole fit, as a trainer's epochs do: by the same batches and the same rule."""
        convergence = Convergence() if convergence is None else convergence
        optimizer = self.configure_optimizers()
        fits.place(self.device, self.num_members)
        training, validation = fits.training_batches(), fits.validation_batches()
        while fits.fitting:
            self.train()
            convergence.begin_epoch(self)
            for group in training:
                for batch in group:
                    losses = self.member_losses(batch)
                    optimizer.zero_grad()
                    losses.sum().backward()
                    optimizer.step()
            convergence.put_back(self)
            self.eval()
            with torch.no_grad():
                for index, batch in enumerate(validation):
                    self.validation_step(batch, index)
                self.end_validation()
            self._step_sums, self._num_steps = {}, 0
            convergence.judge(self)
            if convergence.is_over(self, fits.num_fits):
                fits.end()
        convergence.start_over(self)
        self.train()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over all members at once; a fresh state starts every fit."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr=self.learning_rate, fused=True)

    def training_step(self, batch: list[DesignBatch], batch_idx: int) -> None:
        """One optimiser step on each minibatch, for all members at once.

        The loader hands over several minibatches together, hence the manual optimisation.
        """
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        for minibatch in batch:
            losses = self.member_losses(minibatch)
            optimizer.zero_grad()
            # The members' losses have no parameter in common, nor do their gradients.
            self.manual_backward(losses.sum())
            optimizer.step()
            self.record("training_loss", losses)
        self._num_steps += len(batch)

    def record(self, name: str, values: Tensor) -> None:
        """Note a figure ``(k,)`` of a training step; the epoch's mean is logged as `oracle/...`."""
        _add(self._step_sums, name, values.detach())

    def validation_step(self, batch: DesignBatch, batch_idx: int) -> None:
        """Accumulate the members' weighted losses."""
        self.add_validation_losses(self.point_losses(batch), batch.weights)

    def add_validation_losses(self, losses: Tensor, weights: Tensor) -> None:
        """Accumulate the points' losses ``(k, b)`` by their weights ``(k, b)``."""
        _add(self._sums, "loss", (weights * losses).sum(1))
        _add(self._sums, "weight", weights.sum(1))

    def epoch_figures(self) -> dict[str, Tensor]:
        """Further figures ``(k,)`` of an epoch that has been validated, by name.

        They are logged, and their means can be monitored, as `oracle/...`.
        """
        return {}

    def end_validation(self) -> dict[str, Tensor]:
        """Each member's validation loss over all processes, and further figures ``(k,)``."""
        loss, weight = (all_reduce_sum(self._sums.pop(name)) for name in ("loss", "weight"))
        # A member whose validation points all weigh nothing has no loss: it counts as converged.
        self.validation_losses = loss / weight
        return {"validation_loss": self.validation_losses, **self.epoch_figures()}

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the members that are not frozen."""
        metrics = self.end_validation()
        for name, values in metrics.items():
            # For callbacks that monitor: the members' mean.
            self.log(f"oracle/{name}", values.mean(), logger=False, sync_dist=True)
        for name, total in self._step_sums.items():
            metrics[name] = all_reduce_sum(total) / (self._num_steps * world_size())
        self._step_sums, self._num_steps = {}, 0
        frozen = self.frozen.tolist()
        named = {
            f"oracle/{name}/member_{j}": value
            for name, values in metrics.items()
            for j, value in enumerate(values.tolist())
            if not frozen[j]
        }
        if self.trainer.state.fn == "validate":
            self.log_dict(named, sync_dist=True)
        if self.trainer.sanity_checking:
            return
        for logger in self.trainer.loggers:
            logger.log_metrics(named, step=self.global_step)


def _add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    sums[name] = sums[name] + value if name in sums else value
