"""What a network sees of a design, and the design that is nearest to what it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import SmoothedLogits, Unchanged
from lightning_mbo.space import DesignSpace


def sequences(number: int, length: int = 5, vocabulary: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(vocabulary, (number, length), generator=generator)
    return functional.one_hot(letters, vocabulary).double()


def test_vectors_are_unchanged() -> None:
    representation = Unchanged()
    representation.build(DesignSpace.of_shape(torch.Size([3])))
    designs = torch.randn(2, 7, 3)
    assert representation.num_inputs == 3
    assert torch.equal(representation.encode(designs), designs)
    assert torch.equal(representation.decode(designs), designs)


def test_unchanged_sequences_are_read_by_their_greatest_entry() -> None:
    representation = Unchanged()
    representation.build(DesignSpace.of_shape(torch.Size([5, 4])))
    designs = sequences(9)
    inputs = representation.encode(designs)
    assert inputs.shape == (9, 20)
    noise = 0.4 * torch.rand(9, 20, dtype=torch.float64)
    assert torch.equal(representation.decode(inputs + noise), designs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("vocabulary", [2, 4, 20])
def test_smoothed_logits(vocabulary: int, dtype: torch.dtype) -> None:
    representation = SmoothedLogits(smoothing=0.4)
    representation.build(DesignSpace.of_shape(torch.Size([5, vocabulary])))
    designs = sequences(9, vocabulary=vocabulary).to(dtype)
    inputs = representation.encode(designs)
    assert inputs.dtype == dtype
    assert inputs.shape == (9, representation.num_inputs) == (9, 5 * (vocabulary - 1))
    logits = np.log(0.6 * designs.numpy() + 0.4 / vocabulary)
    expected = (logits[..., 1:] - logits[..., :1]).reshape(9, -1)
    np.testing.assert_allclose(inputs.numpy(), expected, rtol=1e-5, atol=1e-6)
    decoded = representation.decode(inputs)
    assert decoded.dtype == dtype
    assert torch.equal(decoded, designs)


def test_standardised_logits() -> None:
    representation = SmoothedLogits(standardize=True)
    representation.build(DesignSpace.of_shape(torch.Size([5, 4])))
    designs = sequences(50)
    # At the first position there is one letter only.
    designs[:, 0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    representation.fit(designs)
    inputs = representation.encode(designs)
    assert inputs.isfinite().all()
    torch.testing.assert_close(inputs.mean(0), torch.zeros(15).double(), atol=1e-6, rtol=0)
    stds = inputs.std(0, correction=0)
    torch.testing.assert_close(stds[3:], torch.ones(12).double(), atol=1e-6, rtol=0)
    assert torch.equal(representation.decode(inputs), designs)
    restored = SmoothedLogits(standardize=True)
    restored.build(DesignSpace.of_shape(torch.Size([5, 4])))
    restored.load_state_dict(representation.state_dict())
    assert torch.equal(restored.encode(designs), inputs)


@pytest.mark.parametrize("smoothing", [0.0, 1.0, -0.1])
def test_refused_smoothing(smoothing: float) -> None:
    with pytest.raises(ConfigurationError, match="smoothing"):
        SmoothedLogits(smoothing)


def test_vectors_have_no_logits() -> None:
    with pytest.raises(ConfigurationError, match="these designs have the shape \\(3,\\)"):
        SmoothedLogits().build(DesignSpace.of_shape(torch.Size([3])))
