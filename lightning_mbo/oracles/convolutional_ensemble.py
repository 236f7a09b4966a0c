"""An ensemble of convolutional networks for sequences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles.deep_ensemble import StackedMLP
from lightning_mbo.oracles.regression_ensemble import RegressionEnsemble
from lightning_mbo.random import Stream
from lightning_mbo.space import DesignSpace


class ConvolutionalEnsemble(RegressionEnsemble):
    """Networks that look for motifs anywhere in a sequence, trained by squared error.

    The same small network sees each window of a sequence, whose ends are padded with nothing; the
    greatest and the mean of what it finds, over the windows, go to a second one. What is learnt
    of a motif in one place holds in all.

    Reference: Alipanahi, Delong, Weirauch and Frey, "Predicting the sequence specificities of
    DNA- and RNA-binding proteins by deep learning", Nature Biotechnology 2015.
    """

    def __init__(
        self,
        num_members: int = 5,
        window: int = 6,
        num_channels: int = 64,
        learning_rate: float = 1e-3,
    ) -> None:
        """Describe the ensemble; `build` creates it.

        Args:
            num_members: k.
            window: Letters in a window.
            num_channels: Units of each of the networks' layers.
            learning_rate: Adam's.

        Raises:
            ConfigurationError: If a number is too small.
        """
        super().__init__(num_members, learning_rate=learning_rate)
        if window < 1 or num_channels < 1:
            raise ConfigurationError(
                f"model.window and num_channels must be at least 1, not {window}, {num_channels}"
            )
        self.window = window
        self.num_channels = num_channels

    def build(self, space: DesignSpace) -> None:
        """Create the stacked network for sequences of shape ``(l, v)``.

        Raises:
            ConfigurationError: If designs are no sequences.
        """
        if len(space.shape) != 2:
            raise ConfigurationError(
                "ConvolutionalEnsemble needs sequences, and these designs are of shape "
                f"{tuple(space.shape)}: give --model DeepEnsemble"
            )
        self.representation.build(space)
        self.network = StackedCNN(
            space.shape, self.window, self.num_channels, self.num_members, self.stream
        )


class StackedCNN(nn.Module):
    """k convolutional networks, as one."""

    def __init__(
        self,
        design_shape: torch.Size,
        window: int,
        num_channels: int,
        num_members: int,
        stream: Stream,
        activation: Callable[[Tensor], Tensor] = functional.gelu,
    ) -> None:
        """Initialise every member on its own.

        Args:
            design_shape: ``(l, v)``.
            window: Letters in a window, w.
            num_channels: Units of each layer.
            num_members: k.
            stream: Of the initial values.
            activation: Of the hidden units.
        """
        super().__init__()
        self.design_shape = design_shape
        self.window = window
        self.activation = activation
        c = num_channels
        self.motifs = StackedMLP((window * design_shape[1], c, c), num_members, stream, activation)
        self.head = StackedMLP((2 * c, c, 1), num_members, stream, activation)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply each member.

        Args:
            inputs: Shape ``(k, b, l v)``, or ``(b, l v)`` for all members alike.

        Returns:
            Shape ``(k, b, 1)``.
        """
        sequences = inputs.unflatten(-1, self.design_shape)
        margin = self.window // 2
        padded = functional.pad(sequences, (0, 0, margin, margin))
        windows = padded.unfold(-2, self.window, 1).flatten(-2)
        found = self.motifs(windows.flatten(-3, -2)).unflatten(1, windows.shape[-3:-1])
        found = self.activation(found)
        outputs: Tensor = self.head(torch.cat([found.amax(-2), found.mean(-2)], dim=-1))
        return outputs
