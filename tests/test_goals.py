"""What is wanted of results, read from words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.goals import Goal, parse_goals


@pytest.mark.parametrize(
    ("words", "goal"),
    [
        ("maximize", Goal("y", "maximize")),
        ("minimize", Goal("y", "minimize")),
        (">= 90", Goal("y", "limits", 90.0, math.inf)),
        ("<=-2.5e3", Goal("y", "limits", -math.inf, -2500.0)),
        ("40 to 60", Goal("y", "limits", 40.0, 60.0)),
        ("-1 to +.5", Goal("y", "limits", -1.0, 0.5)),
        ("near 5.5", Goal("y", "limits", 5.5, 5.5)),
        ("near 5.5 +- 0.25", Goal("y", "limits", 5.25, 5.75)),
    ],
)
def test_words(words: str, goal: Goal) -> None:
    assert Goal.of_words("y", f" {words} ") == goal


@pytest.mark.parametrize("words", ["max", "90", ">= a", "60 to 40", "near", "> 3", "40-60", 7])
def test_other_words_are_refused_by_name(words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.targets\.y: "):
        Goal.of_words("y", words)


def test_none_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"data\.targets is empty"):
        parse_goals({})


def test_near_is_a_tenth_of_the_deviation_where_nothing_is_said() -> None:
    goal = Goal.of_words("y", "near 5").settled(2.0)
    assert (goal.lower, goal.upper) == (4.8, 5.2)
    told = Goal.of_words("y", "near 5 +- 1")
    assert told.settled(2.0) == told


def test_limits_include_their_ends() -> None:
    values = np.array([39.9, 40.0, 60.0, 60.1])
    assert Goal.of_words("y", "40 to 60").is_met(values).tolist() == [False, True, True, False]
    assert Goal.of_words("y", "maximize").is_met(values).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("maximize", "maximize"),
        (">= 90", "at least 90"),
        ("<= 3", "at most 3"),
        ("near 5 +- 1", "4 to 6"),
    ],
)
def test_said(words: str, said: str) -> None:
    assert str(Goal.of_words("y", words)) == said
