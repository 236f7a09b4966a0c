"""The contract of an oracle that a gradient search can climb."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.oracles.base import Oracle
from lightning_mbo.oracles.representations import Representation, Unchanged
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace


class DifferentiableOracle(Oracle, ABC):
    """An oracle that is differentiable in its inputs, which represent the designs.

    Attributes:
        representation: From designs to inputs and back.
    """

    def __init__(self, num_members: int = 1, representation: Representation | None = None) -> None:
        """Set up what all such oracles share.

        Args:
            num_members: Ensemble members, k.
            representation: What the network sees of a design; default: the design itself.
        """
        super().__init__(num_members)
        self.representation = Unchanged() if representation is None else representation

    @abstractmethod
    def input_outputs(self, inputs: Tensor) -> Normal:
        """Each member's view, on the standardised property.

        Args:
            inputs: Shape ``(b, inputs)``, the same for all members, or ``(k, b, inputs)``.

        Returns:
            Normal of batch shape ``(k, b)``, float32.
        """

    def adapt(self, inputs: Tensor, problem: DesignProblem) -> None:
        """Learn from where an ascent is, before each of its steps and after the last.

        By default nothing. What is learnt is part of the oracle's state, and the same on all
        processes.

        Args:
            inputs: Where its particles are, shape ``(m, inputs)``.
            problem: Of the training designs.
        """

    def member_outputs(self, designs: Tensor) -> Normal:
        """Each member's view of designs, on the standardised property, batch shape ``(k, b)``."""
        return self.input_outputs(self.representation.encode(designs))

    def build(self, space: DesignSpace) -> None:
        """Build the representation; subclasses go on with the network."""
        self.representation.build(space)

    def start(self, problem: DesignProblem) -> None:
        """Learn the scales of the property and of the inputs."""
        super().start(problem)
        self.representation.fit(problem.designs)
