"""A robot of a ball and four legs."""

from __future__ import annotations

from lightning_mbo.robots.walking import JOINTS, TIME_STEP, Gait, Walker

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

NUM_DESIGNS = 12_505
"""In the table."""

_NARROWEST = 1.0
"""Between which angles a joint moves at least, degrees."""

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


def xml(legs: list[dict[str, float]]) -> str:
    """The robot whose legs have the numbers of `LEG`, for MuJoCo to read."""
    bodies, motors = "", ""
    for number, leg in enumerate(legs):
        uppers = {}
        for joint in JOINTS:
            narrowest = leg[f"{joint}_lower"] + _NARROWEST
            uppers[f"{joint}_upper"] = max(leg[f"{joint}_upper"], narrowest)
            motors += f'<position joint="{joint}_{number}"/>'
        bodies += _LEG.format(leg=number, **leg | uppers)
    return _ROBOT.format(time_step=TIME_STEP, legs=bodies, motors=motors)


ANT = Walker(
    LEG,
    {"yaw": (0, 90, 180, -90)},
    xml,
    # Tuned by CMA-ES on the usual robot and five others about it.
    Gait(
        frequency=2.49,
        centers=(0.48, 0.06, -0.27),
        amplitudes=(0.0, -0.22, 0.99),
        lags=(0.0, 1.0, 0.6),
        leg_lags=(0.0, -0.14, 0.65, 0.6),
    ),
    spread=0.2,
)
