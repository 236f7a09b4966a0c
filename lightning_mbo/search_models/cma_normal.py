"""The normal distribution that CMA-ES samples and adapts."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.random import standard_normal
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.multivariate_normal import number_count, weighted_moments
from lightning_mbo.space import DesignSpace

if TYPE_CHECKING:
    import cma

_OPTIONS = {
    "verbose": -9,
    # Samples are drawn here, not by cma, which is to leave numpy's global generator alone.
    "seed": np.nan,
    "randn": lambda m, d: np.zeros((m, d)),
    # What is sampled and evaluated between two updates must be one and the same distribution.
    "updatecovwait": 0,
    "conditioncov_alleviate": None,
}

# Squares of standard deviations beyond these leave the range of float64.
_NARROWEST, _WIDEST = 1e-150, 1e150


class CMANormal(SearchModel):
    """Normal distribution N(m, σ²C), with mean m, step size σ and covariance C those of CMA-ES.

    Fitted to designs, as the training distribution is, it is their maximum-likelihood normal with
    a step size of one. The search begins with its mean and covariance and `initial_step_size`.
    An update is that of the package `cma`, with its defaults for m samples of dimension d: active
    (the worse half of the samples has negative weights) and with cumulative step-size adaptation.
    C is decomposed after every update.

    Reference: Hansen, "The CMA evolution strategy: a tutorial", arXiv 1604.00772.
    """

    learns_ranks = True
    remedy = "give another --search.algorithm than CMAES"
    mean: Tensor
    step_size: Tensor
    covariance: Tensor
    basis: Tensor
    scales: Tensor
    covariance_path: Tensor
    step_size_path: Tensor
    num_updates: Tensor

    def __init__(self, initial_step_size: float = 0.01) -> None:
        """Set how narrow the search begins.

        Args:
            initial_step_size: The first σ, in standard deviations of the training distribution.

        Raises:
            ConfigurationError: If it is not positive and finite.
        """
        super().__init__()
        if not 0 < initial_step_size < math.inf:
            raise ConfigurationError(
                f"initial_step_size must be positive and finite, not {initial_step_size}"
            )
        self.initial_step_size = initial_step_size

    def build(self, space: DesignSpace) -> None:
        """Start as the standard normal on designs of shape ``(d,)``.

        Raises:
            ConfigurationError: If designs are not of numbers alone.
        """
        d = number_count(space, self, self.remedy)
        for name, value in {
            "mean": torch.zeros(d),
            "step_size": torch.ones(()),
            "covariance": torch.eye(d),
            "basis": torch.eye(d),
            "scales": torch.ones(d),
            "covariance_path": torch.zeros(d),
            "step_size_path": torch.zeros(d),
        }.items():
            self.register_buffer(name, value.double())
        self.register_buffer("num_updates", torch.tensor(0))

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, d)`` designs."""
        noise = standard_normal(num_samples, len(self.mean), generator, self.mean)
        return self.mean + self.step_size * (noise * self.scales) @ self.basis.mT

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-density of ``(m, d)`` designs, shape ``(m,)``."""
        stds = self.step_size * self.scales
        whitened = (designs.to(self.mean.dtype) - self.mean) @ self.basis / stds
        log_norm = stds.log().sum() + len(self.mean) / 2 * math.log(2 * math.pi)
        return -whitened.square().sum(1) / 2 - log_norm

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """Weighted mean and covariance, of full rank, a step size of one, and no path yet."""
        designs, weights = designs.to(self.mean), weights.to(self.mean)
        mean, covariance = weighted_moments(designs, weights, reduce)
        variances, basis = torch.linalg.eigh(covariance)
        # Where the columns' scales differ widely, rounding can take the smallest below zero.
        variances = variances.clamp(min=torch.finfo(variances.dtype).eps * variances[-1].item())
        self.mean.copy_(mean)
        self.step_size.fill_(1.0)
        self.covariance.copy_(covariance)
        self.basis.copy_(basis)
        self.scales.copy_(variances.sqrt())
        for buffer in (self.covariance_path, self.step_size_path, self.num_updates):
            buffer.zero_()

    def begin_search(self) -> None:
        """Take the initial step size."""
        self.step_size.fill_(self.initial_step_size)

    def update(self, designs: Tensor, weights: Tensor) -> None:
        """One update of CMA-ES.

        A distribution that float64 cannot tell from a point, or cannot hold, stays as it is, with a
        warning.

        Args:
            designs: The samples, shape ``(m, d)``.
            weights: Shape ``(m,)``: the greater, the better. Nothing but their order matters.
        """
        spread = (self.step_size * self.scales.max()).item()
        rounding = torch.finfo(self.mean.dtype).eps * self.mean.abs().max().item()
        if not max(_NARROWEST, rounding) < spread < _WIDEST:
            warnings.warn(
                f"the search model has standard deviations of {spread:.2g} at most, around a mean "
                f"known to {rounding:.2g}: it stays as it is",
                category=MBOWarning,
                stacklevel=2,
            )
            return
        strategy = self._strategy(len(designs))
        # cma minimises; it is not to clip designs because it has not drawn them.
        strategy.tell(designs.numpy(force=True), (-weights).tolist(), check_points=False)
        strategy.sm.update_now()
        for buffer, value in (
            (self.mean, strategy.mean),
            (self.step_size, strategy.sigma),
            (self.covariance, strategy.sm.C),
            (self.basis, strategy.sm.B),
            (self.scales, strategy.sm.D),
            (self.covariance_path, strategy.pc),
            (self.step_size_path, strategy.adapt_sigma.ps),
            (self.num_updates, strategy.countiter),
        ):
            buffer.copy_(torch.as_tensor(value))

    def _strategy(self, num_samples: int) -> cma.CMAEvolutionStrategy:
        import cma

        # From 300 dimensions on cma's default is another method, which needs samples of its own.
        adaptation = cma.sigma_adaptation.CMAAdaptSigmaCSA
        options = {**_OPTIONS, "AdaptSigma": adaptation, "popsize": num_samples}
        state = {name: buffer.numpy(force=True).copy() for name, buffer in self.named_buffers()}
        strategy = cma.CMAEvolutionStrategy(state["mean"], self.initial_step_size, options)
        strategy.ask(1)  # before that it cannot be told of samples
        strategy.mean = strategy.mean_old = state["mean"]
        strategy.sigma = state["step_size"].item()
        strategy.pc = state["covariance_path"]
        strategy.adapt_sigma.ps = state["step_size_path"]
        sampler = strategy.sm
        sampler.C, sampler.B, sampler.D = state["covariance"], state["basis"], state["scales"]
        strategy.countiter = sampler.count_tell = sampler.last_update = state["num_updates"].item()
        return strategy
