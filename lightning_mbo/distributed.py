"""The few collective operations that a design run needs; without a process group each is free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's rank, 0 when there is one process."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum of `tensor` over all processes, equal on each of them to the last bit."""
    if world_size() > 1:
        total = tensor.to(collective_device(tensor)).contiguous().clone()
        dist.all_reduce(total)
        return total.to(tensor.device)
    return tensor


def shard(length: int) -> slice:
    """The rows of a table of `length` rows that belong to this process, contiguous and disjoint."""
    return slice(rank() * length // world_size(), (rank() + 1) * length // world_size())


def gather_shards(local: Tensor, length: int) -> Tensor:
    """Join every process's `shard` of a table.

    Args:
        local: This process's rows, shape ``(shard, ...)``.
        length: The number of rows of the whole table.

    Returns:
        The whole table on every process, shape ``(length, ...)``, not rounded: all but one of
        the summands of each entry are zero.
    """
    if world_size() == 1:
        return local
    whole = torch.zeros(length, *local.shape[1:], dtype=local.dtype, device=local.device)
    whole[shard(length)] = local
    return all_reduce_sum(whole)


def gather_columns(local: Sequence[Tensor], length: int) -> list[Tensor]:
    """Join every process's `shard` of several tables, in one exchange.

    Args:
        local: This process's rows, shapes ``(shard, ...)``, of one type.
        length: The number of rows of the whole tables.
    """
    flat = [part.flatten(1) if part.dim() > 1 else part[:, None] for part in local]
    whole = gather_shards(torch.cat(flat, dim=1), length)
    columns = whole.split([part.shape[1] for part in flat], dim=1)
    return [c.reshape(length, *part.shape[1:]) for c, part in zip(columns, local, strict=True)]


def from_rank_zero(tensor: Tensor) -> Tensor:
    """Rank 0's `tensor` on every process; the others pass one of the same shape and type."""
    if world_size() > 1:
        # A broadcast sends the numbers as they lie, whatever order that is.
        shared = tensor.to(collective_device(tensor)).contiguous()
        dist.broadcast(shared, src=0)
        return shared.to(tensor.device)
    return tensor


def state_from_rank_zero(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rank 0's tensors on every process; the others pass some of the same names and types.

    Args:
        state: Tensors by their names, whose shapes may differ between the processes.
    """
    shapes: list[Any] = [[tensor.shape for tensor in state.values()]]
    if world_size() > 1:
        dist.broadcast_object_list(shapes, src=0)
    return {
        name: from_rank_zero(tensor if rank() == 0 else tensor.new_empty(shape))
        for (name, tensor), shape in zip(state.items(), shapes[0], strict=True)
    }


def on_rank_zero(function: Callable[[], Tensor], like: Tensor) -> Tensor:
    """Call an expensive function once and share what it gives.

    Args:
        function: Gives a tensor of the shape, type and device of `like`.
        like: A tensor to receive it in.
    """
    return from_rank_zero(function().to(like) if rank() == 0 else torch.zeros_like(like))


def collective_device(tensor: Tensor) -> torch.device:
    """Where the process group takes a tensor: NCCL knows only those that are on a GPU."""
    if tensor.device.type == "cpu" and dist.is_initialized() and dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return tensor.device
