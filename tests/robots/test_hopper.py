"""The one-legged robot, its policies and the searches that its table is made of."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from lightning_mbo.robots import hopper, hopper_search
from lightning_mbo.robots.hopper import Episode, episode
from lightning_mbo.tasks import Hopper

pytestmark = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra robots")

Array = np.ndarray


def of_gymnasium(weights: Array, seed: int) -> Episode:
    """The same network by matrix products, in gymnasium's own environment."""
    matrices, start = [], 0
    for inputs, outputs in ((11, 64), (64, 64), (64, 3)):
        end = start + inputs * outputs
        matrices.append((weights[start:end].reshape(outputs, inputs), weights[end : end + outputs]))
        start = end + outputs
    assert start == len(weights) == 5123
    import gymnasium

    environment = gymnasium.make("Hopper-v5", reset_noise_scale=0)
    observation, _ = environment.reset(seed=seed)
    total, steps, over = 0.0, 0, False
    while not over:
        hidden = observation
        for matrix, bias in matrices[:-1]:
            hidden = np.tanh(np.einsum("ij,j->i", matrix, hidden) + bias)
        wanted = np.einsum("ij,j->i", matrices[-1][0], hidden) + matrices[-1][1]
        observation, reward, fell, late, told = environment.step(np.clip(wanted, -1, 1))
        total, steps, over = total + reward, steps + 1, fell or late
    environment.close()
    return Episode(total, steps, float(told["x_position"]))


@pytest.mark.parametrize("row", [0, 100, 333, 2])
def test_an_episode_is_gymnasiums(row: int) -> None:
    """One that falls at once, some that hop, and the best of all, which does not fall."""
    designs, returns = Hopper().table
    weights = designs[returns.argmax() if row == 2 else row]
    assert episode(weights) == of_gymnasium(weights, seed=row)


def test_standing_still_is_worth_a_point_a_step() -> None:
    """Joints that are held by hand: a network without weights holds none, and falls."""
    fallen = episode(np.zeros(hopper.NUM_WEIGHTS))
    assert fallen.num_steps < 200
    assert fallen.total == pytest.approx(fallen.num_steps - 1 + fallen.distance / 0.008)


def test_a_network_by_hand() -> None:
    weights = np.zeros(hopper.NUM_WEIGHTS)
    network = hopper.layers(weights)  # views
    network[0][0][3, 10], network[0][1][3] = 2.0, 0.5
    network[1][0][7, 3] = -1.0
    network[2][0][:, 7], network[2][1][:] = (1.0, 10.0, 0.1), (0.25, 0.0, 0.0)
    observation = np.zeros(11)
    observation[10] = 0.3
    hidden = np.tanh(-np.tanh(2 * 0.3 + 0.5))
    expected = [hidden + 0.25, -1.0, 0.1 * hidden]
    np.testing.assert_allclose(hopper.action(network, observation), expected, rtol=1e-15)
    names = hopper.names()
    assert len(names) == len(set(names)) == hopper.NUM_WEIGHTS
    used = [name for name, weight in zip(names, weights, strict=True) if weight]
    assert used[:2] == ["layer_1_to_3_from_10", "layer_1_bias_3"]
    assert used[2:4] == ["layer_2_to_7_from_3", "layer_3_to_0_from_7"]


def test_actions_out_of_bounds_are_charged_as_they_act() -> None:
    weights = np.zeros(hopper.NUM_WEIGHTS)
    hopper.layers(weights)[2][1][:] = 1.0
    bounded = episode(weights)
    hopper.layers(weights)[2][1][:] = 50.0
    assert episode(weights) == bounded


def test_what_differs_beyond_single_precision_is_the_same() -> None:
    weights = hopper_search.visited(0, np.ones((1, 16), np.float32))[0, 0]
    assert episode(weights * (1 + 1e-12)) == episode(weights)
    assert episode(weights * (1 + 1e-6)) != episode(weights)


def test_what_is_seen_begins_and_ends_with_the_episode() -> None:
    designs, returns = Hopper().table
    best = designs[returns.argmax()]
    motion = hopper.moved(best)
    assert motion.ends.shape == (40, 4, 2, 3)
    np.testing.assert_allclose(motion.radii, [0.05, 0.05, 0.04, 0.06])
    lengths = np.linalg.norm(np.diff(motion.ends, axis=2), axis=-1)[..., 0]
    np.testing.assert_allclose(lengths, np.tile([0.4, 0.45, 0.5, 0.39], (40, 1)), rtol=1e-6)
    gone = motion.ends[-1].mean((0, 1))[0] - motion.ends[0].mean((0, 1))[0]
    assert gone == pytest.approx(episode(best).distance, rel=0.1)


def returns_of(policies: Array) -> Array:
    return np.array([episode(policy)[:2] for policy in policies])


def test_the_table_is_what_the_searches_visit() -> None:
    """The first steps of one of them, made anew."""
    designs, returns = Hopper().table
    number, num_steps = 3, 3
    course = hopper_search.search(number, num_steps, returns_of)
    shape = hopper_search.NUM_STARTS, hopper_search.NUM_STEPS, 8
    assert returns.shape == (np.prod(shape),)
    np.testing.assert_array_equal(course.returns, returns.reshape(shape)[number, :num_steps])
    visited = hopper_search.visited(number, course.coefficients)
    kept = designs.reshape(*shape, -1)[number, :num_steps]
    np.testing.assert_array_equal(visited, kept)
    assert (kept == kept.astype(np.float32)).all()


def test_a_search_climbs() -> None:
    """A slope in place of the robot: what a step pays for not having fallen does not count."""
    up = np.sign(hopper_search.start(9))

    def evaluate(policies: Array) -> Array:
        steps = np.random.default_rng(0).uniform(0, 1e6, len(policies))
        return np.stack([policies @ up + steps, steps], axis=1)

    course = hopper_search.search(9, 20, evaluate)
    heights = hopper_search.visited(9, course.coefficients)[:, 0] @ up
    assert (np.diff(heights) > 0).all()
    assert ((course.coefficients != 0).sum(1) == hopper_search.NUM_BEST).all()


def test_random_signs() -> None:
    signs = hopper_search.directions(2, 7)
    assert signs.shape == (16, 5123)
    assert (np.abs(signs) == 1).all()
    assert abs(signs.mean()) < 0.02
    correlations = signs @ signs.T / 5123 - np.eye(16)
    assert np.abs(correlations).max() < 0.06
    assert (hopper_search.directions(2, 8) != signs).mean() > 0.4
    # Philox's bits are the same in every release of NumPy.
    np.testing.assert_array_equal(signs[0, :8], hopper_search.directions(2, 7)[0, :8])
