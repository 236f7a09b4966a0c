"""Ehrlich functions: sequences in which motifs are sought, and some letters never follow others."""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from lightning_mbo.designs import hamming
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.random import Stream
from lightning_mbo.sequences import one_hot, tokens
from lightning_mbo.space import DesignSpace
from lightning_mbo.tasks.base import KnownProblem, Task, check_percentile
from lightning_mbo.tasks.codecs import Letters

LETTERS = string.ascii_uppercase + string.digits

_BANNED = 0.2
"""Share of the letters that never follow a given one."""

_SHARPNESS = 2.0
"""Of the logarithms of the chances of those that do: their standard deviation."""

_GENERATIONS = 8
_PARENTS = 0.2
"""Share of a generation, the best, that the next one descends from."""

_MUTATIONS = 1.5
"""Letters of a child that are drawn anew, in the mean."""

_TRIES = 20
"""Children drawn for one that is feasible, at most."""


@dataclass(frozen=True, eq=False)
class Ehrlich:
    """How much of each motif is somewhere in a sequence, multiplied; 1 where all of all are.

    A motif is there with gaps of its own between its letters. Of each the greatest share that
    stands anywhere counts, rounded down to one of q steps. Sequences in which a letter follows
    another that it must not follow are infeasible.

    Reference: Stanton, Alberstein, Frey, Watkins and Cho, "Closed-form test functions for
    biophysical sequence optimization algorithms", arXiv 2407.00236, 2024.

    Attributes:
        chances: Of each letter behind each other one, in sequences drawn at random, ``(v, v)``,
            rows summing to one; 0 of what must not be.
        motifs: Their letters, ``(c, k)``.
        offsets: Where these stand, counted from a motif's first, ``(c, k)``, ascending from 0.
        quantization: q, a divisor of k.
    """

    chances: Tensor
    motifs: Tensor
    offsets: Tensor
    quantization: int

    @classmethod
    def drawn(
        cls,
        num_letters: int,
        length: int,
        num_motifs: int,
        motif_length: int,
        quantization: int,
        generator: torch.Generator,
    ) -> Self:
        """One that some sequence of this length has all motifs of.

        The motifs are pieces of one walk from letter to letter, so that they can follow each other,
        and none is longer with its gaps than its part of the sequence. Any letter may follow
        itself, and every other one can be reached.
        """
        chances = _chances(num_letters, generator)
        moving = chances * (1 - torch.eye(num_letters, dtype=torch.float64, device="cpu"))
        walk = _walks(moving, 1, num_motifs * motif_length, generator)
        room = torch.ones(num_motifs, length // num_motifs - 1, device="cpu")
        later = torch.multinomial(room, motif_length - 1, generator=generator) + 1
        offsets = torch.cat([torch.zeros_like(later[:, :1]), later.sort(1).values], dim=1)
        return cls(chances, walk.reshape(num_motifs, motif_length), offsets, quantization)

    def feasible(self, sequences: Tensor) -> Tensor:
        """Which of sequences ``(m, l)`` have no letter behind one that it must not follow, (m,)."""
        chances = self.chances.to(sequences.device)
        return (chances[sequences[:, :-1], sequences[:, 1:]] > 0).all(1)

    def __call__(self, sequences: Tensor) -> Tensor:
        """Of sequences ``(m, l)``: ``(m,)``, float64; 0 of infeasible ones too."""
        value = self.feasible(sequences).double()
        length, steps = self.motifs.shape[1], self.quantization
        for motif, offsets in zip(self.motifs, self.offsets, strict=True):
            starts = torch.arange(sequences.shape[1] - int(offsets[-1]), device="cpu")
            places = starts[:, None] + offsets
            there = sequences[:, places.to(sequences.device)] == motif.to(sequences.device)
            most = there.sum(2).amax(1)
            value *= (most * steps // length).double() / steps
        return value

    def draw(self, num_sequences: int, length: int, generator: torch.Generator) -> Tensor:
        """Feasible sequences ``(m, l)``, by the chances of what follows what."""
        return _walks(self.chances, num_sequences, length, generator)

    @cached_property
    def whole(self) -> Tensor:
        """The motifs one after the other, each letter repeated up to the next, ``(c, ·)`` in one.

        As short as it can be; its last letter may be repeated.
        """
        counts = torch.ones_like(self.offsets)
        counts[:, :-1] = self.offsets.diff(dim=1)
        return self.motifs.flatten().repeat_interleave(counts.flatten())


@dataclass(frozen=True)
class EhrlichFunction(Task):
    """Sequences of letters, and how much of some hidden motifs each has: an `Ehrlich` function.

    The rows are what a campaign might have left: random feasible sequences, and some generations
    that descend from the best by mutations. The best of all these are hidden. The greatest value
    is 1.

    Attributes:
        num_letters: v.
        length: Of the sequences, l.
        num_motifs: c.
        motif_length: k.
        quantization: In how many steps more of a motif counts for more: a divisor of k.
        function_seed: Of the function; the table is drawn by the run's.
        num_designs: n.
        visible_percentile: Sequences above this percentile of the property are hidden.
    """

    num_letters: int = 32
    length: int = 32
    num_motifs: int = 4
    motif_length: int = 4
    quantization: int = 4
    function_seed: int = 0
    num_designs: int = 2000
    visible_percentile: float = 80.0

    property_name = "motifs present"

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigurationError: If a value is out of its range, or motifs do not fit.
        """
        if not 3 <= self.num_letters <= len(LETTERS):
            raise ConfigurationError(
                f"data.num_letters must be 3 to {len(LETTERS)}, not {self.num_letters}"
            )
        if self.num_motifs < 1 or self.motif_length < 2:
            raise ConfigurationError(
                "data.num_motifs must be at least 1, and motif_length at least 2"
            )
        if self.num_motifs * self.motif_length > self.length:
            raise ConfigurationError(
                f"data.length: {self.num_motifs} motifs of {self.motif_length} letters do not fit "
                f"into {self.length}"
            )
        if self.quantization < 1 or self.motif_length % self.quantization:
            raise ConfigurationError(
                f"data.quantization must divide motif_length, {self.motif_length}: "
                f"{self.quantization} does not"
            )
        if self.num_designs < 1:
            raise ConfigurationError(f"data.num_designs must be at least 1, not {self.num_designs}")
        check_percentile(self.visible_percentile)

    def function(self) -> Ehrlich:
        """The truth."""
        return Ehrlich.drawn(
            self.num_letters,
            self.length,
            self.num_motifs,
            self.motif_length,
            self.quantization,
            Stream(self.function_seed).generator("Ehrlich function"),
        )

    def problem(self, generator: torch.Generator) -> KnownProblem:
        """Draw the sequences."""
        function = self.function()
        sequences = self._bred(function, generator)
        values = function(sequences)
        visible = (values <= values.quantile(self.visible_percentile / 100)).nonzero()[:, 0]
        order = torch.randperm(len(visible), generator=generator, device="cpu")
        rows = visible[order[: self.num_designs]]
        designs = one_hot(sequences[rows], self.num_letters)
        return KnownProblem(
            designs,
            values[rows],
            DesignSpace.of_shape(designs.shape[1:]),
            Letters(LETTERS[: self.num_letters]),
            lambda others: function(tokens(others)),
            property_range=(0.0, 1.0),
            feasible=lambda others: function.feasible(tokens(others)),
            distances=hamming,
        )

    def _bred(self, function: Ehrlich, generator: torch.Generator) -> Tensor:
        """Different feasible sequences ``(·, l)``: random ones, and what descends from them."""
        present = function.draw(self.num_designs, self.length, generator)
        every = [present]
        for _ in range(_GENERATIONS):
            order = torch.randperm(len(present), generator=generator, device="cpu")
            present = present[order]  # of equally good ones any
            best = function(present).argsort(descending=True, stable=True)
            parents = present[best[: max(1, round(_PARENTS * len(present)))]]
            present = self._children(parents, function, generator)
            every.append(present)
        found: Tensor = torch.cat(every).unique(dim=0)
        return found

    def _children(self, parents: Tensor, function: Ehrlich, generator: torch.Generator) -> Tensor:
        """As many feasible mutants as there are to be designs, at most, and one at least."""
        number = _TRIES * self.num_designs
        chosen = torch.randint(len(parents), (number,), generator=generator, device="cpu")
        children = parents[chosen]
        shape = children.shape
        mutated = torch.rand(shape, generator=generator, device="cpu") < _MUTATIONS / self.length
        drawn = torch.randint(self.num_letters, shape, generator=generator, device="cpu")
        children = children.where(~mutated, drawn)
        children = children[mutated.any(1) & function.feasible(children)][: self.num_designs]
        return children if len(children) else parents


def _chances(num_letters: int, generator: torch.Generator) -> Tensor:
    """Of each letter behind each other one, ``(v, v)``, of which some are 0."""
    shape = num_letters, num_letters
    normal = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    weights = (_SHARPNESS * normal).exp()
    ring = torch.randperm(num_letters, generator=generator, device="cpu")
    # Neither itself nor the next one on the ring are banned: from each, all others are reached.
    order = torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")
    order[ring, ring] = order[ring, ring.roll(-1)] = torch.inf
    number = max(1, round(_BANNED * num_letters))
    weights.scatter_(1, order.argsort(1)[:, :number], 0.0)
    return weights / weights.sum(1, keepdim=True)


def _walks(chances: Tensor, number: int, length: int, generator: torch.Generator) -> Tensor:
    """From letter to letter by their chances ``(v, v)``, the first being any, ``(m, l)``."""
    letters = [torch.randint(len(chances), (number,), generator=generator, device="cpu")]
    while len(letters) < length:
        following = chances[letters[-1]]
        letters.append(torch.multinomial(following, 1, generator=generator)[:, 0])
    return torch.stack(letters, dim=1)
