"""MuJoCo, of one release, in as many processes as there are cores."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.errors import ConfigurationError, optional
from lightning_mbo.signals import end_with

Array = NDArray[np.float64]
Result = TypeVar("Result")

RELEASE = "4.0.0"
"""Of MuJoCo. Others simulate otherwise: a table's labels would not be what it says of designs."""

_FEWEST = 8
"""Designs for which it pays to start processes."""


def check_release(needing: str) -> None:
    """Refuse an installation that does not simulate as the tables were made.

    Args:
        needing: What cannot be done without.

    Raises:
        ConfigurationError: If a package is missing, or MuJoCo is of another release.
    """
    mujoco: Any = optional("mujoco", "robots", needing)
    optional("gymnasium", "robots", needing)
    if mujoco.__version__ != RELEASE:
        raise ConfigurationError(
            f"{needing} needs MuJoCo {RELEASE}, by which its table was made, not "
            f"{mujoco.__version__}: pip install mujoco=={RELEASE}"
        )


def in_processes(
    simulate: Callable[[Array], Result], designs: Array, num_processes: int | None = None
) -> list[Result]:
    """What a simulation gives for each of the designs ``(m, d)``, the same in any process.

    Args:
        simulate: A function of a module, of one design ``(d,)``.
        designs: Shape ``(m, d)``.
        num_processes: How many; None for as many as there are cores, or none but this one for a
            few designs, and in a process that is one of many itself.
    """
    import loky

    if num_processes is None:
        alone = len(designs) < _FEWEST or multiprocessing.parent_process() is not None
        num_processes = 1 if alone else loky.cpu_count()
    if num_processes == 1:
        return [simulate(design) for design in designs]
    pool = loky.get_reusable_executor(
        num_processes,
        env={"OMP_NUM_THREADS": "1"},
        initializer=end_with,
        initargs=(os.getpid(),),
    )
    return list(pool.map(simulate, designs))


class Simulated:
    """A number of each design by a simulation, which is made once for each.

    Attributes:
        num_processes: See `in_processes`.
    """

    def __init__(
        self, simulate: Callable[[Array], float], num_processes: int | None = None
    ) -> None:
        """Know none yet.

        Args:
            simulate: Of one design ``(d,)``; a function of a module.
            num_processes: See `in_processes`.
        """
        self.num_processes = num_processes
        self._simulate = simulate
        self._found: dict[bytes, float] = {}

    def __call__(self, designs: Array) -> Array:
        """The numbers ``(m,)`` of designs ``(m, d)``."""
        keys = [hashlib.sha256(design.tobytes()).digest() for design in designs]
        new = {key: row for row, key in enumerate(keys) if key not in self._found}
        results = in_processes(self._simulate, designs[list(new.values())], self.num_processes)
        self._found |= dict(zip(new, results, strict=True))
        return np.array([self._found[key] for key in keys])
