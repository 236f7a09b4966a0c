"""Several kinds of sequences, in each of which letters are drawn one by one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models.base import Reduce
from lightning_mbo.search_models.categorical import OneHotModel, draw_letters
from lightning_mbo.space import DesignSpace

_LEAST_GAIN = 1e-3
"""Nats a design, of the mean log-likelihood, below which a fit has converged."""

_MOST_STEPS = 100


class CategoricalMixture(OneHotModel):
    """Search model of one-hot groups: a mixture of `Categorical`s (a latent class model).

    Within a component the groups are independent; together they say which letters go with which.
    So the search keeps several motifs, or one motif in several places, where a single component
    would average them. It is fitted by expectation maximisation, the first time from frequencies
    that are disturbed at random, later from the components that it has.

    As in a `Categorical`, `pseudocount` designs of uniform letters are added to the n_e that the
    weighted ones count for, here in equal shares to all components, so that none dies out.

    Reference: Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM
    algorithm", 1977; Goodman, "Exploratory latent structure analysis", Biometrika 1974.

    Attributes:
        log_shares: Of the components, shape ``(c,)``, float64, nats.
        log_probabilities: Of the entries of a flattened design in each component, shape
            ``(c, entries)``, float64, nats.
        fitted: Whether there are components to go on from.
    """

    log_shares: Tensor
    log_probabilities: Tensor
    fitted: Tensor

    def __init__(self, num_components: int = 32, pseudocount: float = 1.0) -> None:
        """Set the size; `build` creates the distribution.

        Args:
            num_components: c.
            pseudocount: Designs of uniform letters that are added to those of a fit.

        Raises:
            ConfigurationError: If a value is not positive.
        """
        super().__init__(pseudocount)
        if num_components < 1:
            raise ConfigurationError(f"num_components must be at least 1, not {num_components}")
        self.num_components = num_components

    def build(self, space: DesignSpace) -> None:
        """Start as uniform in each group.

        Raises:
            ConfigurationError: If designs have numbers.
        """
        super().build(space)
        self.space = space
        shares = torch.full((self.num_components,), 1 / self.num_components, dtype=torch.float64)
        self.register_buffer("log_shares", shares.log())
        uniform = -self.sizes.flatten().log()
        self.register_buffer("log_probabilities", uniform.repeat(self.num_components, 1))
        self.register_buffer("fitted", torch.tensor(False))

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, *design_shape)`` one-hot designs."""
        shares = self.log_shares.exp()
        components = shares.multinomial(num_samples, replacement=True, generator=generator)
        one_hots = []
        for log_probabilities in self.log_probabilities.split(self.space.groups, dim=1):
            probabilities = log_probabilities.exp()[components]
            letters = draw_letters(probabilities, generator)[:, None]
            one_hots.append(torch.zeros_like(probabilities).scatter_(1, letters, 1.0))
        numbers = one_hots[0][:, :0]
        return self.space.join(numbers, one_hots)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-probability of ``(m, *design_shape)`` designs, shape ``(m,)``."""
        log_prob: Tensor = self._joint(designs).logsumexp(1)
        return log_prob

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """A local maximum of the weighted likelihood, with the pseudocount."""
        designs, weights = designs.to(self.log_shares), weights.to(self.log_shares)
        weights = weights / reduce(weights.sum())
        added = self.pseudocount * reduce(weights.square().sum()) / self.num_components
        entries = designs.flatten(1)
        if not self.fitted:
            self._start(reduce(weights @ entries))
            self.fitted.fill_(True)
        before = -math.inf
        for _ in range(_MOST_STEPS):
            joint = self._joint(designs)
            likelihood = joint.logsumexp(1)
            after = reduce(weights @ likelihood).item()
            if after - before < _LEAST_GAIN:
                break
            before = after
            shares = weights[:, None] * (joint - likelihood[:, None]).exp()
            self._maximize(reduce(shares.sum(0)), reduce(shares.mT @ entries), added)

    def _joint(self, designs: Tensor) -> Tensor:
        """Log-probabilities of designs together with each component, ``(m, c)``."""
        entries = designs.to(self.log_shares.dtype).flatten(1)
        return torch.addmm(self.log_shares, entries, self.log_probabilities.mT)

    def _start(self, frequencies: Tensor) -> None:
        """Disturb the frequencies ``(entries,)`` in each component on its own."""
        noise = torch.rand(
            self.log_probabilities.shape,
            generator=self.stream.generator("mixture"),
            dtype=torch.float64,
            device="cpu",
        ).to(frequencies.device)
        disturbed = frequencies * -noise.log() + torch.finfo(noise.dtype).tiny
        for part, place in zip(
            disturbed.split(self.space.groups, dim=1),
            self.log_probabilities.split(self.space.groups, dim=1),
            strict=True,
        ):
            place.copy_((part / part.sum(1, keepdim=True)).log())

    def _maximize(self, shares: Tensor, counts: Tensor, added: Tensor) -> None:
        """The components that explain best what is ascribed to them, ``(c,)``, ``(c, entries)``."""
        total = shares + added
        self.log_shares.copy_((total / total.sum()).log())
        probabilities = (counts + added / self.sizes.flatten()) / total[:, None]
        self.log_probabilities.copy_(probabilities.log())
