"""Ehrlich functions: against plain loops over all sequences, and the tables drawn of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_mbo.algorithms import DbAS
from lightning_mbo.data import EhrlichFunction as EhrlichData
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import AdditiveRegression
from lightning_mbo.search_models import Categorical
from lightning_mbo.searches import SamplingSearch, design
from lightning_mbo.sequences import one_hot, tokens
from lightning_mbo.tasks import EhrlichFunction, KnownProblem
from lightning_mbo.tasks.ehrlich import Ehrlich

SMALL = EhrlichFunction(
    num_letters=4, length=6, num_motifs=2, motif_length=3, quantization=3, num_designs=100
)


def by_loops(function: Ehrlich, word: tuple[int, ...]) -> float:
    """The value of one sequence, -1 if it is infeasible."""
    if any(function.chances[one, two] == 0 for one, two in itertools.pairwise(word)):
        return -1.0
    value = 1.0
    for motif, offsets in zip(function.motifs.tolist(), function.offsets.tolist(), strict=True):
        most = 0
        for start in range(len(word) - offsets[-1]):
            letters = [word[start + offset] for offset in offsets]
            most = max(most, sum(a == b for a, b in zip(letters, motif, strict=True)))
        step = len(motif) // function.quantization
        value *= (most // step) / function.quantization
    return value


def completed(function: Ehrlich, length: int) -> Tensor:
    whole = function.whole
    return torch.cat([whole, whole[-1:].expand(length - len(whole))])[None]


def problem(task: EhrlichFunction, seed: int = 0) -> KnownProblem:
    return task.problem(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("motifs", [(2, 3, 3), (2, 3, 1), (1, 4, 2), (3, 2, 2)])
def test_all_sequences_by_loops(motifs: tuple[int, int, int], seed: int) -> None:
    number, length, steps = motifs
    task = EhrlichFunction(4, 6, number, length, steps, seed)
    function = task.function()
    words = list(itertools.product(range(4), repeat=6))
    expected = torch.tensor([by_loops(function, word) for word in words], dtype=torch.float64)
    sequences = torch.tensor(words)
    assert torch.equal(function.feasible(sequences), expected >= 0)
    torch.testing.assert_close(function(sequences), expected.clamp(min=0))
    assert expected.max() == 1.0


def test_a_value_by_hand() -> None:
    """Of ABAB with a gap three letters are there, which are as much as two in steps of a half."""
    chances = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    function = Ehrlich(chances, torch.tensor([[0, 1, 0, 1]]), torch.tensor([[0, 2, 3, 4]]), 2)
    words = torch.tensor([[2, 0, 2, 1, 0, 1], [0, 2, 1, 0, 2, 2], [2, 2, 2, 2, 2, 1]])
    assert function(words).tolist() == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "task", [EhrlichFunction, lambda **o: EhrlichFunction(20, 64, 2, 4, **o), lambda **o: SMALL]
)
def test_some_sequence_has_all_motifs(task: Any, seed: int) -> None:
    made = task(function_seed=seed)
    function = made.function()
    whole = completed(function, made.length)
    assert whole.shape == (1, made.length)
    assert function.feasible(whole).all()
    assert function(whole).item() == 1.0
    assert function.offsets[:, -1].max() < made.length // made.num_motifs


@pytest.mark.parametrize("num_letters", [3, 4, 20, 32])
def test_what_follows_what(num_letters: int) -> None:
    chances = EhrlichFunction(num_letters, 6, 1, 3, 3).function().chances
    torch.testing.assert_close(chances.sum(1), torch.ones(num_letters, dtype=torch.float64))
    assert (chances.diagonal() > 0).all()
    assert ((chances == 0).sum(1) == {3: 1, 4: 1, 20: 4, 32: 6}[num_letters]).all()
    reached = torch.linalg.matrix_power((chances > 0).double(), num_letters)
    assert (reached > 0).all()


def test_the_function_is_of_its_own_seed() -> None:
    one, same, other = (EhrlichFunction(function_seed=s).function() for s in (0, 0, 1))
    assert torch.equal(one.motifs, same.motifs)
    assert torch.equal(one.chances, same.chances)
    assert not torch.equal(one.motifs, other.motifs)


def test_rows_are_feasible_and_the_best_of_all_are_hidden() -> None:
    task = EhrlichFunction(num_designs=300)
    function, found = task.function(), problem(task)
    words = tokens(found.designs)
    assert len(words) == 300
    assert len(words.unique(dim=0)) == 300
    assert function.feasible(words).all()
    assert torch.equal(found.properties, function(words))
    everything = problem(EhrlichFunction(num_designs=300, visible_percentile=100.0))
    assert everything.properties.max() > found.properties.max()
    # A few generations have led beyond what is drawn at random.
    drawn = function(function.draw(300, 32, torch.Generator().manual_seed(0)))
    assert found.properties.mean() > 2 * drawn.mean()


def test_infeasible_designs_are_worth_nothing() -> None:
    found = problem(SMALL)
    banned = (SMALL.function().chances == 0).nonzero()[0]
    word = one_hot(banned.repeat(3)[None], 4)
    assert found.feasible is not None
    assert not found.feasible(word).any()
    assert found.ground_truth(word).item() == 0


def test_a_search_draws_feasible_designs() -> None:
    data = EhrlichData(num_letters=8, length=12, num_motifs=2, num_designs=200)
    data.setup("fit")
    assert data.has_constraints
    feasible = data.task.function().feasible
    search = SamplingSearch(DbAS(), Categorical(), num_samples=300)
    rates = []
    for iteration in design(data.problem, AdditiveRegression(products=False), search, 3):
        assert len(iteration.samples.designs) == 300
        assert feasible(tokens(iteration.samples.designs)).all()
        rates.append(iteration.metrics["acceptance_rate"])
    assert rates[0] < 0.9


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_letters": 2}, "num_letters"),
        ({"num_letters": 37}, "num_letters"),
        ({"num_motifs": 0}, "num_motifs"),
        ({"motif_length": 1}, "motif_length"),
        ({"length": 15}, "length: 4 motifs of 4 letters do not fit into 15"),
        ({"quantization": 3}, "quantization must divide motif_length, 4"),
        ({"quantization": 0}, "quantization"),
        ({"num_designs": 0}, "num_designs"),
        ({"visible_percentile": 0.0}, "visible_percentile"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        EhrlichFunction(**options)
