"""What oracles make of the descriptors of levels, seen and unseen."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo import oracles
from lightning_mbo.data import CSV
from lightning_mbo.data.fits import Fits
from lightning_mbo.oracles import (
    AdditiveRegression,
    ConservativeObjectiveModel,
    Convergence,
    DeepEnsemble,
    GaussianProcess,
    GradientOracle,
    KernelRidge,
    NormalizedLikelihoodModel,
    Oracle,
    RankingEnsemble,
    RegressionEnsemble,
    Stack,
    TreeEnsemble,
    Unchanged,
)
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace
from tests.oracles.short_run import trained

callbacks = importlib.import_module("lightning_mbo.callbacks")

ORACLES: dict[str, Callable[[], Oracle]] = {
    "AdditiveRegression": AdditiveRegression,
    "ConservativeObjectiveModel": lambda: ConservativeObjectiveModel(hidden_sizes=[8]),
    "DeepEnsemble": lambda: DeepEnsemble(2, (8, 4)),
    "GaussianProcess": GaussianProcess,
    "KernelRidge": lambda: KernelRidge(gamma=0.1),
    "NormalizedLikelihoodModel": lambda: NormalizedLikelihoodModel((8,), num_bins=5),
    "RankingEnsemble": lambda: RankingEnsemble(2, [8]),
    "RegressionEnsemble": lambda: RegressionEnsemble(2, [8]),
    "Stack": lambda: Stack([GaussianProcess(), AdditiveRegression()]),
    "TreeEnsemble": lambda: TreeEnsemble(num_members=2, most_trees=60),
}
POLARITY = (-1.6, -1.2, -0.7, 0.0, 0.2, 0.5, 0.9, 1.1, 1.5)
UNSEEN = 3


def space_of(polarity: tuple[float, ...] = POLARITY) -> DesignSpace:
    """One number, a category with a descriptor, and one without."""
    size = len(polarity)
    return DesignSpace(torch.Size([1 + size + 2]), (size, 2), (tuple((p,) for p in polarity), ()))


def designs_of(numbers: Tensor, levels: Tensor, others: Tensor) -> Tensor:
    eyes = (torch.eye(size, dtype=torch.float64) for size in (len(POLARITY), 2))
    one_hots = [eye[number] for eye, number in zip(eyes, (levels, others), strict=True)]
    return space_of().join(numbers[:, None], one_hots)


def truth(designs: Tensor, curvature: float = 1.0) -> Tensor:
    space = space_of()
    x = space.numbers(designs)[:, 0]
    p = space.one_hots(designs)[0] @ torch.tensor(POLARITY, dtype=torch.float64)
    return x + 3 * p - curvature * p.square()


def problem_of(space: DesignSpace, curvature: float = 1.0, n: int = 90) -> DesignProblem:
    """Rows of all levels but one."""
    rng = np.random.default_rng(0)
    levels = rng.choice([j for j in range(len(POLARITY)) if j != UNSEEN], n)
    parts = rng.normal(size=n), levels, rng.integers(0, 2, n)
    designs = designs_of(*map(torch.from_numpy, parts))
    noise = torch.from_numpy(0.1 * rng.normal(size=n))
    problem = DesignProblem.of_table(designs, truth(designs, curvature) + noise)
    return replace(problem, space=space)


def fitted(oracle: Oracle, problem: DesignProblem) -> Oracle:
    oracle.prepare(problem)
    fits = Fits(problem, 30, 0.1)
    fits.begin()
    oracle.fit(fits, Convergence(max_epochs=3))
    return oracle


def levels_of(level: int) -> Tensor:
    """Four designs that have it."""
    return designs_of(
        torch.linspace(-1, 1, 4, dtype=torch.float64),
        torch.full((4,), level),
        torch.tensor([0, 1, 0, 1]),
    )


@pytest.mark.parametrize("name", ORACLES)
def test_an_unseen_level_is_predicted_from_its_descriptors(name: str) -> None:
    moved = (*POLARITY[:UNSEEN], 5.0, *POLARITY[UNSEEN + 1 :])
    one, other = (fitted(ORACLES[name](), problem_of(space_of(p))) for p in (POLARITY, moved))
    for level in range(len(POLARITY)):
        predictions = [oracle.predict(levels_of(level)).mean for oracle in (one, other)]
        assert predictions[0].isfinite().all()
        # An adversary climbs through levels that no row has, too.
        assert torch.allclose(*predictions, atol=0.01) == (level != UNSEEN)


@pytest.mark.parametrize("name", ORACLES)
def test_levels_without_descriptors_of_their_own_are_still_told_apart(name: str) -> None:
    same = fitted(ORACLES[name](), problem_of(space_of((0.0,) * len(POLARITY))))
    first, last = (same.predict(levels_of(level)).mean for level in (0, len(POLARITY) - 1))
    assert not torch.equal(first, last)
    if not issubclass(getattr(oracles, name), GradientOracle):
        assert (last - first > 1).all()


@pytest.mark.parametrize("kind", [GaussianProcess, AdditiveRegression, Stack])
@pytest.mark.parametrize("curvature", [0.0, 1.0])
def test_the_unseen_level_s_truth_is_met(kind: Callable[[], Oracle], curvature: float) -> None:
    oracle, designs = fitted(kind(), problem_of(space_of(), curvature)), levels_of(UNSEEN)
    prediction = oracle.predict(designs)
    errors = prediction.mean - truth(designs, curvature)
    # Of labels whose standard deviation is 3.
    assert errors.abs().max() < 0.7
    assert (errors.abs() < 3 * prediction.std).all()
    known = oracle.predict(levels_of(0)).epistemic_std
    assert (prediction.epistemic_std > known).all()


@pytest.mark.parametrize("kind", [GaussianProcess, AdditiveRegression, Stack, TreeEnsemble])
def test_a_level_between_others_is_predicted_between_them(kind: Callable[[], Oracle]) -> None:
    """As levels in an order are, of which the descriptor is the rank."""
    ranks = tuple(np.linspace(-1.5, 1.5, len(POLARITY)).tolist())
    oracle = fitted(kind(), problem_of(space_of(ranks), curvature=0.0))
    below, here, above = (oracle.predict(levels_of(UNSEEN + j)).mean for j in (-1, 0, 1))
    assert (below <= here).all()
    assert (here <= above).all()
    assert (below < above).all()


def test_without_descriptors_an_unseen_level_is_a_guess() -> None:
    blank = replace(space_of(), descriptors=())
    oracle, designs = fitted(GaussianProcess(), problem_of(blank)), levels_of(len(POLARITY) - 1)
    described = fitted(GaussianProcess(), problem_of(space_of()))
    unseen = levels_of(UNSEEN)
    assert (oracle.predict(designs).mean - truth(designs)).abs().max() < 0.3
    assert (
        oracle.predict(unseen).epistemic_std > 3 * described.predict(unseen).epistemic_std
    ).all()


def test_a_column_s_effect_has_what_its_descriptors_make_of_it() -> None:
    problem = problem_of(space_of(), curvature=0.0)
    oracle = AdditiveRegression(products=False)
    fitted(oracle, problem)
    number, category, other = oracle.effects()
    assert [len(effect.mean) for effect in (number, category, other)] == [21, len(POLARITY), 2]
    expected = [oracle.predict(levels_of(level)).mean.mean() for level in range(len(POLARITY))]
    differences = torch.stack(expected) - expected[0]
    torch.testing.assert_close(category.mean - category.mean[0], differences)
    assert category.std.argmax() == UNSEEN


def test_products_are_of_different_columns() -> None:
    oracle = AdditiveRegression()
    oracle.build(space_of())
    # The number, its descriptor and levels, and the two of the other category.
    assert oracle.features.sizes == (1 + 3 + 9 + 2, 2, 1 * 10 + 1 * 2 + 10 * 2)


def test_gradients_of_descriptors_reach_the_levels() -> None:
    representation, space = Unchanged(), space_of()
    representation.build(space)
    designs = levels_of(2).requires_grad_()
    features = representation.features(representation.encode(designs))
    assert features.shape == (4, representation.num_features) == (4, representation.num_inputs + 1)
    assert features[:, 1].tolist() == [POLARITY[2]] * 4
    (gradient,) = torch.autograd.grad(features[:, 1].sum(), designs)
    assert gradient[0].tolist() == [0.0, *POLARITY, 0.0, 0.0]


@pytest.mark.parametrize("kind", [GaussianProcess, AdditiveRegression, DeepEnsemble, TreeEnsemble])
def test_a_checkpoint_knows_the_descriptors(kind: type[Oracle], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"temp": rng.normal(size=40), "grade": rng.choice(["low", "high"], 40)})
    table["yield"] = table["temp"] + 2.0 * (table["grade"] == "high")
    grades = {"levels": ["low", "medium", "high"], "ordered": True}
    data = CSV(table, target="yield", columns={"grade": grades})
    oracle = kind()
    trained(oracle, data).save_checkpoint(tmp_path / "oracle.ckpt")
    designs = data.encode(table.assign(grade="medium"))
    restored = kind.load_from_checkpoint(tmp_path / "oracle.ckpt")
    assert torch.equal(restored.predict(designs).mean, oracle.predict(designs).mean)


def test_of_levels_that_do_not_matter_an_unseen_one_does_not_either() -> None:
    problem = problem_of(space_of())
    numbers = space_of().numbers(problem.designs)[:, 0]
    noise = 0.1 * torch.randn(len(numbers), generator=torch.Generator().manual_seed(0)).double()
    oracle = fitted(AdditiveRegression(), replace(problem, properties=numbers + noise))
    unseen, seen = (oracle.predict(levels_of(level)) for level in (UNSEEN, 0))
    assert (unseen.mean - seen.mean).abs().max() < 0.2
    assert unseen.epistemic_std.max() < 0.2
