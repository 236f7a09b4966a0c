"""The contract of an oracle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.data.fits import Fits
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.memory import in_chunks
from lightning_mbo.oracles.convergence import Convergence
from lightning_mbo.oracles.restorable import RestorableModule
from lightning_mbo.problem import DesignProblem
from lightning_mbo.random import Stream
from lightning_mbo.samples import Prediction
from lightning_mbo.space import DesignSpace

if TYPE_CHECKING:
    from lightning_mbo.oracles.additive_regression import Effect

_CHUNK_SIZE = 2048


class Oracle(RestorableModule, ABC):
    """A model p_β(y|x) of the property, an equally weighted mixture of k members' normals.

    It is trained on weighted points and knows nothing of search models or algorithms. Calling it
    on designs gives a `torch.distributions.Normal` in the property's own units. It is built when
    the design problem is known: by the trainer, or by `prepare`.

    Attributes:
        num_members: k.
        validation_losses: Each member's weighted validation loss after the last epoch, ``(k,)``.
        frozen: Members that are not trained any further in this fit, bool, ``(k,)``.
        stream: Of what is drawn in `build`; that of the problem that it is built for.
        fit_is_finished: Whether a fit ends with its first epoch, whatever the members' losses do.
    """

    # Lightning skips hooks that are no functions; calling the empty ones costs a tenth of a step.
    on_train_batch_start = None  # type: ignore[assignment]
    on_before_zero_grad = None  # type: ignore[assignment]
    on_before_backward = None  # type: ignore[assignment]
    on_after_backward = None  # type: ignore[assignment]
    on_before_optimizer_step = None  # type: ignore[assignment]
    on_train_batch_end = None  # type: ignore[assignment]

    fit_is_finished = False
    stream: Stream = Stream()
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

    @abstractmethod
    def build(self, space: DesignSpace) -> None:
        """Create and initialise the parameters for designs of this space."""

    @abstractmethod
    def member_outputs(self, designs: Tensor) -> Normal:
        """Each member's view, on the standardised property.

        Args:
            designs: Shape ``(b, *design_shape)``, the same for all members, or
                ``(k, b, *design_shape)``.

        Returns:
            Normal of batch shape ``(k, b)``, float32.
        """

    @abstractmethod
    def fit(self, fits: Fits, convergence: Convergence | None = None) -> None:
        """Make a whole fit, where one is wanted, without a trainer.

        On this oracle's device, in one process, with the bits that a trainer of one gives; nothing
        is logged, and no checkpoint is written.

        Args:
            fits: What is wanted; the fit is ended there.
            convergence: When a gradient oracle's fit ends; default: by the rule's own defaults.
        """

    def standardized(self, properties: Tensor) -> Tensor:
        """Properties as the network knows them, with mean 0 and standard deviation 1."""
        return (properties - self.property_mean) / self.property_std

    def member_predictions(self, designs: Tensor) -> Normal:
        """Each member's view in the property's units, batch shape ``(k, b)``."""
        # Designs are in double precision, and so is all that torch makes where that is its default.
        return self.in_property_units(self.member_outputs(designs.to(self.property_mean)))

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
    def predict(self, designs: Tensor) -> Prediction:
        """Judge many designs ``(m, *design_shape)``, in chunks, without gradients."""
        was_training = self.training
        self.eval()
        means, stds = in_chunks(self._means_and_stds, designs, _CHUNK_SIZE)
        self.train(was_training)
        prediction = mixture(Normal(means, stds, validate_args=False))
        return Prediction(prediction.loc, prediction.scale, means.std(dim=0, correction=0))

    def _means_and_stds(self, designs: Tensor) -> Tensor:
        """Each member's view of designs, ``(2, k, b)``, float64."""
        members = self.member_predictions(designs)
        return torch.stack([members.loc, members.scale]).double()

    def predict_unseen(self, problem: DesignProblem) -> Prediction | None:
        """What the oracle says of `problem.judged`, none of which it was fitted to.

        None where no rows are held out, unless the oracle has predicted each of them by a fit
        without it.
        """
        evidence = problem.evidence.designs
        return self.predict(evidence) if len(evidence) else None

    def refitted(self, problem: DesignProblem, generator: torch.Generator) -> Self | None:
        """One more of its kind, fitted to a problem's rows alone; by default None.

        Args:
            problem: Of the same space.
            generator: Of the CPU, for folds and the like.

        Returns:
            None where a fit takes a training run.
        """
        return None

    def figures(self) -> dict[str, float]:
        """What else there is to say of the last fit, by name; by default nothing."""
        return {}

    def effects(self) -> list[Effect]:
        """What each number and then each one-hot group contributes; by default nobody knows."""
        return []

    def prepare(self, problem: DesignProblem) -> None:
        """Build for a problem and learn what is the same in all fits, once."""
        if self._built_for is not None:
            return
        self.stream = problem.stream
        self.build(problem.space)
        built = self.state_dict().keys()
        self.start(problem)
        self._built_for = problem.space
        self._learnt_buffers = sorted(self.state_dict().keys() - built)

    def configure_model(self) -> None:
        """Build the network for the trainer's design problem, once; without a trainer nothing."""
        if self._trainer is None:  # in `load_from_checkpoint`, where the checkpoint knows the space
            return
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None:
            raise ConfigurationError("the oracle needs fit(model, datamodule=a DesignDataModule)")
        self.prepare(datamodule.problem.training)

    def start(self, problem: DesignProblem) -> None:
        """Learn what is the same in all fits. Called once, after `build`.

        By default, the mean and the standard deviation that the property is standardised by.

        Args:
            problem: Of the training designs.
        """
        self.property_mean.fill_(problem.properties.mean())
        self.property_std.fill_(problem.properties.std(correction=0))

    def test_step(self, batch: Tensor, batch_idx: int, dataloader_idx: int = 0) -> Prediction:  # type: ignore[override]
        """The oracle's view of designs ``(b, *design_shape)``, to be scored."""
        return self.predict(batch)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Prediction:
        """The oracle's view of designs ``(b, *design_shape)``."""
        return self.predict(batch)


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
