"""An ensemble of probabilistic neural networks, trained as one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional

from lightning_mbo.oracles.arguments import positive_rate
from lightning_mbo.oracles.differentiable import DifferentiableOracle
from lightning_mbo.oracles.gradient import GradientOracle
from lightning_mbo.oracles.representations import Representation
from lightning_mbo.random import Stream
from lightning_mbo.space import DesignSpace

_SMALLEST_VARIANCE = 1e-6


class DeepEnsemble(DifferentiableOracle, GradientOracle):
    """Deep ensemble: each member predicts a mean and a variance.

    The members differ in their initialisation, in the order of their batches and in their split
    into training and validation points. They are computed together, as batched matrix products.

    Reference: Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty
    estimation using deep ensembles", NeurIPS 2017; the sizes are those of Fannjiang and
    Listgarten, NeurIPS 2020, section S4.
    """

    def __init__(
        self,
        num_members: int = 3,
        hidden_sizes: Sequence[int] = (100, 100, 100, 100, 10),
        learning_rate: float = 5e-4,
        representation: Representation | None = None,
    ) -> None:
        """Describe the ensemble; `build` creates it.

        Args:
            num_members: k.
            hidden_sizes: Units of each hidden layer of a member.
            learning_rate: Adam's.
            representation: What the network sees of a design; default: the design itself.
        """
        super().__init__(num_members, representation)
        self.hidden_sizes = tuple(hidden_sizes)
        self.learning_rate = positive_rate(learning_rate)

    def build(self, space: DesignSpace) -> None:
        """Create the stacked network for designs of this space."""
        super().build(space)
        sizes = (self.representation.num_features, *self.hidden_sizes, 2)
        self.network = StackedMLP(sizes, self.num_members, self.stream)

    def input_outputs(self, inputs: Tensor) -> Normal:
        """Each member's mean and variance of the standardised property, batch shape ``(k, b)``."""
        raw = self.network(self.representation.features(inputs)).float()
        variance = functional.softplus(raw[..., 1]) + _SMALLEST_VARIANCE
        return Normal(raw[..., 0], variance.sqrt(), validate_args=False)


class StackedMLP(nn.Module):
    """k multilayer perceptrons, as one."""

    def __init__(
        self,
        sizes: Sequence[int],
        num_members: int,
        stream: Stream,
        activation: Callable[[Tensor], Tensor] = functional.elu_,
    ) -> None:
        """Initialise every member on its own, uniformly within 1/√(inputs) of zero.

        Args:
            sizes: Units of each layer, the input's and the output's included.
            num_members: k.
            stream: Of the initial values.
            activation: Of the hidden units, which it may change in place: the derivative is then
                computed of the results, without a second exponential.
        """
        super().__init__()
        self.activation = activation
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for layer, (num_in, num_out) in enumerate(itertools.pairwise(sizes)):
            generator = stream.generator("initialisation", layer)
            # Drawn on the CPU, also where modules are built on a GPU: the same for one seed.
            uniform = torch.rand(
                num_members,
                num_in + 1,
                num_out,
                generator=generator,
                dtype=torch.float32,
                device="cpu",
            )
            initial = ((2 * uniform - 1) / math.sqrt(num_in)).to(torch.get_default_device())
            self.weights.append(nn.Parameter(initial[:, :-1].contiguous()))
            self.biases.append(nn.Parameter(initial[:, -1:].contiguous()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply each member.

        Args:
            inputs: Shape ``(k, b, in)``, or ``(b, in)`` for all members alike.

        Returns:
            Shape ``(k, b, out)``.
        """
        hidden = inputs.to(self.weights[0].dtype).expand(len(self.weights[0]), -1, -1)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < last:
                hidden = self.activation(hidden)
        return hidden
