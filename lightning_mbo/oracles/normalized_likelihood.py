"""Oracles that allow for every label that a design might have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.func import functional_call
from torch.nn import functional

from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles.arguments import positive_rate
from lightning_mbo.oracles.deep_ensemble import StackedMLP
from lightning_mbo.oracles.regression_ensemble import RegressionEnsemble
from lightning_mbo.oracles.representations import Representation
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace

_SMALLEST_VARIANCE = 1e-6
_LOGISTIC = 3**0.5 / torch.pi
"""The scale of a logistic distribution whose standard deviation is one."""


class NormalizedLikelihoodModel(RegressionEnsemble):
    """A regressor that is put to the test of every label at the designs of an ascent (NEMO).

    The labels' range is divided into K bins. As an ascent goes on, there are K copies of the
    network, each of which goes on learning from the table and, of the designs where the ascent
    is, that their label is in its own bin. What is said of a design is the conditional normalised
    maximum likelihood, p(y_k given x) ∝ p_k(y_k given x) by copy k: where the data do not
    contradict, every label can be learnt, and the mean stays in the middle. The copies start from
    the network when an ascent begins, take a step of gradient descent with each of the ascent's,
    and predict by running averages of their parameters. Fitting the oracle lays them aside.

    A label's distribution is a logistic one, cut at the bins' edges, whose variance is the
    network's mean squared error on held-out points.

    Reference: Fu and Levine, "Offline model-based optimization via normalized maximum likelihood
    estimation", ICLR 2021, algorithm 1. Ours: the network is fitted by squared errors, the copies
    start from one network, and the designs of an ascent share them.
    """

    bins: Tensor
    copies: StackedMLP
    averages: StackedMLP

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (256, 256),
        learning_rate: float = 3e-4,
        negative_slope: float = 0.01,
        num_bins: int = 16,
        margin: float = 0.5,
        adaptation_rate: float = 0.05,
        averaging_rate: float = 0.05,
        query_weight: float = 0.01,
        batch_size: int = 128,
        representation: Representation | None = None,
    ) -> None:
        """Describe the model; `build` creates it.

        Args:
            hidden_sizes: Units of each hidden layer.
            learning_rate: Adam's, in a fit.
            negative_slope: Of the leaky ReLU; 0 makes it a ReLU.
            num_bins: K.
            margin: How far the bins go beyond the greatest label, in ranges of the labels.
            adaptation_rate: That of the copies' gradient descent, α_θ, and the length of a step at
                most; of the loss over that at which its curvature is one.
            averaging_rate: The share of the present parameters in their running averages.
            query_weight: What the ascent's designs together count for, beside the table.
            batch_size: Points of the table in a step of the copies.
            representation: What the network sees of a design; default: the design itself.

        Raises:
            ConfigurationError: If there are too few bins, or a number is out of its range.
        """
        super().__init__(1, hidden_sizes, learning_rate, negative_slope, representation)
        if num_bins < 2 or margin < 0 or batch_size < 1 or not 0 < averaging_rate <= 1:
            raise ConfigurationError(
                "model.num_bins must be at least 2, margin not negative, batch_size at least 1 and "
                f"averaging_rate in (0, 1], not {num_bins}, {margin}, {batch_size} and "
                f"{averaging_rate}"
            )
        if not 0 <= query_weight < float("inf"):
            raise ConfigurationError(f"model.query_weight must not be negative: {query_weight}")
        self.num_bins = num_bins
        self.margin = margin
        self.adaptation_rate = positive_rate(adaptation_rate, "model.adaptation_rate")
        self.averaging_rate = averaging_rate
        self.query_weight = query_weight
        self.batch_size = batch_size
        self._num_adapted = 0  # not a buffer: on a GPU, to ask for it would make the host wait

    def build(self, space: DesignSpace) -> None:
        """Create the network, and room for its copies."""
        super().build(space)
        self.register_buffer("bins", torch.zeros(self.num_bins, dtype=torch.float32))
        # Parameters that no optimiser and no gradient of a fit reaches.
        self.copies = self.stacked(self.num_bins).requires_grad_(False)
        self.averages = self.stacked(self.num_bins).requires_grad_(False)

    def get_extra_state(self) -> Tensor:
        """How many steps the copies have made."""
        return torch.tensor(self._num_adapted, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with the copies."""
        self._num_adapted = int(state)

    def member_losses(self, batch: DesignBatch) -> Tensor:
        """Those of a `RegressionEnsemble`; the copies, of the network as it was, are laid aside."""
        self._num_adapted = 0
        return super().member_losses(batch)

    def input_outputs(self, inputs: Tensor) -> Normal:
        """The mean and the deviation of the normalised likelihood, batch shape ``(1, b)``.

        Before an ascent, the network's own.
        """
        if self._num_adapted == 0:
            return super().input_outputs(inputs)
        means = self.averages(self.representation.features(inputs))[..., 0].float()
        lower, upper = self._edges()
        log_probs = bin_log_probs(means, lower[:, None], upper[:, None], self._scale())
        shares = torch.softmax(log_probs, dim=0)
        mean = self.bins @ shares
        variance = (shares * (self.bins[:, None] - mean).square()).sum(0)
        std = variance.clamp(min=_SMALLEST_VARIANCE).sqrt()
        return Normal(mean[None], std[None], validate_args=False)

    @torch.no_grad()
    def adapt(self, inputs: Tensor, problem: DesignProblem) -> None:
        """One step of all copies, at the designs where an ascent is."""
        if self._num_adapted == 0:
            self._start_copies(problem)
        designs, labels, weights = self._drawn(problem)
        inputs = inputs.to(designs)
        features = self.representation.features(
            torch.cat([self.representation.encode(designs), inputs])
        )
        lower, upper = self._edges()
        known = torch.bucketize(labels, lower[1:])
        wanted = torch.arange(self.num_bins, device=known.device)
        # (K, b + m): the bins of the table's points are all copies', those of the ascent its own.
        bins = torch.cat(
            [known.expand(self.num_bins, -1), wanted[:, None].expand(-1, len(inputs))], dim=1
        )
        share = self.query_weight / len(inputs)
        shares = torch.cat([weights / weights.sum(), weights.new_full((len(inputs),), share)])
        parameters = {
            name: parameter.detach().requires_grad_()
            for name, parameter in self.copies.named_parameters()
        }
        with torch.enable_grad():
            means = functional_call(self.copies, parameters, features)[..., 0]
            scale = self._scale()
            losses = -bin_log_probs(means, lower[bins], upper[bins], scale) * shares
            # In units in which its curvature is one at most, whatever the noise.
            losses = 4 * scale.square() * losses
            gradients = torch.autograd.grad(losses.sum(), list(parameters.values()))
        squares = torch.stack([gradient.square().sum((1, 2)) for gradient in gradients]).sum(0)
        rates = self.adaptation_rate / squares.sqrt().clamp(min=1)
        for copy, average, gradient in zip(
            self.copies.parameters(), self.averages.parameters(), gradients, strict=True
        ):
            copy.sub_(rates[:, None, None] * gradient)
            average.lerp_(copy, self.averaging_rate)
        self._num_adapted += 1

    def _drawn(self, problem: DesignProblem) -> tuple[Tensor, Tensor, Tensor]:
        """Points of the table, ``(b, *design_shape)`` and ``(b,)`` each: labels and weights."""
        generator = problem.stream.generator("adaptation", self._num_adapted)
        number = len(problem.designs)
        rows = torch.randint(number, (self.batch_size,), generator=generator, device="cpu")
        designs, labels, weights = (
            values[rows].to(self.bins)
            for values in (problem.designs, problem.properties, problem.base_weights)
        )
        return designs, self.standardized(labels), weights

    def _start_copies(self, problem: DesignProblem) -> None:
        """Copy the network, and divide the labels' range."""
        for stacked in (self.copies, self.averages):
            for copy, own in zip(stacked.parameters(), self.network.parameters(), strict=True):
                copy.copy_(own.expand_as(copy))
        labels = self.standardized(problem.properties.to(self.bins))
        least, greatest = labels.min(), labels.max()
        greatest = greatest + self.margin * (greatest - least)
        places = torch.arange(self.num_bins, dtype=self.bins.dtype, device=self.bins.device)
        shares = (places + 0.5) / self.num_bins
        self.bins.copy_(least + shares * (greatest - least))

    def _edges(self) -> tuple[Tensor, Tensor]:
        """The lower and the upper edges of the bins, ``(K,)`` each; the outer two are infinite."""
        inner = (self.bins[1:] + self.bins[:-1]) / 2
        end = inner.new_full((1,), torch.inf)
        return torch.cat([-end, inner]), torch.cat([inner, end])

    def _scale(self) -> Tensor:
        return self.residual_variance.clamp(min=_SMALLEST_VARIANCE).sqrt() * _LOGISTIC


def bin_log_probs(means: Tensor, lower: Tensor, upper: Tensor, scale: Tensor) -> Tensor:
    """The logarithm of a logistic distribution's probability between two edges.

    Args:
        means: Of the distribution.
        lower: The lower edge, or -inf.
        upper: The upper edge, or inf.
        scale: Of the distribution, that is √3 / π times its standard deviation.
    """
    a, b = (lower - means) / scale, (upper - means) / scale
    # σ(b) - σ(a) = σ(b) σ(-a) (1 - exp(a - b)), of which no part is a difference of likes.
    inside = torch.log1p(-torch.exp((lower - upper) / scale))
    return functional.logsigmoid(b) + functional.logsigmoid(-a) + inside
