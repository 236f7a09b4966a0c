"""The stacked ensemble against separate networks of torch's own layers."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from lightning_mbo.data import DesignBatch
from lightning_mbo.oracles import DeepEnsemble
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace

SIZES = [(), (5,), (6, 4, 3)]


def built(
    num_members: int = 3, hidden_sizes: tuple[int, ...] = (6, 4, 3), shape: tuple[int, ...] = (4,)
) -> DeepEnsemble:
    oracle = DeepEnsemble(num_members, hidden_sizes)
    oracle.build(DesignSpace.of_shape(torch.Size(shape)))
    oracle.property_mean.fill_(3.0)
    oracle.property_std.fill_(2.0)
    return oracle


def batch_of(
    num_members: int = 3, b: int = 8, shape: tuple[int, ...] = (4,), seed: int = 0
) -> DesignBatch:
    generator = torch.Generator().manual_seed(seed)
    return DesignBatch(
        designs=torch.randn(num_members, b, *shape, generator=generator),
        properties=3 + 2 * torch.randn(num_members, b, generator=generator),
        weights=torch.rand(num_members, b, generator=generator) + 0.1,
        size=b,
    )


def separate(oracle: DeepEnsemble) -> list[nn.Sequential]:
    """Each member as a network of its own, with the same parameters."""
    networks = []
    for j in range(oracle.num_members):
        layers: list[nn.Module] = []
        for weight, bias in zip(oracle.network.weights, oracle.network.biases, strict=True):
            linear = nn.Linear(weight.shape[1], weight.shape[2])
            linear.weight = nn.Parameter(weight[j].detach().T.clone())
            linear.bias = nn.Parameter(bias[j, 0].detach().clone())
            layers += [linear, nn.ELU()]
        networks.append(nn.Sequential(nn.Flatten(), *layers[:-1]))
    return networks


def negative_log_likelihood(raw: Tensor, target: Tensor) -> Tensor:
    """By the formula, for raw outputs ``(b, 2)``: mean, and variance before the softplus."""
    variance = (1 + raw[:, 1].exp()).log() + 1e-6
    squared = (target - raw[:, 0]) ** 2
    return 0.5 * ((2 * torch.pi * variance).log() + squared / variance)


def gradients(oracle: DeepEnsemble, batch: DesignBatch) -> list[Tensor]:
    oracle.zero_grad()
    oracle.member_losses(batch).sum().backward()
    return [parameter.grad.clone() for parameter in oracle.network.parameters()]


def flat(parameters: list[Tensor], member: int) -> Tensor:
    return torch.cat([parameter[member].flatten() for parameter in parameters])


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("hidden_sizes", SIZES)
@pytest.mark.parametrize("b", [1, 8])
@pytest.mark.parametrize("shape", [(4,), (3, 2)])
def test_outputs_are_those_of_separate_networks(
    k: int, hidden_sizes: tuple[int, ...], b: int, shape: tuple[int, ...]
) -> None:
    oracle, batch = built(k, hidden_sizes, shape), batch_of(k, b, shape)
    outputs = oracle.member_outputs(batch.designs)
    shared = oracle.member_outputs(batch.designs[0])
    assert outputs.loc.shape == outputs.scale.shape == shared.loc.shape == (k, b)
    assert oracle(batch.designs[0]).loc.shape == (b,)
    for j, network in enumerate(separate(oracle)):
        for own, designs in ((outputs, batch.designs[j]), (shared, batch.designs[0])):
            raw = network(designs)
            variance = nn.functional.softplus(raw[:, 1]) + 1e-6
            torch.testing.assert_close(own.loc[j], raw[:, 0], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(own.variance[j], variance, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("hidden_sizes", SIZES)
@pytest.mark.parametrize("shape", [(4,), (3, 2)])
def test_loss_and_gradients_are_those_of_separate_networks(
    k: int, hidden_sizes: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    oracle, batch = built(k, hidden_sizes, shape), batch_of(k, 8, shape)
    own = gradients(oracle, batch)
    # Weights, then biases, as the stacked network registers them.
    total = torch.zeros(())
    for j, network in enumerate(separate(oracle)):
        losses = negative_log_likelihood(network(batch.designs[j]), (batch.properties[j] - 3) / 2)
        # Every point meets its own weight before anything is averaged.
        loss = (batch.weights[j] * losses).sum() / 8
        loss.backward()
        total = total + loss.detach()
        linears = [layer for layer in network if isinstance(layer, nn.Linear)]
        expected = torch.cat(
            [layer.weight.grad.T.flatten() for layer in linears]
            + [layer.bias.grad for layer in linears]
        )
        torch.testing.assert_close(flat(own, j), expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(oracle.member_losses(batch).sum().detach(), total)


def test_gradients_of_members_do_not_mix() -> None:
    oracle, batch = built(), batch_of()
    before = gradients(oracle, batch)
    other = batch_of(seed=1)
    for own, foreign in zip(batch[:3], other[:3], strict=True):
        own[1] = foreign[1]
    after = gradients(oracle, batch)
    for j in range(3):
        assert torch.equal(flat(before, j), flat(after, j)) == (j != 1)


def test_a_point_of_weight_zero_is_no_point() -> None:
    oracle, batch = built(), batch_of()
    batch.weights[:, 3:5] = 0.0
    kept = [0, 1, 2, 5, 6, 7]
    left_out = DesignBatch(*(part[:, kept] for part in batch[:3]), size=batch.size)
    for own, expected in zip(gradients(oracle, batch), gradients(oracle, left_out), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)


def test_a_point_of_double_weight_is_two_points() -> None:
    oracle, batch = built(), batch_of()
    twice = [*range(8), 2]
    duplicated = DesignBatch(*(part[:, twice].clone() for part in batch[:3]), size=batch.size)
    batch.weights[:, 2] *= 2
    for own, expected in zip(gradients(oracle, batch), gradients(oracle, duplicated), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)


def test_weights_act_on_each_point() -> None:
    # With the weights averaged over the batch, exchanging them would change nothing.
    oracle, batch = built(), batch_of(b=2)
    batch.weights[:] = torch.tensor([2.0, 0.0])
    first = gradients(oracle, batch)
    batch.weights[:] = torch.tensor([0.0, 2.0])
    second = gradients(oracle, batch)
    for j in range(3):
        one, other = flat(first, j), flat(second, j)
        assert (one - other).norm() > 0.1 * one.norm()


def test_a_share_without_points_has_no_gradient() -> None:
    nothing = batch_of(b=1)
    empty = DesignBatch(*(part[:, :0] for part in nothing[:3]), size=0.5)
    assert all((gradient == 0).all() for gradient in gradients(built(), empty))


def test_the_loss_is_float32_under_autocast() -> None:
    oracle, batch = built(hidden_sizes=(20, 20)), batch_of(b=32)
    exact = oracle.member_losses(batch).sum()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = oracle.member_losses(batch).sum()
        outputs = oracle.member_outputs(batch.designs)
    assert loss.dtype == outputs.loc.dtype == outputs.scale.dtype == torch.float32
    assert loss.item() != exact.item()
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in oracle.parameters())


def parameters(seed: int) -> list[Tensor]:
    designs = torch.randn(10, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    oracle = DeepEnsemble(3, (6, 4, 3))
    oracle.prepare(DesignProblem.of_table(designs, designs[:, 0], seed))
    return [parameter.detach() for parameter in oracle.network.parameters()]


def test_initialisation() -> None:
    first, again, other = (parameters(seed) for seed in (1, 1, 2))
    for one, same, different in zip(first, again, other, strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, different)
        for j, i in itertools.combinations(range(3), 2):
            assert not torch.equal(one[j], one[i])


def test_initialisation_does_not_depend_on_earlier_draws() -> None:
    first = built()
    torch.rand(10)
    for one, same in zip(first.parameters(), built().parameters(), strict=True):
        assert torch.equal(one, same)


def test_initialisation_is_uniform_within_the_bound() -> None:
    weight = built(hidden_sizes=(400,), shape=(25,)).network.weights[0]
    # Uniform on ±1/√25: variance 0.2² / 3.
    assert weight.abs().max().item() <= 0.2
    assert weight.var().item() == pytest.approx(0.2**2 / 3, rel=0.05)
    assert weight.mean().item() == pytest.approx(0.0, abs=0.005)


@pytest.mark.parametrize("raw", [-200.0, 200.0])
def test_extreme_outputs_have_a_finite_loss(raw: float) -> None:
    oracle = built(hidden_sizes=())
    with torch.no_grad():
        oracle.network.weights[0].zero_()
        oracle.network.biases[0].fill_(raw)
    loss = oracle.member_losses(batch_of()).sum()
    assert loss.isfinite()
    assert oracle(torch.zeros(1, 4)).scale.item() > 0
