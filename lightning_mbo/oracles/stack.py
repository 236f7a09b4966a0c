"""Several oracles as one, weighed by how well they predict designs that they have not seen."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, cast

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

_ANYTHING = 0.05
"""Share of the labels that no oracle is asked to explain."""

_ERRORS_APART = 2.0
"""By which an oracle is left out of the mixture. With one, tables of 50 rows lose good ones."""

_ERRORS_BEHIND = 3.0
"""By which an oracle drops out of the comparison before it is over."""


class Stack(ClosedFormOracle):
    """A mixture of oracles, with shares that make left-out designs most likely.

    At the first fit the oracles are cross-validated, and fitted once more without the fifth of the
    designs that the cross-validated predictions put on top: that is what a search will ask for.
    (By their labels, the noisiest would be on top.) An oracle whose log-likelihood of all these
    labels falls short of the best one's by two standard errors of the difference is left out
    from then on; one that does by three is not even validated any further. The shares of the others
    maximise the mixture's log-likelihood, under the importance weights of each fit.

    Where no designs are held out, the cross-validated predictions are its evidence, so that all
    designs are learnt from and all are judged by.

    Reference: Yao, Vehtari, Simpson and Gelman, "Using stacking to average Bayesian predictive
    distributions", Bayesian Analysis, 2018; Sugiyama, Krauledat and Müller, JMLR 2007, for the
    importance weights.

    Attributes:
        shares: Of each oracle in the mixture, ``(k,)``, summing to one.
        scores: Mean log-likelihood of left-out designs by each oracle, nats, ``(k,)``; -inf of one
            that could not be fitted.
        running: Which oracles can have a share, bool, ``(k,)``: of the others nothing is kept.
    """

    shares: Tensor
    scores: Tensor
    running: Tensor
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
        # No modules of this one: a checkpoint notes them as they were given, and copies are fitted.
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
        self.register_buffer("running", torch.ones(k, dtype=torch.bool))
        self.register_buffer("rows", torch.zeros(0, dtype=torch.long))
        self.register_buffer("shares", torch.zeros(k, dtype=torch.float64))

    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """At the first fit compare the oracles; then fit those that have a share."""
        if len(self.rows) == 0:
            self._compare(problem, weights, generator)
        self.shares = self._shares(weights[self.rows.cpu()])
        for share, oracle in zip(self.shares, self._members(), strict=True):
            if share > 0:
                oracle.solve(problem, weights, generator)

    def refitted(self, problem: DesignProblem, generator: torch.Generator) -> Self:
        """One more mixture with the shares of the comparison, which is not made again."""
        other = self._blank()
        # Of the first fit, as the rows were then weighed; what came later depends on the search.
        other.shares = self._shares(torch.ones(len(self.rows), dtype=torch.float64, device="cpu"))
        for i, share in enumerate(other.shares.tolist()):
            if share > 0:
                other.fitted[i] = self._members()[i].refitted(problem, generator)
        return other

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
        shares = self.shares[self.running]
        return self._mixture(shares, self.means, self.stds, self.epistemic_stds)

    def validation_loss(self) -> Tensor:
        """Of the mixture, the mean negative log-likelihood of left-out designs."""
        shares = self.shares[self.running]
        return -(shares.log()[:, None] + self.log_likelihoods).logsumexp(0).mean()

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

    def _blank(self) -> Self:
        """Without what was said of the rows of the comparison."""
        names = ("means", "stds", "epistemic_stds", "log_likelihoods", "rows")
        kept = {name: getattr(self, name) for name in names}
        try:
            for name, said in kept.items():
                setattr(self, name, said[..., :0].clone())
            return super()._blank()
        finally:
            for name, said in kept.items():
                setattr(self, name, said)

    def _shares(self, weights: Tensor) -> Tensor:
        """Of all oracles, by the weights of the rows of the comparison."""
        shares = torch.zeros_like(self.shares)
        found = shares_of(self.log_likelihoods.cpu(), weights)
        shares[self.running] = found.to(shares.device)
        return shares

    def _members(self) -> list[ClosedFormOracle]:
        return cast(list[ClosedFormOracle], list(self.fitted))

    def _compare(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        device, possible = self.property_mean.device, self.scores.isfinite().cpu()
        folds = grouped_folds(problem.things, self.num_folds, generator)
        race = _Race(problem, weights, self._members(), possible)
        predicted = weights.new_zeros(3, len(possible), len(weights))
        for fold in range(int(folds.max()) + 1):
            out = folds == fold
            predicted[:, :, out] = race.run(out, generator)
        within, running = race.log_likelihoods.clone(), race.running
        within[~running] = -torch.inf
        promise = shares_of(within, weights) @ predicted[0]
        top = promise >= promise.quantile(1 - _TOP)
        race.run(top, generator)
        found = torch.cat([within, race.log_likelihoods[:, top]], dim=1)
        found[~race.running] = -torch.inf
        found[clearly_worse(found, _ERRORS_APART)] = -torch.inf
        rows = torch.cat([torch.arange(len(top), device="cpu"), top.nonzero()[:, 0]])
        running = found[:, 0] > -torch.inf
        self.running, self.rows = running.to(device), rows.to(device)
        self.log_likelihoods = found[running].to(device)
        self.means, self.stds, self.epistemic_stds = predicted[:, running].to(device)
        self.scores = race.scores.where(possible, -torch.inf).to(device)

    def _mixture(
        self, shares: Tensor, means: Tensor, stds: Tensor, epistemic_stds: Tensor
    ) -> Prediction:
        some = shares > 0
        shares, means = shares[some], means[some]
        mean, variance = _mixed(shares, means, stds[some].square())
        _, epistemic_variance = _mixed(shares, means, epistemic_stds[some].square())
        return Prediction(mean, variance.sqrt(), epistemic_variance.sqrt())


class _Race:
    """Fits of several oracles to parts of the designs, of which the slow ones drop out.

    Attributes:
        running: Which oracles have not been clearly worse than the best one, bool, ``(k,)``.
        log_likelihoods: Of their labels, ``(k, n)``, nats; -inf of an oracle that is not running.
    """

    def __init__(
        self,
        problem: DesignProblem,
        weights: Tensor,
        oracles: Sequence[ClosedFormOracle],
        running: Tensor,
    ) -> None:
        """No fit has been made."""
        self._problem, self._weights, self._oracles = problem, weights, oracles
        labels = problem.properties
        self._anything = Normal(labels.mean(), labels.std(), validate_args=False)
        self._seen = torch.zeros(len(weights), dtype=torch.bool, device="cpu")
        self.running = running.cpu().clone()
        shape = len(oracles), len(weights)
        self.log_likelihoods = torch.full(shape, torch.nan, dtype=torch.float64, device="cpu")

    @property
    def scores(self) -> Tensor:
        """Mean log-likelihoods, nats, ``(k,)``: of one that dropped out, as it compares till then.

        What they are compared with is the best one's mean.
        """
        known = self.log_likelihoods.where(self.running[:, None], -torch.inf)
        best = self.log_likelihoods[known.mean(1).argmax()]
        return best.mean() - (best - self.log_likelihoods).nanmean(1)

    def run(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """Fit to the designs but those left out, and predict these.

        Args:
            out: Which are left out, bool, ``(n,)``.
            generator: Of the fits.

        Returns:
            Means, deviations and epistemic ones of the m designs left out, shape ``(3, k, m)``;
            zeros of an oracle that is not running.
        """
        part = self._problem.of_rows(~out)
        for i in self.running.nonzero()[:, 0].tolist():
            # Each starts from what the last one has learnt, which was of nearly the same designs.
            self._oracles[i].solve(part, self._weights[~out], generator)
        left = self._problem.of_rows(out)
        predicted = self.log_likelihoods.new_zeros(3, len(self._oracles), len(left.designs))
        for i in self.running.nonzero()[:, 0].tolist():
            prediction = self._oracles[i].predict(left.designs)
            columns = torch.stack([prediction.mean, prediction.std, prediction.epistemic_std])
            predicted[:, i] = columns.cpu()
            labels = _log_likelihoods(left, prediction.to("cpu"), self._anything)
            self.log_likelihoods[i, out] = labels
        self._seen |= out
        found = self.log_likelihoods[:, self._seen].clone()
        found[~self.running] = -torch.inf
        self.running &= ~clearly_worse(found, _ERRORS_BEHIND)
        return predicted


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


def _log_likelihoods(problem: DesignProblem, prediction: Prediction, anything: Normal) -> Tensor:
    """Of the problem's labels, ``(n,)``, nats, where a share of all labels may be anything.

    Without it, a single label that an oracle is wrong about decides against it.
    """
    known = -negative_log_likelihoods(prediction.normal, problem.properties, problem.noise)
    other = anything.log_prob(problem.properties) + math.log(_ANYTHING)
    return torch.logaddexp(known + math.log1p(-_ANYTHING), other)
