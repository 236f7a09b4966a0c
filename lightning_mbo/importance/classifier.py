"""A quadratic logistic classifier that tells samples from designs, cross-fitted."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_mbo.space import DesignSpace

NUM_FOLDS = 5
_MOST_PRODUCTS = 150
_DESIGNS_PER_PRODUCT = 10
_RIDGES = (1e-1, 1e-2, 1e-3, 1e-4)
"""From the strongest, each of which the next begins from."""
_LEAST_VARIANCE = 1e-8
_MOST_STEPS = 30
_MOST_HALVINGS = 20
_ENOUGH = 1e-10
"""So much less a step may promise to make the loss, in nats, where it is the last."""


class Features(NamedTuple):
    """What a classifier sees of designs.

    Attributes:
        space: Of the designs.
        center: Of the numbers, shape ``(num_numbers,)``.
        axes: The directions in which they are seen, shape ``(num_numbers, r)``.
        levels: Which entries of one-hots are seen, bool.
        pairs: Which of the entries are seen multiplied, of the directions, then of the levels,
            shape ``(2, pairs)``.
        mean: Of all features, shape ``(p,)``.
        std: Likewise.
    """

    space: DesignSpace
    center: Tensor
    axes: Tensor
    levels: Tensor
    pairs: Tensor
    mean: Tensor
    std: Tensor

    def __call__(self, designs: Tensor) -> Tensor:
        """Standardised features of designs ``(m, *design_shape)``, after a one: ``(m, 1 + p)``."""
        standardized = (self.raw(designs) - self.mean) / self.std
        return torch.cat([torch.ones_like(standardized[:, :1]), standardized], dim=1)

    def raw(self, designs: Tensor) -> Tensor:
        """Linear, square and product features, shape ``(m, p)``."""
        numbers = (self.space.numbers(designs) - self.center) @ self.axes
        levels = designs.flatten(1)[:, self.space.num_numbers :][:, self.levels]
        linear = torch.cat([numbers, levels], dim=1)
        first, second = self.pairs
        return torch.cat([linear, numbers.square(), linear[:, first] * linear[:, second]], dim=1)


def features_of(designs: Tensor, samples: Tensor, space: DesignSpace) -> Features:
    """The features that tell samples from designs.

    Of the numbers these are the directions in which both classes have a diagonal covariance, and
    their squares: among them is the log-ratio of any two normals. Of the one-hots it is the levels.
    Where they are few, all products of two of these are features too. What no design differs in
    is left out: it tells the classes apart, but no design from another.

    Args:
        designs: Shape ``(n, *design_shape)``, float64.
        samples: Shape ``(m, *design_shape)``, float64.
        space: Theirs.
    """
    numbers = space.numbers(designs)
    center = numbers.mean(0)
    axes = _common_axes(numbers - center, space.numbers(samples) - center)
    one_hots = designs.flatten(1)[:, space.num_numbers :]
    levels = (one_hots != one_hots[0]).any(0)
    most = min(_MOST_PRODUCTS, len(designs) // _DESIGNS_PER_PRODUCT)
    pairs = _pairs(axes.shape[1], levels, space.groups)
    pairs = pairs[:, : pairs.shape[1] if pairs.shape[1] <= most else 0]
    seen = Features(space, center, axes, levels, pairs, center, center)
    raw = [seen.raw(rows) for rows in (designs, samples)]
    # As if there were as many of either.
    mean = (raw[0].mean(0) + raw[1].mean(0)) / 2
    variance = ((raw[0] - mean).square().mean(0) + (raw[1] - mean).square().mean(0)) / 2
    std = torch.where(variance > 0, variance.sqrt(), 1.0)
    return seen._replace(mean=mean, std=std)


def _common_axes(designs: Tensor, samples: Tensor) -> Tensor:
    """Directions ``(d, r)`` along which designs ``(n, d)`` are white and samples uncorrelated."""
    scale = designs.square().mean(0).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    scaled = designs / scale
    variances, directions = torch.linalg.eigh(scaled.mT @ scaled / len(designs))
    varied = variances > _LEAST_VARIANCE * len(variances)
    whitening = directions[:, varied] / variances[varied].sqrt() / scale[:, None]
    white = samples @ whitening
    white = white - white.mean(0)
    _, rotation = torch.linalg.eigh(white.mT @ white / len(white))
    axes: Tensor = whitening @ rotation
    return axes


def _pairs(num_numbers: int, levels: Tensor, groups: tuple[int, ...]) -> Tensor:
    """Which features to multiply, ``(2, pairs)``: of two levels of one group none has both."""
    owners = list(range(num_numbers))
    columns = list(range(num_numbers))
    start = 0
    for group, size in enumerate(groups):
        seen = int(levels[start : start + size].sum())
        # The last level is what all others are not.
        columns += range(len(owners), len(owners) + seen - 1)
        owners += [num_numbers + group] * seen
        start += size
    pairs = [(i, j) for i, j in itertools.combinations(columns, 2) if owners[i] != owners[j]]
    return torch.tensor(pairs, dtype=torch.long, device=levels.device).reshape(-1, 2).mT


class Classifier(NamedTuple):
    """A fitted classifier of samples and designs.

    Attributes:
        features: What it sees.
        coefficients: Of an intercept and of these, shape ``(1 + p,)``.
    """

    features: Features
    coefficients: Tensor

    def log_odds(self, designs: Tensor) -> Tensor:
        """Log-odds that designs are samples, were there as many of either, shape ``(m,)``."""
        return self.features(designs) @ self.coefficients


def cross_fitted(
    designs: Tensor,
    samples: Tensor,
    design_folds: Tensor,
    sample_folds: Tensor,
    space: DesignSpace,
) -> list[Classifier]:
    """For each fold the classifier that knows nothing of it.

    Its ridge is the one of several whose fit without a second fold has the least loss there.

    Args:
        designs: Shape ``(n, *design_shape)``, float64.
        samples: Shape ``(m, *design_shape)``, float64.
        design_folds: Of each design its fold, 0 to `NUM_FOLDS` - 1, shape ``(n,)``.
        sample_folds: Of each sample likewise, shape ``(m,)``.
        space: Theirs.
    """
    classifiers = []
    for fold in range(NUM_FOLDS):
        mine = designs[design_folds != fold], samples[sample_folds != fold]
        other = (fold + 1) % NUM_FOLDS
        within = design_folds[design_folds != fold], sample_folds[sample_folds != fold]
        known = [rows[folds != other] for rows, folds in zip(mine, within, strict=True)]
        unknown = [rows[folds == other] for rows, folds in zip(mine, within, strict=True)]
        path = _path(known, space, _RIDGES)
        losses = torch.stack(
            [
                softplus(fit.log_odds(unknown[0])).mean()
                + softplus(-fit.log_odds(unknown[1])).mean()
                for fit in path
            ]
        )
        best = int(losses.argmin())
        classifiers.append(_path(list(mine), space, _RIDGES[best : best + 1])[0])
    return classifiers


def _path(classes: list[Tensor], space: DesignSpace, ridges: tuple[float, ...]) -> list[Classifier]:
    """Classifiers of designs and samples, by one ridge after another."""
    features = features_of(classes[0], classes[1], space)
    inputs = torch.cat([features(rows) for rows in classes])
    sizes = [len(rows) for rows in classes]
    signs = torch.ones_like(inputs[:, 0])
    signs[: sizes[0]] = -1
    # As if there were as many of either.
    weights = torch.cat([inputs.new_full((size,), 0.5 / size) for size in sizes])
    coefficients = torch.zeros_like(inputs[0])
    path = []
    for ridge in ridges:
        coefficients = ridge_logistic(inputs, signs, weights, ridge, coefficients)
        path.append(Classifier(features, coefficients))
    return path


def ridge_logistic(
    inputs: Tensor, signs: Tensor, weights: Tensor, ridge: float, start: Tensor
) -> Tensor:
    """Coefficients β of the least Σ w_i log(1 + exp(-s_i x_i·β)) + ridge/2 Σ_{j>0} β_j².

    By Newton's method, whose steps are halved where they lead uphill.

    Args:
        inputs: x, the first of them one, shape ``(n, 1 + p)``, float64.
        signs: s, 1 or -1, shape ``(n,)``.
        weights: w, summing to one, shape ``(n,)``.
        ridge: Positive.
        start: Where to begin, shape ``(1 + p,)``.
    """
    penalty = torch.full_like(start, ridge)
    penalty[0] = 0

    def loss(coefficients: Tensor) -> Tensor:
        ridged = penalty @ coefficients.square() / 2
        return weights @ softplus(-signs * (inputs @ coefficients)) + ridged

    coefficients, least = start, loss(start)
    for _ in range(_MOST_STEPS):
        wrong = (-signs * (inputs @ coefficients)).sigmoid()
        gradient = penalty * coefficients - inputs.mT @ (weights * signs * wrong)
        curvature = (weights * wrong * (1 - wrong))[:, None] * inputs
        hessian = inputs.mT @ curvature + penalty.diag()
        hessian[0, 0] += torch.finfo(hessian.dtype).tiny ** 0.25
        step = torch.cholesky_solve(gradient[:, None], torch.linalg.cholesky(hessian))[:, 0]
        if gradient @ step < _ENOUGH:
            # The last one squares the distance that is left.
            return coefficients - step
        for _ in range(_MOST_HALVINGS):
            if (reached := loss(coefficients - step)) <= least:
                break
            step = step / 2
        else:
            break
        coefficients, least = coefficients - step, reached
    return coefficients
