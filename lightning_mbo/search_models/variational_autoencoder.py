"""Designs of any kind, written by a network from a few latent variables."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.random import even_shares
from lightning_mbo.search_models.autoencoder import MOST_LATENT, Autoencoder
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.evidence_bound import (
    BATCH_SIZE,
    FIRST_STEPS,
    PENALTY,
    maximise_bound,
)
from lightning_mbo.search_models.latent_entries import Entries, EntryLayout
from lightning_mbo.search_models.weighted_batches import WeightedBatches, distinct
from lightning_mbo.space import Cells, DesignSpace

_FURTHER_STEPS = 500

_NUM_DRAWS = 32
"""Of the latent variables, over which a density is a mean."""

_MOST_DECODED = 2**15
"""Latent variables of designs at once."""


class VariationalAutoencoder(SearchModel):
    """Search model of numbers, categories, letters and amounts, and of all of them together.

    p_θ(x) = ∫ p(z) p_θ(x | z) dz. Latent variables z, standard normal, say what belongs together;
    given them the entries of a design are independent: a number is normal, of a deviation of its
    own, a level or letter categorical. A network of one hidden layer, beside a linear one, decodes
    z. Amounts that are often zero are there or not, and log-normal where they are; behind the
    first gap of a sequence stand nothing but gaps.

    A fit maximises the weighted evidence bound, with a normal prior of the network's weights that
    counts for one design, by a fixed number of steps on minibatches: many from random networks the
    first time, later fewer from those that there are. Location and scale of the numbers and
    frequencies of the levels are always the fitted designs' own, so that the networks need not
    follow where a search goes.

    The density is estimated by importance sampling from the encoder's q(z | x), a little wider,
    with the same draws for all designs, fits and models: what is in error is in good part the same
    in p_θ and p_0, and not in their ratio. The estimate is low in expectation, the more so where
    the encoder has seen no such designs.

    References: Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014; Higgins et al.,
    "β-VAE", ICLR 2017; Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR
    2016.

    Attributes:
        layout: What each entry is like by itself.
        network: Encoder and decoder.
        log_prob_error: The standard error of log-densities at designs as in the last fit, if the
            draws were independent; a scalar, nats.
        num_fits: How many there have been.
        base_draws: Standard normal, of z, ``(draws, z)``.
    """

    models_categories: ClassVar[bool] = True
    log_prob_error: Tensor
    num_fits: Tensor
    base_draws: Tensor

    def __init__(self, latent_size: int | None = None, beta: float = 1.0) -> None:
        """Set the size; `build` creates the distribution.

        Args:
            latent_size: How many latent variables there are; None: as many as dimensions in which
                designs may differ, at most 64. What is not needed is not used.
            beta: Of the divergence of q(z | x) from p(z) in the evidence bound: with more than 1
                less is kept of single designs.

        Raises:
            ConfigurationError: If a value is not positive.
        """
        super().__init__()
        if latent_size is not None and latent_size < 1:
            raise ConfigurationError(f"latent_size must be at least 1, not {latent_size}")
        if not 0 < beta < math.inf:
            raise ConfigurationError(f"beta must be positive and finite, not {beta}")
        self.latent_size = latent_size
        self.beta = beta

    def build(self, space: DesignSpace) -> None:
        """Start with random networks, in units of 1 and with levels that are equally frequent."""
        self.layout = EntryLayout(space)
        num_latent = self.latent_size or min(self.layout.num_free, MOST_LATENT)
        self.network = Autoencoder(self.layout.width, space.num_numbers, num_latent)
        self.network.start(self.stream.generator("autoencoder"))
        draws = torch.special.ndtri(even_shares(_NUM_DRAWS, num_latent))
        self.register_buffer("base_draws", draws, persistent=False)
        self.register_buffer("log_prob_error", torch.zeros((), dtype=torch.float64))
        self.register_buffer("num_fits", torch.tensor(0))

    def figures(self) -> dict[str, float]:
        """How exact densities are."""
        return {"search_model_log_prob_error": self.log_prob_error.item()}

    def cells(self, designs: Tensor, cells: Cells) -> Cells:
        """Amounts that are not there were drawn as zero."""
        return self.layout.cells(designs, cells)

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, *design_shape)`` designs."""
        latent = self.base_draws.new_empty(num_samples, self.base_draws.shape[1])
        outputs = self.network.decode(latent.normal_(generator=generator))
        return self.layout.sample(outputs, self.network.log_deviations, generator)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Estimated log-density of ``(m, *design_shape)`` designs, shape ``(m,)``."""
        parts = designs.split(_MOST_DECODED // len(self.base_draws))
        return torch.cat([self._estimated(self.layout.entries(part))[0] for part in parts])

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Go on towards the greatest weighted evidence bound, under the prior."""
        weights = weights.to(self.base_draws)
        some = weights > 0
        weights = weights[some] / reduce(weights.sum())
        entries = self.layout.fit(designs[some], weights, reduce)
        penalty = PENALTY * reduce(weights.square().sum())
        rows, weights = distinct(entries.features, weights)
        entries = entries.at(rows)
        generator = self.stream.generator(
            "autoencoder fit", int(self.num_fits), device=weights.device
        )
        batches = WeightedBatches(entries.features, weights, BATCH_SIZE, generator, reduce)
        maximise_bound(
            self.network,
            self.layout,
            entries,
            batches,
            generator,
            _FURTHER_STEPS if self.num_fits else FIRST_STEPS,
            penalty,
            self.beta,
            reduce=reduce,
        )
        rows, shares, _ = batches.draw()
        _, errors = self._estimated(entries.at(rows))
        self.log_prob_error.copy_(reduce(shares @ errors))
        self.num_fits += 1

    def _estimated(self, entries: Entries) -> tuple[Tensor, Tensor]:
        """Log-densities of designs and their standard errors, ``(m,)`` each."""
        means, logs = widened(*self.network.encode(entries.features))
        noise = self.base_draws[:, None]
        latent = means + logs.exp() * noise
        log_weights = ((noise.square() - latent.square()) / 2 + logs).sum(-1)
        log_weights = log_weights + self.layout.log_likelihood(
            entries, self.network.decode(latent), self.network.log_deviations
        )
        total = log_weights.logsumexp(0)
        squares = (2 * (log_weights - total)).exp().sum(0)
        errors = (squares - 1 / len(noise)).clamp(min=0.0).sqrt()
        return total - math.log(len(noise)) + entries.log_jacobian, errors


def widened(means: Tensor, logs: Tensor) -> tuple[Tensor, Tensor]:
    """A normal that weights of importance do not run away from.

    One that was fitted within another distribution is too narrow: outside of it lies little, but of
    great weight. Variances grow by up to 1 + a, those that are the prior's by nothing; over D
    dimensions that leaves a share of about exp(-a² D / 2) of the draws effective.

    Args:
        means: Shape ``(m, z)``.
        logs: Of the deviations, ``(m, z)``.

    Returns:
        The means, and the logarithms of greater deviations.
    """
    narrowed = 1 - (2 * logs).exp()
    growth = narrowed.sum(-1, keepdim=True).clamp(min=1.0).rsqrt()
    return means, logs + (growth * narrowed).log1p() / 2
