"""Where the parts of a robot are while it moves, to be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]


class Motion(NamedTuple):
    """What is seen of a simulation.

    Attributes:
        ends: Of the axes of the robot's k parts, capsules and spheres, in each of f moments, m,
            shape ``(f, k, 2, 3)``.
        radii: Of the parts, m, shape ``(k,)``.
    """

    ends: Array
    radii: Array


class Camera:
    """Takes what there is to be seen every so many steps."""

    def __init__(self, robot: mujoco.MjModel, every: int) -> None:
        """Look at all that is not the floor.

        Args:
            robot: Of capsules and spheres alone.
            every: How many steps lie between two moments.
        """
        import mujoco

        kinds = (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE)
        self._parts = np.flatnonzero(np.isin(robot.geom_type, kinds))
        self._half = np.where(
            robot.geom_type[self._parts] == kinds[0], robot.geom_size[self._parts, 1], 0.0
        )
        self._radii = robot.geom_size[self._parts, 0].copy()
        self._every, self._moments = every, list[Array]()

    def look(self, step: int, data: mujoco.MjData) -> None:
        """Take a moment, when it is time."""
        if step % self._every == 0:
            axes = data.geom_xmat[self._parts, 2::3] * self._half[:, None]
            centers = data.geom_xpos[self._parts]
            self._moments.append(np.stack([centers - axes, centers + axes], axis=1))

    @property
    def motion(self) -> Motion:
        """What it has seen."""
        return Motion(np.array(self._moments), self._radii)


def lowest(motion: Motion) -> float:
    """How high the lowest point is in the first moment, m."""
    return float((motion.ends[0, :, :, 2].min(1) - motion.radii).min())
