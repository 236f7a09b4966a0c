"""CMA-ES, the evolution strategy with covariance matrix adaptation."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.algorithms.base import Algorithm
from lightning_mbo.samples import Samples


class CMAES(Algorithm):
    """CMA-ES on the probability of improvement: a sample weighs its rank.

    Samples are ranked by P(y ≥ greatest training label). The search model must be a `CMANormal`,
    which learns from the order of the weights.

    Reference: Hansen, "The CMA evolution strategy: a tutorial", arXiv 1604.00772; Fannjiang and
    Listgarten, NeurIPS 2020, section S4.
    """

    gives_ranks = True

    def log_weights(self, samples: Samples) -> Tensor:
        """Logarithms of the ranks, from 1 for the least probable improvement, shape ``(m,)``.

        Samples that are equally probable share the greatest of their ranks.
        """
        improvement = samples.prediction.log_survival(self.threshold)
        usable = ~improvement.isnan()
        # Sorted behind all others, NaN counts for no sample's rank.
        ordered = torch.where(usable, improvement, torch.inf).sort().values
        ranks = torch.searchsorted(ordered, improvement, right=True)
        return torch.where(usable, ranks.double().log(), -torch.inf)
