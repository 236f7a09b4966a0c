"""A robot with the masses, lengths and motors of the D'Kitty.

They are those of its model in ROBEL (Ahn et al., CoRL 2019; PyPI robel 0.1.2, Apache-2.0), whose
boxes and meshes are capsules here: 1.834 kg in all, and a torso and limbs with about the same
moments of inertia. Gain and damping of the motors are in the middle of what its walking task draws
them from. Here parts touch the floor but not one another, and a step is 10 ms, not 2.5. By the same
gait this one gets 4.2 m, and ROBEL's 4.4 with this step and 5.6 with its own.
"""

from __future__ import annotations

from math import pi

from lightning_mbo.robots.walking import JOINTS, TIME_STEP, Gait, Walker

LEG: dict[str, tuple[float, float, float]] = {
    "x": (-0.09, 0.09, 0.09),
    "y": (-0.122, 0.122, 0.122),
    "z": (-0.02, 0.0, 0.02),
    "roll": (-pi, 0.0, pi),
    "pitch": (-pi, -pi, pi),
    "yaw": (-pi, 0.0, pi),
    "hip_center": (-pi, -0.1105, pi),
    "hip_range": (pi / 35, 0.3895, pi / 4),
    "thigh_center": (-pi, pi / 4, pi),
    "thigh_range": (pi / 35, pi / 4, pi / 4),
    "ankle_center": (-pi, -1.0, pi),
    "ankle_range": (pi / 35, 1.0, pi / 2),
    "thigh_size": (0.0965, 0.0965, 0.1365),
    "ankle_size": (0.0945, 0.0945, 0.1345),
}
"""Of each number of a leg the least, the usual and the greatest value, for the front right leg.

Where the leg is fixed to the torso, m to the right, to the front and up; how it is turned there,
rad; about which angles its joints move, and how far to either side, rad; and how far the thigh's
joint is from the hip's and the ankle's from the thigh's, m.
"""

_RIGHT = (1.0, -1.0, -1.0, 1.0)
"""Of the legs, front right, front left, back left and back right: which are on the right."""
_FRONT = (1.0, 1.0, -1.0, -1.0)

NUM_DESIGNS = 12_505
"""In the table."""

_ROBOT = """
<mujoco model="dkitty">
  <compiler angle="radian"/>
  <option timestep="{time_step}" integrator="implicitfast"/>
  <default>
    <joint type="hinge" armature="0.001" damping="0.15" limited="true"/>
    <geom type="capsule" margin="0.001" solimp="0.8 0.9 0.01" conaffinity="0"/>
    <default class="rail"><geom size="0.0176" mass="0.193"/></default>
    <default class="bracket"><geom size="0.013" mass="0.023"/></default>
    <default class="motor"><geom size="0.0165" mass="0.095"/></default>
    <position kp="3" inheritrange="1"/>
  </default>
  <worldbody>
    <geom type="plane" size="40 40 1" conaffinity="1"/>
    <body name="torso" euler="0 0 {to_x}">
      <freejoint/>
      <geom class="rail" fromto="0.035 -0.12 0 0.035 0.12 0"/>
      <geom class="rail" fromto="-0.035 -0.12 0 -0.035 0.12 0"/>
      <geom class="motor" mass="0.086" fromto="0.0705 0.122 0 0.0855 0.122 0"/>
      <geom class="motor" mass="0.086" fromto="-0.0705 0.122 0 -0.0855 0.122 0"/>
      <geom class="motor" mass="0.086" fromto="-0.0705 -0.122 0 -0.0855 -0.122 0"/>
      <geom class="motor" mass="0.086" fromto="0.0705 -0.122 0 0.0855 -0.122 0"/>
      {legs}
    </body>
  </worldbody>
  <actuator>{motors}</actuator>
</mujoco>
"""
_LEG = """
<body pos="{x} {y} {z}" euler="{roll} {pitch} {yaw}">
  <joint name="hip_{leg}" axis="0 1 0" range="{hip}"/>
  <geom class="bracket" fromto="0 0 0.013 0 0 {hip_motor}"/>
  <geom class="motor" pos="0 0 {hip_motor}" size="0.0165 0.0075"/>
  <body pos="0 0 {thigh_size}">
    <joint name="thigh_{leg}" axis="1 0 0" range="{thigh}"/>
    <geom class="bracket" fromto="0 0 0.013 0 0 {thigh_motor}"/>
    <geom class="motor" pos="0 0 {thigh_motor}" size="0.0165 0.0075"/>
    <body pos="0 0 {ankle_size}">
      <joint name="ankle_{leg}" axis="1 0 0" range="{ankle}"/>
      <geom class="bracket" mass="0.02" fromto="0 0 0.013 0 0 0.065"/>
      <geom size="0.0103" mass="0.02" fromto="0 0 0.0633 0 0 0.1007"/>
    </body>
  </body>
</body>
"""
_HALF_MOTOR = 0.0115
"""From a motor's middle to the joint that it moves, m."""


def xml(legs: list[dict[str, float]]) -> str:
    """The robot whose legs have the numbers of `LEG`, for MuJoCo to read; it looks along x."""
    bodies, motors = "", ""
    for number, leg in enumerate(legs):
        ranges = {}
        for joint in JOINTS:
            center, half = leg[f"{joint}_center"], leg[f"{joint}_range"]
            ranges[joint] = f"{center - half} {center + half}"
            motors += f'<position joint="{joint}_{number}"/>'
        places = {
            "hip_motor": leg["thigh_size"] - _HALF_MOTOR,
            "thigh_motor": leg["ankle_size"] - _HALF_MOTOR,
        }
        bodies += _LEG.format(leg=number, **leg, **ranges, **places)
    return _ROBOT.format(time_step=TIME_STEP, to_x=-pi / 2, legs=bodies, motors=motors)


DKITTY = Walker(
    LEG,
    {
        "x": [0.09 * side for side in _RIGHT],
        "y": [0.122 * side for side in _FRONT],
        "pitch": [-pi * side for side in _RIGHT],
        "hip_center": [-0.1105 * side for side in _RIGHT],
    },
    xml,
    # Tuned by CMA-ES on the usual robot and eleven of the random ones.
    Gait(
        frequency=2.39,
        centers=(-0.82, 0.05, 0.05),
        amplitudes=(0.55, -0.02, 1.02),
        lags=(0.3, 0.0, 0.17),
        leg_lags=(0.0, 0.49, 0.09, 0.59),
        hip_signs=_RIGHT,
    ),
    spread=0.05,
    fall=1.0,
)
