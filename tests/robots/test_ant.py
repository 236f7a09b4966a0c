"""The robot of a ball and four legs."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from lightning_mbo.robots.ant import ANT

pytestmark = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra robots")


def test_the_numbers_are_as_of_design_bench() -> None:
    assert len(ANT.names) == 60
    assert ANT.usual.reshape(4, 15)[:, 5].tolist() == [0, 90, 180, -90]


def test_the_model_is_the_design() -> None:
    design = ANT.designs(1)[0]
    robot, legs = ANT.model(design), design.reshape(4, 15)
    assert (robot.nq, robot.nu, robot.njnt) == (7 + 12, 12, 13)
    angles = np.rad2deg(robot.jnt_range[1:])
    np.testing.assert_allclose(angles.reshape(4, 6), legs[:, 6:12], rtol=1e-6)
    np.testing.assert_allclose(robot.actuator_ctrlrange, robot.jnt_range[1:])
    reach = legs[:, 12:] * np.sqrt(2) / 2
    np.testing.assert_allclose(robot.geom_size[2:, 1].reshape(4, 3), reach, rtol=1e-6)
    hips = robot.body_pos[2::3]
    np.testing.assert_allclose(hips, legs[:, :3], rtol=1e-6)


def test_the_usual_robot_is_alike_from_all_sides() -> None:
    motion = ANT.moved(ANT.usual)
    feet = motion.ends[0, 3::3, 1]
    np.testing.assert_allclose(feet[:, 2], feet[0, 2], atol=1e-6)
    angles = np.rad2deg(np.arctan2(feet[:, 1], feet[:, 0]))
    np.testing.assert_allclose((angles - 45) % 360, [0, 90, 180, 270], atol=1e-4)


def test_a_joint_that_could_not_move_moves_a_degree() -> None:
    design = ANT.usual.copy()
    design.reshape(4, 15)[:, 6:8] = 0.0
    np.testing.assert_allclose(np.rad2deg(np.ptp(ANT.model(design).jnt_range[1::3], axis=1)), 1.0)
