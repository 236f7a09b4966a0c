"""A one-legged robot that hops, and what a policy network makes of it."""

from __future__ import annotations

import itertools
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.robots.motion import Camera, Motion

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

SIZES = (11, 64, 64, 3)
"""Of the network's layers: what it observes, two hidden ones, and its actions."""
NUM_WEIGHTS = sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(SIZES))
"""5,123: of each layer the weights, output by output, and then the biases."""

STEPS = 1000
"""In an episode, unless the robot falls before."""
_FRAMES = 4
"""Of the simulation in a step."""
_FASTEST = 10.0
"""Velocities are observed up to here."""
_EFFORT = 1e-3
"""What a step costs, times the sum of the squared actions."""
_LEAST_HEIGHT, _MOST_TILT, _MOST = 0.7, 0.2, 100.0
"""Within which, m, rad and anything else, the robot has not fallen."""


def layers(weights: Array) -> list[tuple[Array, Array]]:
    """The matrices ``(out, in)`` and the biases ``(out,)`` of weights ``(5123,)``."""
    found, start = [], 0
    for inputs, outputs in itertools.pairwise(SIZES):
        end = start + inputs * outputs
        matrix = weights[start:end].reshape(outputs, inputs)
        found.append((matrix, weights[end : end + outputs]))
        start = end + outputs
    return found


def names() -> list[str]:
    """What each of the weights is, in their order."""
    found = []
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(SIZES), start=1):
        places = ((output, source) for output in range(outputs) for source in range(inputs))
        found += [f"layer_{layer}_to_{output}_from_{source}" for output, source in places]
        found += [f"layer_{layer}_bias_{output}" for output in range(outputs)]
    return found


def action(network: list[tuple[Array, Array]], observation: Array) -> Array:
    """What a network does, ``(3,)`` in [-1, 1], when it observes ``(11,)``."""
    values = observation
    for matrix, bias in network[:-1]:
        # Not `@`: a sum in the same order wherever it runs.
        values = np.tanh(np.einsum("ij,j->i", matrix, values) + bias)
    matrix, bias = network[-1]
    taken: Array = np.clip(np.einsum("ij,j->i", matrix, values) + bias, -1.0, 1.0)
    return taken


@cache
def robot() -> mujoco.MjModel:
    """The one-legged robot of gymnasium's Hopper-v5."""
    import mujoco

    package = find_spec("gymnasium")  # of which nothing but this file is needed
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "envs" / "mujoco" / "assets" / "hopper.xml"
    return mujoco.MjModel.from_xml_path(str(path))


class Episode(NamedTuple):
    """What becomes of a policy.

    Attributes:
        total: Its return: the distance in units of 8 mm, and 1 for each step without a fall, less
            a thousandth of the squared actions.
        num_steps: After which it has fallen, or time was up.
        distance: How far the robot got, m.
    """

    total: float
    num_steps: int
    distance: float


def episode(weights: Array, camera: Camera | None = None) -> Episode:
    """Let a policy of weights ``(5123,)`` act, from a start without noise.

    It is the episode of gymnasium's Hopper-v5 with `reset_noise_scale=0`, where actions are clipped
    before they are taken, and so before they are charged.
    """
    import mujoco

    # In single precision: what comes back from standardised designs is the same to the last bit.
    network = layers(weights.astype(np.float32).astype(np.float64))
    model = robot()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    position, velocity = data.qpos, data.qvel
    seconds = model.opt.timestep * _FRAMES
    total, observation = 0.0, np.empty(SIZES[0])
    for step in range(STEPS):
        if camera is not None:
            camera.look(step, data)
        observation[:5] = position[1:]
        np.clip(velocity, -_FASTEST, _FASTEST, out=observation[5:])
        taken = action(network, observation)
        before = position[0]
        data.ctrl[:] = taken
        mujoco.mj_step(model, data, _FRAMES)
        # The robot's height and tilt, and whether anything has got out of hand.
        up = (
            position[1] > _LEAST_HEIGHT
            and abs(position[2]) < _MOST_TILT
            and bool((np.abs(position[2:]) < _MOST).all())
            and bool((np.abs(velocity) < _MOST).all())
        )
        total += (position[0] - before) / seconds + float(up) - _EFFORT * np.sum(taken * taken)
        if not up:
            break
    return Episode(float(total), step + 1, float(position[0]))


def returned(weights: Array) -> float:
    """The return of a policy of weights ``(5123,)``."""
    return episode(weights).total


def moved(weights: Array) -> Motion:
    """What is seen of a policy, every 0.2 s."""
    camera = Camera(robot(), every=25)
    episode(weights, camera)
    return camera.motion
