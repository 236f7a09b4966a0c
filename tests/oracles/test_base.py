"""The mixture that an oracle's members make, and what all oracles share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.data import DesignBatch, LabelNoise
from lightning_mbo.errors import CheckpointError, ConfigurationError
from lightning_mbo.oracles import GradientOracle, base
from lightning_mbo.oracles.base import mixture
from lightning_mbo.space import DesignSpace


class LinearOracle(GradientOracle):
    """Members that see the sum of a design's entries, times 1, 2, 3, ...; deviation 0.5."""

    learning_rate = 0.1

    def build(self, space: DesignSpace) -> None:
        self.slopes = torch.nn.Parameter(torch.arange(1.0, self.num_members + 1)[:, None])

    def member_outputs(self, designs: Tensor) -> Normal:
        means = self.slopes * designs.sum(-1)
        return Normal(means, torch.full_like(means, 0.5), validate_args=False)


def linear_oracle(num_members: int = 3) -> LinearOracle:
    oracle = LinearOracle(num_members)
    oracle.build(DesignSpace.of_shape(torch.Size([2])))
    oracle.property_mean.fill_(10.0)
    oracle.property_std.fill_(4.0)
    return oracle


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("b", [1, 7])
def test_mixture_moments(k: int, b: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(k * b)
    means, stds = rng.normal(size=(k, b)), rng.exponential(size=(k, b))
    result = mixture(Normal(torch.tensor(means, dtype=dtype), torch.tensor(stds, dtype=dtype)))
    variance = (stds**2 + means**2).mean(0) - means.mean(0) ** 2
    rtol = 1e-4 if dtype == torch.float32 else 1e-10
    np.testing.assert_allclose(result.loc.numpy(), means.mean(0), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(result.variance.numpy(), variance, rtol=rtol)
    assert result.loc.dtype == result.scale.dtype == dtype


def test_a_mixture_of_near_cancelling_moments_keeps_its_variance() -> None:
    # In float32 the squares of these means swallow the variance.
    means = torch.tensor([[1e5], [1e5], [1e5]])
    stds = torch.tensor([[1e-3], [2e-3], [2e-3]])
    result = mixture(Normal(means, stds))
    assert result.loc.item() == 1e5
    assert result.scale.item() == pytest.approx(np.sqrt(3e-6), rel=1e-6)


def test_a_member_is_its_own_mixture() -> None:
    result = mixture(Normal(torch.tensor([[2.0, 3.0]]), torch.tensor([[0.1, 0.2]])))
    assert result.loc.tolist() == [2.0, 3.0]
    torch.testing.assert_close(result.scale, torch.tensor([0.1, 0.2]))


def test_calling_gives_the_property_in_its_own_units() -> None:
    result = linear_oracle()(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    # Standardised means 2, 4, 6 and deviation 0.5 for the first design; 0, 0, 0 for the second.
    np.testing.assert_allclose(result.loc.detach().numpy(), [26.0, 10.0])
    expected = [np.sqrt(2.0**2 + (8.0**2) * 2 / 3), 2.0]
    np.testing.assert_allclose(result.scale.detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
@pytest.mark.parametrize("training", [True, False])
def test_predict(chunk_size: int, training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_CHUNK_SIZE", chunk_size)
    oracle = linear_oracle().train(training)
    designs = torch.tensor([[1.0, 1.0], [0.0, 0.0], [3.0, -1.0]], dtype=torch.float64)
    prediction = oracle.predict(designs)
    assert prediction.mean.dtype == prediction.epistemic_std.dtype == torch.float64
    assert not prediction.mean.requires_grad
    np.testing.assert_allclose(prediction.mean.numpy(), [26.0, 10.0, 26.0])
    np.testing.assert_allclose(
        prediction.epistemic_std.numpy(), [8.0 * np.sqrt(2 / 3), 0.0, 8 * np.sqrt(2 / 3)]
    )
    assert oracle.training is training


def test_point_losses_are_standardised_negative_log_likelihoods() -> None:
    batch = DesignBatch(
        designs=torch.ones(3, 1, 2),
        properties=torch.tensor([[10.0], [26.0], [34.0]]),
        weights=torch.ones(3, 1),
        size=1,
    )
    losses = linear_oracle().point_losses(batch)
    # Standardised residuals -2, 0, 0.
    constant = 0.5 * np.log(2 * np.pi) + np.log(0.5)
    expected = [[constant + 8.0], [constant], [constant]]
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-6)


def test_point_losses_know_the_noise_of_labels() -> None:
    noise = LabelNoise(torch.full((3, 1), 4.8), torch.full((3, 1), 2.0))
    batch = DesignBatch(torch.ones(3, 1, 2), torch.full((3, 1), 26.0), torch.ones(3, 1), 1, noise)
    losses = linear_oracle().point_losses(batch)
    # Of the standardised property, the error is 1.2 beside a deviation of 0.5, the scatter 0.5.
    constant = 0.5 * np.log(2 * np.pi) + np.log(1.3) + 0.5**2 / (2 * 1.3**2)
    expected = [[constant + (z / 1.3) ** 2 / 2] for z in (2, 0, 2)]
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-6)


def test_a_checkpoint_of_another_architecture_is_refused() -> None:
    oracle = linear_oracle(3)
    with pytest.raises(CheckpointError, match=r"slopes is \(2, 1\) in it and \(3, 1\)|frozen"):
        oracle.on_load_checkpoint({"state_dict": linear_oracle(2).state_dict()})
    saved = {name: value for name, value in oracle.state_dict().items() if name != "slopes"}
    with pytest.raises(CheckpointError, match="slopes is absent in it"):
        oracle.on_load_checkpoint({"state_dict": saved})
    oracle.on_load_checkpoint({"state_dict": linear_oracle(3).state_dict()})


@pytest.mark.parametrize("num_members", [0, -1])
def test_an_ensemble_of_nobody_is_refused(num_members: int) -> None:
    with pytest.raises(ConfigurationError, match="num_members"):
        LinearOracle(num_members)
