"""Squared errors, of labels whose noise is known or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_mbo.data import DesignBatch, LabelNoise
from lightning_mbo.oracles import ConservativeObjectiveModel, RegressionEnsemble
from lightning_mbo.oracles.adversaries import BatchAscent
from lightning_mbo.space import DesignSpace

MEAN, STD = 3.0, 2.0


def built(kind: type[RegressionEnsemble] = RegressionEnsemble) -> RegressionEnsemble:
    oracle = kind(2, hidden_sizes=(6,))
    oracle.build(DesignSpace.of_shape(torch.Size([4])))
    oracle.property_mean.fill_(MEAN)
    oracle.property_std.fill_(STD)
    oracle.residual_variance.copy_(torch.tensor([0.5, 0.001]))
    return oracle


def batch_of(noise: LabelNoise | None = None) -> DesignBatch:
    return DesignBatch(
        torch.randn(2, 50, 4),
        MEAN + STD * torch.randn(2, 50),
        torch.rand(2, 50) + 0.1,
        50,
        noise,
    )


def noise() -> LabelNoise:
    return LabelNoise(torch.rand(2, 50), torch.rand(2, 50))


def test_a_squared_error_counts_by_its_share() -> None:
    oracle, known = built(), noise()
    batch = batch_of(known)
    with torch.no_grad():
        losses = oracle.point_losses(batch)
        residuals = oracle.values(batch.designs) - (batch.properties - MEAN) / STD
    # Of the second member's variance, a hundredth of the labels' is the least.
    variance = torch.tensor([[0.5], [0.01]])
    expected = variance / (variance + (known.errors / STD).square()) * residuals.square()
    torch.testing.assert_close(losses, expected)


def test_labels_without_noise_are_as_before() -> None:
    oracle, batch = built(), batch_of()
    none = batch._replace(noise=LabelNoise(torch.zeros(2, 50), torch.zeros(2, 50)))
    with torch.no_grad():
        residuals = oracle.values(batch.designs) - oracle.standardized(batch.properties)
        assert torch.equal(oracle.point_losses(batch), residuals.square())
        torch.testing.assert_close(oracle.point_losses(none), residuals.square())


@pytest.mark.parametrize("scattered", [False, True])
def test_the_variance_is_without_the_errors(scattered: bool) -> None:
    """Labels of a known variance beside what the network says, half of them with large errors."""
    oracle, num = built(), 20_000
    generator = np.random.default_rng(0)
    errors = np.where(np.arange(num) % 2, 3.0, 0.2)
    designs = torch.zeros(2, num, 4)
    with torch.no_grad():
        truth = MEAN + STD * oracle.values(designs).numpy()
    if scattered:
        # Means of four measurements each, whose own variance is known to be 1.2².
        measured = truth + 1.2 * generator.normal(size=(4, 2, num))
        known = LabelNoise(torch.zeros(2, num), torch.from_numpy(measured.std(0)).float())
        labels = measured.mean(0)
    else:
        noise_of_all = np.sqrt(1.2**2 + errors**2)
        labels = truth + noise_of_all * generator.normal(size=(2, num))
        known = LabelNoise(torch.from_numpy(errors).float().expand(2, -1), torch.zeros(2, num))
    batch = DesignBatch(designs, torch.from_numpy(labels).float(), torch.ones(2, num), num, known)
    for _ in range(5):
        oracle.validation_step(batch, 0)
        sums = oracle._sums
        oracle.residual_variance.copy_(sums.pop("loss") / sums.pop("weight"))
    assert oracle.residual_variance.sqrt().tolist() == pytest.approx([1.2 / STD] * 2, rel=0.03)


def test_conservative_models_take_the_same_squared_errors() -> None:
    class Small(ConservativeObjectiveModel):
        def __init__(self, num_members: int, hidden_sizes: tuple[int, ...]) -> None:
            super().__init__(num_members, hidden_sizes, adversary=BatchAscent(1, 0.1))

    oracle, known = built(Small), noise()
    batch = batch_of(known)
    with torch.no_grad():
        difference = oracle.member_losses(batch) - oracle.member_losses(batch._replace(noise=None))
        squares = [oracle.point_losses(b) for b in (batch, batch._replace(noise=None))]
    expected = (batch.weights * (squares[0] - squares[1])).sum(1) / batch.size
    torch.testing.assert_close(difference, expected)
    assert (difference < -0.01).all()
