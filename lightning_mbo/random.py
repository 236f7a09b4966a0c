"""Random numbers that depend on the run's seed and a key only, never on what was drawn before.

A run that is killed and resumed therefore draws what the uninterrupted run would have drawn.
"""

from __future__ import annotations

import hashlib
import os

import torch


def run_seed() -> int:
    """The seed that ``pytorch_lightning.seed_everything`` was given, or torch's own."""
    return int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed()))


def keyed_generator(
    purpose: str, *indices: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator whose stream is a function of the run's seed, the purpose and the indices.

    Args:
        purpose: What is drawn, for instance ``"shuffle"``; streams of two purposes are independent.
        indices: Which draw, for instance the epoch or the design iteration.
        device: Where the tensors are drawn.
    """
    key = repr((run_seed(), purpose, indices)).encode()
    seed = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1
    return torch.Generator(device).manual_seed(seed)
