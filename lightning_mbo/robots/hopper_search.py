"""The policies of `Hopper`'s table: what a search for one visits, from several starts.

A search's course is kept as the numbers that it multiplies its random directions by, which are few:
the policies follow from them without a simulation, to the last bit on any machine.

Reference: Mania, Guy and Recht, "Simple random search of static linear policies is competitive for
reinforcement learning", NeurIPS 2018, of which it is the version V1-t with random signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.robots.hopper import NUM_WEIGHTS, layers

Array = NDArray[np.float64]

NUM_STARTS, NUM_STEPS = 5, 100
NUM_DIRECTIONS, NUM_BEST = 16, 8
"""Tried in each step, both ways; and how many of them, the best, the step is made of."""
NUM_KEPT = 7
"""Directions of each step of which the policy is in the table, beside the step's own."""
_RADIUS, _STEP_SIZE = 0.05, 0.05
_GAINS = (1.0, 1.0, 0.1)
"""Of the layers' first weights: at first a policy does next to nothing."""
_START = 1 << 32
"""In place of a step, where the start is drawn."""

Evaluate = Callable[[Array], Array]
"""Of policies ``(m, 5123)`` the returns and the steps until they fell, ``(m, 2)``."""


class Course(NamedTuple):
    """What is kept of a search.

    Attributes:
        coefficients: What each step adds of its directions, ``(steps, 16)``, float32.
        returns: Of the policies in the table, ``(steps, 8)``.
    """

    coefficients: NDArray[np.float32]
    returns: Array


def start(number: int) -> Array:
    """The weights ``(5123,)`` that a search starts from: uniform ones, without biases."""
    drawn = np.random.Philox(key=[number, _START]).random_raw(NUM_WEIGHTS)
    weights: Array = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    for (matrix, bias), gain in zip(layers(weights), _GAINS, strict=True):
        matrix *= gain * math.sqrt(3 / matrix.shape[1])
        bias[:] = 0
    return weights


def directions(number: int, step: int) -> Array:
    """Random signs ``(16, 5123)``."""
    drawn = np.random.Philox(key=[number, step]).random_raw(NUM_DIRECTIONS * -(-NUM_WEIGHTS // 64))
    bits = np.unpackbits(drawn.astype("<u8").view(np.uint8)).reshape(NUM_DIRECTIONS, -1)
    return 2.0 * bits[:, :NUM_WEIGHTS].astype(np.float64) - 1.0


def moved(weights: Array, coefficients: NDArray[np.float32], signs: Array) -> Array:
    """Weights ``(5123,)`` after a step."""
    # One after the other, in the same order wherever it runs.
    for coefficient, sign in zip(coefficients.astype(np.float64), signs, strict=True):
        weights = weights + coefficient * sign
    return weights


def search(number: int, num_steps: int, evaluate: Evaluate) -> Course:
    """Search for a policy that gets far: what each step pays for not having fallen is left out."""
    weights, coefficients, returns = start(number), [], []
    for step in range(num_steps):
        signs = directions(number, step)
        around = weights + _RADIUS * np.concatenate([np.zeros((1, NUM_WEIGHTS)), signs, -signs])
        found = evaluate(around)
        got = (found[1:, 0] - found[1:, 1]).reshape(2, NUM_DIRECTIONS)
        best = np.argsort(-got.max(0), kind="stable")[:NUM_BEST]
        scale = _STEP_SIZE / (NUM_BEST * (got[:, best].std() + 1e-6))
        chosen = np.zeros(NUM_DIRECTIONS, np.float32)
        chosen[best] = scale * (got[0, best] - got[1, best])
        coefficients.append(chosen)
        returns.append(found[: 1 + NUM_KEPT, 0])
        weights = moved(weights, chosen, signs)
    return Course(np.array(coefficients), np.array(returns))


def visited(number: int, coefficients: NDArray[np.float32]) -> Array:
    """The policies of a search in the table, ``(steps, 8, 5123)``, in single precision."""
    weights, found = start(number), np.empty((len(coefficients), 1 + NUM_KEPT, NUM_WEIGHTS))
    for step, chosen in enumerate(coefficients):
        signs = directions(number, step)
        found[step, 0] = weights
        found[step, 1:] = weights + _RADIUS * signs[:NUM_KEPT]
        weights = moved(weights, chosen, signs)
    return found.astype(np.float32).astype(np.float64)
