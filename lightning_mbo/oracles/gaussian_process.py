"""A Gaussian process, fitted to weighted designs."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.label_noise import LabelNoise, negative_log_likelihoods
from lightning_mbo.memory import in_chunks
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.oracles.covariance import Covariance
from lightning_mbo.oracles.differentiable import DifferentiableOracle
from lightning_mbo.oracles.gaussian_posterior import (
    Conditioned,
    condition,
    evidence,
    left_out,
    posterior,
)
from lightning_mbo.oracles.measurements import Labelled, as_measurements, heaviest
from lightning_mbo.oracles.projected_process import (
    Projected,
    inducing_designs,
    project,
    projected_left_out,
    projected_posterior,
)
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import Prediction
from lightning_mbo.space import DesignSpace

_NUM_SEARCHED = 800
"""Designs at most that the hyper-parameters are searched with."""
_SMALLEST_NOISE = 1e-6
_LARGEST_NOISE = 10.0
_FIRST_NOISE = 0.1
_TOLERANCE = 1e-7
_MOST_STEPS = 200
_LEAST_WEIGHT = 1e-10
"""Of the largest; what is said of lighter labels without themselves is rounded away."""
_PAIRS_AT_ONCE = 500_000
_DESIGNS_AT_ONCE = 64
"""Predictions are made of multiples, which are rounded as all designs at once would be."""


class GaussianProcess(DifferentiableOracle, ClosedFormOracle):
    """A Gaussian process with one noise for all designs, its hyper-parameters the most probable.

    Numbers, one-hot groups and sequences are compared by a `Covariance`, levels with descriptors by
    these as by numbers, too. A label counts as
    Normal(y; f(x), σ² + e²)^w with its own error e and its weight w, in the search for
    hyper-parameters as in the posterior: the weighted log-likelihood. Importance weights are scaled
    to the sum n_e that they are worth, since they repeat no measurement. Noise variances σ² of the
    standardised property have the prior Gamma(1.1, 0.05).

    A fit searches for hyper-parameters from where the last one found them. Up to `num_inducing`
    designs all are compared with all; the labels of more speak through so many of them, which are
    drawn anew in each fit. Time and memory grow with the number of designs, those of predictions
    no longer do.

    Reference: Rasmussen and Williams, "Gaussian processes for machine learning", 2006.
    """

    hyper_parameters: Tensor
    lower: Tensor
    width: Tensor
    designs: Tensor
    basis: Tensor
    factor: Tensor
    roots: Tensor
    coefficients: Tensor
    loss: Tensor

    def __init__(self, max_designs: int = 50_000, num_inducing: int = 1000) -> None:
        """Describe the process.

        Args:
            max_designs: More are refused: a fit to twice as many takes twice the time and memory.
            num_inducing: Up to so many designs a fit is exact. Of twice as many, all that is not
                the search for hyper-parameters takes four times as long.

        Raises:
            ConfigurationError: If one is none.
        """
        super().__init__()
        for name, value in (("max_designs", max_designs), ("num_inducing", num_inducing)):
            if value < 1:
                raise ConfigurationError(f"model.{name} must be at least 1, not {value}")
        self.max_designs = max_designs
        self.num_inducing = num_inducing
        self.double()

    def build(self, space: DesignSpace) -> None:
        """Start the hyper-parameters at likely values."""
        super().build(space)
        self._space = space
        self._covariance = Covariance(space)
        start = np.append(self._covariance.limits().starts[0], math.log(_FIRST_NOISE))
        device = self.property_mean.device
        self.register_buffer("hyper_parameters", torch.from_numpy(start).to(device))
        self.register_buffer("loss", self.property_mean.new_full((), torch.inf))

    def start(self, problem: DesignProblem) -> None:
        """Note the numbers' ranges, and make room for the designs.

        Raises:
            ConfigurationError: If there are more than it takes.
        """
        super().start(problem)
        n = len(problem.designs)
        if n > self.max_designs:
            raise ConfigurationError(
                f"model.max_designs is {self.max_designs}, and there are {n} training designs, too "
                "many for a GaussianProcess: choose another oracle, such as --model DeepEnsemble, "
                "or give a greater model.max_designs and the time"
            )
        designs = problem.designs.flatten(1).to(self.property_mean)
        entries, num_numbers = self._space.describe(designs), self._space.described.num_numbers
        numbers = entries[:, :num_numbers]
        lower, width = entries.new_zeros(entries.shape[1]), entries.new_ones(entries.shape[1])
        if num_numbers:
            least, range_ = numbers.amin(0), numbers.amax(0) - numbers.amin(0)
            lower[:num_numbers] = least
            width[:num_numbers] = torch.where(range_ > 0, range_, 1.0)
        self.register_buffer("lower", lower)
        self.register_buffer("width", width)
        n = min(n, self.num_inducing)
        self.register_buffer("designs", self._scaled(designs[:n]))
        self.register_buffer("basis", designs.new_zeros(0, 0))
        self.register_buffer("roots", designs.new_zeros(n))
        self.register_buffer("coefficients", designs.new_zeros(n))
        self.register_buffer("factor", torch.eye(n, dtype=designs.dtype, device=designs.device))

    def input_outputs(self, inputs: Tensor) -> Normal:
        """The label's mean and deviation, batch shape ``(1, b)``, of the standardised property."""
        mean, variance = self._posterior(inputs)
        deviation = (variance + self.noise_variance).sqrt()
        return Normal(mean[None], deviation[None], validate_args=False)

    @property
    def noise_variance(self) -> Tensor:
        """σ² of a single measurement without an error of its own, standardised, a scalar."""
        return self.hyper_parameters[-1].exp()

    @torch.no_grad()
    def predict(self, designs: Tensor) -> Prediction:
        """Judge designs ``(m, *design_shape)``; what more data would remove is that of f alone."""
        inputs = self.representation.encode(designs.to(self.property_mean))
        multiple = max(1, _PAIRS_AT_ONCE // (_DESIGNS_AT_ONCE * len(self.designs)))
        mean, variance = in_chunks(
            lambda chunk: torch.stack(self._posterior(chunk)), inputs, multiple * _DESIGNS_AT_ONCE
        )
        label = Normal(mean, (variance + self.noise_variance).sqrt(), validate_args=False)
        label = self.in_property_units(label)
        return Prediction(label.loc, label.scale, variance.sqrt() * self.property_std)

    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """Search for hyper-parameters, and condition on all designs.

        Args:
            problem: Of the training designs.
            weights: Shape ``(n,)``, not negative, not all zero.
            generator: Draws the designs to search with, of those that weigh the same, and the
                inducing ones.
        """
        with torch.inference_mode(False):
            weights = as_measurements(weights, problem.base_weights)
            self._standardize(problem, weights)
            labelled = self._labelled(problem, weights)
            searched = heaviest(weights, _NUM_SEARCHED, generator)
            self.hyper_parameters = self._most_probable(labelled.of_rows(searched))
            means, variances = self._condition(labelled, generator)
            self.loss = self._loss_of_unseen(labelled, means, variances)

    def validation_loss(self) -> Tensor:
        """The mean negative log-likelihood of labels that are left out one by one, by weight."""
        return self.loss

    def log_posterior(self, hyper_parameters: Tensor, labelled: Labelled) -> tuple[Tensor, Tensor]:
        """Of hyper-parameters given labels, up to a constant.

        Args:
            hyper_parameters: Logarithms: those of the covariance, then σ².
            labelled: What they are to explain.

        Returns:
            A scalar, and its derivatives by the hyper-parameters.
        """
        parameters, variance = hyper_parameters[:-1], hyper_parameters[-1].exp()
        found = evidence(
            self._covariance.matrix(parameters, labelled.designs),
            labelled.labels,
            labelled.weights,
            variance + labelled.errors.square(),
            labelled.scatters,
        )
        prior, by_parameters = self._covariance.log_prior(parameters)
        prior_of_noise, by_noise = log_prior_of_noise(hyper_parameters[-1])
        by_parameters = by_parameters + self._covariance.pull_back(
            parameters, labelled.designs, found.by_covariance
        )
        by_noise = by_noise + found.by_noise.sum() * variance
        value = found.value + prior + prior_of_noise
        return value, torch.cat([by_parameters, by_noise[None]])

    def _most_probable(self, labelled: Labelled) -> Tensor:
        """The hyper-parameters of the greatest posterior density, from the present ones on."""
        limits = self._covariance.limits()
        lower = np.append(limits.lower, math.log(_SMALLEST_NOISE))
        upper = np.append(limits.upper, math.log(_LARGEST_NOISE))

        def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            here = torch.from_numpy(values).to(self.hyper_parameters)
            value, gradient = self.log_posterior(here, labelled)
            return -value.item(), -gradient.cpu().numpy()

        starts = [self.hyper_parameters.cpu().numpy()]
        if self.loss.isinf():  # of the first fit
            starts += [np.append(start, math.log(_FIRST_NOISE)) for start in limits.starts[1:]]
        found = [
            minimize(
                objective,
                start,
                method="L-BFGS-B",
                jac=True,
                bounds=np.stack([lower, upper], axis=1),
                options={"ftol": _TOLERANCE, "maxiter": _MOST_STEPS},
            )
            for start in starts
        ]
        best = min(found, key=lambda result: result.fun)
        return torch.from_numpy(best.x).to(self.hyper_parameters)

    def _condition(self, labelled: Labelled, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Keep what predictions are made of; mean and variance of each design without its label."""
        designs, labels, parameters = labelled.designs, labelled.labels, self.hyper_parameters[:-1]
        precisions = labelled.weights / (self.noise_variance + labelled.errors.square())
        if len(designs) <= self.num_inducing:
            given = condition(self._covariance.matrix(parameters, designs), labels, precisions)
            self.designs, self.basis = designs, designs.new_zeros(0, 0)
            # LAPACK's factor lies column by column, and processes exchange what lies row by row.
            self.factor = given.factor.contiguous()
            self.roots, self.coefficients = given.roots, given.coefficients
            return left_out(given, labels)

        def covariances(some: Tensor, others: Tensor) -> Tensor:
            chunks = designs[others].split(max(1, _PAIRS_AT_ONCE // len(some)))
            parts = [self._covariance(parameters, designs[some], chunk) for chunk in chunks]
            return torch.cat(parts, dim=1)

        inducing = inducing_designs(
            covariances,
            self._covariance.variances(parameters, designs),
            precisions,
            self.num_inducing,
            generator,
        )
        found = project(inducing, labels, precisions)
        self.designs, self.roots = designs[inducing.rows], designs.new_zeros(0)
        self.basis, self.factor = found.basis, found.factor.contiguous()
        self.coefficients = found.coefficients
        return projected_left_out(found, inducing, labels, precisions)

    def _loss_of_unseen(self, labelled: Labelled, means: Tensor, variances: Tensor) -> Tensor:
        """That of labels ``(n,)`` by the means and variances of f without each, a scalar."""
        weights = labelled.weights
        counted = weights > _LEAST_WEIGHT * weights.max()
        deviations = (variances[counted] + self.noise_variance).sqrt()
        unseen = Normal(means[counted], deviations, validate_args=False)
        noise = LabelNoise(labelled.errors[counted], labelled.scatters[counted])
        losses = negative_log_likelihoods(unseen, labelled.labels[counted], noise)
        shares = weights[counted] / weights[counted].sum()
        return (shares * losses).sum() + self.property_std.log()

    def _posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance ``(b,)`` of f, standardised, at inputs ``(b, inputs)``, also (1, b)."""
        scaled = self._scaled(inputs.to(self.designs).flatten(0, -2))
        parameters = self.hyper_parameters[:-1]
        cross = self._covariance(parameters, scaled, self.designs)
        variances = self._covariance.variances(parameters, scaled)
        if len(self.basis):
            projected = Projected(self.basis, self.factor, self.coefficients)
            return projected_posterior(projected, cross, variances)
        given = Conditioned(self.factor, self.roots, self.coefficients)
        return posterior(given, cross, variances)

    def _standardize(self, problem: DesignProblem, weights: Tensor) -> None:
        labels = problem.properties.double()
        shares = weights.double() / weights.sum()
        mean = (shares * labels).sum()
        deviation = (shares * (labels - mean).square()).sum().sqrt()
        # Labels that are all the same differ by rounding.
        varied = deviation > 1e-12 * labels.abs().max()
        self.property_mean.fill_(mean)
        self.property_std.fill_(torch.where(varied, deviation, 1.0))

    def _labelled(self, problem: DesignProblem, weights: Tensor) -> Labelled:
        labels = problem.properties.to(self.property_mean)
        errors, scatters = self.standardized_noise(problem)
        designs = self._scaled(problem.designs.to(labels).flatten(1))
        return Labelled(designs, self.standardized(labels), weights.to(labels), errors, scatters)

    def _scaled(self, inputs: Tensor) -> Tensor:
        return (self._space.describe(inputs) - self.lower) / self.width


def log_prior_of_noise(logarithm: Tensor) -> tuple[Tensor, Tensor]:
    """Gamma(1.1, 0.05), up to a constant: of noise as of almost none, little is presumed.

    Args:
        logarithm: Of the variance, a scalar.

    Returns:
        A scalar, and its derivative.
    """
    variance = logarithm.exp()
    return 0.1 * logarithm - 0.05 * variance, 0.1 - 0.05 * variance
