"""What every search promises."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo import searches
from lightning_mbo.algorithms import CMAES, FB, AnnealedCbAS, CbAS
from lightning_mbo.errors import DataError, MBOWarning
from lightning_mbo.oracles import DeepEnsemble
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration
from lightning_mbo.search_models import Quadrature
from lightning_mbo.searches import (
    AscentSearch,
    InversionSearch,
    ListSearch,
    SamplingSearch,
    Search,
    inverse_map,
)
from lightning_mbo.tabular.pool import Pool

NUM_ROWS, NUM_HELD_OUT, NUM_SAMPLES = 40, 8, 30


class Rule:
    """A constraint that can be tightened until nothing meets it."""

    least = -1.5

    def __call__(self, designs: Tensor) -> Tensor:
        return designs[:, 0] >= self.least


def problem(dimension: int = 2) -> DesignProblem:
    """Of designs in steps of 1/64, of which the first number has a bound below."""
    generator = torch.Generator().manual_seed(0)
    designs = torch.randn(NUM_ROWS, dimension, generator=generator, dtype=torch.float64)

    def nearest_allowed(drawn: Tensor) -> Tensor:
        return (64 * drawn).round() / 64

    designs = nearest_allowed(designs)
    table = DesignProblem.of_table(designs, designs.sin().sum(1), seed=3)
    held_out = torch.arange(NUM_ROWS) < NUM_HELD_OUT
    return replace(table.holding_out(held_out), nearest_allowed=nearest_allowed, feasible=Rule())


def listed() -> Pool:
    designs = problem().designs[:9] + 0.25
    rows = pd.DataFrame(designs.numpy(), columns=["a", "b"])
    return Pool(designs, rows, rows, range(1, 10), 9)


def ascent_with_densities() -> AscentSearch:
    search = AscentSearch(num_steps=3, num_starts=NUM_SAMPLES)
    search.with_densities = True
    return search


def by_a_classifier(search: Search) -> Search:
    search.ratio_kind = "classifier"
    return search


CASES: dict[str, Callable[[], Search]] = {
    "sampling": lambda: SamplingSearch(CbAS(), num_samples=NUM_SAMPLES),
    "sampling by ranks": lambda: SamplingSearch(CMAES(), num_samples=NUM_SAMPLES),
    "sampling with a pool": lambda: SamplingSearch(FB(0.5), num_samples=NUM_SAMPLES),
    "sampling with nodes": lambda: SamplingSearch(
        AnnealedCbAS(0.9, 6), Quadrature(-4, 4, 33), NUM_SAMPLES
    ),
    "sampling with a classifier": lambda: by_a_classifier(
        SamplingSearch(CbAS(), num_samples=NUM_SAMPLES)
    ),
    "ascent": lambda: AscentSearch(num_steps=3, num_starts=NUM_SAMPLES),
    "ascent with densities": ascent_with_densities,
    "ascent with a classifier": lambda: by_a_classifier(ascent_with_densities()),
    "inversion": lambda: InversionSearch(num_samples=NUM_SAMPLES),
    "inversion with a classifier": lambda: by_a_classifier(
        InversionSearch(num_samples=NUM_SAMPLES)
    ),
    "list": lambda: ListSearch(listed),
}
MAKING = [name for name in CASES if name != "list"]
"""Those that make designs, which have to be feasible."""

pytestmark = pytest.mark.filterwarnings("ignore:.*count for", "ignore:.*only .* meet")


@dataclass
class Case:
    """A problem, an oracle of it, and fresh searches on it."""

    name: str
    problem: DesignProblem
    oracle: DeepEnsemble

    def start(self) -> Search:
        search = CASES[self.name]()
        search.start(self.problem)
        return search


@pytest.fixture(autouse=True)
def _short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverse_map, "FIRST_STEPS", 50)


def case_of(name: str) -> Case:
    of = problem(1 if name == "sampling with nodes" else 2)
    oracle = DeepEnsemble(2, (8,))
    oracle.prepare(of.training)
    return Case(name, of, oracle)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def iterate(search: Search, oracle: DeepEnsemble) -> DesignIteration:
    iteration = search.iterate(oracle)
    assert iteration is not None
    return iteration


def tensors(iteration: DesignIteration) -> list[Tensor]:
    samples, held_out = iteration.samples, iteration.held_out
    assert held_out is not None
    given = [samples.designs, samples.drawn, samples.prediction.mean, held_out.mean]
    optional = (
        iteration.log_ratios,
        iteration.sampled_log_ratios,
        iteration.held_out_log_ratios,
        iteration.path,
    )
    return [*given, *(tensor for tensor in optional if tensor is not None)]


def reloaded(state: dict[str, Any]) -> dict[str, Any]:
    """As a checkpoint gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    return bool(one == other)


def test_every_search_is_here() -> None:
    kinds = {type(make()).__name__ for make in CASES.values()}
    assert kinds == set(searches.__all__) - {"Search", "design"}


def test_a_restored_one_goes_on_bit_for_bit(case: Case) -> None:
    straight = case.start()
    made = [iterate(straight, case.oracle) for _ in range(4)]
    interrupted = case.start()
    for _ in range(2):
        iterate(interrupted, case.oracle)
    state = reloaded(interrupted.state_dict())
    restored = case.start()
    restored.load_state_dict(state)
    for expected in made[2:]:
        iteration = iterate(restored, case.oracle)
        assert iteration.number == expected.number
        assert iteration.metrics == expected.metrics
        pairs = zip(tensors(iteration), tensors(expected), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)
    assert equal(restored.state_dict(), straight.state_dict())


def test_an_iteration(case: Case) -> None:
    search = case.start()
    for number in range(2):
        iteration = iterate(search, case.oracle)
        designs = iteration.samples.designs
        assert iteration.number == number == search.num_done - 1
        assert designs.shape == iteration.samples.drawn.shape
        assert designs.shape[1:] == case.problem.space.shape
        assert 2 <= len(designs) <= NUM_SAMPLES
        assert search.threshold.shape == ()
        assert search.threshold.item() == iteration.threshold
        assert iteration.threshold > -torch.inf
        assert iteration.candidates.any()
        assert iteration.held_out is not None
        assert iteration.held_out.mean.shape == (NUM_HELD_OUT,)
        if case.name in MAKING:
            assert case.problem.is_feasible(designs).all()
            assert torch.equal(designs, case.problem.nearest_allowed(designs))
        assert (iteration.log_ratios is not None) == (search.ratio is not None)
        if search.ratio is not None:
            assert iteration.log_ratios is not None
            assert iteration.held_out_log_ratios is not None
            assert iteration.log_ratios.shape == (NUM_ROWS - NUM_HELD_OUT,)
            assert iteration.held_out_log_ratios.shape == (NUM_HELD_OUT,)
            assert iteration.log_ratios.isfinite().all()


def test_its_samples_and_what_it_is_to_be_better_than(case: Case) -> None:
    search = case.start()
    for _ in range(2):
        iteration = iterate(search, case.oracle)
        assert torch.equal(search.last_samples(case.oracle), iteration.samples.designs)
    baseline = search.baseline()
    assert baseline.shape[1:] == case.problem.space.shape
    assert 0 < len(baseline) <= NUM_ROWS
    if case.name in MAKING:
        assert case.problem.is_feasible(baseline).all()


@pytest.mark.parametrize("number", [1, 7, 200])
def test_more_samples(case: Case, number: int) -> None:
    search = case.start()
    iterate(search, case.oracle)
    before = reloaded(search.state_dict())
    draws = search.more_samples(case.oracle, number)
    assert draws.drawn.shape == draws.designs.shape
    assert draws.designs.shape[1:] == case.problem.space.shape
    assert 0 < len(draws.designs) <= number
    assert 0 < draws.acceptance_rate <= 1
    if case.name in MAKING:
        assert case.problem.is_feasible(draws.designs).all()
        assert torch.equal(draws.designs, case.problem.nearest_allowed(draws.drawn))
    if case.name.startswith("sampling"):
        assert len(draws.designs) == number
    assert equal(reloaded(search.state_dict()), before), "nothing is changed by them"
    again = search.more_samples(case.oracle, number)
    assert torch.equal(again.designs, draws.designs)


@pytest.mark.parametrize("name", MAKING)
def test_it_ends_where_nothing_is_feasible_any_more(name: str) -> None:
    case = case_of(name)
    search = case.start()
    iterate(search, case.oracle)
    assert isinstance(case.problem.feasible, Rule)
    case.problem.feasible.least = torch.inf
    with pytest.warns(MBOWarning, match=r"ends after design iteration 0: .*constraints"):
        assert search.iterate(case.oracle) is None
    assert search.exhausted
    assert search.num_done == 1
    restored = CASES[name]()
    case.problem.feasible.least = -1.5
    restored.start(case.problem)
    restored.load_state_dict(reloaded(search.state_dict()))
    assert restored.exhausted


@pytest.mark.parametrize("name", MAKING)
def test_nothing_feasible_at_all_is_refused(name: str) -> None:
    case = case_of(name)
    assert isinstance(case.problem.feasible, Rule)
    case.problem.feasible.least = torch.inf
    with pytest.raises(DataError, match="constraints"):
        case.start().iterate(case.oracle)


def test_a_particle_that_leaves_the_feasible_is_put_back_to_where_it_last_was_in_it() -> None:
    case = case_of("ascent")
    assert isinstance(case.problem.feasible, Rule)
    case.problem.feasible.least = 0.0
    search = case.start()
    assert isinstance(search, AscentSearch)
    # Of the first number: one stays, one leaves, one leaves and comes back, one was never there.
    firsts = torch.tensor([[1.0, 2.0, 3.0], [1.0, 0.5, -1.0], [1.0, -1.0, 0.25], [-1.0, -2, -3]])
    path = torch.stack([firsts.T, torch.arange(12.0).reshape(3, 4)], dim=-1)
    ends, share = search._last_feasible(case.oracle, path)
    last = torch.tensor([2, 1, 2, 0])
    assert torch.equal(ends, path[last, torch.arange(4)])
    assert share == 0.5
