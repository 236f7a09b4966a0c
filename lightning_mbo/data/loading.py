"""Batches by index from tensors that already lie on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lightning_mbo.distributed import rank, shard, world_size
from lightning_mbo.label_noise import LabelNoise


class DesignBatch(NamedTuple):
    """One batch for each of k ensemble members.

    Attributes:
        designs: Shape ``(k, b, *design_shape)``, float32.
        properties: Shape ``(k, b)``, in the property's units.
        weights: Shape ``(k, b)``.
        size: What a weighted sum of losses is divided by: the number of points that a member
            sees over all processes, divided by the number of processes. (Strategies average
            gradients over processes, so that the average is the global batch's gradient also
            where the shares are unequal.)
        noise: Of the labels, shapes ``(k, b)``; None where nothing is known of any.
    """

    designs: Tensor
    properties: Tensor
    weights: Tensor
    size: float
    noise: LabelNoise | None = None


class WeightedDesigns(NamedTuple):
    """The training table on one device: ``(n, *design_shape)``, and ``(n,)`` of all else."""

    designs: Tensor
    properties: Tensor
    weights: Tensor
    noise: LabelNoise | None = None

    def batch(self, rows: Tensor, size: float) -> DesignBatch:
        """Gather the points with these row numbers, shape ``(k, b)``."""
        noise = None if self.noise is None else self.noise.map(lambda of_all: of_all[rows])
        return DesignBatch(
            self.designs[rows], self.properties[rows], self.weights[rows], size, noise
        )


def split_rows(
    num_rows: int, num_members: int, validation_fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each member's own random split into training and validation rows.

    Args:
        num_rows: Of the table, n.
        num_members: k.
        validation_fraction: Share of the rows to validate on.
        generator: Of the CPU.

    Returns:
        Row numbers, shapes ``(k, n_train)`` and ``(k, n - n_train)``.
    """
    rows = torch.stack(
        [torch.randperm(num_rows, generator=generator, device="cpu") for _ in range(num_members)]
    )
    num_validation = min(max(1, round(validation_fraction * num_rows)), num_rows - 1)
    return rows[:, num_validation:], rows[:, :num_validation]


def held_out_rows(
    things: Tensor,
    properties: Tensor,
    fraction: float,
    which: Literal["random", "top"],
    generator: torch.Generator,
) -> Tensor:
    """Which rows of a table no oracle and no search model is fitted to.

    Rows of the same thing are held out together: an oracle that has seen it elsewhere would be
    judged by what it remembers.

    Args:
        things: Of each row, from 0 without gaps, shape ``(n,)``.
        properties: Shape ``(n,)``.
        fraction: Share of the rows, rounded up to whole things.
        which: Random things, or those with the greatest label.
        generator: Of the CPU, for random things.

    Returns:
        Bool, shape ``(n,)``.
    """
    num_rows = round(fraction * len(things))
    if num_rows == 0:
        return torch.zeros_like(things, dtype=torch.bool)
    num_things = int(things.max()) + 1
    if which == "random":
        places = torch.randperm(num_things, generator=generator, device="cpu")
    else:
        best = properties.new_full((num_things,), -torch.inf)
        best = best.scatter_reduce(0, things, properties, "amax")
        places = best.argsort(descending=True, stable=True).argsort()
    place = places[things]
    return place <= place.sort().values[num_rows - 1]


STEPS_AT_ONCE = 32
"""Minibatches that the training loader hands over together. The trainer's own work for each of its
batches takes as long as a step of a small network: so each holds many steps."""


class TrainingBatches:
    """Shuffled minibatches, another order for each member and epoch, `STEPS_AT_ONCE` at a time.

    Every process sees its share of the same global batches. Iterating yields nothing while no
    oracle fit is wanted: the epoch is then an idle one, in which only the search goes on.
    """

    def __init__(
        self,
        table: WeightedDesigns,
        rows: Callable[[], Tensor | None],
        begin_epoch: Callable[[], torch.Generator],
        num_rows: int,
        batch_size: int,
    ) -> None:
        """Refer to the table and to the present split.

        Args:
            table: The training table.
            rows: Gives the training rows ``(k, num_rows)``, or None while no fit is wanted.
            begin_epoch: Begins an epoch and gives what draws its order, on the CPU.
            num_rows: Training rows a member.
            batch_size: b, over all processes.
        """
        self.table = table
        self.rows = rows
        self.begin_epoch = begin_epoch
        self.num_rows = num_rows
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Groups of minibatches in an epoch that fits the oracle."""
        return -(-self.num_steps // STEPS_AT_ONCE)

    @property
    def num_steps(self) -> int:
        """Minibatches in an epoch that fits the oracle."""
        return -(-self.num_rows // self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the order of an epoch follows from its number. Tells Lightning it can resume."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def __iter__(self) -> Iterator[list[DesignBatch]]:
        """Yield the minibatches of the present epoch."""
        # A generator: what it reads is read when the epoch begins, not when the loop is set up.
        rows = self.rows()
        if rows is None:
            return
        generator = self.begin_epoch()
        order = torch.stack(
            [torch.randperm(self.num_rows, generator=generator, device="cpu") for _ in rows]
        )
        shuffled = rows.gather(1, order.to(rows.device))
        for group in shuffled.split(self.batch_size * STEPS_AT_ONCE, dim=1):
            yield [
                self.table.batch(rows[:, rank() :: world_size()], rows.shape[1] / world_size())
                for rows in group.split(self.batch_size, dim=1)
            ]


class ValidationBatches:
    """All validation points in order, in chunks that bound the memory; each process its share."""

    def __init__(
        self, table: WeightedDesigns, rows: Callable[[], Tensor], chunk_size: int = 2048
    ) -> None:
        """Refer to the table and to the present split, rows of shape ``(k, n_validation)``."""
        self.table = table
        self.rows = rows
        self.chunk_size = chunk_size

    def __len__(self) -> int:
        """Chunks of this process."""
        return len(self._chunks())

    def __iter__(self) -> Iterator[DesignBatch]:
        """Yield the chunks."""
        for chunk in self._chunks():
            yield self.table.batch(chunk, chunk.shape[1])

    def _chunks(self) -> tuple[Tensor, ...]:
        rows = self.rows()
        return torch.split(rows[:, shard(rows.shape[1])], self.chunk_size, dim=1)


class DesignChunks:
    """Designs alone, float64, in chunks that bound the memory, made when they are first read."""

    def __init__(self, designs: Callable[[], Tensor], chunk_size: int = 8192) -> None:
        """Refer to a function that gives designs of shape ``(m, *design_shape)``."""
        self.designs = designs
        self.chunk_size = chunk_size

    def __iter__(self) -> Iterator[Tensor]:
        """Yield ``(chunk, *design_shape)``."""
        yield from self.designs().split(self.chunk_size)
