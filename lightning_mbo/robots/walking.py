"""Robots whose four legs are the design, and how far a gait gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.robots.motion import Camera, Motion, lowest

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

NUM_LEGS = 4
JOINTS = ("hip", "thigh", "ankle")

TIME_STEP = 0.01
_FRAMES, _STEPS = 5, 200
SECONDS = TIME_STEP * _FRAMES * _STEPS
_GAP = 0.02
"""Under the robot at first, m."""


@dataclass(frozen=True)
class Gait:
    """A central pattern generator: joints swing as sines, whatever the robot is like and does.

    Attributes:
        frequency: Per s.
        centers: About where hip, thigh and ankle swing, in halves of their ranges.
        amplitudes: How far, in the same.
        lags: When, in cycles.
        leg_lags: When the joints of each leg do, in cycles.
        hip_signs: Which way each leg's hip turns: -1 where it is fixed as in a mirror.
    """

    frequency: float
    centers: tuple[float, float, float]
    amplitudes: tuple[float, float, float]
    lags: tuple[float, float, float]
    leg_lags: tuple[float, float, float, float]
    hip_signs: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    @property
    def targets(self) -> Array:
        """Where each joint is to be in each step, ``(200, 12)``, from -1 to 1 of its range."""
        seconds = np.arange(_STEPS)[:, None, None] * TIME_STEP * _FRAMES
        cycles = self.frequency * seconds + np.array(self.leg_lags)[:, None] + np.array(self.lags)
        swinging = np.array(self.centers) + np.array(self.amplitudes) * np.sin(2 * np.pi * cycles)
        swinging[..., 0] *= self.hip_signs
        targets: Array = np.clip(swinging, -1.0, 1.0).reshape(_STEPS, NUM_LEGS * len(JOINTS))
        return targets


@dataclass(frozen=True)
class Walker:
    """A robot with four legs, l numbers each, in the order of its legs.

    Attributes:
        leg: Of each number of a leg the least, the usual and the greatest value.
        usual_legs: Usual values ``(4,)`` of those numbers that are not the same in all legs.
        xml: The robot whose legs have given numbers, for MuJoCo to read: capsules and spheres, of
            which the first body has the name "torso" and no joint but a free one. Of each leg it
            has the joints and the motors in the order of `JOINTS`, and a step of `TIME_STEP`.
        gait: What moves it.
        spread: How far a number of a random design is from its usual value at most, in shares of
            its range.
        fall: What it costs to turn over, m, after which it goes no further; None: it may.
    """

    leg: Mapping[str, tuple[float, float, float]]
    usual_legs: Mapping[str, Sequence[float]]
    xml: Callable[[list[dict[str, float]]], str]
    gait: Gait
    spread: float
    fall: float | None = None

    @property
    def names(self) -> list[str]:
        """Of the numbers of a design."""
        return [f"leg_{leg + 1}_{name}" for leg in range(NUM_LEGS) for name in self.leg]

    @cached_property
    def bounds(self) -> Array:
        """The least, the usual and the greatest values, ``(3, 4 l)``, in single precision."""
        found = np.array([list(self.leg.values())] * NUM_LEGS, np.float32).astype(np.float64)
        for name, values in self.usual_legs.items():
            found[:, list(self.leg).index(name), 1] = np.array(values, np.float32)
        return found.reshape(-1, 3).T.copy()

    @property
    def usual(self) -> Array:
        """The usual robot, ``(4 l,)``."""
        usual: Array = self.bounds[1].copy()
        return usual

    def designs(self, number: int) -> Array:
        """Random ones about the usual robot, ``(number, 4 l)``: the same on any machine.

        Small changes are more likely than great ones, in proportion to what is left of the spread.
        """
        least, usual, greatest = self.bounds
        drawn = np.random.Philox(key=[0, 0]).random_raw(2 * number * len(usual))
        shares = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53
        shares = shares.reshape(number, 2, len(usual))
        changes = self.spread * (greatest - least) * (shares[:, 0] - shares[:, 1])
        found: Array = np.clip(usual + changes, least, greatest)
        return found.astype(np.float32).astype(np.float64)

    def model(self, design: Array) -> mujoco.MjModel:
        """The robot of a design ``(4 l,)``."""
        import mujoco

        # In single precision: what comes back from standardised designs is the same to the last
        # bit.
        numbers = design.astype(np.float32).astype(np.float64).reshape(NUM_LEGS, len(self.leg))
        legs = [dict(zip(self.leg, leg, strict=True)) for leg in numbers.tolist()]
        return mujoco.MjModel.from_xml_string(self.xml(legs))

    def distance(self, design: Array, targets: Array | None = None) -> float:
        """How far a design ``(4 l,)`` gets along x in 10 s, m, less what it costs to turn over.

        Args:
            design: Its numbers.
            targets: Where its joints are to be, ``(200, 12)``, if not as in its gait.
        """
        return self._walk(design, _STEPS, self.gait.targets if targets is None else targets)[0]

    def moved(self, design: Array) -> Motion:
        """What is seen of a design ``(4 l,)``, every 2 s."""
        return self._walk(design, _STEPS // 5, self.gait.targets)[1].motion

    def _walk(self, design: Array, camera_every: int, targets: Array) -> tuple[float, Camera]:
        import mujoco

        model = self.model(design)
        data, camera = _standing(model), Camera(model, camera_every)
        ranges = model.actuator_ctrlrange
        middles, halves = ranges.mean(1), np.ptp(ranges, axis=1) / 2
        torso = data.body("torso").xmat
        for step, target in enumerate(targets):
            camera.look(step, data)
            data.ctrl[:] = middles + halves * target
            mujoco.mj_step(model, data, _FRAMES)
            if self.fall is not None and torso[8] < 0:
                return float(data.qpos[0]) - self.fall, camera
        return float(data.qpos[0]), camera


def _standing(model: mujoco.MjModel) -> mujoco.MjData:
    """All joints in the middle, the lowest point just above the floor."""
    import mujoco

    data, camera = mujoco.MjData(model), Camera(model, 1)
    data.qpos[:3], data.qpos[7:] = 0.0, model.jnt_range[1:].mean(1)
    mujoco.mj_kinematics(model, data)
    camera.look(0, data)
    data.qpos[2] = _GAP - lowest(camera.motion)
    mujoco.mj_forward(model, data)
    return data
