"""Random numbers that depend on a seed and a key only, never on what was drawn before.

A run that is killed and resumed therefore draws what the uninterrupted run would have drawn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

_RAREST = 1e-6
"""Of shares: no quantile is infinite."""


@dataclass(frozen=True)
class Stream:
    """All random numbers of one run, of which each draw has its own.

    Attributes:
        seed: Streams of two seeds are independent.
    """

    seed: int = 0

    def generator(
        self, purpose: str, *indices: int, device: torch.device | str = "cpu"
    ) -> torch.Generator:
        """A generator that is a function of the seed, the purpose and the indices.

        Args:
            purpose: What is drawn, for instance ``"shuffle"``; two purposes are independent.
            indices: Which draw, for instance the epoch or the design iteration.
            device: Where the tensors are drawn.
        """
        return torch.Generator(device).manual_seed(self._key(purpose, *indices))

    def of(self, purpose: str, *indices: int) -> Stream:
        """The stream of a run within this one, for instance of a fold: independent of all else."""
        return Stream(self._key(purpose, *indices))

    def _key(self, purpose: str, *indices: int) -> int:
        key = repr((self.seed, purpose, indices)).encode()
        return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def standard_normal(number: int, width: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers ``(number, width)``, of the type and on the device of a tensor."""
    return torch.randn(number, width, generator=generator, dtype=like.dtype, device=like.device)


def even_shares(number: int, width: int) -> Tensor:
    """Points ``(number, width)`` that lie evenly in the unit cube, float64; always the same."""
    engine = torch.quasirandom.SobolEngine(width, scramble=True, seed=0)
    shares: Tensor = engine.draw(number, dtype=torch.float64)
    return shares.clamp(_RAREST, 1 - _RAREST)
