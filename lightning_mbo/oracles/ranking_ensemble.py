"""An ensemble of networks that put designs in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.distributed import all_reduce_sum, rank, world_size
from lightning_mbo.oracles.deep_ensemble import StackedMLP
from lightning_mbo.oracles.list_losses import ListLoss, ListNet
from lightning_mbo.oracles.regression_ensemble import RegressionEnsemble
from lightning_mbo.oracles.representations import Representation
from lightning_mbo.space import DesignSpace

_PRIOR_POINTS = 2.0
"""Points that the scores and the labels are taken to agree on before any held-out point is seen."""


class RankingEnsemble(RegressionEnsemble):
    """Networks trained to put lists of designs in the order of their labels (RaM).

    A training batch is a list, drawn anew in every epoch: `data.batch_size` is its length. The
    network's own scores have no scale. After every epoch each member's are put on that of the
    property, level + slope · score, by least squares on its held-out points; so what is climbed,
    too, has the property's scale. Everything else is a `RegressionEnsemble`'s.

    Reference: Tan, Xue, Lyu, Shang, Wang, Wang, Fu and Qian, "Offline model-based optimization by
    learning to rank", ICLR 2025, where the scores are standardised instead, and a training step
    takes 128 of 10,000 lists of 1,000 designs that are drawn once.
    """

    level: Tensor
    slope: Tensor

    def __init__(
        self,
        num_members: int = 1,
        hidden_sizes: Sequence[int] = (256, 256),
        learning_rate: float = 3e-4,
        negative_slope: float = 0.0,
        loss: ListLoss | None = None,
        representation: Representation | None = None,
    ) -> None:
        """Describe the ensemble; `build` creates it.

        Args:
            num_members: k.
            hidden_sizes: Units of each hidden layer of a member.
            learning_rate: Adam's.
            negative_slope: Of the leaky ReLU; 0 makes it a ReLU.
            loss: Of the scores of a list; default: `ListNet`.
            representation: What the network sees of a design; default: the design itself.
        """
        super().__init__(num_members, hidden_sizes, learning_rate, negative_slope, representation)
        self.loss = ListNet() if loss is None else loss
        self._held_out_scores: list[tuple[Tensor, DesignBatch]] = []

    def build(self, space: DesignSpace) -> None:
        """Create the stacked network, whose scores are taken as they are at first."""
        super().build(space)
        # Lists know no level of the scores: its gradient is rounding alone, which Adam would scale.
        assert isinstance(self.network, StackedMLP)
        self.network.biases[-1].requires_grad_(False)
        self.register_buffer("level", torch.zeros(self.num_members, dtype=torch.float32))
        self.register_buffer("slope", torch.ones(self.num_members, dtype=torch.float32))

    def scores(self, inputs: Tensor) -> Tensor:
        """Each member's score, of a scale of its own, shape ``(k, b)``."""
        return super().values(inputs)

    def values(self, inputs: Tensor) -> Tensor:
        """Each member's prediction of the standardised property, shape ``(k, b)``."""
        return self.in_standard_units(self.scores(inputs))

    def in_standard_units(self, scores: Tensor) -> Tensor:
        """What scores ``(k, b)`` mean of the standardised property."""
        return self.level[:, None] + self.slope[:, None] * scores

    def member_losses(self, batch: DesignBatch) -> Tensor:
        """The loss of each member's list, of all processes together, shape ``(k,)``."""
        scores = self.scores(self.representation.encode(batch.designs))
        weights, noise = batch.weights, self.standardized_noise(batch)
        if noise is not None:
            weights = weights * self.shares(noise)
        labels = self.standardized(batch.properties)
        length = round(batch.size * world_size())
        scores, labels, weights = whole_lists([scores, labels, weights], length)
        # By the list's mean weight, times the processes whose gradients are averaged.
        losses: Tensor = self.loss(scores, labels, weights)
        return weights.sum(1) / batch.size * losses

    def validation_step(self, batch: DesignBatch, batch_idx: int) -> None:
        """Keep the held-out scores until all are known."""
        scores = self.scores(self.representation.encode(batch.designs))
        self._held_out_scores.append((scores, batch._replace(designs=batch.designs[:, :0])))

    def end_validation(self) -> dict[str, Tensor]:
        """Put the scores on the property's scale, and judge what they then say."""
        number = self._put_on_scale()
        for scores, batch in self._held_out_scores:
            self.judge(self.in_standard_units(scores), batch)
        self._held_out_scores = []
        figures = super().end_validation()
        # Level and slope take two points' worth, and one more is as far off as labels are.
        variance = (number * self.residual_variance + 1) / (number - 1).clamp(min=1)
        self.residual_variance.copy_(torch.where(number > 0, variance, self.residual_variance))
        return figures

    def _put_on_scale(self) -> Tensor:
        """Fit the lines, and give how many points, equally weighted, each rests on, ``(k,)``."""
        points = [
            (batch.weights, scores, self.standardized(batch.properties))
            for scores, batch in self._held_out_scores
        ]
        columns = zip(*points, strict=True)
        weights, scores, labels = (torch.cat(column, dim=1).double() for column in columns)
        total = all_reduce_sum(weights.sum(1))

        def mean(values: Tensor) -> Tensor:
            return all_reduce_sum((weights * values).sum(1)) / total

        score, label = mean(scores), mean(labels)
        scores, labels = scores - score[:, None], labels - label[:, None]
        number = total / mean(weights)
        variances = mean(scores.square()), mean(labels.square())
        slope = slope_of(*variances, mean(scores * labels), number)
        level = label - slope * score
        # A member whose held-out points all weigh nothing, or are all alike, stays as it is.
        known = slope.isfinite() & (slope > 0)
        self.level.copy_(torch.where(known, level, self.level))
        self.slope.copy_(torch.where(known, slope, self.slope))
        return number


def whole_lists(parts: Sequence[Tensor], length: int) -> list[Tensor]:
    """Of all processes together, in which only this one's have a gradient.

    Args:
        parts: This process's entries of several lists, shape ``(k, b)`` each.
        length: Of the whole lists.
    """
    if world_size() == 1:
        return list(parts)
    mine = slice(rank(), None, world_size())
    local = torch.stack([part.detach() for part in parts])
    whole = local.new_zeros(*local.shape[:2], length)
    whole[..., mine] = local
    lists = [entries.clone() for entries in all_reduce_sum(whole)]
    for entries, part in zip(lists, parts, strict=True):
        entries[:, mine] = part
    return lists


def slope_of(
    variance: Tensor, label_variance: Tensor, covariance: Tensor, number: Tensor
) -> Tensor:
    """How labels rise with scores, by least squares beside a few points that agree.

    `_PRIOR_POINTS` points would have it that the standardised scores are the standardised labels;
    and it never falls.

    Args:
        variance: Of the scores, ``(k,)``.
        label_variance: Of the labels, ``(k,)``.
        covariance: Of both, ``(k,)``.
        number: How many points, equally weighted, these rest on, ``(k,)``.

    Returns:
        Shape ``(k,)``; not finite where the scores do not differ.
    """
    agreeing = (label_variance / variance).sqrt()
    own = number * covariance / variance + _PRIOR_POINTS * agreeing
    return own.maximum(agreeing) / (number + _PRIOR_POINTS)
