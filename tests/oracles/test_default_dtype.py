"""What oracles say in Python where torch's default is double precision: the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from lightning_mbo import oracles
from lightning_mbo.algorithms import CbAS, DbAS
from lightning_mbo.data import CSV
from lightning_mbo.importance import Autofocus
from lightning_mbo.oracles import (
    AdditiveRegression,
    ConservativeObjectiveModel,
    Convergence,
    ConvolutionalEnsemble,
    DeepEnsemble,
    DifferentiableOracle,
    GaussianProcess,
    KernelRidge,
    NormalizedLikelihoodModel,
    Oracle,
    PersistentParticles,
    RankCosine,
    RankingEnsemble,
    RegressionEnsemble,
    ResultOracles,
    SmoothedLogits,
    Stack,
    TreeEnsemble,
    ascend,
)
from lightning_mbo.problem import DesignProblem
from lightning_mbo.searches import AscentSearch, SamplingSearch, Search, design
from tests.tables_of_results import TARGETS, table_of_results

ORACLES: dict[str, Callable[[], Oracle]] = {
    "AdditiveRegression": AdditiveRegression,
    "ConservativeObjectiveModel": lambda: ConservativeObjectiveModel(
        hidden_sizes=(8,), adversary=PersistentParticles(16, 2, num_steps=6)
    ),
    "ConvolutionalEnsemble": lambda: ConvolutionalEnsemble(2, window=2, num_channels=4),
    "DeepEnsemble": lambda: DeepEnsemble(2, (8,)),
    "GaussianProcess": GaussianProcess,
    "KernelRidge": KernelRidge,
    "NormalizedLikelihoodModel": lambda: NormalizedLikelihoodModel((8,), num_bins=5),
    "RankingEnsemble": lambda: RankingEnsemble(2, (8,), loss=RankCosine()),
    "RegressionEnsemble": lambda: RegressionEnsemble(
        2, (8,), representation=SmoothedLogits(standardize=True)
    ),
    "Stack": lambda: Stack([AdditiveRegression(), TreeEnsemble(1, most_trees=5)]),
    "TreeEnsemble": lambda: TreeEnsemble(2, most_trees=20),
}


@pytest.fixture
def _double() -> Iterator[None]:
    """Afterwards the default is single precision again."""
    yield
    torch.set_default_dtype(torch.float32)


def sequences() -> DesignProblem:
    rng = np.random.default_rng(0)
    designs = np.eye(3)[rng.integers(0, 3, (60, 5))]
    labels = designs[:, 0, 1] + 2 * designs[:, 3, 2] + 0.1 * rng.normal(size=60)
    return DesignProblem.of_table(torch.from_numpy(designs), torch.from_numpy(labels))


def test_there_is_one_of_every_kind() -> None:
    kinds = {
        name
        for name in oracles.__all__
        if inspect.isclass(kind := getattr(oracles, name))
        and issubclass(kind, Oracle)
        and not inspect.isabstract(kind)
    }
    assert kinds == {*ORACLES, "ResultOracles"}  # of several results: below


@pytest.mark.usefixtures("_double")
@pytest.mark.filterwarnings("ignore:.*count for", "ignore:the search ends after")
@pytest.mark.parametrize("climbs", [False, True], ids=["samples", "ascent"])
@pytest.mark.parametrize("kind", ORACLES)
def test_the_default_dtype_changes_nothing(kind: str, climbs: bool) -> None:
    found: list[list[Any]] = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        problem, oracle = sequences(), ORACLES[kind]()
        if climbs and not isinstance(oracle, DifferentiableOracle):
            pytest.skip("it says nothing of gradients")
        search: Search = SamplingSearch(DbAS() if kind == "KernelRidge" else CbAS(), num_samples=80)
        if climbs:
            search = AscentSearch(num_steps=3, num_starts=9)
            search.with_densities = True
        iterations = design(
            problem,
            oracle,
            search,
            num_iterations=2,
            autofocus=Autofocus(0.3),
            convergence=Convergence(max_epochs=2),
            batch_size=20,
        )
        samples = [iteration.samples for iteration in iterations]
        figures = [value for s in samples for value in (s.designs, *vars(s.prediction).values())]
        # As a user has them: double by default, and single.
        designs = [
            problem.designs[:9],
            problem.designs[:9].float(),
            torch.eye(3)[None, [0, 1, 2, 0, 1]],
        ]
        with torch.no_grad():
            figures += [part for each in designs for part in vars(oracle(each)).values()]
            figures += [each for d in designs for each in vars(oracle.predict(d)).values()]
        if isinstance(oracle, DifferentiableOracle):
            inputs = oracle.representation.encode(problem.designs[:9])
            climbed = ascend(lambda at, o=oracle: o.input_outputs(at).loc.mean(0), inputs, 2, 0.1)
            figures.append(climbed)
        found.append([each for each in figures if isinstance(each, torch.Tensor)])
    assert len(found[0]) == len(found[1]) > 20
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@pytest.mark.usefixtures("_double")
def test_several_results() -> None:
    pytest.importorskip("botorch")
    data = CSV(path=table_of_results(), targets=TARGETS)
    data.setup("fit")
    oracle = ResultOracles(GaussianProcess())
    oracle.prepare(data.problem.training)
    oracle.fit(data.fits)
    *_, last = design(data.problem, oracle, SamplingSearch(CbAS(), num_samples=100), 2)
    assert last.samples.prediction.mean.isfinite().all()
