"""The contract of an oracle."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.data.label_noise import LabelNoise, negative_log_likelihoods
from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.distributed import all_reduce_sum, world_size
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles.restorable import RestorableModule

_CHUNK_SIZE = 8192


class Oracle(RestorableModule, ABC):
    """A model p_β(y|x) of the property, an equally weighted mixture of k members' normals.

    It is trained on weighted points and knows nothing of search models or algorithms. Calling it
    on designs gives a `torch.distributions.Normal` in the property's own units. The network is
    built when the design problem is known: by the trainer, or by `build`.

    Attributes:
        num_members: k.
        validation_losses: Each member's weighted validation loss after the last epoch, ``(k,)``.
        frozen: Members that are not trained any further in this fit, bool, ``(k,)``.
    """

    # Lightning skips hooks that are no functions; calling the empty ones costs a tenth of a step.
    on_train_batch_start = None  # type: ignore[assignment]
    on_before_zero_grad = None  # type: ignore[assignment]
    on_before_backward = None  # type: ignore[assignment]
    on_after_backward = None  # type: ignore[assignment]
    on_before_optimizer_step = None  # type: ignore[assignment]
    on_train_batch_end = None  # type: ignore[assignment]

    learning_rate: float
    property_mean: Tensor
    property_std: Tensor
    frozen: Tensor

    def __init__(self, num_members: int = 1) -> None:
        """Set up the bookkeeping that all oracles share.

        Args:
            num_members: Ensemble members, k.

        Raises:
            ConfigurationError: If there is no member.
        """
        super().__init__()
        self.automatic_optimization = False
        if num_members < 1:
            raise ConfigurationError(f"model.num_members must be at least 1, not {num_members}")
        self.num_members = num_members
        self.register_buffer("property_mean", torch.zeros((), dtype=torch.float32))
        self.register_buffer("property_std", torch.ones((), dtype=torch.float32))
        self.register_buffer("frozen", torch.zeros(num_members, dtype=torch.bool), persistent=False)
        self.validation_losses = torch.full((num_members,), torch.inf)
        self._sums: dict[str, Tensor] = {}
        self._step_sums: dict[str, Tensor] = {}
        self._num_steps = 0

    @abstractmethod
    def build(self, design_shape: torch.Size) -> None:
        """Create and initialise the parameters for designs of this shape."""

    @abstractmethod
    def member_outputs(self, designs: Tensor) -> Normal:
        """Each member's view, on the standardised property.

        Args:
            designs: Shape ``(b, *design_shape)``, the same for all members, or
                ``(k, b, *design_shape)``.

        Returns:
            Normal of batch shape ``(k, b)``, float32.
        """

    def point_losses(self, batch: DesignBatch) -> Tensor:
        """The loss of each point before weighting, shape ``(k, b)``: negative log-likelihood.

        Of the label, with the noise that is known of it: see `LabelNoise`.

        Reference: Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017, equation 1.
        """
        targets = self.standardized(batch.properties)
        outputs = self.member_outputs(batch.designs)
        return negative_log_likelihoods(outputs, targets, self.standardized_noise(batch))

    def standardized(self, properties: Tensor) -> Tensor:
        """Properties as the network knows them, with mean 0 and standard deviation 1."""
        return (properties - self.property_mean) / self.property_std

    def standardized_noise(self, batch: DesignBatch) -> LabelNoise | None:
        """The noise of a batch's labels, of the standardised property."""
        noise = batch.noise
        return None if noise is None else noise.map(lambda values: values / self.property_std)

    def member_losses(self, batch: DesignBatch) -> Tensor:
        """Each member's weighted loss of a batch, shape ``(k,)``: every point by its own weight."""
        return (batch.weights * self.point_losses(batch)).sum(1) / batch.size

    def member_predictions(self, designs: Tensor) -> Normal:
        """Each member's view in the property's units, batch shape ``(k, b)``."""
        return self.in_property_units(self.member_outputs(designs))

    def in_property_units(self, outputs: Normal) -> Normal:
        """What is said of the standardised property, said of the property itself."""
        return Normal(
            outputs.loc * self.property_std + self.property_mean,
            outputs.scale * self.property_std,
            validate_args=False,
        )

    def forward(self, designs: Tensor) -> Normal:
        """The oracle's view of designs ``(b, *design_shape)``: a Normal of batch shape ``(b,)``."""
        return mixture(self.member_predictions(designs))

    @torch.no_grad()
    def predict(self, designs: Tensor) -> tuple[Normal, Tensor]:
        """Judge many designs, in chunks, without gradients.

        Args:
            designs: Shape ``(m, *design_shape)``.

        Returns:
            The oracle's Normal, batch shape ``(m,)``, and the standard deviation of the members'
            means, shape ``(m,)``; both float64, in the property's units.
        """
        was_training = self.training
        self.eval()
        members = [
            self.member_predictions(chunk)
            for chunk in designs.to(self.property_mean).split(_CHUNK_SIZE)
        ]
        self.train(was_training)
        means = torch.cat([m.loc for m in members], dim=1).double()
        stds = torch.cat([m.scale for m in members], dim=1).double()
        prediction = mixture(Normal(means, stds, validate_args=False))
        return prediction, means.std(dim=0, correction=0)

    def configure_model(self) -> None:
        """Build the network for the trainer's design problem, once; without a trainer nothing."""
        if self._trainer is None:  # in `load_from_checkpoint`, where the checkpoint knows the shape
            return
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None:
            raise ConfigurationError("the oracle needs fit(model, datamodule=a DesignDataModule)")
        if self._built_for is not None:
            return
        self.build(datamodule.design_shape)
        built = self.state_dict().keys()
        self.start(datamodule.designs, datamodule.properties)
        self._built_for = datamodule.design_shape
        self._learnt_buffers = sorted(self.state_dict().keys() - built)

    def start(self, designs: Tensor, properties: Tensor) -> None:
        """Learn what is the same in all fits. Called once, after `build`.

        By default, the mean and the standard deviation that the property is standardised by.

        Args:
            designs: The training designs, shape ``(n, *design_shape)``, float64.
            properties: Their labels, shape ``(n,)``, float64.
        """
        self.property_mean.fill_(properties.mean())
        self.property_std.fill_(properties.std(correction=0))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over all members at once; a fresh state starts every fit."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, fused=True)

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

    def on_validation_epoch_end(self) -> None:
        """Each member's validation loss over all processes; log the figures of those not frozen."""
        loss, weight = (all_reduce_sum(self._sums.pop(name)) for name in ("loss", "weight"))
        # A member whose validation points all weigh nothing has no loss: it counts as converged.
        self.validation_losses = loss / weight
        metrics = {"validation_loss": self.validation_losses, **self.epoch_figures()}
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

    def test_step(  # type: ignore[override]
        self, batch: Tensor, batch_idx: int, dataloader_idx: int = 0
    ) -> Normal:
        """The oracle's view of designs ``(b, *design_shape)``, to be scored."""
        return self.predict(batch)[0]

    def predict_step(self, batch: Tensor, batch_idx: int) -> tuple[Normal, Tensor]:
        """The oracle's view of designs ``(b, *design_shape)``, and the members' disagreement."""
        return self.predict(batch)


def _add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    sums[name] = sums[name] + value if name in sums else value


def mixture(members: Normal) -> Normal:
    """The normal with the mean and variance of an equally weighted mixture.

    Reference: Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017, section 2.4.

    Args:
        members: Batch shape ``(k, b)``.

    Returns:
        Batch shape ``(b,)``.
    """
    # The mean of the variances plus the variance of the means, which cannot come out negative.
    variance = members.variance.mean(0) + members.loc.var(0, correction=0)
    return Normal(members.loc.mean(0), variance.sqrt(), validate_args=False)
