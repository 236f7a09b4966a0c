"""The categorical search model against closed forms and numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import Categorical
from lightning_mbo.space import DesignSpace

PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
# The nine sequences of two letters out of three, in alphabetical order.
WORDS = np.array(list(itertools.product(range(3), repeat=2)))
DESIGNS = torch.from_numpy(np.eye(3)[WORDS])
JOINT = np.multiply.outer(*PROBABILITIES).flatten()


def built(pseudocount: float = 1.0, shape: tuple[int, int] = (2, 3)) -> Categorical:
    model = Categorical(pseudocount)
    model.build(DesignSpace.of_shape(torch.Size(shape)))
    return model


def with_probabilities(probabilities: np.ndarray) -> Categorical:
    model = built(shape=probabilities.shape)
    model.log_probabilities.copy_(torch.from_numpy(np.log(probabilities)))
    return model


def probabilities(model: Categorical) -> np.ndarray:
    return model.log_probabilities.exp().numpy()


def expected_fit(weights: np.ndarray, pseudocount: float) -> np.ndarray:
    size = weights.sum() ** 2 / (weights**2).sum()
    result = np.zeros((2, 3))
    for word, weight in zip(WORDS, weights / weights.sum(), strict=True):
        for place, token in enumerate(word):
            result[place, token] += weight
    return (size * result + pseudocount / 3) / (size + pseudocount)


def test_starts_uniform() -> None:
    np.testing.assert_allclose(probabilities(built()), 1 / 3, rtol=1e-15)


def test_log_prob_is_that_of_independent_places() -> None:
    result = with_probabilities(PROBABILITIES).log_prob(DESIGNS)
    np.testing.assert_allclose(result.numpy(), np.log(JOINT), rtol=1e-14)


def test_probabilities_of_all_sequences_sum_to_one() -> None:
    model = built(shape=(4, 3))
    every = torch.from_numpy(np.eye(3)[list(itertools.product(range(3), repeat=4))])
    model.fit(every, torch.rand(81, dtype=torch.float64))
    assert model.log_prob(every).exp().sum().item() == pytest.approx(1.0, rel=1e-14)


def test_frequencies_of_samples() -> None:
    m = 100_000
    samples = with_probabilities(PROBABILITIES).sample(m, torch.Generator().manual_seed(0))
    assert samples.shape == (m, 2, 3)
    assert samples.dtype == torch.float64
    assert (samples.sum(2) == 1).all()
    numbers = samples.argmax(2) @ torch.tensor([3, 1])
    frequencies = np.bincount(numbers.numpy(), minlength=9) / m
    # Of pairs, so that places that depend on each other would be seen.
    np.testing.assert_allclose(frequencies, JOINT, atol=5 * math.sqrt(0.25 / m))


@pytest.mark.parametrize("pseudocount", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_fit(pseudocount: float, scale: float) -> None:
    weights = np.random.default_rng(0).exponential(size=9)
    model = built(pseudocount)
    model.fit(DESIGNS, torch.from_numpy(weights * scale))
    np.testing.assert_allclose(probabilities(model), expected_fit(weights, pseudocount), rtol=1e-12)


def test_a_fit_to_many_is_the_frequencies() -> None:
    rows = np.random.default_rng(0).choice(9, size=1_000_000, p=JOINT)
    model = built()
    model.fit(DESIGNS[rows], torch.ones(len(rows)))
    drawn = np.eye(3)[WORDS[rows]].mean(0)
    np.testing.assert_allclose(probabilities(model), drawn, atol=1e-6)


def test_a_fit_to_one_design_keeps_half_elsewhere() -> None:
    model = built()
    model.fit(DESIGNS[[5]], torch.ones(1))
    token = np.eye(3)[WORDS[5]]
    np.testing.assert_allclose(probabilities(model), token / 2 + 1 / 6, rtol=1e-14)


def test_ratios_of_sequences_that_do_not_occur_are_finite() -> None:
    """And within the bound that the class promises."""
    n, pseudocount = 1000, 0.5
    one, other = built(pseudocount), built(pseudocount)
    one.fit(DESIGNS[[0] * n], torch.ones(n))
    other.fit(DESIGNS[[8] * n], torch.ones(n))
    ratios = one.log_prob(DESIGNS) - other.log_prob(DESIGNS)
    bound = 2 * math.log(3 * (n + pseudocount) / pseudocount)
    assert ratios.isfinite().all()
    assert 0.99 * bound < ratios.abs().max().item() <= bound


def test_a_fit_forgets_the_one_before() -> None:
    fresh, used = built(), with_probabilities(PROBABILITIES)
    for model in (fresh, used):
        model.fit(DESIGNS, torch.arange(9.0))
    assert torch.equal(fresh.log_probabilities, used.log_probabilities)


def test_float32_input_is_computed_in_float64() -> None:
    weights = torch.rand(9)
    single, double = built(), built()
    single.fit(DESIGNS.float(), weights)
    double.fit(DESIGNS, weights.double())
    assert torch.equal(single.log_probabilities, double.log_probabilities)
    assert torch.equal(single.log_prob(DESIGNS.float()), double.log_prob(DESIGNS))


def of_columns(*sizes: int) -> Categorical:
    model = Categorical()
    model.build(DesignSpace(torch.Size([sum(sizes)]), sizes))
    return model


def test_columns_of_different_sizes_are_so_many_models() -> None:
    sizes = (3, 2, 5)
    model, columns = of_columns(*sizes), [of_columns(size) for size in sizes]
    generator = np.random.default_rng(0)
    rows = np.hstack([np.eye(size)[generator.integers(size, size=20)] for size in sizes])
    designs, weights = torch.from_numpy(rows), torch.from_numpy(generator.exponential(size=20))
    model.fit(designs, weights)
    for column, part in zip(columns, designs.split(sizes, 1), strict=True):
        column.fit(part, weights)
    expected = torch.cat([column.log_probabilities for column in columns])
    torch.testing.assert_close(model.log_probabilities, expected, rtol=1e-14, atol=0.0)
    log_probs = [c.log_prob(p) for c, p in zip(columns, designs.split(sizes, 1), strict=True)]
    torch.testing.assert_close(model.log_prob(designs), sum(log_probs), rtol=1e-14, atol=0.0)


def test_frequencies_of_samples_of_different_sizes() -> None:
    m, model = 100_000, of_columns(3, 1, 2)
    probabilities = torch.tensor([0.2, 0.5, 0.3, 1.0, 0.9, 0.1], dtype=torch.float64)
    model.log_probabilities.copy_(probabilities.log())
    samples = model.sample(m, torch.Generator().manual_seed(0))
    assert samples.shape == (m, 6)
    assert all((group.sum(1) == 1).all() for group in samples.split([3, 1, 2], 1))
    atol = 5 * math.sqrt(0.25 / m)
    np.testing.assert_allclose(samples.mean(0).numpy(), probabilities.numpy(), atol=atol)
    # Of pairs, so that columns that depend on each other would be seen.
    pairs = (samples[:, :3].mT @ samples[:, 4:] / m).numpy()
    expected = np.outer(probabilities[:3].numpy(), probabilities[4:].numpy())
    np.testing.assert_allclose(pairs, expected, atol=atol)


def test_numbers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"have 2 numbers: leave --search.search_model"):
        Categorical().build(DesignSpace(torch.Size([5]), (3,)))


@pytest.mark.parametrize("pseudocount", [0.0, -1.0, math.inf, math.nan])
def test_refused_pseudocounts(pseudocount: float) -> None:
    with pytest.raises(ConfigurationError, match="pseudocount must be positive and finite"):
        Categorical(pseudocount)
