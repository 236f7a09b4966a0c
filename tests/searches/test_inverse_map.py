"""The inverse map against laws of designs whose properties are known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from lightning_mbo.random import Stream
from lightning_mbo.searches import inverse_map
from lightning_mbo.searches.inverse_map import InverseMap, score_weights
from lightning_mbo.sequences import one_hot
from lightning_mbo.space import DesignSpace

NUM_ROWS = 600


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(space: DesignSpace, designs: Tensor, properties: Tensor) -> InverseMap:
    made = InverseMap(space, Stream(1))
    made.fit(designs, properties, torch.ones(len(designs)))
    return made


def test_numbers_go_on_beyond_the_labels_that_were_seen() -> None:
    """Designs lie along a line, and the property says where."""
    source = generator()
    places = 4 * torch.rand(NUM_ROWS, generator=source, dtype=torch.float64)
    noise = torch.randn(NUM_ROWS, 2, generator=source, dtype=torch.float64)
    designs = torch.stack([3 * places, 10 - places], dim=1) + 0.1 * noise
    made = fitted(DesignSpace.of_shape(torch.Size([2])), designs, places)
    for wanted in (3.0, 4.0, 5.0):
        drawn = made.sample(wanted, 2000, generator(2))
        expected = torch.tensor([3 * wanted, 10 - wanted], dtype=torch.float64)
        torch.testing.assert_close(drawn.mean(0), expected, atol=0.35, rtol=0.0)
        assert drawn.std(0).max() < 0.5
        # Of all designs the numbers vary by 3.5 and 1.2.


@pytest.fixture
def _all_rows_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverse_map, "_TEMPERATURE", 0.3)


@pytest.mark.usefixtures("_all_rows_heard")
def test_a_category_and_what_goes_with_it() -> None:
    """Of two ways to the greatest property, each has its level and its number."""
    space = DesignSpace(torch.Size([4]), (3,))
    source = generator()
    levels = torch.randint(3, (NUM_ROWS,), generator=source)
    numbers = 3 * torch.randn(NUM_ROWS, generator=source, dtype=torch.float64)
    homes = torch.tensor([-4.0, 4.0, 0.0], dtype=torch.float64)[levels]
    properties = -(numbers - homes).abs() - 5.0 * (levels == 2)
    designs = torch.cat([numbers[:, None], one_hot(levels, 3)], dim=1)
    drawn = fitted(space, designs, properties).sample(0.0, 2000, generator(2))
    chosen = drawn[:, 1:].argmax(1)
    assert (chosen == 2).double().mean() < 0.05
    for level, home in ((0, -4.0), (1, 4.0)):
        own = drawn[chosen == level, 0]
        assert len(own) > 300
        assert abs(own.median().item() - home) < 1.0


@pytest.mark.usefixtures("_all_rows_heard")
def test_letters_of_which_the_property_is_the_sum() -> None:
    words = torch.tensor(list(itertools.product(range(3), repeat=5)))
    scores = (words == 1).sum(1).double()
    poor = scores <= 3
    space = DesignSpace.of_shape(torch.Size([5, 3]))
    made = fitted(space, one_hot(words[poor], 3), scores[poor])
    of_wanted = [
        (made.sample(wanted, 2000, generator(2)).argmax(2) == 1).sum(1).double().mean()
        for wanted in (1.0, 3.0, 5.0)
    ]
    assert abs(of_wanted[0] - 1) < 0.5
    assert abs(of_wanted[1] - 3) < 0.5
    # No word of the table has more than three of them.
    assert of_wanted[2] > 3.7


def test_it_is_a_function_of_the_seed() -> None:
    designs = torch.randn(60, 2, generator=generator(), dtype=torch.float64)
    maps = [
        fitted(DesignSpace.of_shape(torch.Size([2])), designs, designs.sum(1)) for _ in range(2)
    ]
    torch.manual_seed(torch.seed())
    one, same = (made.sample(2.0, 9, generator(3)) for made in maps)
    assert torch.equal(one, same)
    assert not torch.equal(one, maps[0].sample(2.0, 9, generator(4)))
    assert not torch.equal(one, maps[0].sample(2.5, 9, generator(3)))


def test_score_weights() -> None:
    # Three rows in the lowest of twenty bins, one in the highest.
    weights = score_weights(torch.tensor([0.0, 0.1, 0.2, 10.0]))
    assert torch.equal(weights[:1].expand(3), weights[:3])
    expected = math.exp(9.5) * (3 + 0.2) / (1 + 0.2)
    assert (weights[3] / weights[0]).item() == pytest.approx(expected, rel=1e-4)
