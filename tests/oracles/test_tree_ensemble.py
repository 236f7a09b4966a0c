"""Boosted trees: what they learn, under which weights, and that they are kept to the bit."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import xgboost
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import LabelNoise
from lightning_mbo.designs import same_things
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import Convergence, TreeEnsemble
from lightning_mbo.oracles.tree_ensemble import enough_folds, folds_of_things, of_mean_one
from lightning_mbo.problem import DesignProblem
from lightning_mbo.searches import AscentSearch, SamplingSearch, design
from lightning_mbo.space import DesignSpace

Array = NDArray[np.float64]
MIXED = DesignSpace(torch.Size([7]), (5,))


def mixed_designs(n: int, seed: int = 0) -> Array:
    """Two numbers and a category of five levels."""
    rng = np.random.default_rng(seed)
    return np.hstack([rng.normal(size=(n, 2)), np.eye(5)[rng.integers(0, 5, n)]])


def steps(designs: Array) -> Array:
    """A truth that trees can say."""
    level = designs[:, 2:] @ np.array([2.0, 0.0, 1.0, -1.0, 0.0])
    return 2 * (designs[:, 0] > 0.3) * (1 + level) - (designs[:, 1] > -0.5)


def problem_of(designs: Array, labels: Array, space: DesignSpace | None = None) -> DesignProblem:
    problem = DesignProblem.of_table(torch.from_numpy(designs), torch.from_numpy(labels))
    return problem if space is None else replace(problem, space=space)


def fitted(
    problem: DesignProblem, weights: Array | None = None, seed: int = 0, **options: float
) -> TreeEnsemble:
    oracle = TreeEnsemble(**options)  # type: ignore[arg-type]
    oracle.prepare(problem)
    given = torch.ones_like(problem.properties) if weights is None else torch.from_numpy(weights)
    oracle.solve(problem, given, torch.Generator().manual_seed(seed))
    return oracle


def table(n: int, noise: float = 0.3, seed: int = 0) -> DesignProblem:
    designs = mixed_designs(n, seed)
    noises = noise * np.random.default_rng(seed + 99).normal(size=n)
    return problem_of(designs, steps(designs) + noises, MIXED)


def error(oracle: TreeEnsemble) -> float:
    at = mixed_designs(500, seed=7)
    off = oracle.predict(torch.from_numpy(at)).mean.numpy() - steps(at)
    return float(np.sqrt(np.mean(off**2)))


def test_it_learns_steps_of_numbers_and_categories() -> None:
    oracle = fitted(table(600))
    assert error(oracle) < 0.35 < 1.0 < steps(mixed_designs(500)).std()
    deviation = (oracle.variance.sqrt() * oracle.property_std).item()
    assert 0.3 < deviation < 0.45
    assert error(fitted(table(100))) > error(oracle)
    assert oracle.validation_loss().item() == pytest.approx(
        0.5 * np.log(2 * np.pi * np.e * deviation**2)
    )


def test_a_category_is_one_column() -> None:
    oracle = fitted(table(300))
    columns = oracle._columns(torch.from_numpy(mixed_designs(4)))
    np.testing.assert_array_equal(columns[:, 2], mixed_designs(4)[:, 2:].argmax(1))
    assert oracle._members()[0].num_features() == 3
    sequences = np.eye(3)[np.random.default_rng(0).integers(0, 3, (90, 4))]
    labels = sequences[:, 0, 1] + sequences[:, 2, 0] * sequences[:, 3, 2]
    oracle = fitted(problem_of(sequences, labels))
    assert oracle._members()[0].num_features() == 4
    mean = oracle.predict(torch.from_numpy(sequences)).mean
    assert np.corrcoef(mean, labels)[0, 1] > 0.9


def test_the_members_are_the_mixture() -> None:
    problem = table(120)
    oracle = fitted(problem, num_members=4)
    members = oracle.member_outputs(problem.designs)
    assert members.loc.shape == (4, 120)
    assert members.loc.std(0).min() > 0
    each = problem.designs.expand(4, -1, -1)
    assert torch.equal(oracle.member_outputs(each).loc, members.loc)
    prediction = oracle.predict(problem.designs)
    mean, std = oracle.property_mean, oracle.property_std
    np.testing.assert_allclose(prediction.mean, members.loc.mean(0) * std + mean, rtol=1e-12)
    spread = members.loc.var(0, correction=0)
    np.testing.assert_allclose(prediction.epistemic_std, spread.sqrt() * std, rtol=1e-9)
    np.testing.assert_allclose(prediction.std, (oracle.variance + spread).sqrt() * std, rtol=1e-9)


def test_variance_and_number_of_trees_are_cross_validated() -> None:
    """Every fold by fits of this test's own, at all numbers of trees."""
    problem = table(90)
    weights = np.random.default_rng(3).exponential(size=90)
    oracle = fitted(problem, weights, seed=5, num_folds=3, most_trees=40)
    generator = torch.Generator().manual_seed(5)
    folds = folds_of_things(problem.things, torch.from_numpy(weights), 3, generator).numpy()
    labels = oracle.standardized(problem.properties).numpy()
    designs = problem.designs.numpy()
    columns = np.column_stack([designs[:, :2], designs[:, 2:].argmax(1)]).astype(np.float32)
    losses = []
    for fold in range(3):
        own = folds == fold
        scaled = weights[~own] / weights[~own].mean()
        kinds = {"feature_types": ["float", "float", "c"], "enable_categorical": True}
        options = {
            "learning_rate": oracle.learning_rate,
            "max_depth": oracle.max_depth,
            "subsample": oracle.subsample,
            "colsample_bynode": oracle.column_share,
            "min_child_weight": oracle.min_child_weight,
            "base_score": float(np.average(labels[~own], weights=scaled)),
            "tree_method": "hist",
            "seed": 0,
            "seed_per_iteration": True,
            "nthread": 1,
        }
        train = xgboost.DMatrix(columns[~own], labels[~own], weight=scaled, **kinds)
        booster = xgboost.train(options, train, 40)
        rest = xgboost.DMatrix(columns[own], **kinds)
        losses.append(
            [
                np.average(
                    (labels[own] - booster.predict(rest, iteration_range=(0, count))) ** 2,
                    weights=weights[own],
                )
                for count in range(5, 41, 5)
            ]
        )
    mean = np.mean(losses, axis=0)
    assert oracle.num_trees == 5 * (mean.argmin() + 1)
    assert oracle.variance.item() == pytest.approx(mean.min(), rel=1e-4)


def test_of_very_many_designs_not_every_fold_is_left_out() -> None:
    folds = torch.arange(90) % 3
    every = torch.stack(enough_folds(folds, torch.ones(90)))
    assert torch.equal(every, folds == torch.arange(3)[:, None])
    folds = torch.arange(100_000) // 25_000
    (out,) = enough_folds(folds, torch.ones(100_000))
    assert torch.equal(out, folds == 0)
    few = torch.zeros(100_000)
    few[::4] = 1.0
    assert len(enough_folds(folds, few)) == 4
    few[25_000:50_000] = 1.0
    assert len(enough_folds(folds, few)) == 2


@pytest.mark.parametrize("scale", [1e-9, 1 / 400, 1e6])
def test_the_scale_of_the_weights_does_not_matter(scale: float) -> None:
    problem = table(400)
    weights = np.random.default_rng(0).exponential(size=400)
    one, other = (fitted(problem, factor * weights) for factor in (1.0, scale))
    means = [oracle.predict(problem.designs).mean for oracle in (one, other)]
    assert means[0].std() > 0.5
    np.testing.assert_allclose(*means, atol=0.2)
    assert np.corrcoef(*means)[0, 1] > 0.995
    assert of_mean_one(torch.tensor([1.0, 3.0])).tolist() == [0.5, 1.5]
    assert of_mean_one(torch.zeros(2)).tolist() == [1, 1]


def test_it_is_fitted_where_the_weight_lies() -> None:
    designs = np.random.default_rng(0).normal(size=(400, 1))
    labels = np.where(designs[:, 0] > 0, np.sin(8 * designs[:, 0]), 0)
    heavy = np.where(designs[:, 0] > 0, 1.0, 1e-9)
    right, left = (
        fitted(problem_of(designs, labels), weights) for weights in (heavy, 1 + 1e-9 - heavy)
    )
    # To the left there is nothing to learn, and none of it is wrong.
    assert left.variance < right.variance / 10
    at = torch.linspace(0.1, 1.5, 50).double()[:, None]
    truth = (8 * at[:, 0]).sin()
    assert (right.predict(at).mean - truth).abs().mean() < 0.3
    assert left.predict(at).mean.abs().max() < 0.1
    # What weighs nothing has no say.
    labels[designs[:, 0] <= 0] += 100
    weights = np.where(designs[:, 0] > 0, 1.0, 0.0)
    oracle = fitted(problem_of(designs, labels), weights)
    assert oracle.predict(at).mean.abs().max() < 3


def test_noise_of_labels_is_no_part_of_the_variance() -> None:
    rng = np.random.default_rng(0)
    designs = mixed_designs(600)
    errors = np.where(np.arange(600) % 2, 3.0, 0.1)
    labels = steps(designs) + rng.normal(size=600) * np.hypot(0.3, errors)
    noise = LabelNoise(torch.from_numpy(errors), torch.zeros(600).double())
    problem = replace(problem_of(designs, labels, MIXED), noise=noise)
    knowing, without = fitted(problem), fitted(replace(problem, noise=None))
    assert (knowing.variance.sqrt() * knowing.property_std).item() < 1
    assert (without.variance.sqrt() * without.property_std).item() > 2
    assert error(knowing) < error(without) / 1.5
    measured = steps(designs) + 0.8 * rng.normal(size=(9, 600))
    noise = LabelNoise(torch.zeros(600).double(), torch.from_numpy(measured.std(0)))
    problem = replace(problem_of(designs, measured.mean(0), MIXED), noise=noise)
    oracle = fitted(problem, np.full(600, 9.0))
    deviation = (oracle.variance.sqrt() * oracle.property_std).item()
    assert deviation == pytest.approx(0.85, abs=0.1)


@pytest.mark.parametrize("scale", [1e12, 1.0, 1e-9])
@pytest.mark.parametrize("kind", ["few", "one column", "wide", "constant", "repeated", "one"])
def test_degenerate_tables(kind: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    n = 10 if kind == "few" else 30
    designs = rng.normal(size=(n, {"one column": 1, "wide": 40}.get(kind, 4)))
    if kind == "constant":
        designs[:, 1] = 7.3
    if kind in ("repeated", "one"):
        designs = designs[rng.integers(0, 3 if kind == "repeated" else 1, n)]
    labels = scale * (5 + 3 * designs[:, 0] + 0.1 * rng.normal(size=n))
    oracle = fitted(problem_of(designs, labels), most_trees=60)
    prediction = oracle.predict(torch.from_numpy(designs))
    assert all(figures.isfinite().all() for figures in vars(prediction).values())
    assert oracle.validation_loss().isfinite()
    if kind in ("one column", "constant", "wide"):
        assert np.corrcoef(prediction.mean, labels)[0, 1] > 0.8


@pytest.mark.parametrize("light", [0.0, 1e-30])
def test_one_row_with_all_the_weight(light: float) -> None:
    weights = np.full(30, light)
    weights[4] = 30.0
    problem = table(30)
    prediction = fitted(problem, weights).predict(problem.designs)
    assert all(figures.isfinite().all() for figures in vars(prediction).values())
    assert prediction.mean[4].item() == pytest.approx(problem.properties[4].item(), abs=1e-4)


def test_a_fit_is_the_same_to_the_bit() -> None:
    problem = table(200)
    first, second, other = (fitted(problem, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.trees, second.trees)
    assert not torch.equal(first.trees, other.trees)


def test_state_dict_is_the_whole_fit() -> None:
    problem = table(200)
    oracle = fitted(problem)
    other = fitted(replace(problem, properties=problem.properties.flip(0) + 1))
    expected = oracle.predict(problem.designs)
    before = other.predict(problem.designs)
    for name, value in oracle.state_dict().items():
        if name != "unused":
            other.register_buffer(name, value)
    found = other.predict(problem.designs)
    assert not torch.equal(before.mean, found.mean)
    assert torch.equal(found.mean, expected.mean)
    assert torch.equal(found.std, expected.std)
    assert [name for name, _ in oracle.named_parameters()] == ["unused"]
    assert oracle.trees.dtype == torch.uint8
    twin = copy.deepcopy(oracle)
    assert torch.equal(twin.predict(problem.designs).mean, expected.mean)


def test_equal_designs_share_a_fold() -> None:
    designs = torch.arange(12.0).repeat(3)[:, None]

    def folds_of(designs: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return folds_of_things(same_things(designs, None), torch.ones(36), 4, generator)

    folds = folds_of(designs)
    assert set(folds.tolist()) == {0, 1, 2, 3}
    assert torch.equal(folds[:12], folds[12:24])
    assert set(folds_of(designs % 2).tolist()) == {0, 1}
    assert set(folds_of(designs * 0).tolist()) == {0, 1, 2, 3}


def test_a_level_that_no_row_has() -> None:
    problem = table(200)
    kept = problem.of_rows(problem.designs[:, 6] == 0)
    oracle = fitted(kept)
    unseen = torch.from_numpy(np.eye(7)[6:])
    prediction = oracle.predict(unseen)
    assert kept.properties.min() < prediction.mean < kept.properties.max()


def test_a_whole_run() -> None:
    designs = np.random.default_rng(0).normal(size=(80, 2))
    truth = designs[:, 0] - (designs[:, 1] - 1) ** 2
    problem = problem_of(designs, truth)
    iterations = list(
        design(
            problem,
            TreeEnsemble(2, most_trees=50),
            SamplingSearch(CbAS(), num_samples=300),
            num_iterations=3,
            convergence=Convergence(max_epochs=1),
        )
    )
    found = iterations[-1].samples.designs.numpy()
    assert np.median(found[:, 0] - (found[:, 1] - 1) ** 2) > np.quantile(truth, 0.8)


def test_it_cannot_be_climbed() -> None:
    problem = table(30)
    with pytest.raises(ConfigurationError, match=r"GradientAscent needs .* TreeEnsemble has none"):
        list(design(problem, TreeEnsemble(), AscentSearch(), num_iterations=1))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"num_members": 0}, "num_members"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"subsample": 0.0}, "subsample"),
        ({"column_share": 1.1}, "column_share"),
        ({"max_depth": 0}, "max_depth"),
        ({"min_child_weight": float("nan")}, "min_child_weight"),
        ({"most_trees": 0}, "most_trees"),
        ({"num_folds": 1}, "num_folds"),
    ],
)
def test_values_out_of_range(options: dict[str, float], part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        TreeEnsemble(**options)  # type: ignore[arg-type]


def test_designs_of_any_type() -> None:
    problem = table(60)
    oracle = fitted(problem)

    def mean(designs: Tensor) -> Tensor:
        return oracle(designs).loc

    single = problem.designs.float()
    assert torch.equal(mean(single), mean(single.double()))
    assert torch.equal(mean(single.requires_grad_()), mean(single.detach()))
