"""What every task promises."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo import tasks
from lightning_mbo.data import TaskData
from lightning_mbo.search_models import (
    Categorical,
    GaussianMixture,
    MultivariateNormal,
    SearchModel,
)
from lightning_mbo.tasks import (
    AntMorphology,
    DKittyMorphology,
    EhrlichFunction,
    Hopper,
    KnownProblem,
    MeasuredSuperconductors,
    Quadratic,
    SimulatedSuperconductors,
    Task,
    TFBind8,
    Toy,
    boosted_trees,
)
from tests.callbacks.quadratic import callbacks, run
from tests.tasks.superconductors import shipped_rows
from tests.tasks.test_tf_bind_8 import landscape_rows, written

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*constant columns are left out"),
    pytest.mark.filterwarnings("ignore:.*had lost rank"),
]

# Every task, the shape of its designs, and whether a seed draws them.
Case = tuple[Callable[[Path], Task], tuple[int, ...] | None, bool]
CASES: dict[str, Case] = {
    "toy": (lambda _: Toy(num_designs=60), (1,), True),
    "quadratic": (lambda _: Quadratic(num_designs=60), (2,), True),
    "Ehrlich function": (lambda _: EhrlichFunction(6, 8, 2, 2, 2, num_designs=60), (8, 6), True),
    # Few rows: all are simulated.
    "hopper": (lambda _: Hopper(2.0), (5123,), False),
    "ant morphology": (lambda _: AntMorphology(1.0), (60,), False),
    "D'Kitty morphology": (lambda _: DKittyMorphology(1.0), (56,), False),
    "TF Bind 8": (lambda folder: TFBind8(folder / "landscape.txt", 90.0), (4, 4), False),
    **{
        f"{kind.__name__}, {representation}": (
            lambda folder, kind=kind, of=representation, options=options: kind(
                folder / "formulas.csv", of, cache_dir=folder / "cache", **options
            ),
            shape,
            kind is SimulatedSuperconductors,
        )
        for kind, representation, options, shape in [
            (SimulatedSuperconductors, "features", {"num_features": 5}, (5,)),
            (SimulatedSuperconductors, "composition", {}, None),
            (MeasuredSuperconductors, "features", {}, None),
            (MeasuredSuperconductors, "composition", {"visible_percentile": 80.0}, None),
        ]
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that tasks read."""
    made = tmp_path_factory.mktemp("files")
    written(made / "landscape.txt", landscape_rows(4))
    formulas = pd.DataFrame(shipped_rows()[:150], columns=["formula", "critical_temp"])
    formulas.to_csv(made / "formulas.csv", index=False)
    return made


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosted_trees, "_MAX_TREES", 10)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    if request.param in ("hopper", "ant morphology", "D'Kitty morphology"):
        pytest.importorskip("mujoco", reason="needs the extra robots")
    return CASES[request.param]


@pytest.fixture
def task(case: Case, folder: Path) -> Task:
    made = case[0](folder)
    made.prepare()
    return made


@pytest.fixture
def problem(task: Task) -> KnownProblem:
    return drawn(task)


def drawn(task: Task, seed: int = 0) -> KnownProblem:
    return task.problem(torch.Generator().manual_seed(seed))


def elsewhere(problem: KnownProblem, num_designs: int = 40) -> Tensor:
    """Draws far from the table, some of which cannot be made; sequences of any letters."""
    generator = torch.Generator().manual_seed(7)
    shape = num_designs, *problem.space.shape
    normal = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    if problem.space.is_sequences:
        return torch.eye(shape[-1], dtype=torch.float64)[normal.argmax(-1)]
    return normal


def test_every_task_is_here(folder: Path) -> None:
    exported = {getattr(tasks, name) for name in tasks.__all__}
    every = {
        member for member in exported if issubclass(member, Task) and not inspect.isabstract(member)
    }
    assert {type(make(folder)) for make, _, _ in CASES.values()} == every


def test_the_table(case: Case, problem: KnownProblem) -> None:
    _, shape, _ = case
    n = len(problem.designs)
    assert n >= 50
    assert problem.designs.shape == (n, *problem.space.shape)
    assert shape is None or problem.space.shape == shape
    assert problem.properties.shape == (n,)
    for tensor in (problem.designs, problem.properties):
        assert tensor.dtype == torch.float64
        assert tensor.device == torch.device("cpu")
        assert tensor.isfinite().all()
    assert problem.groups is None or problem.groups.shape == (n,)
    assert problem.distances(problem.designs[:3], problem.designs).shape == (3, n)


def test_the_property_has_a_name(task: Task) -> None:
    assert task.property_name not in ("", Task.property_name)


def test_the_same_seed_is_the_same_table(task: Task) -> None:
    torch.rand(5)
    for one, other in [(drawn(task), drawn(task)), (drawn(task, 3), drawn(task, 3))]:
        assert torch.equal(one.designs, other.designs)
        assert torch.equal(one.properties, other.properties)
        designs = elsewhere(one)
        assert torch.equal(one.ground_truth(designs), other.ground_truth(designs))


def test_another_seed_is_another_table_where_it_is_drawn(case: Case, task: Task) -> None:
    _, _, is_drawn = case
    one, other = drawn(task, 0), drawn(task, 1)
    assert one.designs.shape == other.designs.shape
    assert torch.equal(one.designs, other.designs) != is_drawn
    assert torch.equal(one.properties, other.properties) != is_drawn


def test_a_later_draw_leaves_the_first_as_it_was(task: Task) -> None:
    problem = drawn(task, 0)
    before = problem.ground_truth(problem.designs), problem.codec.to_user_units(problem.designs)
    drawn(task, 1)
    assert torch.equal(problem.ground_truth(problem.designs), before[0])
    pd.testing.assert_frame_equal(problem.codec.to_user_units(problem.designs), before[1])


def test_the_truth_is_a_finite_number_of_each_design_alone(problem: KnownProblem) -> None:
    designs = torch.cat([problem.designs[:20], problem.nearest_allowed(elsewhere(problem))])
    truth = problem.ground_truth(designs)
    assert truth.shape == (60,)
    assert truth.dtype == torch.float64
    assert truth.isfinite().all()
    assert torch.equal(problem.ground_truth(designs), truth)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(problem.ground_truth(designs[order]), truth[order])
    one_by_one = [problem.ground_truth(design[None]) for design in designs]
    assert torch.equal(torch.cat(one_by_one), truth)
    assert problem.ground_truth(designs[:0]).shape == (0,)


def test_labels_are_about_the_truth(problem: KnownProblem) -> None:
    truth = problem.ground_truth(problem.designs)
    assert np.corrcoef(truth, problem.properties)[0, 1] > 0.7


def test_labels_scatter_by_the_noise_that_metrics_know(task: Task, problem: KnownProblem) -> None:
    if isinstance(task, MeasuredSuperconductors):  # of which nobody knows it
        assert problem.noise_std == 0
        return
    errors = problem.properties - problem.ground_truth(problem.designs)
    assert errors.std().item() == pytest.approx(problem.noise_std, rel=0.25, abs=1e-9)


def test_the_range_is_no_narrower_than_the_labels(case: Case, problem: KnownProblem) -> None:
    _, _, is_drawn = case
    if problem.property_range is None:
        return
    least, greatest = problem.property_range
    values = problem.ground_truth(problem.designs) if is_drawn else problem.properties
    assert least < greatest
    assert values.max() <= greatest + 1e-9
    if not is_drawn:
        assert values.min() == pytest.approx(least)


def test_the_nearest_allowed_design_is_its_own_nearest(problem: KnownProblem) -> None:
    allowed = problem.nearest_allowed(elsewhere(problem))
    assert allowed.shape == (40, *problem.space.shape)
    assert torch.equal(problem.nearest_allowed(allowed), allowed)


def test_designs_of_the_table_can_be_made(problem: KnownProblem) -> None:
    # Of an amount of zero, standardised, the last digits may differ.
    torch.testing.assert_close(problem.nearest_allowed(problem.designs), problem.designs)


def test_designs_of_the_table_are_feasible(problem: KnownProblem) -> None:
    if problem.feasible is not None:
        assert problem.feasible(problem.designs).all()
        assert not problem.feasible(elsewhere(problem)).all()


def test_a_draw_lies_in_the_cell_of_the_design_that_it_becomes(problem: KnownProblem) -> None:
    draws = elsewhere(problem)
    cells = problem.cells(problem.nearest_allowed(draws))
    numbers = problem.space.numbers(draws)
    assert (cells.lower <= numbers).all()
    assert (numbers <= cells.upper).all()
    assert not cells.any_level.any()


def test_user_units_there_and_back(problem: KnownProblem) -> None:
    designs = torch.cat([problem.designs[:20], elsewhere(problem)])
    table = problem.codec.to_user_units(designs)
    assert len(table) == 60
    assert table.columns.is_unique
    back = problem.codec.from_user_units(table)
    torch.testing.assert_close(back, designs, rtol=1e-9, atol=1e-9)


def test_what_a_user_recognises_is_one_a_row(problem: KnownProblem) -> None:
    if problem.nearest_known is not None:
        found = problem.nearest_known(elsewhere(problem))
        assert list(found.index) == list(range(40))
        assert not found.isna().to_numpy().any()


class Unread(Task):
    """A task with a truth that says when it is read."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def problem(self, generator: torch.Generator) -> KnownProblem:
        return replace(self.task.problem(generator), ground_truth=_say_so, property_range=None)


class TruthReadError(Exception):
    pass


def _say_so(designs: Tensor) -> Tensor:
    raise TruthReadError


@pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:design iteration")
def test_only_metrics_read_the_truth(task: Task, tmp_path: Path) -> None:
    data = TaskData(Unread(task), batch_size=1000)
    data.setup("fit")
    model: SearchModel = MultivariateNormal()
    if data.space.is_sequences:
        model = Categorical()
    elif data.space.num_numbers > 1000:
        model = GaussianMixture(1, rank=2)
    options: dict[str, Any] = {"search_model": model, "num_iterations": 2, "max_epochs": 1}
    run(tmp_path / "without", callbacks.CandidateWriter(), data=data, **options)
    assert len(pd.read_csv(tmp_path / "without" / "candidates.csv")) > 0
    with pytest.raises(TruthReadError):
        run(tmp_path / "with", callbacks.Scoring(), data=TaskData(Unread(task)), **options)
