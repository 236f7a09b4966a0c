"""Sequences that are written by a machine with a few hidden states."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce
from lightning_mbo.search_models.categorical import OneHotModel, draw_letters
from lightning_mbo.sequences import closed, one_hot
from lightning_mbo.space import DesignSpace

_LEAST_GAIN = 1e-3
"""Nats a design, of the mean log-likelihood, below which a fit has converged."""

_MOST_STEPS = 100


@dataclass(frozen=True)
class _Chances:
    """Probabilities, or counts, of a machine with s states.

    Attributes:
        starts: Of the first state, shape ``(s,)``.
        moves: Of each state's next, shape ``(s, s)``.
        letters: Of what each state writes, shape ``(s, v)``.
    """

    starts: Tensor
    moves: Tensor
    letters: Tensor


class HiddenMarkov(OneHotModel):
    """Search model of sequences: hidden states follow one another, and each writes a letter.

    A state knows only the one before it, wherever in the sequence: so a motif is the same motif at
    every place, and one letter may be left out or put in. Shorter words are so many letters and
    then an end, a state that is never left and writes nothing but gaps: samples have no gap before
    a letter. Of a word with gaps inside, the probability is that of its letters moved up.

    It is fitted by expectation maximisation (Baum-Welch), the first time from frequencies that are
    disturbed at random, later from the states that it has. `pseudocount` designs of uniform letters
    and states are added to the n_e that the weighted ones count for.

    Reference: Baum, Petrie, Soules and Weiss, "A maximization technique occurring in the
    statistical analysis of probabilistic functions of Markov chains", 1970; Rabiner, "A tutorial on
    hidden Markov models", Proceedings of the IEEE 1989.

    Attributes:
        starts: Probabilities of the first state, shape ``(s,)``, float64; where there are shorter
            words, the last state is the end.
        moves: Of each state's next, shape ``(s, s)``, float64.
        letters: Of what each state writes, shape ``(s, v)``, float64.
        fitted: Whether there are states to go on from.
    """

    starts: Tensor
    moves: Tensor
    letters: Tensor
    fitted: Tensor

    def __init__(self, num_states: int = 16, pseudocount: float = 1.0) -> None:
        """Set the size; `build` creates the distribution.

        Args:
            num_states: Without the end.
            pseudocount: Designs of uniform letters and states that are added to those of a fit.

        Raises:
            ConfigurationError: If a value is not positive.
        """
        super().__init__(pseudocount)
        if num_states < 1:
            raise ConfigurationError(f"num_states must be at least 1, not {num_states}")
        self.num_states = num_states

    def build(self, space: DesignSpace) -> None:
        """Start as uniform.

        Raises:
            ConfigurationError: If designs are not sequences alone.
        """
        super().build(space)
        if not space.is_sequences:
            raise ConfigurationError(
                "HiddenMarkov needs designs that are one sequence, and these are of "
                f"{len(space.groups)} columns: give --search.search_model CategoricalMixture"
            )
        self.has_gap = space.has_gap
        uniform = self._uniform(space.shape[1])
        self.register_buffer("starts", uniform.starts.clone())
        self.register_buffer("moves", uniform.moves.clone())
        self.register_buffer("letters", uniform.letters.clone())
        self.register_buffer("fitted", torch.tensor(False))

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, l, v)`` one-hot designs."""
        length, num_letters = self.sizes.shape
        chances, words = self.starts.expand(num_samples, -1), []
        for _ in range(length):
            states = draw_letters(chances, generator)
            words.append(draw_letters(self.letters[states], generator))
            chances = self.moves[states]
        return one_hot(torch.stack(words, dim=1), num_letters)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-probability of ``(m, l, v)`` designs, shape ``(m,)``."""
        _, shares = self._forward(self._written(self._closed(designs)))
        return shares.log().sum(1)

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """A local maximum of the weighted likelihood, with the pseudocount."""
        designs, weights = self._closed(designs), weights.to(self.starts)
        weights = weights / reduce(weights.sum())
        added = self.pseudocount * reduce(weights.square().sum())
        if not self.fitted:
            self._start(reduce(torch.tensordot(weights, designs, 1)).sum(0))
            self.fitted.fill_(True)
        before = -math.inf
        for _ in range(_MOST_STEPS):
            counts, likelihood = self._expected(designs, weights)
            after = reduce(likelihood).item()
            if after - before < _LEAST_GAIN:
                break
            before = after
            self._maximize(
                _Chances(*map(reduce, (counts.starts, counts.moves, counts.letters))), added
            )

    def _closed(self, designs: Tensor) -> Tensor:
        """Designs whose letters behind a gap have moved up, ``(m, l, v)``."""
        return (closed(designs) if self.has_gap else designs).to(self.starts)

    def _written(self, designs: Tensor) -> Tensor:
        """Of each letter the probability in each state, ``(l, m, s)``."""
        return (designs @ self.letters.mT).transpose(0, 1)

    def _forward(self, written: Tensor) -> tuple[Tensor, Tensor]:
        """Of each state given the letters so far, ``(l, m, s)``; of each letter, ``(m, l)``."""
        states, shares, ahead = [], [], self.starts
        for letter in written:
            joint = ahead * letter
            shares.append(joint.sum(1))
            states.append(joint / shares[-1][:, None])
            ahead = states[-1] @ self.moves
        return torch.stack(states), torch.stack(shares, dim=1)

    def _expected(self, designs: Tensor, weights: Tensor) -> tuple[_Chances, Tensor]:
        """How often, by the weights, each thing has happened; and the mean log-likelihood."""
        written = self._written(designs)
        forward, shares = self._forward(written)
        behind = weights[:, None].expand_as(forward[0])
        moves, letters = torch.zeros_like(self.moves), torch.zeros_like(self.letters)
        for place in range(len(forward) - 1, 0, -1):
            letters += (forward[place] * behind).mT @ designs[:, place]
            arrived = written[place] * behind / shares[:, place, None]
            moves += forward[place - 1].mT @ arrived
            behind = arrived @ self.moves.mT
        first = forward[0] * behind
        letters += first.mT @ designs[:, 0]
        return _Chances(first.sum(0), moves * self.moves, letters), weights @ shares.log().sum(1)

    def _maximize(self, counts: _Chances, added: Tensor) -> None:
        """The machine that explains best what has happened, with so many uniform designs."""
        length, num_letters = self.sizes.shape
        uniform, each = self._uniform(num_letters), added / len(self.starts)
        for place, count, prior, number in (
            (self.starts, counts.starts, uniform.starts, added),
            (self.moves, counts.moves, uniform.moves, each * max(length - 1, 1)),
            (self.letters, counts.letters, uniform.letters, each * length),
        ):
            total = count + number * prior
            place.copy_(total / total.sum(-1, keepdim=True))

    def _start(self, frequencies: Tensor) -> None:
        """Disturb what is uniform, and the letters' frequencies ``(v,)``, in each state."""
        generator = self.stream.generator("hidden Markov")
        uniform = self._uniform(len(frequencies))
        usual = frequencies + torch.finfo(frequencies.dtype).tiny
        for place, chances in (
            (self.starts, uniform.starts),
            (self.moves, uniform.moves),
            (self.letters, uniform.letters * usual),
        ):
            noise = torch.rand(place.shape, generator=generator, dtype=place.dtype, device="cpu")
            disturbed = chances * -noise.to(place).log()
            place.copy_(disturbed / disturbed.sum(-1, keepdim=True))

    def _uniform(self, num_letters: int) -> _Chances:
        """Where nothing is known: all states, moves and letters alike, but for the end's own."""
        size = self.num_states + self.has_gap
        starts, moves = (self.sizes.new_full(shape, 1 / size) for shape in ((size,), (size, size)))
        letters = self.sizes.new_full((size, num_letters), 1 / (num_letters - self.has_gap))
        if self.has_gap:
            letters[:, -1] = 0.0
            for table in (moves, letters):
                table[-1] = 0.0
                table[-1, -1] = 1.0
        return _Chances(starts, moves, letters)
