"""Feedback: the search model is fitted to a pool that the best samples enter."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.algorithms.base import QuantileAlgorithm
from lightning_mbo.samples import Samples


class FB(QuantileAlgorithm):
    """Feedback mechanism: samples whose oracle mean passes γ replace the oldest of a pool.

    γ is the `quantile` of the training labels. The pool starts as the training designs and keeps
    their number; p_θ is refitted to it, all equal in weight. Samples enter as they were drawn.

    Reference: Gupta and Zou, "Feedback GAN for DNA optimizes protein functions", Nature Machine
    Intelligence 2019; Fannjiang and Listgarten, NeurIPS 2020, section S4.
    """

    collects_samples = True
    pool: Tensor

    def start(self, designs: Tensor, properties: Tensor) -> None:
        """The pool is the training designs, the threshold a quantile of their labels."""
        self.threshold.copy_(properties.quantile(self.quantile))
        self.register_buffer("pool", designs.clone())

    def log_weights(self, samples: Samples) -> Tensor:
        """Zero for the samples that pass, minus infinity for the others, shape ``(m,)``."""
        return torch.where(samples.prediction.mean >= self.threshold, 0.0, -torch.inf).double()

    def fitting_set(self, samples: Samples, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The pool ``(n, *design_shape)``, newest last, and equal weights ``(n,)``."""
        passing = samples.drawn[weights > 0]
        self.pool.copy_(torch.cat([self.pool, passing])[-len(self.pool) :])
        return self.pool, self.pool.new_ones(len(self.pool))
