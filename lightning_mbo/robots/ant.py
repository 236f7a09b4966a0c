"""A four-legged robot whose legs are the design, and how far one gait gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.robots.motion import Camera, Motion, lowest

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

NUM_LEGS = 4

LEG: dict[str, tuple[float, float, float]] = {
    "x": (-0.1, 0.0, 0.1),
    "y": (-0.1, 0.0, 0.1),
    "z": (-0.1, 0.0, 0.1),
    "roll": (-180, 0, 180),
    "pitch": (-180, 0, 180),
    "yaw": (-180, 0, 180),
    "hip_lower": (-60, -5, 0),
    "hip_upper": (0, 5, 60),
    "thigh_lower": (-60, -30, 0),
    "thigh_upper": (0, 30, 60),
    "ankle_lower": (0, 30, 60),
    "ankle_upper": (60, 70, 120),
    "hip_size": (0.1, 0.2, 0.4),
    "thigh_size": (0.1, 0.2, 0.4),
    "ankle_size": (0.2, 0.4, 0.8),
}
"""Of each number of a leg the least, the usual and the greatest value.

Where the leg is fixed to the torso, m; how it is turned there, degrees (usually by a quarter more
than the one before); between which angles its joints move, degrees; and how far its three limbs
reach along x and along y each, m.
"""

NAMES = [f"leg_{leg + 1}_{name}" for leg in range(NUM_LEGS) for name in LEG]
LEAST, USUAL, GREATEST = (
    # In single precision, as designs are.
    np.array([list(LEG.values())] * NUM_LEGS, np.float32).astype(np.float64).reshape(-1, 3).T.copy()
)
USUAL[list(LEG).index("yaw") :: len(LEG)] = 0, 90, 180, -90

_TIME_STEP, _FRAMES, _STEPS = 0.01, 5, 200
SECONDS = _TIME_STEP * _FRAMES * _STEPS
_NARROWEST = 1.0
"""Between which angles a joint moves at least, degrees."""
_GAP = 0.02
"""Under the robot at first, m."""

FREQUENCY = 2.49
"""Of the gait, per s."""
CENTERS, AMPLITUDES, LAGS = (0.48, 0.06, -0.27), (0.0, -0.22, 0.99), (0.0, 1.0, 0.6)
"""Of hip, thigh and ankle: in halves of their range, and in cycles."""
LEG_LAGS = (0.0, -0.14, 0.65, 0.6)

_ROBOT = """
<mujoco model="ant">
  <compiler angle="degree" eulerseq="xyz"/>
  <option timestep="{time_step}" integrator="implicitfast"/>
  <default>
    <joint type="hinge" armature="1" damping="1" limited="true"/>
    <geom density="5" friction="1 0.5 0.5" margin="0.01" conaffinity="0"/>
    <default class="limb"><geom type="capsule" size="0.08"/></default>
    <position kp="150" kv="10" forcerange="-150 150" inheritrange="1"/>
  </default>
  <worldbody>
    <geom type="plane" size="40 40 1" conaffinity="1"/>
    <body name="torso"><freejoint/><geom type="sphere" size="0.25"/>{legs}</body>
  </worldbody>
  <actuator>{motors}</actuator>
</mujoco>
"""
_LEG = """
<body pos="{x} {y} {z}" euler="{roll} {pitch} {yaw}">
  <geom class="limb" fromto="0 0 0 {hip_size} {hip_size} 0"/>
  <body pos="{hip_size} {hip_size} 0">
    <joint name="hip_{leg}" axis="-1 1 0" range="{hip_lower} {hip_upper}"/>
    <joint name="thigh_{leg}" axis="0 0 1" range="{thigh_lower} {thigh_upper}"/>
    <geom class="limb" fromto="0 0 0 {thigh_size} {thigh_size} 0"/>
    <body pos="{thigh_size} {thigh_size} 0">
      <joint name="ankle_{leg}" axis="-1 1 0" range="{ankle_lower} {ankle_upper}"/>
      <geom class="limb" fromto="0 0 0 {ankle_size} {ankle_size} 0"/>
    </body>
  </body>
</body>
"""
_JOINTS = ("hip", "thigh", "ankle")


def xml(design: Array) -> str:
    """The robot of a design ``(60,)``, leg by leg, for MuJoCo to read."""
    legs, motors = "", ""
    for leg, numbers in enumerate(design.reshape(NUM_LEGS, len(LEG)).tolist()):
        values = dict(zip(LEG, numbers, strict=True))
        for joint in _JOINTS:
            narrowest = values[f"{joint}_lower"] + _NARROWEST
            values[f"{joint}_upper"] = max(values[f"{joint}_upper"], narrowest)
            motors += f'<position joint="{joint}_{leg}"/>'
        legs += _LEG.format(leg=leg, **values)
    return _ROBOT.format(time_step=_TIME_STEP, legs=legs, motors=motors)


def gait(
    frequency: float = FREQUENCY,
    centers: tuple[float, ...] = CENTERS,
    amplitudes: tuple[float, ...] = AMPLITUDES,
    lags: tuple[float, ...] = LAGS,
    leg_lags: tuple[float, ...] = LEG_LAGS,
) -> Array:
    """Where each joint is to be in each step, ``(200, 12)``, from -1 to 1 of its range.

    A central pattern generator: each joint swings as a sine, whatever the robot is like and does.
    Its numbers were tuned by CMA-ES on the usual robot and five others about it.
    """
    seconds = np.arange(_STEPS)[:, None, None] * _TIME_STEP * _FRAMES
    cycles = frequency * seconds + np.array(leg_lags)[:, None] + np.array(lags)
    swinging = np.array(centers) + np.array(amplitudes) * np.sin(2 * np.pi * cycles)
    targets: Array = np.clip(swinging, -1.0, 1.0).reshape(_STEPS, NUM_LEGS * len(_JOINTS))
    return targets


def _walk(design: Array, camera_every: int, targets: Array) -> tuple[float, Camera]:
    import mujoco

    # In single precision: what comes back from standardised designs is the same to the last bit.
    model = mujoco.MjModel.from_xml_string(xml(design.astype(np.float32).astype(np.float64)))
    data, camera = _standing(model), Camera(model, camera_every)
    middles, halves = model.actuator_ctrlrange.mean(1), np.ptp(model.actuator_ctrlrange, axis=1) / 2
    for step, target in enumerate(targets):
        camera.look(step, data)
        data.ctrl[:] = middles + halves * target
        mujoco.mj_step(model, data, _FRAMES)
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


def distance(design: Array, targets: Array | None = None) -> float:
    """How far a design ``(60,)`` gets along x in 10 s, m."""
    return _walk(design, _STEPS, gait() if targets is None else targets)[0]


def moved(design: Array) -> Motion:
    """What is seen of a design ``(60,)``, every 2 s."""
    return _walk(design, _STEPS // 5, gait())[1].motion
