"""Splits and batches, on one process and on several."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor

from lightning_mbo import distributed
from lightning_mbo.data import LabelNoise, loading
from lightning_mbo.data.loading import (
    STEPS_AT_ONCE,
    DesignBatch,
    DesignChunks,
    TrainingBatches,
    ValidationBatches,
    WeightedDesigns,
    split_rows,
)
from lightning_mbo.random import Stream

N = 50


def table(n: int = N) -> WeightedDesigns:
    """A table whose every entry tells its row."""
    rows = torch.arange(n, dtype=torch.float32)
    return WeightedDesigns(torch.stack([rows, -rows], 1), rows * 10, rows + 0.5)


def test_the_noise_of_labels_goes_with_them() -> None:
    rows = torch.arange(N, dtype=torch.float32)
    noisy = table()._replace(noise=LabelNoise(rows + 0.25, -rows))
    batch = noisy.batch(torch.tensor([[3, 1], [0, 3]]), 2)
    assert batch.noise is not None
    assert batch.noise.errors.tolist() == [[3.25, 1.25], [0.25, 3.25]]
    assert batch.noise.scatters.tolist() == [[-3, -1], [0, -3]]
    assert table().batch(torch.tensor([[3]]), 1).noise is None


def drawing(seed: int = 0) -> torch.Generator:
    return Stream(seed).generator("test")


def training(
    rows: Tensor | None = None, seed: int = 0, batch_size: int = 7, k: int = 3
) -> TrainingBatches:
    if rows is None:
        rows = split_rows(N, k, 0.2, drawing())[0]
    return TrainingBatches(table(), lambda: rows, lambda: drawing(seed), rows.shape[1], batch_size)


def flat(loader: Iterable[list[DesignBatch]]) -> list[DesignBatch]:
    return [batch for group in loader for batch in group]


def seen(batches: list[DesignBatch]) -> Tensor:
    """The rows in the order in which each member sees them, shape ``(k, rows)``."""
    return torch.cat([batch.designs[..., 0] for batch in batches], dim=1).long()


@pytest.fixture
def as_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def take(rank: int, world_size: int) -> None:
        for module in (loading, distributed):
            monkeypatch.setattr(module, "rank", lambda: rank)
            monkeypatch.setattr(module, "world_size", lambda: world_size)

    return take


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.99])
@pytest.mark.parametrize("n", [2, 11, 50])
def test_splits_are_disjoint_and_complete(k: int, fraction: float, n: int) -> None:
    train, validation = split_rows(n, k, fraction, drawing())
    assert train.shape[0] == validation.shape[0] == k
    assert train.shape[1] >= 1
    assert validation.shape[1] == min(max(round(fraction * n), 1), n - 1)
    for j in range(k):
        assert sorted([*train[j].tolist(), *validation[j].tolist()]) == list(range(n))


def validation_sets(seed: int) -> list[set[int]]:
    return [set(rows.tolist()) for rows in split_rows(N, 3, 0.2, drawing(seed))[1]]


def test_splits_differ_by_member_and_generator() -> None:
    sets = validation_sets(1) + validation_sets(2)
    assert validation_sets(1) == sets[:3]
    assert len({frozenset(rows) for rows in sets}) == 6


@pytest.mark.parametrize("batch_size", [1, 7, 40, 100])
def test_an_epoch_has_each_training_row_once(batch_size: int) -> None:
    rows = split_rows(N, 3, 0.2, drawing())[0]
    loader = training(rows, batch_size=batch_size)
    batches = flat(loader)
    assert len(batches) == loader.num_steps == -(-40 // batch_size)
    assert len(list(loader)) == len(loader) == -(-len(batches) // STEPS_AT_ONCE)
    assert all(batch.size == batch.weights.shape[1] <= batch_size for batch in batches)
    assert torch.equal(seen(batches).sort(dim=1).values, rows.sort(dim=1).values)


def test_entries_of_a_batch_belong_together() -> None:
    for batch in [*flat(training()), *ValidationBatches(table(), lambda: torch.tensor([[4, 9]]))]:
        rows = batch.designs[..., 0]
        assert torch.equal(batch.designs[..., 1], -rows)
        assert torch.equal(batch.properties, rows * 10)
        assert torch.equal(batch.weights, rows + 0.5)


def test_the_order_differs_by_member_and_generator() -> None:
    rows = torch.arange(N).expand(3, N)
    first = seen(flat(training(rows)))
    assert torch.equal(first, seen(flat(training(rows))))
    orders = [*first, *seen(flat(training(rows, seed=1)))]
    assert len({tuple(order.tolist()) for order in orders}) == 6


def test_no_rows_yield_nothing() -> None:
    loader = TrainingBatches(table(), lambda: None, drawing, 40, 7)
    assert list(loader) == []


def test_rows_are_those_of_the_moment_of_iterating() -> None:
    rows = {"present": None}
    loader = TrainingBatches(table(), lambda: rows["present"], drawing, 4, 4)
    iterator = iter(loader)
    rows["present"] = torch.arange(4)[None]
    assert sorted(seen(flat(iterator))[0].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("batch_size", [7, 13, 40])
@pytest.mark.parametrize("world_size", [2, 3])
def test_shares_of_a_batch_average_to_the_batch(
    batch_size: int, world_size: int, as_process: Callable[[int, int], None]
) -> None:
    # 39 rows: the last batch has 4, 13 or 39 of them. With 3 processes some shares are unequal.
    rows = torch.arange(39).expand(2, 39)

    def losses() -> tuple[list[Tensor], Tensor]:
        batches = flat(training(rows, batch_size=batch_size))
        # A strategy averages gradients over processes.
        return [(batch.weights * batch.properties).sum(1) / batch.size for batch in batches], seen(
            batches
        )

    whole, order = losses()
    shares, parts = [], []
    for rank in range(world_size):
        as_process(rank, world_size)
        losses_of_rank, part = losses()
        shares.append(losses_of_rank)
        parts.append(part)
    for batch, loss in enumerate(whole):
        average = torch.stack([share[batch] for share in shares]).mean(0)
        torch.testing.assert_close(average, loss)
    joined = torch.cat(parts, dim=1)
    assert torch.equal(joined.sort(dim=1).values, order.sort(dim=1).values)


def test_a_batch_smaller_than_the_number_of_processes(
    as_process: Callable[[int, int], None],
) -> None:
    rows, sizes = torch.tensor([[3, 1, 2]]), []
    for rank in range(2):
        as_process(rank, 2)
        *_, last = flat(training(rows, batch_size=2, k=1))
        sizes.append(last.weights.shape)
        assert last.size == 0.5
    assert sizes == [(1, 1), (1, 0)]


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_validation_batches_are_all_rows_in_order(chunk_size: int) -> None:
    rows = split_rows(N, 3, 0.2, drawing())[1]
    loader = ValidationBatches(table(), lambda: rows, chunk_size)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert all(batch.weights.shape[1] <= chunk_size for batch in batches)
    assert torch.equal(seen(batches), rows)


@pytest.mark.parametrize("world_size", [2, 3, 11])
def test_validation_is_shared_out(world_size: int, as_process: Callable[[int, int], None]) -> None:
    rows = split_rows(N, 2, 0.2, drawing())[1]
    parts = []
    for rank in range(world_size):
        as_process(rank, world_size)
        parts.append(seen(list(ValidationBatches(table(), lambda: rows, 3))))
    assert torch.equal(torch.cat(parts, dim=1), rows)


def test_design_chunks() -> None:
    calls = []

    def source() -> Tensor:
        calls.append(1)
        return torch.arange(14.0).reshape(7, 2)

    chunks = DesignChunks(source, chunk_size=3)
    assert not calls
    parts = list(chunks)
    assert [len(part) for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat(parts), torch.arange(14.0).reshape(7, 2))
    assert len(calls) == 1
