"""Several oracles as one, weighed by how well they predict designs that they have not seen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.label_noise import negative_log_likelihoods
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.oracles.folds import clearly_worse, grouped_folds, shares_of
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import Prediction
from lightning_mbo.space import DesignSpace

if TYPE_CHECKING:
    from lightning_mbo.oracles.additive_regression import Effect

_TOP = 0.2
"""Share of the designs that are predicted by fits to all that are predicted to be worse."""


class Stack(ClosedFormOracle):
    """A mixture of oracles, with shares that make left-out designs most likely.

    At the first fit every oracle is cross-validated, and fitted once more without the fifth of the
    designs that the cross-validated predictions put on top: that is what a search will ask for.
    (By their labels, the noisiest would be on top.) An oracle whose log-likelihood of all these
    predictions falls short of the best one's by more than a standard error of the difference is
    left out from then on. The shares of the others maximise the mixture's log-likelihood, under
    the importance weights of each fit.

    Where no designs are held out, the cross-validated predictions are its evidence, so that all
    designs are learnt from and all are judged by.

    Reference: Yao, Vehtari, Simpson and Gelman, "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis, 2018; Sugiyama, Krauledat and Müller, JMLR 2007, for the
    importance weights.

    Attributes:
        shares: Of each oracle in the mixture, ``(k,)``, summing to one.
        scores: Mean log-likelihood of left-out designs by each oracle, nats, ``(k,)``; -inf of one
            that could not be fitted.
    """

    shares: Tensor
    scores: Tensor
    means: Tensor
    stds: Tensor
    epistemic_stds: Tensor
    rows: Tensor
    log_likelihoods: Tensor

    def __init__(
        self, oracles: Sequence[ClosedFormOracle] | None = None, num_folds: int = 5
    ) -> None:
        """Choose what is compared.

        Args:
            oracles: The oracles; default: `GaussianProcess`, `AdditiveRegression`, `TreeEnsemble`.
            num_folds: Of the cross-validation.

        Raises:
            ConfigurationError: If there is nothing to compare, or too few folds.
        """
        super().__init__()
        if oracles is None:
            oracles = default_oracles()
        if len(oracles) == 0:
            raise ConfigurationError("model.oracles is empty: name at least one oracle")
        if num_folds < 2:
            raise ConfigurationError(f"model.num_folds must be at least 2, not {num_folds}")
        # No modules of this one: folds are fitted by copies of what has seen no designs.
        self.oracles = tuple(oracles)
        self.num_folds = num_folds
        self.double()

    def build(self, space: DesignSpace) -> None:
        """Build the oracles that are fitted to all designs."""
        self.fitted = nn.ModuleList(copy.deepcopy(oracle) for oracle in self.oracles)
        for oracle in self._members():
            oracle.build(space)

    def start(self, problem: DesignProblem) -> None:
        """Have the oracles start; one that cannot learn from so many designs is left out.

        Raises:
            ConfigurationError: If none can.
        """
        k, problems = len(self.oracles), []
        self.register_buffer("scores", torch.zeros(k, dtype=torch.float64))
        for i, oracle in enumerate(self._members()):
            try:
                oracle.start(problem)
            except ConfigurationError as error:
                problems.append(str(error))
                self.scores[i] = -torch.inf
        if len(problems) == k:
            raise ConfigurationError(problems[0])
        for name in ("means", "stds", "epistemic_stds", "log_likelihoods"):
            self.register_buffer(name, torch.zeros(k, 0, dtype=torch.float64))
        self.register_buffer("rows", torch.zeros(0, dtype=torch.long))
        self.register_buffer("shares", torch.zeros(k, dtype=torch.float64))

    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """Fit the oracles that have a share; at the first fit, all of them, to compare them."""
        if len(self.rows) == 0:
            for oracle in self._possible():
                oracle.solve(problem, weights, generator)
            self._compare(problem, weights, generator)
            self.shares = shares_of(self.log_likelihoods, weights[self.rows])
            return
        self.shares = shares_of(self.log_likelihoods, weights[self.rows])
        for share, oracle in zip(self.shares, self._members(), strict=True):
            if share > 0:
                oracle.solve(problem, weights, generator)

    def member_outputs(self, designs: Tensor) -> Normal:
        """The mixture's mean and standard deviation, in the property's units, ``(1, b)``."""
        said = [
            (share, oracle(designs))
            for share, oracle in zip(self.shares, self._members(), strict=True)
            if share > 0
        ]
        shares = torch.stack([share for share, _ in said])
        means = torch.stack([normal.loc.to(self.shares) for _, normal in said])
        variances = torch.stack([normal.variance.to(self.shares) for _, normal in said])
        mean, variance = _mixed(shares, means, variances)
        return Normal(mean[None], variance.sqrt()[None], validate_args=False)

    @torch.no_grad()
    def predict(self, designs: Tensor) -> Prediction:
        """Judge many designs ``(m, *design_shape)``."""
        said = [
            oracle.predict(designs) if share > 0 else None
            for share, oracle in zip(self.shares, self._members(), strict=True)
        ]
        known = [prediction for prediction in said if prediction is not None]
        return self._mixture(
            self.shares[self.shares > 0],
            torch.stack([prediction.mean for prediction in known]),
            torch.stack([prediction.std for prediction in known]),
            torch.stack([prediction.epistemic_std for prediction in known]),
        )

    def predict_unseen(self, problem: DesignProblem) -> Prediction | None:
        """Of the held-out designs, or of all by the fits of the cross-validation."""
        if problem.held_out.any():
            return super().predict_unseen(problem)
        return self._mixture(self.shares, self.means, self.stds, self.epistemic_stds)

    def validation_loss(self) -> Tensor:
        """Of the mixture, the mean negative log-likelihood of left-out designs."""
        return -(self.shares.log()[:, None] + self.log_likelihoods).logsumexp(0).mean()

    def figures(self) -> dict[str, float]:
        """Each oracle's share, and its score."""
        return {
            f"{kind}_{name}": value
            for kind, values in (("share", self.shares), ("score", self.scores))
            for name, value in zip(self.names, values.tolist(), strict=True)
        }

    def effects(self) -> list[Effect]:
        """Those of the first oracle with a share that tells of them."""
        said = zip(self.shares, self._members(), strict=True)
        return next((e for share, oracle in said if share > 0 and (e := oracle.effects())), [])

    @property
    def names(self) -> list[str]:
        """Of the oracles: their classes, numbered where there are several of one."""
        classes = [type(oracle).__name__ for oracle in self.oracles]
        return [
            name if classes.count(name) == 1 else f"{name}_{classes[: i + 1].count(name)}"
            for i, name in enumerate(classes)
        ]

    def _members(self) -> list[ClosedFormOracle]:
        return cast(list[ClosedFormOracle], list(self.fitted))

    def _possible(self) -> list[ClosedFormOracle]:
        pairs = zip(self.scores.isfinite(), self._members(), strict=True)
        return [oracle for possible, oracle in pairs if possible]

    def _compare(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        n = len(problem.designs)
        folds = grouped_folds(problem.groups, n, self.num_folds, generator)
        cross_validated = self._predicted(problem, weights, folds, generator)
        self.means, self.stds, self.epistemic_stds = cross_validated
        within = _log_likelihoods(problem, *cross_validated[:2])
        promise = shares_of(within, weights) @ self.means.nan_to_num()
        top = promise >= promise.quantile(1 - _TOP)
        above = self._predicted(problem, weights, top.long() - 1, generator)
        beyond = _log_likelihoods(problem, *above[:2])[:, top]
        self.rows = torch.cat([torch.arange(n, device="cpu"), top.nonzero()[:, 0]])
        found = torch.cat([within, beyond], dim=1)
        self.scores = found.mean(1)
        found[clearly_worse(found)] = -torch.inf
        self.log_likelihoods = found

    def _predicted(
        self, problem: DesignProblem, weights: Tensor, folds: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Means, deviations and epistemic ones of designs by fits without their fold.

        Args:
            problem: Of the designs.
            weights: Of them, shape ``(n,)``.
            folds: Each design's, shape ``(n,)``; of -1, it is in all fits.
            generator: Of the oracles' fits.

        Returns:
            Shape ``(3, k, n)``; NaN of oracles that are out of the question, and of fold -1.
        """
        said = torch.full((3, len(self.oracles), len(folds)), torch.nan, dtype=torch.float64)
        for i, oracle in enumerate(self._members()):
            if self.scores[i].isinf():
                continue
            for fold in range(int(folds.max()) + 1):
                out = folds == fold
                # From the fit to all designs, which is near: what is learnt starts there.
                part = copy.deepcopy(oracle)
                part.solve(problem.of_rows(~out), weights[~out], generator)
                prediction = part.predict(problem.designs[out])
                columns = prediction.mean, prediction.std, prediction.epistemic_std
                said[:, i, out] = torch.stack(columns).cpu()
        return said

    def _mixture(
        self, shares: Tensor, means: Tensor, stds: Tensor, epistemic_stds: Tensor
    ) -> Prediction:
        some = shares > 0
        shares, means = shares[some], means[some]
        mean, variance = _mixed(shares, means, stds[some].square())
        _, epistemic_variance = _mixed(shares, means, epistemic_stds[some].square())
        return Prediction(mean, variance.sqrt(), epistemic_variance.sqrt())


def default_oracles() -> list[ClosedFormOracle]:
    """One of each kind."""
    from lightning_mbo.oracles.additive_regression import AdditiveRegression
    from lightning_mbo.oracles.gaussian_process import GaussianProcess
    from lightning_mbo.oracles.tree_ensemble import TreeEnsemble

    return [GaussianProcess(), AdditiveRegression(), TreeEnsemble()]


def _mixed(shares: Tensor, means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance ``(b,)`` of mixtures of distributions with these, ``(k, b)`` each."""
    mean = shares @ means
    return mean, shares @ (variances + (means - mean).square())


def _log_likelihoods(problem: DesignProblem, means: Tensor, stds: Tensor) -> Tensor:
    """Of the problem's labels, by normals ``(k, n)``: ``(k, n)``, -inf for those of NaN."""
    normals = Normal(means, stds, validate_args=False)
    labels, noise = problem.properties.expand_as(means), problem.noise
    if noise is not None:
        noise = noise.map(lambda values: values.expand_as(means))
    return -negative_log_likelihoods(normals, labels, noise).nan_to_num(nan=torch.inf)
