"""The convolutional ensemble: what a window sees, and what it means to find a motif anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import ConvolutionalEnsemble
from lightning_mbo.space import DesignSpace

SHAPE = torch.Size([7, 4])


def built(**options: int) -> ConvolutionalEnsemble:
    oracle = ConvolutionalEnsemble(num_members=2, num_channels=8, **options)
    oracle.build(DesignSpace.of_shape(SHAPE))
    return oracle


def words(*letters: list[int]) -> torch.Tensor:
    return functional.one_hot(torch.tensor(letters), 4).float()


@pytest.mark.parametrize("window", [1, 4, 5, 7])
def test_agrees_with_torch_s_convolution(window: int) -> None:
    oracle = built(window=window)
    designs = words([0, 1, 2, 3, 0, 1, 2], [3, 3, 2, 2, 1, 1, 0])
    first, second = oracle.network.motifs.weights
    biases = oracle.network.motifs.biases
    expected = []
    for j in range(2):
        kernel = first[j].reshape(4, window, 8).permute(2, 0, 1)
        hidden = functional.conv1d(designs.mT, kernel, biases[0][j, 0], padding=window // 2)
        found = functional.gelu(functional.gelu(hidden).mT @ second[j] + biases[1][j])
        pooled = torch.cat([found.max(1).values, found.mean(1)], 1)
        head, last = oracle.network.head.weights
        head_biases = oracle.network.head.biases
        hidden = functional.gelu(pooled @ head[j] + head_biases[0][j])
        expected.append((hidden @ last[j] + head_biases[1][j])[:, 0])
    result = oracle.member_outputs(designs).loc
    np.testing.assert_allclose(result.detach(), torch.stack(expected).detach(), atol=1e-6)


def test_a_motif_counts_the_same_wherever_it_stands() -> None:
    oracle = built(window=3)
    # Far enough from the ends that the same windows see it.
    early, late, other = words([0, 0, 3, 0, 0, 0, 0], [0, 0, 0, 0, 3, 0, 0], [0, 0, 2, 0, 0, 0, 0])
    outputs = oracle.member_outputs(torch.stack([early, late, other])).loc
    torch.testing.assert_close(outputs[:, 0], outputs[:, 1])
    assert not torch.isclose(outputs[:, 0], outputs[:, 2]).any()


def test_members_see_batches_of_their_own() -> None:
    oracle = built()
    designs = words([0, 1, 2, 3, 0, 1, 2], [3, 3, 2, 2, 1, 1, 0])
    alike = oracle.member_outputs(designs).loc
    own = oracle.member_outputs(torch.stack([designs, designs.flip(0)])).loc
    torch.testing.assert_close(own[0], alike[0])
    torch.testing.assert_close(own[1], alike[1].flip(0))


def test_has_a_gradient_in_its_inputs() -> None:
    oracle = built()
    inputs = torch.rand(3, 28, requires_grad=True)
    oracle.values(inputs).sum().backward()
    assert inputs.grad is not None
    assert (inputs.grad != 0).any(1).all()


def test_refuses_vectors() -> None:
    with pytest.raises(ConfigurationError, match="sequences"):
        ConvolutionalEnsemble().build(DesignSpace.of_shape(torch.Size([5])))


@pytest.mark.parametrize("wrong", ["window", "num_channels"])
def test_refuses_too_small_networks(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        ConvolutionalEnsemble(**{wrong: 0})  # type: ignore[arg-type]
