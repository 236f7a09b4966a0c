"""The robot after the D'Kitty."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from lightning_mbo.robots.dkitty import DKITTY

pytestmark = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra robots")


def test_the_numbers_are_as_of_design_bench() -> None:
    assert len(DKITTY.names) == 56
    legs = DKITTY.usual.reshape(4, 14)
    np.testing.assert_allclose(legs[:, 0], [0.09, -0.09, -0.09, 0.09])
    np.testing.assert_allclose(legs[:, 1], [0.122, 0.122, -0.122, -0.122])
    np.testing.assert_allclose(legs[:, 4], np.pi * np.array([-1, 1, 1, -1]), rtol=1e-6)
    np.testing.assert_allclose(legs[:, 6], [-0.1105, 0.1105, 0.1105, -0.1105], rtol=1e-6)
    assert (legs[:, 7:] == legs[0, 7:]).all()


def test_the_masses_and_moments_of_inertia_are_the_dkittys() -> None:
    """As MuJoCo has them of ROBEL's model."""
    robot = DKITTY.model(DKITTY.usual)
    assert robot.body_mass.sum() == pytest.approx(1.834)
    np.testing.assert_allclose(robot.body_mass[2:].reshape(4, 3), [[0.118, 0.118, 0.04]] * 4)
    middles = robot.body_ipos[2:5, 2]
    np.testing.assert_allclose(middles, [0.0759, 0.0758, 0.0608], atol=3e-3)
    np.testing.assert_allclose(robot.body_inertia[1], [0.01007, 0.00764, 0.00256], rtol=0.06)


def test_the_model_is_the_design() -> None:
    design = DKITTY.designs(1)[0]
    robot, legs = DKITTY.model(design), design.reshape(4, 14)
    assert (robot.nq, robot.nu, robot.njnt) == (7 + 12, 12, 13)
    angles = robot.jnt_range[1:].reshape(4, 3, 2)
    np.testing.assert_allclose(angles.mean(-1), legs[:, [6, 8, 10]], atol=1e-6)
    np.testing.assert_allclose(np.ptp(angles, axis=-1) / 2, legs[:, [7, 9, 11]], rtol=1e-6)
    np.testing.assert_allclose(robot.actuator_ctrlrange, robot.jnt_range[1:])
    np.testing.assert_allclose(robot.body_pos[2::3], legs[:, :3], rtol=1e-6)
    sizes = np.stack([robot.body_pos[3::3, 2], robot.body_pos[4::3, 2]], axis=1)
    np.testing.assert_allclose(sizes, legs[:, 12:], rtol=1e-6)


def test_the_usual_robot_is_alike_on_both_sides() -> None:
    """It looks along x: right is where y is less."""
    feet = DKITTY.moved(DKITTY.usual).ends[0, 10::6, 1]
    np.testing.assert_allclose(feet[[1, 2]], feet[[0, 3]] * [1, -1, 1], atol=1e-6)
    assert (feet[:2, 0] > 0).all()
    assert (feet[[0, 3], 1] < 0).all()


def test_what_turns_over_goes_no_further_and_loses_a_metre() -> None:
    dearer, going_on = replace(DKITTY, fall=3.0), replace(DKITTY, fall=None)
    fell = 0
    for design in DKITTY.designs(12):
        distance, num_moments = DKITTY.distance(design), len(DKITTY.moved(design).ends)
        costs = distance - dearer.distance(design)
        assert costs == pytest.approx(2.0) or (costs == 0 and num_moments == 5)
        assert (costs == 0) == (distance == going_on.distance(design))
        fell += costs > 0
    assert 0 < fell < 12
