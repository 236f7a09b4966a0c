"""Bayesian linear regression on what each column contributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.designs import distinct
from lightning_mbo.memory import in_chunks
from lightning_mbo.oracles.additive_features import AdditiveFeatures
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.oracles.differentiable import DifferentiableOracle
from lightning_mbo.oracles.linear_posterior import BlockRidge, LinearPosterior
from lightning_mbo.oracles.weighted_labels import Judgement, WeightedLabels, beside_errors
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import Prediction
from lightning_mbo.space import DesignSpace

_ROUNDS = 4
"""Fits, each with what the one before makes the labels' errors count for."""

_CHUNK_SIZE = 4096
_MOST_ENTRIES = 30_000_000
"""Of the features of all rows: products that would make it more are left out."""

_MOST_WORK = 1e9
"""Multiplications for judging prior variances once: of more designs some are drawn."""

_FEWEST_JUDGED, _MOST_JUDGED = 1000, 100_000
"""Designs that they are judged by. Their features are kept."""

_GRID = tuple(10.0**power for power in range(-4, 7))
_FACTORS = (0.5, 0.25, 2.0, 4.0)
_LEAST, _MOST = 1e-6, 1e8
"""Prior variances, in the noise's: those that are compared first, then around the best."""

_ENOUGH = 2
"""Greater variances in a row that predict worse, after which no greater one is tried."""

_LEAST_GAIN = 1e-3
"""Nats a design, less than which is not worth another turn."""


class Effect(NamedTuple):
    """What a column contributes to the property, beside its mean over the weighted designs.

    Attributes:
        values: Of a number, those at which it is told, as they stand in designs; of a one-hot
            group its levels' numbers; shape ``(l,)``.
        mean: In the property's units, shape ``(l,)``.
        std: Standard error of `mean`, shape ``(l,)``.
    """

    values: Tensor
    mean: Tensor
    std: Tensor


class AdditiveRegression(DifferentiableOracle, ClosedFormOracle):
    """Columns that add up: levels, curves of numbers, and products of two columns where they help.

    A Bayesian linear regression on `AdditiveFeatures`, exact under the weights: a weight of two is
    the same row twice. The coefficients of main effects, of curves and of products have a prior
    variance each: those with which the fit to all other designs says most of a design's labels (by
    the weighted log-likelihood, exactly and without refits). Products take part if that gains them
    more than its standard error. Equal designs are left out together. A label with an error of its
    own counts for its `noise_share`, and the errors' variance is not part of the oracle's.

    Levels with descriptors have a prior variance of their own, no greater than what the levels of
    their column vary by: what one that no design has may be off by.

    Reference: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, sections
    2.1 and 5.4.2; Sugiyama, Krauledat and Müller, "Covariate shift adaptation by importance
    weighted cross validation", JMLR 2007.

    Attributes:
        variance: σ² of the standardised property.
        block_variances: Prior variances in σ² of coefficients of main effects, curves, products.
    """

    coefficients: Tensor
    variance: Tensor
    block_variances: Tensor
    loss: Tensor

    def __init__(self, products: bool = True) -> None:
        """Describe the regression.

        Args:
            products: Whether products of two columns may take part.
        """
        super().__init__()
        self.products = products
        self.features = AdditiveFeatures()
        self.double()

    def build(self, space: DesignSpace) -> None:
        """Learn what the columns are."""
        super().build(space)
        self.features.build(space)

    def start(self, problem: DesignProblem) -> None:
        """Learn the scales of the property and of the features."""
        super().start(problem)
        self.features.start(problem.designs)
        zeros = self.property_mean.new_zeros
        shapes = LinearPosterior.shapes(sum(self.features.sizes[:2]))
        self._keep(LinearPosterior(*(zeros(shape) for shape in shapes)))
        self.register_buffer("variance", self.property_mean.new_ones(()))
        self.register_buffer("block_variances", zeros(3))
        self.register_buffer("loss", zeros(()))

    @property
    def posterior(self) -> LinearPosterior:
        """What is known of the coefficients of the standardised property."""
        return LinearPosterior(*(getattr(self, name) for name in LinearPosterior._fields))

    def input_outputs(self, inputs: Tensor) -> Normal:
        """The mean and the deviation of the standardised property, batch shape ``(1, b)``."""
        mean, spread = (torch.atleast_2d(values) for values in self._known(inputs))
        return Normal(mean, (self.variance * (1 + spread)).sqrt(), validate_args=False)

    @torch.no_grad()
    def predict(self, designs: Tensor) -> Prediction:
        """Judge many designs ``(m, *design_shape)``, in chunks, without gradients."""

        def known(chunk: Tensor) -> Tensor:
            inputs = self.representation.encode(chunk.to(self.property_mean))
            return torch.stack(self._known(inputs))

        mean, spread = in_chunks(known, designs, _CHUNK_SIZE)
        unit = self.variance.sqrt() * self.property_std
        mean = mean * self.property_std + self.property_mean
        return Prediction(mean, (1 + spread).sqrt() * unit, spread.sqrt() * unit)

    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """Fit to the weighted designs.

        Args:
            problem: Of the training designs.
            weights: Shape ``(n,)``, not negative, not all zero.
            generator: Draws the designs to choose the prior by, where there are very many.
        """
        rows, labels = self._distinct(problem, weights)
        with_products = self.products and len(rows) * sum(self.features.sizes) < _MOST_ENTRIES
        sizes = self.features.sizes[: 2 + with_products]
        features = _FeaturesOf(self, problem.designs, rows, with_products)
        num_judged = round(_MOST_WORK / min(features.shape) ** 2)
        num_judged = min(max(num_judged, _FEWEST_JUDGED), _MOST_JUDGED)
        order = torch.randperm(len(rows), generator=generator, device="cpu")
        judged = order[:num_judged].sort().values.to(labels.labels.device)
        seen, variance = labels.of_designs(judged), self.property_mean.new_ones(())
        for _ in range(1 if problem.noise is None else _ROUNDS):
            variance = beside_errors(variance)
            counts, targets = labels.merged(variance)
            ridge = BlockRidge(features, targets, counts, sizes)

            def judge(variances: Sequence[float]) -> Judgement:
                left_out = ridge.leave_one_out(variances, judged)  # noqa: B023
                return seen.judged(targets[judged], left_out, variance)  # noqa: B023

            chosen = chosen_variances(judge, sizes)
            found = judge(chosen)
            variance = found.variance
        # Without products, neither they nor their zeros are kept.
        if len(sizes) == 3 and chosen[2] == 0:
            sizes = sizes[:2]
            features = _FeaturesOf(self, problem.designs, rows, False)
            ridge = BlockRidge(features, targets, counts, sizes)
        self._keep(ridge.posterior(chosen[: len(sizes)]))
        self.variance.copy_(variance)
        self.block_variances.zero_()[: len(chosen)] = self.variance.new_tensor(chosen)
        self.loss.fill_(found.loss)
        if self.features.described:
            blocks = [sizes[0] - sum(self.features.described), *self.features.described, *sizes[1:]]
            ridge = BlockRidge(features, targets, counts, blocks)
            limits = [min(chosen[0], spread) for spread in self._spreads_of_levels()]
            self._keep(ridge.posterior([chosen[0], *limits, *chosen[1 : len(sizes)]]))

    def validation_loss(self) -> Tensor:
        """The negative log-likelihood of labels by the fit to all other designs, weighted mean."""
        return self.loss + self.property_std.log()

    @torch.no_grad()
    def effects(self, num_values: int = 21) -> list[Effect]:
        """What each column contributes, apart from products: numbers first, then one-hot groups.

        Args:
            num_values: At how many values each number's curve is told, over the training designs'.
        """
        found, posterior = [], self.posterior
        size = sum(self.features.sizes[:2])
        for values, features, used in self.features.by_column(num_values):
            contrasts = features.new_zeros(len(values), len(posterior.coefficients))
            contrasts[:, :size][:, used] = features - posterior.centre[:size][used]
            spread = posterior.spreads_of_effects(contrasts)
            std = (self.variance * spread).sqrt() * self.property_std
            mean = contrasts @ posterior.coefficients * self.property_std
            found.append(Effect(values, mean, std))
        return found

    def _spreads_of_levels(self) -> list[float]:
        """What the levels of each group with descriptors vary by, in σ².

        No label tells more of a prior variance of theirs that is large than that it is: all levels
        of the designs are known. But it is what is not known of the others.
        """
        space, found = self.features.space, []
        frequencies = self.features.frequencies.split(space.groups)
        effects = self.effects()[space.num_numbers :]
        for count, shares, effect in zip(space.num_descriptors, frequencies, effects, strict=True):
            deviations = (effect.mean - shares @ effect.mean) / self.property_std
            if count:
                found.append((shares @ deviations.square() / self.variance).item())
        return found

    def _distinct(self, problem: DesignProblem, weights: Tensor) -> tuple[Tensor, WeightedLabels]:
        """A row of each different design, ``(g,)``, and the labels, standardised."""
        rows, design = distinct(problem.designs)
        labels = self.standardized(problem.properties.to(self.property_mean))
        noise = self.standardized_noise(problem)
        design = design.to(labels.device)
        return rows, WeightedLabels(labels, weights.to(labels), noise, design, len(rows))

    def _known(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The mean at inputs ``(..., inputs)``, and its variance in σ²."""
        with_products = len(self.coefficients) > sum(self.features.sizes[:2])
        features = self.features(inputs, with_products)
        return self.posterior.means(features), self.posterior.spreads(features)

    def _keep(self, posterior: LinearPosterior) -> None:
        for name, value in posterior._asdict().items():
            self.register_buffer(name, value)


class _FeaturesOf:
    """Features of the different designs of a table, computed where they are asked for.

    Attributes:
        shape: How many designs, and features of each.
    """

    def __init__(
        self, oracle: AdditiveRegression, designs: Tensor, rows: Tensor, with_products: bool
    ) -> None:
        """Of designs ``(n, *design_shape)`` those in some rows ``(g,)``."""
        self._oracle, self._designs, self._rows = oracle, designs, rows
        self._with_products = with_products
        self.shape = len(rows), sum(oracle.features.sizes[: 2 + with_products])

    def __getitem__(self, numbers: Tensor) -> Tensor:
        """Shape ``(j, features)``, of numbers of designs ``(j,)``."""
        rows = self._rows[numbers.to(self._rows.device)]
        designs = self._designs[rows].to(self._oracle.property_mean)
        inputs = self._oracle.representation.encode(designs)
        features: Tensor = self._oracle.features(inputs, self._with_products)
        return features


def chosen_variances(
    judge: Callable[[Sequence[float]], Judgement], sizes: Sequence[int]
) -> list[float]:
    """The prior variances of main effects, curves and products that predict best.

    One after the other, then in turns as long as it helps. Those of curves and products can be
    zero; of products they are unless they gain more than the gain's standard error.

    Args:
        judge: How well labels are predicted with given ones.
        sizes: How many coefficients there are in each block.
    """
    chosen = [0.0] * len(sizes)
    best = judge(chosen)

    def better(block: int, values: Sequence[float]) -> bool:
        nonlocal chosen, best
        before, num_worse = best, 0
        for value in values:
            tried = [*chosen[:block], value, *chosen[block + 1 :]]
            judgement = judge(tried)
            num_worse += judgement.loss >= best.loss
            if judgement.loss < best.loss:
                chosen, best, num_worse = tried, judgement, 0
            elif best is not before and num_worse == _ENOUGH:
                break
        return before.loss - best.loss > _LEAST_GAIN

    blocks = [block for block, size in enumerate(sizes) if size > 0]
    for block in blocks:
        without, kept = best, chosen
        better(block, _GRID)
        helps = True
        while helps:
            gained = [better(b, _near(chosen[b])) for b in blocks if chosen[b] > 0]
            helps = any(gained)
        gain, error = best.gain_over(without)
        if block == 2 and gain <= error:
            chosen, best = kept, without
    return chosen


def _near(variance: float) -> list[float]:
    return [variance * factor for factor in _FACTORS if _LEAST <= variance * factor <= _MOST]
