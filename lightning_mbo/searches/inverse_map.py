"""What designs of a wanted property are like."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_mbo.random import Stream, standard_normal
from lightning_mbo.search_models.autoencoder import MOST_LATENT, Autoencoder
from lightning_mbo.search_models.evidence_bound import (
    BATCH_SIZE,
    FIRST_STEPS,
    PENALTY,
    maximise_bound,
)
from lightning_mbo.search_models.latent_entries import EntryLayout
from lightning_mbo.search_models.weighted_batches import WeightedBatches
from lightning_mbo.space import DesignSpace

_NUM_BINS = 20
_TEMPERATURE = 0.1
"""Of the range of the labels."""


class InverseMap(nn.Module):
    """Designs x given a property y, p(x | y) = ∫ p(z) p(x | z, y) dz.

    A conditional variational autoencoder of numbers, categories, letters and amounts: what the
    search model of this kind is, with y beside the latent variables. The decoder's linear part
    goes on beyond the labels that were seen.

    References: Kumar and Levine, "Model inversion networks for model-based optimization", NeurIPS
    2020; Sohn, Lee and Yan, "Learning structured output representation using deep conditional
    generative models", NeurIPS 2015.

    Attributes:
        layout: What each entry of a design is like by itself.
        network: Encoder and decoder.
        location: Mean of the labels, a scalar, float64.
        scale: Their standard deviation.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, space: DesignSpace, stream: Stream, latent_size: int | None = None) -> None:
        """Start with random networks.

        Args:
            space: The layout of designs.
            stream: Of all that is drawn for the fit.
            latent_size: How many latent variables there are; None: as many as dimensions in which
                designs may differ, at most 64.
        """
        super().__init__()
        self.layout = EntryLayout(space)
        self._num_latent = latent_size or min(self.layout.num_free, MOST_LATENT)
        self._stream = stream
        self.network = Autoencoder(self.layout.width, space.num_numbers, self._num_latent, 1)
        self.network.start(stream.generator("inverse map"))
        self.register_buffer("location", torch.zeros((), dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def fit(self, designs: Tensor, properties: Tensor, weights: Tensor) -> None:
        """Maximise the evidence bound of p(x | y), good designs and rare labels weighing more.

        Args:
            designs: Shape ``(n, *design_shape)``.
            properties: Shape ``(n,)``, more being better.
            weights: How often each design was measured, shape ``(n,)``.
        """
        weights = weights.to(self.location) * score_weights(properties).to(self.location)
        weights = weights / weights.sum()
        self.location.copy_(properties.mean())
        self.scale.copy_(properties.std(correction=0))
        entries = self.layout.fit(designs, weights, lambda total: total)
        wanted = self._given(properties.to(self.location))
        generator = self._stream.generator("inverse map fit", device=weights.device)
        features = torch.cat([entries.features, wanted], dim=1)
        batches = WeightedBatches(features, weights, BATCH_SIZE, generator, lambda total: total)
        maximise_bound(
            self.network,
            self.layout,
            entries,
            batches,
            generator,
            FIRST_STEPS,
            PENALTY * weights.square().sum(),
            given=wanted,
        )

    def sample(self, wanted: float, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, *design_shape)`` designs of a wanted property, in the labels' units."""
        latent = standard_normal(num_samples, self._num_latent, generator, self.location)
        given = self._given(self.location.new_full((num_samples,), wanted))
        outputs = self.network.decode(latent, given)
        return self.layout.sample(outputs, self.network.log_deviations, generator)

    def _given(self, properties: Tensor) -> Tensor:
        return ((properties - self.location) / self.scale)[:, None]


def score_weights(properties: Tensor) -> Tensor:
    """How much each row teaches an inverse map, ``(n,)``.

    The range of the labels is divided into bins. A bin of N rows counts for N / (N + n / bins), so
    that rare labels are heard, times exp(-(1 - r) / 0.1), r being where in the range it lies, so
    that good ones are; its rows share it.

    Reference: Kumar and Levine, "Model inversion networks for model-based optimization", NeurIPS
    2020, section 3.3.

    Args:
        properties: Shape ``(n,)``, more being better, not all equal.
    """
    least, greatest = properties.aminmax()
    shares = (properties - least) / (greatest - least)
    bins = (shares * _NUM_BINS).long().clamp(max=_NUM_BINS - 1)
    numbers = torch.bincount(bins, minlength=_NUM_BINS).to(properties)
    middles = (torch.arange(_NUM_BINS, device=bins.device).to(properties) + 0.5) / _NUM_BINS
    of_a_row = ((middles - 1) / _TEMPERATURE).exp() / (numbers + len(bins) / _NUM_BINS)
    return of_a_row[bins]
