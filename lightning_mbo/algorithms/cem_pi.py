"""The cross-entropy method on the probability of improvement."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.algorithms.base import QuantileAlgorithm
from lightning_mbo.samples import Samples


class CEMPI(QuantileAlgorithm):
    """Cross-entropy method with probability of improvement (CEM-PI).

    The samples whose P(y ≥ greatest training label) is at or above the `quantile` of all samples'
    weigh one, the others nothing.

    Reference: Snoek, Larochelle and Adams, "Practical Bayesian optimization of machine learning
    algorithms", NeurIPS 2012; Fannjiang and Listgarten, NeurIPS 2020, section S4.
    """

    def log_weights(self, samples: Samples) -> Tensor:
        """Zero for the samples in the top 1 - Q, minus infinity for the others, ``(m,)``."""
        improvement = samples.prediction.log_survival(self.threshold)
        elite = improvement >= improvement.nanquantile(self.quantile)
        return torch.where(elite, 0.0, -torch.inf).double()
