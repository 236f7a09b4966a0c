"""Conditioning by adaptive sampling, on a schedule."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.algorithms.cbas import CbAS
from lightning_mbo.errors import ConfigurationError


class AnnealedCbAS(CbAS):
    """CbAS whose quantile rises by equal steps, from a first one next to zero.

    In step t of T, γ_t is the Q t/T-quantile of the oracle's present means, and may fall where a
    refit has lowered them.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, section S3.
    """

    num_done: Tensor

    def __init__(self, quantile: float = 1.0, num_steps: int = 100) -> None:
        """Set the schedule.

        Args:
            quantile: Q in [0, 1], which the last step reaches.
            num_steps: T, as a rule the number of design iterations. Further ones stay at Q.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__init__(quantile)
        if num_steps < 1:
            raise ConfigurationError(f"num_steps must be at least 1, not {num_steps}")
        self.num_steps = num_steps
        self.register_buffer("num_done", torch.tensor(0))

    def next_threshold(self, means: Tensor) -> Tensor:
        """γ_t, a scalar, from the oracle's means over the samples, ``(m,)``."""
        self.num_done += 1
        share = (self.num_done.to(means.dtype) / self.num_steps).clamp(max=1.0)
        return means.nanquantile(self.quantile * share)
