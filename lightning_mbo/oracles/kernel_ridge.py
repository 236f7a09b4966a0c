"""Kernel ridge regression, with an error that is cross-validated under the weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.label_noise import SMALLEST_BESIDE_ERRORS, noise_share
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.oracles.folds import balanced_folds
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace

_SMALLEST_VARIANCE = 1e-6
_ROUNDS = 4
"""Fits, each with what the one before makes the labels' errors count for."""


class KernelRidge(ClosedFormOracle):
    """Kernel ridge regression with an RBF kernel, fitted in closed form to all weighted designs.

    The mean minimises Σ w_i (y_i - μ(x_i))² + λ‖μ‖²; far from all designs it goes to zero. The
    variance is the same everywhere: the squared error under the weights, cross-validated. A label
    with an error of its own weighs its `noise_share` beside one without, and the errors' variance
    is not part of the oracle's. Its memory grows with the square of the number of designs.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, sections 5.1 and S3; Sugiyama, Krauledat
    and Müller, "Covariate shift adaptation by importance weighted cross validation", JMLR 2007.
    """

    designs: Tensor
    coefficients: Tensor
    variance: Tensor

    def __init__(self, gamma: float = 1.0, ridge: float = 1.0, num_folds: int = 5) -> None:
        """Describe the regression.

        Args:
            gamma: γ of the kernel exp(-γ ‖x - x'‖²), in inverse squared units of the designs.
            ridge: λ, relative to weights of one.
            num_folds: Of the cross-validation, drawn anew at each fit.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__init__()
        if not (0 < gamma < float("inf") and 0 < ridge < float("inf")):
            raise ConfigurationError(
                f"model.gamma and ridge must be finite and positive, not {gamma} and {ridge}"
            )
        if num_folds < 2:
            raise ConfigurationError(f"model.num_folds must be at least 2, not {num_folds}")
        self.gamma = gamma
        self.ridge = ridge
        self.num_folds = num_folds
        self.double()

    def build(self, space: DesignSpace) -> None:
        """Note what designs are."""
        self._space = space

    def start(self, problem: DesignProblem) -> None:
        """Keep the designs, to which the kernel refers; the property stays in its own units.

        Raises:
            ConfigurationError: If there are fewer designs than folds.
        """
        designs = problem.designs
        if len(designs) < self.num_folds:
            raise ConfigurationError(
                f"model.num_folds is {self.num_folds}, more than there are designs: "
                f"{len(designs)}. Give a smaller one"
            )
        self.register_buffer("designs", self._flat(designs.double()))
        self.register_buffer("coefficients", designs.new_zeros(len(designs), dtype=torch.float64))
        self.register_buffer("variance", problem.properties.double().var(correction=0))

    def member_outputs(self, designs: Tensor) -> Normal:
        """The mean and the variance, batch shape ``(1, b)``, in the property's units."""
        flat = self._flat(designs.to(self.designs))
        mean = torch.atleast_2d(rbf_kernel(flat, self.designs, self.gamma) @ self.coefficients)
        return Normal(mean, self.variance.sqrt().expand_as(mean), validate_args=False)

    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """Fit to the weighted designs.

        Args:
            problem: Of the training designs, or of some of them.
            weights: Shape ``(n,)``, not negative, not all zero.
            generator: Draws the folds.
        """
        properties, noise = problem.properties, problem.noise
        properties, weights = properties.to(self.designs), weights.to(self.designs)
        self.designs = self._flat(problem.designs.to(self.designs))
        kernel = rbf_kernel(self.designs, self.designs, self.gamma)
        folds = balanced_folds(weights, self.num_folds, generator)
        held_out = folds == torch.arange(self.num_folds, device=folds.device)[:, None]
        if noise is None:
            errors = self._errors_of_fit(kernel, properties, weights, held_out)
            self.variance.copy_(weighted_error(errors, weights * held_out))
            return
        noise = noise.map(lambda values: values.to(properties))
        added = noise.scatters.square() - noise.errors.square()
        variance = whole = properties.var(correction=0)
        # What the labels count for hangs on the variance, and the variance on what they count for.
        for _ in range(_ROUNDS):
            shares = noise_share(noise.errors, variance.clamp(min=SMALLEST_BESIDE_ERRORS * whole))
            errors = self._errors_of_fit(kernel, properties, weights * shares, held_out) + added
            variance = weighted_error(errors, weights * shares.square() * held_out)
        self.variance.copy_(variance.clamp(min=_SMALLEST_VARIANCE * whole))

    def _errors_of_fit(
        self, kernel: Tensor, properties: Tensor, weights: Tensor, held_out: Tensor
    ) -> Tensor:
        """Fit to all designs; and to each fold's complement, for squared errors ``(k, n)``."""
        # A weight of zero leaves a design out: the fit to all and those to the folds' complements.
        fits = torch.cat([weights[None], weights * ~held_out])
        coefficients = dual_coefficients(kernel, properties, fits, self.ridge)
        self.coefficients = coefficients[0]
        return (properties - coefficients[1:] @ kernel).square()

    def _flat(self, designs: Tensor) -> Tensor:
        return self._space.describe(designs).flatten(-len(self._space.shape))

    def validation_loss(self) -> Tensor:
        """The held-out designs' mean negative log-likelihood, over the folds."""
        # Of a normal whose variance is their mean squared error, which makes it the entropy.
        entropy: Tensor = Normal(0.0, self.variance.sqrt()).entropy()
        return entropy


def rbf_kernel(left: Tensor, right: Tensor, gamma: float) -> Tensor:
    """exp(-γ ‖x - x'‖²) of each pair, ``(..., b, d)`` and ``(n, d)`` to ``(..., b, n)``."""
    # By differences: squares of large entries would swallow what two near designs differ in.
    distances = torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
    return (-gamma * distances.square()).exp()


def dual_coefficients(kernel: Tensor, properties: Tensor, weights: Tensor, ridge: float) -> Tensor:
    """Kernel ridge regression's dual coefficients, of many weightings at once.

    Args:
        kernel: Of the designs with each other, shape ``(n, n)``.
        properties: Shape ``(n,)``.
        weights: Shape ``(..., n)``, not negative; a design of weight zero is left out.
        ridge: λ > 0.

    Returns:
        a = (K + λ W⁻¹)⁻¹ y, shape ``(..., n)``; the mean is Σ a_i k(x_i, ·).
    """
    # With roots on both sides nothing is divided by a weight, and all eigenvalues are λ or more.
    roots = weights.sqrt()
    system = roots[..., :, None] * kernel * roots[..., None, :]
    system.diagonal(dim1=-2, dim2=-1).add_(ridge)
    factor = torch.linalg.cholesky(system)
    return roots * torch.cholesky_solve((roots * properties)[..., None], factor)[..., 0]


def weighted_error(errors: Tensor, weights: Tensor) -> Tensor:
    """The mean over folds of each fold's weighted mean squared error, a scalar.

    Every fold's weights are normalised by themselves, so that no single design decides more than
    one fold's share.

    Args:
        errors: Squared errors, shape ``(k, n)``.
        weights: Of the held-out designs, zero for the others, shape ``(k, n)``. A fold of weight
            zero says nothing and is left out.
    """
    return ((weights * errors).sum(1) / weights.sum(1)).nanmean()
