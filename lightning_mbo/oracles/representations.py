"""How a network sees designs: as vectors that it can be differentiated in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.sequences import from_logits, to_logits
from lightning_mbo.space import DesignSpace


class Representation(nn.Module, ABC):
    """A map from designs to a network's inputs, and back to the nearest design.

    Sequences are designs of shape ``(l, v)``, one-hot in their last dimension; what is decoded of
    them is one-hot again.

    Attributes:
        design_shape: Of one design.
        num_inputs: Length of its vector of inputs.
        num_features: Length of what the network sees of it.
    """

    design_shape: torch.Size
    num_inputs: int
    num_features: int

    def build(self, space: DesignSpace) -> None:
        """Learn what designs are. Called once, before all else."""
        self.design_shape = space.shape
        self.num_inputs = self.num_features = math.prod(space.shape)

    def fit(self, designs: Tensor) -> None:
        """Learn the inputs' scale from the training designs ``(n, *design_shape)``."""

    @abstractmethod
    def encode(self, designs: Tensor) -> Tensor:
        """The inputs ``(..., inputs)`` of designs ``(..., *design_shape)``."""

    @abstractmethod
    def decode(self, inputs: Tensor) -> Tensor:
        """The designs ``(..., *design_shape)`` that are nearest to inputs ``(..., inputs)``."""

    def features(self, inputs: Tensor) -> Tensor:
        """What the network sees ``(..., features)`` of inputs ``(..., inputs)``: just these."""
        return inputs


class Unchanged(Representation):
    """Designs as they are, flattened; what the network sees has descriptors of levels, too."""

    def build(self, space: DesignSpace) -> None:
        """Learn what designs are."""
        super().build(space)
        self._space = space
        self.num_features += sum(space.num_descriptors)

    def encode(self, designs: Tensor) -> Tensor:
        """Flatten each design."""
        return designs.flatten(-len(self.design_shape))

    def decode(self, inputs: Tensor) -> Tensor:
        """Restore each design's shape; of a sequence, the greatest entry at each position."""
        designs = inputs.unflatten(-1, self.design_shape)
        return designs if len(self.design_shape) == 1 else one_hot_of_largest(designs)

    def features(self, inputs: Tensor) -> Tensor:
        """With the descriptors of their levels, where there are any."""
        return self._space.describe(inputs)


class SmoothedLogits(Representation):
    """Sequences as logits of smoothed one-hots, relative to the first letter's.

    At each position the v letters have the probabilities (1 - s) · one-hot + s / v, and the
    inputs are the v - 1 differences of their logarithms to the first one's.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021 (section 5 and released settings).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, smoothing: float = 0.4, standardize: bool = False) -> None:
        """Set the scale.

        Args:
            smoothing: s in (0, 1), the share of the probability that all letters have alike.
            standardize: Scale every input to mean 0 and standard deviation 1 over the training
                designs.

        Raises:
            ConfigurationError: If the smoothing is outside (0, 1).
        """
        super().__init__()
        if not 0 < smoothing < 1:
            raise ConfigurationError(f"smoothing must lie in (0, 1), not {smoothing}")
        self.smoothing = smoothing
        self.standardize = standardize

    def build(self, space: DesignSpace) -> None:
        """Learn the shape of the sequences.

        Raises:
            ConfigurationError: If the designs are no sequences.
        """
        super().build(space)
        if not space.is_sequences:
            raise ConfigurationError(
                "SmoothedLogits represents sequences, and these designs have the shape "
                f"{tuple(space.shape)}. Leave model.representation out"
            )
        length, vocabulary = space.shape
        self.num_inputs = self.num_features = length * (vocabulary - 1)
        self.register_buffer("mean", torch.zeros(self.num_inputs, dtype=torch.float32))
        self.register_buffer("std", torch.ones(self.num_inputs, dtype=torch.float32))

    def fit(self, designs: Tensor) -> None:
        """Learn each input's mean and standard deviation, where they are wanted."""
        if not self.standardize:
            return
        logits = self._logits(designs)
        self.mean.copy_(logits.mean(0))
        std = logits.std(0, correction=0)
        # A letter that is everywhere or nowhere has no scale of its own.
        self.std.copy_(torch.where(std > 0, std, 1.0))

    def encode(self, designs: Tensor) -> Tensor:
        """Logits, ``(..., l (v - 1))``."""
        return (self._logits(designs) - self.mean) / self.std

    def decode(self, inputs: Tensor) -> Tensor:
        """The likeliest letter at each position; the first one's logit is 0."""
        length, vocabulary = self.design_shape
        logits = (inputs * self.std + self.mean).unflatten(-1, (length, vocabulary - 1))
        return from_logits(logits)

    def _logits(self, designs: Tensor) -> Tensor:
        return to_logits(designs, self.smoothing).flatten(-2)


def one_hot_of_largest(scores: Tensor) -> Tensor:
    """Ones where `scores` ``(..., v)`` are greatest in the last dimension, zeros elsewhere."""
    letters = scores.argmax(-1)
    return functional.one_hot(letters, scores.shape[-1]).to(scores.dtype)
