"""How well scores put a list of designs in order."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

_SMALLEST_VARIANCE = 1e-12
"""The square root has no gradient at zero, where all scores or all labels are one."""


class ListLoss(nn.Module, ABC):
    """What scores of a whole list lose against its labels, whatever they are of one design.

    A design of weight w counts as w designs of the list.
    """

    @abstractmethod
    def forward(self, scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """The loss of each member's list, ``(k,)``.

        Args:
            scores: Shape ``(k, b)``.
            labels: Standardised, shape ``(k, b)``.
            weights: Shape ``(k, b)``; of a list that weighs nothing the loss is finite.
        """


class ListNet(ListLoss):
    """The cross-entropy of who comes first, by the softmax of the labels and of the scores.

    Scores that differ from the labels by a constant alone have the least loss.

    Reference: Cao, Qin, Liu, Tsai and Li, "Learning to rank: from pairwise approach to listwise
    approach", ICML 2007.
    """

    def forward(self, scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Nats, ``(k,)``."""
        copies = weights.clamp(min=torch.finfo(weights.dtype).tiny).log()
        first = torch.softmax(labels + copies, dim=1)
        return (scores + copies).logsumexp(1) - (first * scores).sum(1)


class RankCosine(ListLoss):
    """One minus the correlation of scores and labels: the cosine of both, less their means.

    Reference: Qin, Zhang, Tsai, Wang, Liu and Li, "Query-level loss functions for information
    retrieval", Information Processing and Management, 2008.
    """

    def forward(self, scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """From 0 to 2, ``(k,)``."""
        tiny = torch.finfo(weights.dtype).tiny
        shares = weights / weights.sum(1, keepdim=True).clamp(min=tiny)

        def centred(values: Tensor) -> Tensor:
            return values - (shares * values).sum(1, keepdim=True)

        scores, labels = centred(scores), centred(labels)
        variances = (shares * scores.square()).sum(1) * (shares * labels.square()).sum(1)
        cosines = (shares * scores * labels).sum(1) / (variances + _SMALLEST_VARIANCE).sqrt()
        return 1 - cosines
