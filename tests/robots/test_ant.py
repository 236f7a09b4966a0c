"""The four-legged robot and its table."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from lightning_mbo.robots import ant, ant_table
from lightning_mbo.robots.motion import lowest
from lightning_mbo.tasks import AntMorphology

pytestmark = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra robots")

LEGS = (ant.NUM_LEGS, len(ant.LEG))


def model(design: np.ndarray) -> object:
    import mujoco

    return mujoco.MjModel.from_xml_string(ant.xml(design))


def test_bounds() -> None:
    assert len(ant.NAMES) == len(set(ant.NAMES)) == 60
    assert ant.NAMES[15] == "leg_2_x"
    assert (ant.LEAST <= ant.USUAL).all()
    assert (ant.USUAL <= ant.GREATEST).all()
    assert ant.USUAL.reshape(LEGS)[:, 5].tolist() == [0, 90, 180, -90]


def corners() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    mixed = [np.where(random.random(60) < 0.5, ant.LEAST, ant.GREATEST) for _ in range(6)]
    return [ant.LEAST, ant.GREATEST, *mixed]


@pytest.mark.parametrize("corner", range(8))
def test_the_bounds_corners_can_be_simulated(
    corner: int, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    design = corners()[corner]
    assert np.isfinite(ant.distance(design))
    assert -10 < ant.distance(design) < 10
    assert not list(tmp_path.iterdir()), "MuJoCo writes a file when it warns"


def test_the_model_is_the_design() -> None:
    design = ant_table.designs(1)[0]
    robot, legs = model(design), design.reshape(LEGS)
    assert (robot.nq, robot.nu, robot.njnt) == (7 + 12, 12, 13)
    angles = np.rad2deg(robot.jnt_range[1:])
    np.testing.assert_allclose(angles.reshape(4, 6), legs[:, 6:12], rtol=1e-6)
    np.testing.assert_allclose(robot.actuator_ctrlrange, robot.jnt_range[1:])
    reach = legs[:, 12:] * np.sqrt(2) / 2
    np.testing.assert_allclose(robot.geom_size[2:, 1].reshape(4, 3), reach, rtol=1e-6)
    hips = robot.body_pos[2::3]
    np.testing.assert_allclose(hips, legs[:, :3], rtol=1e-6)


def test_the_usual_robot_is_alike_from_all_sides() -> None:
    motion = ant.moved(ant.USUAL)
    feet = motion.ends[0, 3::3, 1]
    np.testing.assert_allclose(feet[:, 2], feet[0, 2], atol=1e-6)
    angles = np.rad2deg(np.arctan2(feet[:, 1], feet[:, 0]))
    np.testing.assert_allclose((angles - 45) % 360, [0, 90, 180, 270], atol=1e-4)


def test_a_joint_that_could_not_move_moves_a_degree() -> None:
    design = ant.USUAL.copy()
    design.reshape(LEGS)[:, 6:8] = 0.0
    np.testing.assert_allclose(np.rad2deg(np.ptp(model(design).jnt_range[1::3], axis=1)), 1.0)


def test_a_robot_stands_on_the_floor_at_first() -> None:
    for design in [ant.USUAL, *corners(), *ant_table.designs(5)]:
        assert lowest(ant.moved(design)) == pytest.approx(0.02)


def test_a_gait() -> None:
    targets = ant.gait(2.0, (0.1, 0.2, 0.3), (0.5, 0.0, 2.0), (0.0, 0.0, 0.25), (0.0, 0.5, 0, 0))
    assert targets.shape == (200, 12)
    seconds = np.arange(200) * 0.05
    first, second = targets.reshape(200, 4, 3)[:, :2].transpose(1, 0, 2)
    np.testing.assert_allclose(first[:, 0], 0.1 + 0.5 * np.sin(4 * np.pi * seconds), atol=1e-12)
    np.testing.assert_allclose(second[:, 0], 0.1 - 0.5 * np.sin(4 * np.pi * seconds), atol=1e-12)
    assert (first[:, 1] == 0.2).all()
    swung = np.clip(0.3 + 2 * np.cos(4 * np.pi * seconds), -1, 1)
    np.testing.assert_allclose(first[:, 2], swung, atol=1e-12)


def test_without_a_gait_it_stays_where_it_is() -> None:
    still = np.zeros((200, 12))
    assert abs(ant.distance(ant.USUAL, still)) < 0.1
    assert ant.distance(ant.USUAL) > 4


def test_a_distance_is_how_far_the_torso_got() -> None:
    motion = ant.moved(ant.USUAL)
    torso = motion.ends[:, 0].mean(1)
    assert torso[0, :2] == pytest.approx([0, 0])
    assert torso[-1, 0] == pytest.approx(ant.distance(ant.USUAL) * 0.8, rel=0.2)


def test_the_table_is_what_the_recipe_gives() -> None:
    designs, distances = AntMorphology().table
    assert designs.shape == (len(distances), 60) == (ant_table.NUM_DESIGNS, 60)
    np.testing.assert_array_equal(ant_table.designs(5), designs[:5])
    assert (designs == designs.astype(np.float32)).all()
    assert (designs >= ant.LEAST).all()
    assert (designs <= ant.GREATEST).all()
    for row in (0, 1, 7000, distances.argmax()):
        assert ant.distance(designs[row]) == distances[row]


def test_random_designs_lie_about_the_usual_robot() -> None:
    designs, ranges = AntMorphology().table[0], ant.GREATEST - ant.LEAST
    free = (0.2 * ranges < ant.USUAL - ant.LEAST) & (0.2 * ranges < ant.GREATEST - ant.USUAL)
    assert free.sum() == 47
    changes = ((designs - ant.USUAL) / ranges)[:, free]
    assert np.abs(changes).max() <= 0.2 + 1e-6
    np.testing.assert_allclose(changes.mean(0), 0, atol=0.003)
    # A sum of two uniform numbers.
    np.testing.assert_allclose(changes.std(0), 0.2 / np.sqrt(6), rtol=0.03)
