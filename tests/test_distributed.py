"""Collective operations, with processes that are simulated one after the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from lightning_mbo import distributed
from lightning_mbo.distributed import (
    all_reduce_sum,
    from_rank_zero,
    gather_shards,
    on_rank_zero,
    rank,
    shard,
    world_size,
)

WORLD_SIZES = [1, 2, 3, 7]


@pytest.fixture
def as_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def take(rank: int, world_size: int) -> None:
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "world_size", lambda: world_size)

    return take


@pytest.mark.parametrize("processes", WORLD_SIZES)
@pytest.mark.parametrize("length", [0, 1, 2, 6, 7, 100])
def test_shards_partition(
    length: int, processes: int, as_process: Callable[[int, int], None]
) -> None:
    shards = []
    for process in range(processes):
        as_process(process, processes)
        shards.append(list(range(length))[shard(length)])
    assert [row for rows in shards for row in rows] == list(range(length))
    sizes = [len(rows) for rows in shards]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("length", [0, 1, 10])
@pytest.mark.parametrize("processes", WORLD_SIZES)
def test_gathered_shards_are_the_table(
    processes: int,
    length: int,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    as_process: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = (torch.randn(length, *shape) * 1e6).to(dtype)
    summands: list[Tensor] = []
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: summands.append(tensor.clone()))
    for process in range(processes):
        as_process(process, processes)
        local = gather_shards(table[shard(length)], length)
    whole = sum(summands) if processes > 1 else local
    assert len(summands) == (processes if processes > 1 else 0)
    assert torch.equal(whole, table)
    assert whole.dtype == dtype


def test_all_reduce_sum_leaves_its_argument_alone(
    as_process: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_process(0, 2)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.mul_(2))
    argument = torch.arange(6.0).reshape(2, 3).mT
    result = all_reduce_sum(argument)
    assert result.tolist() == [[0.0, 6.0], [2.0, 8.0], [4.0, 10.0]]
    assert argument.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_an_expensive_function_is_called_on_one_process(
    as_process: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wire: dict[str, Tensor] = {}

    def broadcast(tensor: Tensor, src: int) -> None:
        assert src == 0
        if distributed.rank() == src:
            wire["tensor"] = tensor.clone()
        tensor.copy_(wire["tensor"])

    def function() -> Tensor:
        calls.append(distributed.rank())
        return torch.tensor([1.0, 2.0], dtype=torch.float64)

    calls: list[int] = []
    monkeypatch.setattr(dist, "broadcast", broadcast)
    for process in range(3):
        as_process(process, 3)
        result = on_rank_zero(function, like=torch.zeros(2))
        assert result.tolist() == [1.0, 2.0]
        assert result.dtype == torch.float32
    assert calls == [0]


def test_one_process_alone() -> None:
    tensor = torch.arange(3.0)
    assert (rank(), world_size()) == (0, 1)
    assert shard(5) == slice(0, 5)
    assert torch.equal(all_reduce_sum(tensor), tensor)
    assert torch.equal(gather_shards(tensor, 3), tensor)
    assert torch.equal(from_rank_zero(tensor), tensor)
    assert torch.equal(on_rank_zero(lambda: tensor, like=torch.zeros(3)), tensor)


@pytest.mark.parametrize(
    ("backend", "device"),
    [
        ("nccl", torch.device("cuda", 1)),
        ("gloo", torch.device("cpu")),
        ("mpi", torch.device("cpu")),
    ],
)
def test_nccl_is_given_what_it_knows(
    backend: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert distributed.collective_device(torch.zeros(3)) == device
    there = torch.zeros(3, device="meta")
    assert distributed.collective_device(there) == there.device


@pytest.mark.parametrize("collective", ["all_reduce_sum", "gather_shards", "from_rank_zero"])
def test_collectives_are_where_the_group_is(
    collective: str,
    as_process: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_process(0, 2)
    seen = []

    def record(tensor: Tensor, **kwargs: int) -> None:
        seen.append(tensor.dtype)

    # Half precision stands for another device, and comes back as what was given.
    monkeypatch.setattr(distributed, "collective_device", lambda tensor: torch.float16)
    monkeypatch.setattr(dist, "all_reduce", record)
    monkeypatch.setattr(dist, "broadcast", record)
    arguments = (4,) if collective == "gather_shards" else ()
    getattr(distributed, collective)(torch.ones(2), *arguments)
    assert seen == [torch.float16]
