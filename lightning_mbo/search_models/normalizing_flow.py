"""A normal distribution that is bent to the designs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError, optional
from lightning_mbo.random import Stream, standard_normal
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.left_out import decimals, folds_of, mean_and_error
from lightning_mbo.search_models.multivariate_normal import number_count, weighted_moments
from lightning_mbo.search_models.normal_components import WeightedDesigns
from lightning_mbo.search_models.splines import Splines, standard_log_density
from lightning_mbo.space import DesignSpace

_LEAST_WEIGHT = 1e-3
"""Of the mean weight, of a design that is worth the time."""

_LEAST_LACK = 0.1
"""Of the unit variance that every direction has, if rank was not lost."""

_RAREST = 1e-6
"""Of quantiles of that noise: none is infinitely far."""

_LEARNING_RATE = 5e-3
_BATCH_SIZE = 128
"""Designs that those of a step count for, n_e."""

_MOST_STEPS = {"first": 2000, "later": 500}
_MOST_NUMBERS = {"first": 2**23, "later": 2**21}
"""That pass the splines in a fit: about half a minute, and eight seconds."""

_STEPS_PER_LOOK = 20
"""From one look at the designs left out to the next."""

_PATIENCE = 5
"""Looks without a gain before a fit has converged."""

_LEAST_GAIN = 1e-3
"""Nats a design left out, of a gain."""


class NormalizingFlow(SearchModel):
    """Search model of numbers: a normal distribution that is bent, for curved and skewed clouds.

    Designs are whitened by their weighted mean and covariance, as a `MultivariateNormal` has them,
    and splines take what is left to the standard normal. The density is exact. The splines begin
    as the identity, which is the normal, and follow the gradient of the weighted likelihood as long
    as a fifth of the designs, which is left out, becomes likelier; what is not worth its standard
    error on these is left. Later fits go on from the splines that there are, or from the normal
    where that is better.

    Where the covariance has lost rank, it is mended as a `MultivariateNormal`'s is, and the splines
    see the designs with noise in the directions that were lost. All processes come to the same
    splines; one alone would come to others as good, for a few hundred steps magnify how sums were
    rounded.

    References: Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", NeurIPS 2019;
    Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation",
    NeurIPS 2017.

    Attributes:
        mean: Shape ``(d,)``, float64.
        cholesky: Lower factor of the covariance, shape ``(d, d)``, float64.
        fitted: Whether it has been fitted.
        splines: From whitened designs to the standard normal.
    """

    mean: Tensor
    cholesky: Tensor
    fitted: Tensor

    def __init__(self, num_transforms: int = 2) -> None:
        """Set the size; `build` creates the distribution.

        Args:
            num_transforms: Splines that each number passes, one after another.

        Raises:
            ConfigurationError: If there is none, or zuko is not installed.
        """
        super().__init__()
        if num_transforms < 1:
            raise ConfigurationError(f"num_transforms must be at least 1, not {num_transforms}")
        optional("zuko", "flows", "NormalizingFlow")
        self.num_transforms = num_transforms

    def build(self, space: DesignSpace) -> None:
        """Start as the standard normal on designs of shape ``(d,)``.

        Raises:
            ConfigurationError: If designs are not of numbers alone.
        """
        d = number_count(space, self)
        self.register_buffer("mean", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("cholesky", torch.eye(d, dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(False))
        with torch.inference_mode(False):
            self.splines = Splines(d, self.num_transforms, self.stream)

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, d)`` designs."""
        noise = standard_normal(num_samples, len(self.mean), generator, self.mean)
        return torch.addmm(self.mean, self.splines.points(noise), self.cholesky.mT)

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-density of ``(m, d)`` designs, shape ``(m,)``."""
        whitened = self._whitened(designs.to(self.mean.dtype))
        return self.splines.log_density(whitened) - self.cholesky.diagonal().log().sum()

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """The weighted mean and covariance, and splines that make left-out designs likelier."""
        with torch.inference_mode(False), torch.no_grad():
            designs, weights = designs.to(self.mean).clone(), weights.to(self.mean).clone()
            variances = self.cholesky.square().sum(1) if self.fitted else None
            mean, covariance = weighted_moments(designs, weights, reduce, variances)
            self.mean.copy_(mean)
            self.cholesky.copy_(torch.linalg.cholesky(covariance))
            table = WeightedDesigns(self._whitened(designs), weights, reduce).where(weights > 0)
            number = reduce(torch.ones_like(table.weights).sum())
            table = table.where(table.weights * number >= _LEAST_WEIGHT)
            left_out = folds_of(table.designs, self.stream) == 0
            table = replace(table, designs=_blurred(table, self.stream))
            if all(reduce(table.weights[some].sum()) > 0 for some in (left_out, ~left_out)):
                self._bend(table.where(~left_out), table.where(left_out))
            self.fitted.fill_(True)

    def _whitened(self, designs: Tensor) -> Tensor:
        centred = (designs - self.mean).mT
        whitened: Tensor = torch.linalg.solve_triangular(self.cholesky, centred, upper=False)
        return whitened.mT.contiguous()

    def _bend(self, table: WeightedDesigns, left_out: WeightedDesigns) -> None:
        """Follow the likelihood of a table, to the best that there is for the designs left out."""
        first = self.splines.log_density(left_out.designs)
        straight = standard_log_density(left_out.designs)
        if left_out.mean_of(first) < left_out.mean_of(straight):
            self.splines.straighten()
            first = straight
        parameters = list(self.splines.parameters())
        start = best = [parameter.clone() for parameter in parameters]
        likelihoods, idle = first, 0
        for _ in _descent(self.splines, table, self.stream, "later" if self.fitted else "first"):
            found = self.splines.log_density(left_out.designs)
            idle += 1
            if left_out.mean_of(found - likelihoods) > _LEAST_GAIN:
                best = [parameter.clone() for parameter in parameters]
                likelihoods, idle = found, 0
            if idle == _PATIENCE:
                break
        gain, error = mean_and_error(left_out, likelihoods - first)
        for parameter, value in zip(parameters, best if gain > error else start, strict=True):
            parameter.copy_(value)


def _descent(splines: Splines, table: WeightedDesigns, stream: Stream, fit: str) -> Iterator[None]:
    """Steps up the likelihood of a table, by one batch of it after another.

    What is in a batch follows from the designs: it is all the same which process has them.
    """
    parameters = list(splines.parameters())
    optimizer = torch.optim.Adam(parameters, _LEARNING_RATE)
    num_batches = max(1, round(table.size / _BATCH_SIZE))
    numbers = float(table.reduce(torch.ones_like(table.designs).sum())) / num_batches
    batches = torch.zeros_like(table.weights)
    for step in range(min(_MOST_STEPS[fit], int(_MOST_NUMBERS[fit] / numbers))):
        epoch, batch = divmod(step, num_batches)
        if num_batches > 1 and batch == 0:
            batches = folds_of(table.designs, stream.of("epoch", epoch), num_batches)
        chosen = batches == batch
        _step(optimizer, splines, table.designs[chosen], table.weights[chosen], table.reduce)
        if (step + 1) % _STEPS_PER_LOOK == 0:
            yield


def _step(
    optimizer: torch.optim.Optimizer,
    splines: Splines,
    designs: Tensor,
    weights: Tensor,
    reduce: Reduce,
) -> None:
    """One step up the mean log-density of weighted designs of all processes."""
    parameters = list(splines.parameters())
    with torch.enable_grad():
        splines.requires_grad_(True)
        likelihood = weights @ splines.log_density(designs)
        gradients = torch.autograd.grad(likelihood, parameters)
        splines.requires_grad_(False)
    sums = reduce(torch.cat([weights.sum()[None], *(part.flatten() for part in gradients)]))
    if sums[0] > 0:
        slopes = (-sums[1:] / sums[0]).split([part.numel() for part in parameters])
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope.view_as(parameter)
        optimizer.step()
        optimizer.zero_grad()


def _blurred(table: WeightedDesigns, stream: Stream) -> Tensor:
    """Whitened designs, with noise where a direction lacks the unit variance that it should have.

    What is added follows from the design: it is all the same which process has it.
    """
    second = table.reduce((table.weights[:, None] * table.designs).mT @ table.designs)
    unit = torch.eye(len(second)).to(second)
    lacks, directions = torch.linalg.eigh(unit - (second + second.mT) / 2)
    lost = lacks > _LEAST_LACK
    if not lost.any():
        return table.designs
    layout = torch.randn(
        unit.shape, generator=stream.generator("blur"), dtype=unit.dtype, device="cpu"
    )
    uniform = decimals(table.designs, layout.to(unit))[:, lost].clamp(_RAREST, 1 - _RAREST)
    noise = torch.special.ndtri(uniform) * lacks[lost].sqrt()
    blurred: Tensor = table.designs + noise @ directions[:, lost].mT
    return blurred
