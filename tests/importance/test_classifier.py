"""The classifier of samples and designs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from lightning_mbo.importance.classifier import (
    NUM_FOLDS,
    cross_fitted,
    features_of,
    ridge_logistic,
)
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import DesignSpace


def drawn(number: int, dimension: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, dimension, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("ridge", [1e-1, 1e-4])
@pytest.mark.parametrize("distance", [0.0, 1.0, 9.0])
def test_ridge_logistic_is_the_least_of_its_loss(ridge: float, distance: float) -> None:
    """Also where a line parts the two classes."""
    inputs = torch.cat([torch.ones(60, 1), drawn(60, 3, 0)], dim=1).double()
    signs = torch.ones(60, dtype=torch.float64)
    signs[:20] = -1
    inputs[20:, 1] += distance
    weights = torch.full_like(signs, 1 / 80)
    weights[:20] = 1 / 40
    found = ridge_logistic(inputs, signs, weights, ridge, torch.zeros(4, dtype=torch.float64))
    x, s, w = (tensor.numpy() for tensor in (inputs, signs, weights))

    def loss(b: np.ndarray) -> float:
        return float(w @ np.logaddexp(0, -s * (x @ b)) + ridge / 2 * (b[1:] @ b[1:]))

    expected = optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-5)
    again = ridge_logistic(inputs, signs, weights, ridge, found + 0.5)
    np.testing.assert_allclose(again.numpy(), found.numpy(), rtol=1e-7, atol=1e-9)


def test_the_log_ratio_of_two_normals_is_linear_in_the_features() -> None:
    """In the axes of their moments, whatever these are and whatever the units."""
    mixing = [drawn(4, 4, seed) * torch.tensor([1e-3, 1, 1, 1e4]) for seed in (1, 2)]
    designs, samples = drawn(500, 4, 3) @ mixing[0], drawn(400, 4, 4) @ mixing[1] + mixing[1][0]
    quadratic = features_of(designs, samples, DesignSpace(torch.Size([4])))
    # Twelve points more than the 9 coefficients of linear and square terms.
    quadratic = quadratic._replace(pairs=quadratic.pairs[:, :0], mean=torch.zeros(()))
    probes = quadratic._replace(std=torch.ones(()))(designs[:200])
    log_ratios = [
        torch.distributions.MultivariateNormal(
            rows.mean(0), torch.cov(rows.mT, correction=0)
        ).log_prob(designs[:200])
        for rows in (samples, designs)
    ]
    log_ratio = log_ratios[0] - log_ratios[1]
    assert probes.shape == (200, 9)
    solved = torch.linalg.lstsq(probes, log_ratio[:, None]).solution
    torch.testing.assert_close((probes @ solved)[:, 0], log_ratio, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("num_designs", "num_numbers", "groups", "num_features"),
    [
        (200, 2, (), 2 + 2 + 1),
        (200, 7, (), 7 + 7),  # 21 products are more than a tenth of the designs
        (2000, 17, (), 17 + 17 + 136),
        (2000, 18, (), 18 + 18),
        (200, 0, (3, 3), 6 + 4),
        (200, 2, (3,), 4 + 3 + 1 + 2 * 2),
    ],
)
def test_how_many_features(
    num_designs: int, num_numbers: int, groups: tuple[int, ...], num_features: int
) -> None:
    levels = [one_hot(torch.arange(num_designs) // (j + 1) % v, v) for j, v in enumerate(groups)]
    space = DesignSpace(torch.Size([num_numbers + sum(groups)]), groups)
    designs = space.join(drawn(num_designs, num_numbers, 0), [level.double() for level in levels])
    features = features_of(designs, designs[::2], space)(designs)
    assert features.shape == (num_designs, 1 + num_features)
    assert (features[:, 0] == 1).all()


def test_what_no_design_differs_in_is_not_seen() -> None:
    """A constant, a copy of another number, a level that is nowhere."""
    numbers = drawn(100, 2, 0)
    space = DesignSpace(torch.Size([7]), (3,))
    levels = one_hot(torch.arange(100) % 2, 3).double()
    of_designs = torch.cat([numbers, torch.ones(100, 1), numbers[:, :1] * 3], dim=1)
    designs = space.join(of_designs.double(), [levels])
    samples = space.join(drawn(100, 4, 1), [one_hot(torch.full((100,), 2), 3).double()])
    features = features_of(designs, samples, space)
    assert features.axes.shape == (4, 2)
    assert features.levels.tolist() == [True, True, False]
    moved = samples.clone()
    moved[:, 2] += 5
    torch.testing.assert_close(features(moved), features(samples))


def test_a_fold_is_not_known_to_its_classifier() -> None:
    """It is to the last bit that of a table without the fold."""
    designs, samples = drawn(100, 2, 0), drawn(90, 2, 1) + 0.5
    folds = torch.arange(100) % NUM_FOLDS, torch.arange(90) % NUM_FOLDS
    space = DesignSpace(torch.Size([2]))
    fits = cross_fitted(designs, samples, *folds, space)
    for fold, fit in enumerate(fits):
        changed = torch.where((folds[0] == fold)[:, None], 100.0, designs)
        others = torch.where((folds[1] == fold)[:, None], -100.0, samples)
        refitted = cross_fitted(changed, others, *folds, space)[fold]
        assert torch.equal(refitted.log_odds(designs), fit.log_odds(designs))
        other = (fold + 2) % NUM_FOLDS
        refitted = cross_fitted(changed, samples, *folds, space)[other]
        assert not torch.equal(refitted.log_odds(designs), fits[other].log_odds(designs))
