"""What a training step of a conservative model costs beside the matrix products that it is made of.

Run with ``pytest tests/speed --benchmark-only``; the ratio of the two is the overhead, at the
published size.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightning_mbo.data import DesignBatch
from lightning_mbo.oracles import BatchAscent, ConservativeObjectiveModel
from lightning_mbo.space import DesignSpace

INPUTS, HIDDEN, BATCH, STEPS, ROUNDS = 24, 2048, 128, 50, 3


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pass_forward(inputs: Tensor, hidden: Tensor, weights: list[Tensor]) -> None:
    _ = inputs @ weights[0], hidden @ weights[1], hidden @ weights[2]


def products() -> None:
    """Forwards, and backwards to the inputs, in the ascent; then a pass that trains."""
    shapes = [(INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)]
    weights = [torch.ones(shape) for shape in shapes]
    inputs, hidden, outputs = (torch.ones(2 * BATCH, n) for n in (INPUTS, HIDDEN, 1))
    for _ in range(STEPS):
        pass_forward(inputs[:BATCH], hidden[:BATCH], weights)
        _ = outputs[:BATCH] @ weights[2].mT
        _ = hidden[:BATCH] @ weights[1].mT, hidden[:BATCH] @ weights[0].mT
    # The points of the batch and their adversaries.
    pass_forward(inputs, hidden, weights)
    _ = outputs @ weights[2].mT, hidden @ weights[1].mT
    _ = inputs.mT @ hidden, hidden.mT @ hidden, hidden.mT @ outputs


def test_products(benchmark) -> None:
    benchmark.pedantic(products, rounds=ROUNDS, warmup_rounds=1)


def test_training_step(benchmark) -> None:
    oracle = ConservativeObjectiveModel(hidden_sizes=(HIDDEN, HIDDEN), adversary=BatchAscent(STEPS))
    oracle.build(DesignSpace.of_shape(torch.Size([INPUTS])))
    optimizer = oracle.configure_optimizers()
    designs, properties = torch.randn(1, BATCH, INPUTS), torch.randn(1, BATCH)
    batch = DesignBatch(designs, properties, torch.ones(1, BATCH), BATCH)

    def step() -> None:
        optimizer.zero_grad()
        oracle.member_losses(batch).sum().backward()
        optimizer.step()

    benchmark.pedantic(step, rounds=ROUNDS, warmup_rounds=1)
