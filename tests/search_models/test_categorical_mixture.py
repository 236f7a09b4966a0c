"""The mixture of categoricals against closed forms, one step of EM in numpy, and what it is for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import Categorical, CategoricalMixture
from lightning_mbo.space import DesignSpace

WORDS = np.array(list(itertools.product(range(3), repeat=2)))
DESIGNS = torch.from_numpy(np.eye(3)[WORDS])
SHARES = np.array([0.3, 0.7])
PROBABILITIES = np.array([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], [[0.2, 0.2, 0.6], [0.8, 0.1, 0.1]]])
JOINT = np.einsum("c,cn->nc", SHARES, [np.multiply.outer(*p).flatten() for p in PROBABILITIES])


def built(num_components: int = 2, pseudocount: float = 1.0) -> CategoricalMixture:
    model = CategoricalMixture(num_components, pseudocount)
    model.build(DesignSpace.of_shape(torch.Size([2, 3])))
    return model


def given() -> CategoricalMixture:
    model = built()
    model.log_shares.copy_(torch.from_numpy(np.log(SHARES)))
    model.log_probabilities.copy_(torch.from_numpy(np.log(PROBABILITIES)).flatten(1))
    model.fitted.fill_(True)
    return model


def test_log_prob_is_that_of_the_mixture() -> None:
    result = given().log_prob(DESIGNS)
    np.testing.assert_allclose(result.numpy(), np.log(JOINT.sum(1)), rtol=1e-13)


def test_samples_have_the_mixture_s_frequencies() -> None:
    samples = given().sample(40_000, torch.Generator().manual_seed(0))
    assert samples.sum(-1).eq(1).all()
    drawn = samples.argmax(-1).numpy() @ [3, 1]
    frequencies = np.bincount(drawn, minlength=9) / 40_000
    errors = np.sqrt(JOINT.sum(1) / 40_000)
    assert (np.abs(frequencies - JOINT.sum(1)) < 4 * errors).all()


def test_a_fit_is_a_fixed_point_of_expectation_maximisation() -> None:
    weights = np.random.default_rng(0).random(9)
    model = given()
    for _ in range(60):  # each call goes on, and stops where little is left to gain
        model.fit(DESIGNS, torch.from_numpy(weights))
    weights = weights / weights.sum()
    added = (weights**2).sum() / 2
    joint = np.exp(model._joint(DESIGNS).numpy())
    shares = weights[:, None] * joint / joint.sum(1, keepdims=True)
    total = shares.sum(0) + added
    counts = np.einsum("nc,nlv->clv", shares, DESIGNS.numpy()) + added / 3
    expected = counts / total[:, None, None]
    result = model.log_probabilities.exp().numpy().reshape(2, 2, 3)
    np.testing.assert_allclose(result, expected, atol=0.02)
    np.testing.assert_allclose(model.log_shares.exp().numpy(), total / total.sum(), atol=0.02)


def test_one_component_is_a_categorical() -> None:
    weights = torch.rand(9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mixture, categorical = built(num_components=1, pseudocount=0.5), Categorical(0.5)
    categorical.build(DesignSpace.of_shape(torch.Size([2, 3])))
    for model in (mixture, categorical):
        model.fit(DESIGNS, weights)
    torch.testing.assert_close(mixture.log_prob(DESIGNS), categorical.log_prob(DESIGNS))


def test_knows_which_letters_go_together() -> None:
    words = torch.tensor([[0, 1], [1, 0]]).repeat(500, 1)
    designs = torch.nn.functional.one_hot(words, 3).double()
    model = built(num_components=4)
    model.fit(designs, torch.ones(len(designs)))
    probabilities = model.log_prob(DESIGNS).exp()
    both = probabilities[1] + probabilities[3]  # 0 1 and 1 0 in WORDS
    assert both > 0.97
    assert probabilities[1] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("wrong", [{"num_components": 0}, {"pseudocount": 0.0}])
def test_refuses_what_is_not_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        CategoricalMixture(**wrong)  # type: ignore[arg-type]


def test_refuses_vectors() -> None:
    with pytest.raises(ConfigurationError, match="letters or categories"):
        CategoricalMixture().build(DesignSpace.of_shape(torch.Size([5])))
