"""The four-legged robots, their tables and their gaits."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from lightning_mbo.robots.ant import ANT
from lightning_mbo.robots.dkitty import DKITTY
from lightning_mbo.robots.motion import lowest
from lightning_mbo.robots.walking import Gait, Walker
from lightning_mbo.tasks import AntMorphology, DKittyMorphology

pytestmark = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra robots")

WALKERS = {"ant": ANT, "D'Kitty": DKITTY}
TASKS = {"ant": AntMorphology(), "D'Kitty": DKittyMorphology()}


@pytest.fixture(params=WALKERS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def walker(name: str) -> Walker:
    return WALKERS[name]


def test_bounds(walker: Walker) -> None:
    least, usual, greatest = walker.bounds
    assert len(walker.names) == len(set(walker.names)) == len(usual)
    assert walker.names[len(walker.leg)] == "leg_2_x"
    assert (least <= usual).all()
    assert (usual <= greatest).all()
    assert (least < greatest).all()


def corners(walker: Walker) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    least, usual, greatest = walker.bounds
    mixed = [np.where(random.random(len(usual)) < 0.5, least, greatest) for _ in range(6)]
    return [least, greatest, *mixed]


@pytest.mark.parametrize("corner", range(8))
def test_the_bounds_corners_can_be_simulated(
    walker: Walker, corner: int, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    design = corners(walker)[corner]
    assert np.isfinite(walker.distance(design))
    assert -10 < walker.distance(design) < 10
    assert not list(tmp_path.iterdir()), "MuJoCo writes a file when it warns"


def test_a_robot_stands_on_the_floor_at_first(walker: Walker) -> None:
    for design in [walker.usual, *corners(walker), *walker.designs(5)]:
        assert lowest(walker.moved(design)) == pytest.approx(0.02)


def test_a_gait() -> None:
    gait = Gait(2.0, (0.1, 0.2, 0.3), (0.5, 0.0, 2.0), (0.0, 0.0, 0.25), (0.0, 0.5, 0, 0))
    assert gait.targets.shape == (200, 12)
    seconds = np.arange(200) * 0.05
    first, second = gait.targets.reshape(200, 4, 3)[:, :2].transpose(1, 0, 2)
    np.testing.assert_allclose(first[:, 0], 0.1 + 0.5 * np.sin(4 * np.pi * seconds), atol=1e-12)
    np.testing.assert_allclose(second[:, 0], 0.1 - 0.5 * np.sin(4 * np.pi * seconds), atol=1e-12)
    assert (first[:, 1] == 0.2).all()
    swung = np.clip(0.3 + 2 * np.cos(4 * np.pi * seconds), -1, 1)
    np.testing.assert_allclose(first[:, 2], swung, atol=1e-12)


def test_hips_in_a_mirror_turn_the_other_way() -> None:
    numbers = (0.1, 0.2, 0.3), (0.5, 0.2, 0.1), (0.0, 0.0, 0.25), (0.0, 0.5, 0.0, 0.5)
    same, mirrored = Gait(2.0, *numbers), Gait(2.0, *numbers, hip_signs=(1, -1, -1, 1))
    signs = np.ones((4, 3))
    signs[1:3, 0] = -1
    np.testing.assert_array_equal(mirrored.targets, same.targets * signs.ravel())


def test_without_a_gait_it_stays_where_it_is(walker: Walker) -> None:
    still = np.zeros((200, 12))
    assert abs(walker.distance(walker.usual, still)) < 0.1
    assert walker.distance(walker.usual) > 4


def test_a_distance_is_how_far_the_torso_got(name: str, walker: Walker) -> None:
    motion = walker.moved(walker.usual)
    torso = motion.ends[:, 0].mean(1)
    # What is drawn first of it: the ant's middle, the D'Kitty's right rail.
    assert torso[0, :2] == pytest.approx([0, {"ant": 0, "D'Kitty": -0.035}[name]])
    assert torso[-1, 0] == pytest.approx(walker.distance(walker.usual) * 0.8, rel=0.2)


def test_the_table_is_what_the_recipe_gives(name: str, walker: Walker) -> None:
    designs, distances = TASKS[name].table
    least, usual, greatest = walker.bounds
    assert designs.shape == (len(distances), len(usual)) == (12_505, len(usual))
    np.testing.assert_array_equal(walker.designs(5), designs[:5])
    assert (designs == designs.astype(np.float32)).all()
    assert (designs >= least).all()
    assert (designs <= greatest).all()
    for row in (0, 1, 7000, distances.argmax(), distances.argmin()):
        assert walker.distance(designs[row]) == distances[row]


@pytest.mark.parametrize(("name", "num_free"), [("ant", 47), ("D'Kitty", 32)])
def test_random_designs_lie_about_the_usual_robot(name: str, num_free: int) -> None:
    walker, (designs, _) = WALKERS[name], TASKS[name].table
    least, usual, greatest = walker.bounds
    spread, ranges = walker.spread, greatest - least
    free = (spread * ranges < usual - least) & (spread * ranges < greatest - usual)
    assert free.sum() == num_free
    changes = ((designs - usual) / ranges)[:, free]
    assert np.abs(changes).max() <= spread + 1e-6
    np.testing.assert_allclose(changes.mean(0), 0, atol=0.003)
    # A sum of two uniform numbers.
    np.testing.assert_allclose(changes.std(0), spread / np.sqrt(6), rtol=0.03)
