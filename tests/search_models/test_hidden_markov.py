"""The hidden Markov model against sums over all paths of states and over all words."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import Categorical, HiddenMarkov
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import DesignSpace

LENGTH = 4
WORDS = torch.tensor(list(itertools.product(range(3), repeat=LENGTH)))
DESIGNS = one_hot(WORDS, 3)
# Of words over two letters and a gap, those whose gaps are all at the end.
IS_CLOSED = ((WORDS[:, :-1] != 2) | (WORDS[:, 1:] == 2)).all(1)

STARTS = np.array([0.3, 0.7])
MOVES = np.array([[0.9, 0.1], [0.25, 0.75]])
LETTERS = np.array([[0.7, 0.2, 0.1], [0.05, 0.15, 0.8]])
# Two states and an end, which alone writes the third letter.
STARTS_TO_END = np.array([0.3, 0.6, 0.1])
MOVES_TO_END = np.array([[0.6, 0.1, 0.3], [0.2, 0.7, 0.1], [0.0, 0.0, 1.0]])
LETTERS_TO_END = np.array([[0.9, 0.1, 0.0], [0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])


def built(
    num_states: int = 2, pseudocount: float = 1.0, has_gap: bool = False, length: int = LENGTH
) -> HiddenMarkov:
    model = HiddenMarkov(num_states, pseudocount)
    space = DesignSpace.of_shape(torch.Size([length, 3]))
    model.build(replace(space, has_gap=has_gap))
    return model


def given(has_gap: bool = False) -> HiddenMarkov:
    model = built(has_gap=has_gap)
    starts, moves, letters = machine(has_gap)
    model.starts.copy_(torch.from_numpy(starts))
    model.moves.copy_(torch.from_numpy(moves))
    model.letters.copy_(torch.from_numpy(letters))
    model.fitted.fill_(True)
    return model


def machine(has_gap: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if has_gap:
        return STARTS_TO_END, MOVES_TO_END, LETTERS_TO_END
    return STARTS, MOVES, LETTERS


def chances(has_gap: bool) -> np.ndarray:
    """Of all words, summed over all paths of states."""
    starts, moves, letters = machine(has_gap)
    result = np.zeros(len(WORDS))
    for path in itertools.product(range(len(starts)), repeat=LENGTH):
        of_path = starts[path[0]] * np.prod([moves[i, j] for i, j in itertools.pairwise(path)])
        result += of_path * letters[list(path), WORDS.numpy()].prod(1)
    return result


@pytest.mark.parametrize("has_gap", [False, True])
def test_log_prob_sums_over_all_paths(has_gap: bool) -> None:
    expected = chances(has_gap)
    assert expected.sum() == pytest.approx(1.0, rel=1e-12)
    words = IS_CLOSED if has_gap else torch.ones(len(WORDS), dtype=torch.bool)
    assert expected[~words.numpy()].sum() == 0
    result = given(has_gap).log_prob(DESIGNS[words])
    np.testing.assert_allclose(result.numpy(), np.log(expected[words.numpy()]), rtol=1e-12)


def test_a_word_with_gaps_inside_is_that_of_its_letters_moved_up() -> None:
    open_, closed = torch.tensor([[2, 1, 2, 0]]), torch.tensor([[1, 0, 2, 2]])
    model = given(has_gap=True)
    result, expected = (model.log_prob(one_hot(word, 3)) for word in (open_, closed))
    assert result.isfinite().all()
    assert torch.equal(result, expected)
    one, other = built(has_gap=True), built(has_gap=True)
    one.fit(one_hot(open_, 3), torch.ones(1))
    other.fit(one_hot(closed, 3), torch.ones(1))
    assert torch.equal(one.log_prob(DESIGNS), other.log_prob(DESIGNS))


@pytest.mark.parametrize("has_gap", [False, True])
def test_samples_have_the_model_s_frequencies(has_gap: bool) -> None:
    m = 100_000
    samples = given(has_gap).sample(m, torch.Generator().manual_seed(0))
    assert samples.sum(-1).eq(1).all()
    drawn = samples.argmax(-1).numpy() @ [27, 9, 3, 1]
    expected = chances(has_gap)
    errors = np.sqrt(expected / m)
    assert (np.abs(np.bincount(drawn, minlength=81) / m - expected) <= 4.5 * errors).all()


@pytest.mark.parametrize("has_gap", [False, True])
def test_starts_uniform(has_gap: bool) -> None:
    result = built(num_states=3, has_gap=has_gap).log_prob(DESIGNS[[0, 13, 39]])
    # With an end, each place is one of three states and writes one of two letters.
    share = (3 / 4 / 2) if has_gap else 1 / 3
    np.testing.assert_allclose(result.numpy(), LENGTH * np.log(share), rtol=1e-12)


@pytest.mark.parametrize("has_gap", [False, True])
def test_probabilities_after_a_fit_sum_to_one(has_gap: bool) -> None:
    model = built(num_states=5, has_gap=has_gap)
    every = DESIGNS[IS_CLOSED] if has_gap else DESIGNS
    model.fit(every, torch.rand(len(every), generator=torch.Generator().manual_seed(0)))
    assert model.log_prob(every).exp().sum().item() == pytest.approx(1.0, rel=1e-12)


def test_a_step_counts_what_happens_over_all_paths() -> None:
    weights = np.random.default_rng(0).random(81)
    weights /= weights.sum()
    model = given()
    counts, likelihood = model._expected(DESIGNS, torch.from_numpy(weights))
    starts, moves, letters = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 3))
    for path in itertools.product(range(2), repeat=LENGTH):
        of_path = STARTS[path[0]] * np.prod([MOVES[i, j] for i, j in itertools.pairwise(path)])
        joint = of_path * LETTERS[list(path), WORDS.numpy()].prod(1)
        shares = weights * joint / chances(False)
        starts[path[0]] += shares.sum()
        for i, j in itertools.pairwise(path):
            moves[i, j] += shares.sum()
        for place, state in enumerate(path):
            letters[state] += shares @ DESIGNS[:, place].numpy()
    np.testing.assert_allclose(counts.starts.numpy(), starts, rtol=1e-12)
    np.testing.assert_allclose(counts.moves.numpy(), moves, rtol=1e-12)
    np.testing.assert_allclose(counts.letters.numpy(), letters, rtol=1e-12)
    assert likelihood.item() == pytest.approx(weights @ np.log(chances(False)), rel=1e-12)


@pytest.mark.parametrize("has_gap", [False, True])
def test_a_weighted_fit_recovers_a_model(has_gap: bool) -> None:
    """From all words, each weighted by how often it occurs."""
    target = chances(has_gap)
    words = np.flatnonzero(target)
    rows = np.repeat(words, 200)  # so many that the pseudocount is little
    weights = torch.from_numpy(target[rows])
    model = built(num_states=3, has_gap=has_gap)
    for _ in range(10):  # each call goes on, and stops where little is left to gain
        model.fit(DESIGNS[rows], weights)
    fitted = model.log_prob(DESIGNS[words]).numpy()
    divergence = target[words] @ (np.log(target[words]) - fitted)
    categorical = Categorical()
    categorical.build(DesignSpace.of_shape(torch.Size([LENGTH, 3])))
    categorical.fit(DESIGNS[rows], weights)
    independent = categorical.log_prob(DESIGNS[words]).numpy()
    assert 0 <= divergence < 0.02
    assert target[words] @ (np.log(target[words]) - independent) > 0.2


def test_one_state_is_one_distribution_of_letters_at_all_places() -> None:
    weights = torch.rand(81, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    model = built(num_states=1, pseudocount=0.5)
    model.fit(DESIGNS, weights)
    size = (weights.sum() ** 2 / weights.square().sum()).item()
    usual = ((weights / weights.sum()) @ DESIGNS.mean(1)).numpy()
    expected = (size * usual + 0.5 / 3) / (size + 0.5)
    np.testing.assert_allclose(model.letters[0].numpy(), expected, rtol=1e-12)


def test_knows_a_motif_wherever_it_stands() -> None:
    """A motif that is seen at some places is as likely at a place where it never was."""
    generator = np.random.default_rng(0)
    words = generator.integers(2, size=(600, 12))
    for word, place in zip(words, generator.choice([0, 1, 2, 3, 7, 8], size=600), strict=True):
        word[place : place + 4] = 2
    model = built(num_states=8, length=12)
    model.fit(one_hot(torch.from_numpy(words), 3), torch.ones(600))
    new = generator.integers(2, size=(200, 12))
    without = model.log_prob(one_hot(torch.from_numpy(new), 3)).exp().sum()
    new[:, 5:9] = 2
    with_motif = model.log_prob(one_hot(torch.from_numpy(new), 3)).exp().sum()
    new[:, 9] = 2  # one more than the motif has
    longer = model.log_prob(one_hot(torch.from_numpy(new), 3)).exp().sum()
    assert with_motif > 10 * without
    assert with_motif > 10 * longer


def test_samples_of_shorter_words_have_no_gap_before_a_letter() -> None:
    words = WORDS[IS_CLOSED & (WORDS[:, 0] != 2)]
    model = built(num_states=4, has_gap=True)
    model.fit(one_hot(words, 3), torch.ones(len(words)))
    drawn = model.sample(2000, torch.Generator().manual_seed(0)).argmax(-1)
    assert ((drawn[:, :-1] != 2) | (drawn[:, 1:] == 2)).all()
    assert (drawn == 2).any()
    share = (words == 2).double().mean(0)
    torch.testing.assert_close((drawn == 2).double().mean(0), share, rtol=0.0, atol=0.1)


@pytest.mark.parametrize("wrong", [{"num_states": 0}, {"pseudocount": 0.0}])
def test_refuses_what_is_not_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        HiddenMarkov(**wrong)  # type: ignore[arg-type]


def test_refuses_what_is_not_one_sequence() -> None:
    with pytest.raises(ConfigurationError, match="one sequence, and these are of 2 columns"):
        HiddenMarkov().build(DesignSpace(torch.Size([6]), (3, 3)))
