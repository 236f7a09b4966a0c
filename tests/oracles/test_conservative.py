"""Conservative models against the published loss in numpy, and their adversarial designs."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.data import DesignBatch
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import (
    Adversary,
    BatchAscent,
    ConservativeObjectiveModel,
    PersistentParticles,
)
from lightning_mbo.space import DesignSpace


def built(
    num_members: int = 2, adversary: Adversary | None = None, **options: float
) -> ConservativeObjectiveModel:
    oracle = ConservativeObjectiveModel(
        num_members, (7, 6), adversary=adversary or BatchAscent(3, 0.2), **options
    )
    oracle.build(DesignSpace.of_shape(torch.Size([4])))
    oracle.property_mean.fill_(3.0)
    oracle.property_std.fill_(2.0)
    return oracle


def batch_of(k: int = 2, b: int = 8, seed: int = 0) -> DesignBatch:
    generator = torch.Generator().manual_seed(seed)
    return DesignBatch(
        designs=torch.randn(k, b, 4, generator=generator),
        properties=3 + 2 * torch.randn(k, b, generator=generator),
        weights=torch.rand(k, b, generator=generator) + 0.1,
        size=b,
    )


class Network:
    """One member in numpy: its values, and its gradient by the chain rule."""

    def __init__(self, oracle: ConservativeObjectiveModel, j: int) -> None:
        numbers = [p[j].detach().double().numpy() for p in oracle.network.parameters()]
        self.weights, self.biases = numbers[:3], numbers[3:]

    def value_and_gradient(
        self, inputs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        hidden, slopes = inputs, []
        for weight, bias in zip(self.weights[:2], self.biases[:2], strict=True):
            raw = hidden @ weight + bias
            slopes.append(raw > 0)
            hidden = np.maximum(raw, 0)
        values = hidden @ self.weights[2] + self.biases[2]
        gradient = slopes[1] * self.weights[2].T
        gradient = (gradient @ self.weights[1].T) * slopes[0]
        return values[:, 0], gradient @ self.weights[0].T


def lagrangian(
    oracle: ConservativeObjectiveModel, batch: DesignBatch, j: int, steps: int, size: float
) -> tuple[float, float]:
    """The published objective of a member with the multiplier's term, and the overestimation."""
    network = Network(oracle, j)
    x, y, w = (part[j].double().numpy() for part in batch[:3])
    adversarial = x
    for _ in range(steps):
        adversarial = adversarial + size * np.sqrt(4) * network.value_and_gradient(adversarial)[1]
    values, above = (network.value_and_gradient(points)[0] for points in (x, adversarial))
    alpha = math.exp(oracle.log_alpha[j].item())
    per_point = ((y - 3) / 2 - values) ** 2 + alpha * (above - values - oracle.overestimation_limit)
    return (w * per_point).sum() / batch.size, np.average(above - values, weights=w)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_loss_is_the_published_one(k: int, steps: int) -> None:
    oracle, batch = built(k, BatchAscent(steps, 0.2), alpha=0.7), batch_of(k)
    losses = oracle.member_losses(batch)
    expected = [lagrangian(oracle, batch, j, steps, 0.2) for j in range(k)]
    np.testing.assert_allclose(losses.detach().numpy(), [loss for loss, _ in expected], rtol=1e-4)


def test_no_gradient_flows_through_the_ascent() -> None:
    oracle, batch = built(1, alpha=0.5), batch_of(1)
    oracle.member_losses(batch).sum().backward()
    own = [parameter.grad.clone() for parameter in oracle.network.parameters()]
    found, weights, measured = BatchAscent(3, 0.2).find(oracle.values, batch.designs, batch.weights)
    assert measured is None
    assert not found.requires_grad
    assert torch.equal(weights, batch.weights)
    oracle.zero_grad()
    at_data = oracle.values(batch.designs)
    errors = (at_data - (batch.properties - 3) / 2).square()
    conservative = 0.5 * (oracle.values(found.clone()) - at_data)
    ((weights * (errors + conservative)).sum() / 8).backward()
    for one, other in zip(own, oracle.network.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("limit", "rises"), [(-10.0, True), (10.0, False)])
def test_the_multiplier(limit: float, rises: bool) -> None:
    # The overestimation lies between these limits.
    oracle, batch = built(overestimation_limit=limit), batch_of()
    optimizer = oracle.configure_optimizers()
    before = oracle.log_alpha.detach().clone()
    oracle.member_losses(batch).sum().backward()
    optimizer.step()
    # Adam's first step is its learning rate, whatever the gradient's size.
    change = torch.full((2,), 0.01 if rises else -0.01)
    torch.testing.assert_close(oracle.log_alpha.detach() - before, change, rtol=1e-3, atol=0)


def test_the_multiplier_stands_still_at_the_limit() -> None:
    oracle, batch = built(1), batch_of(1)
    oracle.overestimation_limit = lagrangian(oracle, batch, 0, 3, 0.2)[1]
    oracle.member_losses(batch).sum().backward()
    assert abs(oracle.log_alpha.grad.item()) < 1e-6


def gradients(oracle: ConservativeObjectiveModel, batch: DesignBatch) -> list[Tensor]:
    oracle.zero_grad()
    oracle.member_losses(batch).sum().backward()
    return [parameter.grad.clone() for parameter in oracle.parameters()]


def test_a_point_of_weight_zero_is_no_point() -> None:
    oracle, batch = built(alpha=0.8), batch_of()
    batch.weights[:, 3:5] = 0.0
    kept = [0, 1, 2, 5, 6, 7]
    left_out = DesignBatch(*(part[:, kept] for part in batch[:3]), size=batch.size)
    for own, expected in zip(gradients(oracle, batch), gradients(oracle, left_out), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)


def test_persistent_particles_know_nothing_of_points_of_weight_zero() -> None:
    batch = batch_of()
    batch.weights[:, 3:5] = 0.0
    changed = DesignBatch(*(part.clone() for part in batch[:3]), size=batch.size)
    changed.designs[:, 3:5] += 5.0
    changed.properties[:, 3:5] -= 7.0
    one, other = (built(adversary=PersistentParticles(8, 1, 2, 0.2)) for _ in range(2))
    for _ in range(4):
        for own, expected in zip(gradients(one, batch), gradients(other, changed), strict=True):
            torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-7)


def test_a_batch_of_no_weight_has_no_gradient() -> None:
    for adversary in (BatchAscent(2), PersistentParticles(4, 1, 2)):
        oracle, batch = built(adversary=adversary), batch_of()
        batch.weights.zero_()
        assert all((gradient == 0).all() for gradient in gradients(oracle, batch))


@pytest.mark.parametrize("adversary", [BatchAscent(2), PersistentParticles(4, 1, 2)])
def test_a_share_without_points(adversary: Adversary) -> None:
    nothing = batch_of(b=1)
    empty = DesignBatch(*(part[:, :0] for part in nothing[:3]), size=0.5)
    found = gradients(built(adversary=copy.deepcopy(adversary)), empty)
    assert all((gradient == 0).all() for gradient in found)


def slope(inputs: Tensor) -> Tensor:
    """A step of size s moves every input by s √4 = 2 s."""
    return inputs.sum(-1)


def test_persistent_particles_move_and_start_anew() -> None:
    adversary = PersistentParticles(num_particles=6, steps_at_once=2, num_steps=6, step_size=0.5)
    adversary.build(2, 4)
    # In each training step those start anew that have made 6 steps: every third particle.
    ages, origins = np.array([6, 4, 2, 6, 4, 2]), np.full(6, -1)
    for step in range(7):
        batch = batch_of(b=5, seed=step)
        found, weights, _ = adversary.find(slope, batch.designs, batch.weights)
        for i in range(6):
            if ages[i] == 6:
                ages[i], origins[i] = 0, step
        ages += 2
        particles = adversary.particles.transpose(0, 1)
        for i in np.flatnonzero(origins >= 0):
            origin = batch_of(b=5, seed=int(origins[i]))
            torch.testing.assert_close(particles[:, i], origin.designs[:, i % 5] + float(ages[i]))
        # Adversarial are those that have made 6 steps.
        ended = np.flatnonzero(ages == 6)
        assert torch.equal(found, particles[:, ended])
        for column, i in enumerate(ended):
            origin = batch_of(b=5, seed=int(origins[i]))
            expected = origin.weights[:, i % 5] if origins[i] >= 0 else torch.zeros(2)
            assert torch.equal(weights[:, column], expected)


def test_what_persistent_particles_limit_is_measured_once_a_generation() -> None:
    oracle = built(adversary=PersistentParticles(6, 2, 5, 0.2))
    optimizer = oracle.configure_optimizers()
    expected: list[float] = []
    for step in range(7):
        batch = batch_of(seed=step)
        if step % 3 == 0:  # in steps 0, 1 and 2 a particle makes 5 or 6 steps
            expected = [lagrangian(oracle, batch, j, 5, 0.2)[1] for j in range(2)]
        alphas, weights = oracle.log_alpha.detach().exp(), batch.weights.sum(1)
        optimizer.zero_grad()
        oracle.member_losses(batch).sum().backward()
        optimizer.step()
        measured = oracle.adversary.overestimation
        np.testing.assert_allclose(measured.numpy(), expected, rtol=1e-4)
        excess = measured - oracle.overestimation_limit
        torch.testing.assert_close(oracle.log_alpha.grad, weights * alphas * excess / batch.size)


def test_only_particles_that_end_hold_the_model_down() -> None:
    oracle, batch = built(adversary=PersistentParticles(6, 1, 3, 0.2), alpha=0.6), batch_of()
    for _ in range(4):
        own = gradients(oracle, batch)[1:]
    ended = [1, 4]  # the first start in steps 0 and 3, these in step 1
    inputs = oracle.adversary.particles[ended].transpose(0, 1).clone()
    oracle.zero_grad()
    values, above = oracle.values(batch.designs), oracle.values(inputs)
    errors = (batch.weights * (values - (batch.properties - 3) / 2).square()).sum(1)
    weights = batch.weights[:, ended]
    gaps = [(w * v).sum(1) / w.sum(1) for w, v in ((weights, above), (batch.weights, values))]
    ((errors + batch.weights.sum(1) * 0.6 * (gaps[0] - gaps[1])).sum() / batch.size).backward()
    for one, other in zip(own, oracle.network.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-6)


def test_a_process_without_points_starts_no_particle() -> None:
    adversary = PersistentParticles(num_particles=4, steps_at_once=1, num_steps=2)
    adversary.build(2, 4)
    batch = batch_of()
    adversary.find(slope, batch.designs, batch.weights)
    measured = adversary.overestimation.clone()
    assert (adversary.particle_weights[::2] > 0).all()
    for _ in range(2):
        adversary.find(slope, batch.designs[:, :0], batch.weights[:, :0])
    assert (adversary.particle_weights == 0).all()
    assert torch.equal(adversary.overestimation, measured)


def test_persistent_particles_are_saved() -> None:
    one = built(adversary=PersistentParticles(6, 1, 3))
    optimizer = one.configure_optimizers()

    def train(oracle, optimizer, seeds: range) -> None:
        for seed in seeds:
            optimizer.zero_grad()
            oracle.member_losses(batch_of(seed=seed)).sum().backward()
            optimizer.step()

    train(one, optimizer, range(4))  # a generation takes 3 steps: in the midst of one
    other = built(adversary=PersistentParticles(6, 1, 3))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    other_optimizer = other.configure_optimizers()
    other_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(one, optimizer, range(4, 10))
    train(other, other_optimizer, range(4, 10))
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_conservatism_holds_the_model_down() -> None:
    designs = torch.randn(1, 64, 4, generator=torch.Generator().manual_seed(1))
    batch = DesignBatch(designs, 3 + 2 * designs.sum(-1), torch.ones(1, 64), 64)
    gaps = []
    for limit in (0.1, 100.0):
        oracle = built(1, BatchAscent(5, 0.2), overestimation_limit=limit, learning_rate=0.02)
        oracle.alpha_learning_rate = 0.1
        optimizer = oracle.configure_optimizers()
        for _ in range(300):
            optimizer.zero_grad()
            oracle.member_losses(batch).sum().backward()
            optimizer.step()
        gaps.append(lagrangian(oracle, batch, 0, 5, 0.2)[1])
    assert gaps[0] < 0.3 < 2.0 < gaps[1]


def test_persistent_particles_hold_the_end_of_the_ascent_down() -> None:
    torch.manual_seed(0)
    oracle = ConservativeObjectiveModel(
        hidden_sizes=(32, 32),
        learning_rate=0.003,
        alpha_learning_rate=0.03,
        overestimation_limit=0.5,
        adversary=PersistentParticles(64, 2, 10, 0.05),
    )
    oracle.build(DesignSpace.of_shape(torch.Size([4])))
    optimizer = oracle.configure_optimizers()
    generator = torch.Generator().manual_seed(1)
    designs = torch.randn(512, 4, generator=generator)
    properties = designs[:, 0] * designs[:, 1] + designs[:, 2].sin()
    properties = (properties - properties.mean()) / properties.std()
    gaps = []
    for step in range(1200):
        rows = torch.randint(512, (1, 64), generator=generator)
        batch = DesignBatch(designs[rows], properties[rows], torch.ones(1, 64), 64)
        optimizer.zero_grad()
        oracle.member_losses(batch).sum().backward()
        optimizer.step()
        if step >= 600 and step % 50 == 7:
            # Whole ascents from all points on the model as it is.
            found = BatchAscent(10, 0.05).find(oracle.values, designs[None], torch.ones(1, 512))
            with torch.no_grad():
                ends, starts = oracle.values(found[0]), oracle.values(designs[None])
            gaps.append((ends - starts).mean().item())
    assert np.mean(gaps) == pytest.approx(0.5, rel=0.25)


def test_the_loss_is_float32_under_autocast() -> None:
    oracle, batch = built(), batch_of()
    exact = oracle.member_losses(batch).sum()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = oracle.member_losses(batch).sum()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in oracle.parameters())


def test_the_variance_is_the_held_out_error() -> None:
    oracle = built()
    oracle.residual_variance.copy_(torch.tensor([0.25, 4.0]))
    designs = torch.randn(5, 4)
    members = oracle.member_predictions(designs)
    torch.testing.assert_close(members.scale, torch.tensor([[1.0], [4.0]]).expand(2, 5))
    means = members.loc.detach().numpy()
    expected = np.sqrt((1 + 16) / 2 + means.var(0))
    np.testing.assert_allclose(oracle(designs).scale.detach().numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "adversary",
    [
        lambda: BatchAscent(0),
        lambda: BatchAscent(step_size=0.0),
        lambda: PersistentParticles(0),
        lambda: PersistentParticles(steps_at_once=0),
        lambda: PersistentParticles(steps_at_once=51),
    ],
)
def test_refused_adversaries(adversary) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.adversary"):
        adversary()


def test_a_multiplier_of_zero_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.alpha"):
        ConservativeObjectiveModel(alpha=0.0)
