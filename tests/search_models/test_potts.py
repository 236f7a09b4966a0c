"""The Potts model against all sequences, transfer matrices, and a gradient by autograd."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import Categorical, Potts
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import DesignSpace

WORDS = torch.tensor(list(itertools.product(range(3), repeat=4)))
DESIGNS = one_hot(WORDS, 3)
LONG, LETTERS = 12, 4  # 16.8 million sequences: too many to go through


def built(length: int = 4, num_letters: int = 3, **options: float) -> Potts:
    model = Potts(**options)  # type: ignore[arg-type]
    model.build(DesignSpace.of_shape(torch.Size([length, num_letters])))
    return model


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def given() -> Potts:
    """A model with strong preferences, and its constant by hand."""
    model = built()
    couplings = normals(12, 12) * model.is_pair
    model.couplings.copy_((couplings + couplings.mT) / 2)
    model.fields.copy_(normals(12, seed=1))
    model.log_independent.copy_(normals(4, 3, seed=2).log_softmax(1).flatten())
    model.log_partition.copy_(torch.from_numpy(scores(model)).logsumexp(0))
    return model


def scores(model: Potts) -> np.ndarray:
    """Of the 81 words, letter by letter and pair by pair."""
    alone = (model.log_independent + model.fields).view(4, 3).numpy()
    pairs = model.couplings.view(4, 3, 4, 3).numpy()
    return np.array(
        [
            sum(alone[i, word[i]] for i in range(4))
            + sum(pairs[i, word[i], j, word[j]] for i in range(4) for j in range(i + 1, 4))
            for word in WORDS.numpy()
        ]
    )


def test_log_prob_sums_over_letters_and_pairs() -> None:
    model = given()
    expected = scores(model) - np.log(np.exp(scores(model)).sum())
    np.testing.assert_allclose(model.log_prob(DESIGNS).numpy(), expected, rtol=1e-12)


def test_starts_uniform() -> None:
    np.testing.assert_allclose(built().log_prob(DESIGNS).numpy(), -4 * math.log(3), rtol=1e-14)


def test_samples_have_the_model_s_frequencies() -> None:
    model, m = given(), 100_000
    samples = model.sample(m, torch.Generator().manual_seed(0))
    assert samples.sum(-1).eq(1).all()
    drawn = samples.argmax(-1).numpy() @ [27, 9, 3, 1]
    chances = np.exp(scores(model)) / np.exp(scores(model)).sum()
    errors = np.sqrt(chances / m)
    assert (np.abs(np.bincount(drawn, minlength=81) / m - chances) < 4.5 * errors).all()


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (4, 2, 3, 2)])
def test_probabilities_after_a_fit_sum_to_one(sizes: tuple[int, ...]) -> None:
    model = Potts()
    model.build(DesignSpace(torch.Size([sum(sizes)]), sizes))
    words = itertools.product(*(torch.eye(size, dtype=torch.float64) for size in sizes))
    every = torch.stack([torch.cat(word) for word in words])
    model.fit(every, torch.rand(len(every), generator=torch.Generator().manual_seed(0)))
    assert model.log_prob(every).exp().sum().item() == pytest.approx(1.0, rel=1e-12)


def test_a_fit_is_the_greatest_pseudo_likelihood() -> None:
    weights = torch.rand(81, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = built(penalty=0.7)
    model.fit(DESIGNS, weights)
    alone = model.fields.view(4, 3).clone().requires_grad_()
    whole = model.couplings.view(4, 3, 4, 3).numpy()
    pairs = {
        (i, j): torch.from_numpy(whole[i, :, j].copy()).requires_grad_()
        for i, j in itertools.combinations(range(4), 2)
    }
    loss = torch.zeros((), dtype=torch.float64)
    for place in range(4):
        score = alone[place] + model.log_independent.view(4, 3)[place]
        for (i, j), table in pairs.items():
            if place == i:
                score = score + DESIGNS[:, j] @ table.mT
            elif place == j:
                score = score + DESIGNS[:, i] @ table
        conditionals = functional.cross_entropy(score, WORDS[:, place], reduction="none")
        loss = loss + (weights / weights.sum() * conditionals).sum()
    size = weights.sum() ** 2 / weights.square().sum()
    parameters = [alone, *pairs.values()]
    loss = loss + 0.7 / size / 2 * sum(part.square().sum() for part in parameters)
    for gradient in torch.autograd.grad(loss, parameters):
        np.testing.assert_allclose(gradient.numpy(), 0.0, atol=1e-9)


def test_a_weighted_fit_recovers_a_model() -> None:
    """From draws of another distribution that are weighed to be of it."""
    truth = given()
    target = truth.log_prob(DESIGNS)
    rows = torch.multinomial(
        torch.full((81,), 1 / 81), 100_000, True, generator=torch.Generator().manual_seed(0)
    )
    model = built()
    model.fit(DESIGNS[rows], target[rows].exp())
    divergence = (target.exp() * (target - model.log_prob(DESIGNS))).sum()
    independent = Categorical()
    independent.build(DesignSpace.of_shape(torch.Size([4, 3])))
    independent.fit(DESIGNS[rows], target[rows].exp())
    assert 0 <= divergence < 5e-3
    assert (target.exp() * (target - independent.log_prob(DESIGNS))).sum() > 0.2


def test_a_great_penalty_leaves_the_categorical() -> None:
    weights = torch.rand(81, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    model, categorical = built(penalty=1e9, pseudocount=0.5), Categorical(0.5)
    categorical.build(DesignSpace.of_shape(torch.Size([4, 3])))
    for each in (model, categorical):
        each.fit(DESIGNS, weights)
    torch.testing.assert_close(
        model.log_prob(DESIGNS), categorical.log_prob(DESIGNS), rtol=1e-6, atol=0.0
    )


def test_a_fit_forgets_the_one_before() -> None:
    fresh, used = built(), given()
    for model in (fresh, used):
        model.fit(DESIGNS, torch.arange(81.0))
    torch.testing.assert_close(fresh.log_prob(DESIGNS), used.log_prob(DESIGNS), atol=1e-8, rtol=0.0)


def chain() -> tuple[Potts, Tensor]:
    """A long model of neighbours alone, fitted, and the table of each pair of neighbours."""
    model = built(LONG, LETTERS)
    tables = 1.2 * normals(LONG - 1, LETTERS, LETTERS)
    word = torch.zeros(4000, LONG, dtype=torch.int64)
    generator = torch.Generator().manual_seed(3)
    for place, table in enumerate(tables):
        chances = table.softmax(1)[word[:, place]]
        word[:, place + 1] = chances.multinomial(1, generator=generator)[:, 0]
    model.fit(one_hot(word, LETTERS), torch.ones(len(word)))
    # Only what a transfer matrix can follow is kept.
    places = torch.arange(LONG).repeat_interleave(LETTERS)
    model.couplings.mul_((places[:, None] - places).abs() == 1)
    model.log_partition.copy_(model._estimated_log_partition())
    blocks = model.couplings.view(LONG, LETTERS, LONG, LETTERS)
    return model, torch.stack([blocks[i, :, i + 1] for i in range(LONG - 1)])


def transferred(model: Potts, tables: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log Z, the letters' probabilities ``(l, v)``, and those of neighbours ``(l - 1, v, v)``."""
    alone = (model.log_independent + model.fields).view(LONG, LETTERS)
    forward, backward = [alone[0]], [torch.zeros_like(alone[0])]
    for place, table in enumerate(tables):
        forward.append((forward[-1][:, None] + table).logsumexp(0) + alone[place + 1])
    for place in range(LONG - 1, 0, -1):
        backward.append((tables[place - 1] + alone[place] + backward[-1]).logsumexp(1))
    before, behind = torch.stack(forward), torch.stack(backward[::-1])
    log_partition = before[-1].logsumexp(0)
    pairs = before[:-1, :, None] + tables + (alone + behind)[1:, None]
    return log_partition, (before + behind).softmax(1), (pairs - log_partition).exp()


def test_chains_estimate_the_constant_and_sample_where_sequences_are_too_many() -> None:
    model, tables = chain()
    log_partition, letters, pairs = transferred(model, tables)
    assert (pairs - letters[:-1, :, None] * letters[1:, None]).abs().max() > 0.05
    assert model.log_partition.item() == pytest.approx(log_partition.item(), abs=0.1)
    m = 20_000
    samples = model.sample(m, torch.Generator().manual_seed(0))
    assert samples.shape == (m, LONG, LETTERS)
    assert samples.sum(-1).eq(1).all()
    torch.testing.assert_close(samples.mean(0), letters, rtol=0.0, atol=0.02)
    drawn = torch.einsum("nlv,nlw->lvw", samples[:, :-1], samples[:, 1:]) / m
    torch.testing.assert_close(drawn, pairs, rtol=0.0, atol=0.02)


@pytest.mark.parametrize("wrong", [{"penalty": 0.0}, {"num_sweeps": 0}, {"pseudocount": -1.0}])
def test_refuses_what_is_not_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        Potts(**wrong)  # type: ignore[arg-type]


def test_refuses_numbers() -> None:
    with pytest.raises(ConfigurationError, match="letters or categories"):
        Potts().build(DesignSpace(torch.Size([5]), (3,)))
