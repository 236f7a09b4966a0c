"""Robots that MuJoCo simulates: a policy of one, and the legs of others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.robots import hopper, hopper_search
from lightning_mbo.robots.ant import ANT
from lightning_mbo.robots.dkitty import DKITTY
from lightning_mbo.robots.motion import Motion
from lightning_mbo.robots.simulator import Simulated, check_release, in_processes
from lightning_mbo.robots.walking import Walker
from lightning_mbo.space import DesignSpace
from lightning_mbo.tabular.types import DataFrame
from lightning_mbo.tasks.base import KnownProblem, Task, check_percentile
from lightning_mbo.tasks.codecs import Standardized

Array = NDArray[np.float64]

_MOST_SCORED = 64
"""Samples, and candidates, of an iteration that are simulated."""


@dataclass(frozen=True)
class _Robot(Task):
    """What all have in common: a fixed table, whose labels are what the simulation gives.

    Attributes:
        visible_percentile: Designs above this percentile of the property are hidden.
    """

    visible_percentile: float = 80.0

    def __post_init__(self) -> None:
        """Check the option.

        Raises:
            ConfigurationError: If it is out of its range.
        """
        check_percentile(self.visible_percentile)

    @property
    @abstractmethod
    def table(self) -> tuple[Array, Array]:
        """All designs ``(N, d)``, numbers of single precision, and their properties ``(N,)``."""

    @property
    @abstractmethod
    def simulation(self) -> tuple[Callable[[Array], float], Callable[[Array], Motion]]:
        """The property of one design ``(d,)``, and what is seen of it: for other processes too."""

    @abstractmethod
    def codec(self, mean: Array, std: Array) -> Standardized:
        """The names of the numbers, and what they are standardised by, ``(d,)`` each."""

    @property
    def bounds(self) -> tuple[Array, Array] | None:
        """The least and the greatest that each number can be, ``(d,)`` each; None: anything."""
        return None

    def prepare(self) -> None:
        """See that MuJoCo is there.

        Raises:
            ConfigurationError: If it is not, or is of another release.
        """
        check_release(f"--data {type(self).__name__}")

    def problem(self, generator: torch.Generator) -> KnownProblem:
        """The visible designs, standardised; nothing is drawn.

        Raises:
            ConfigurationError: If MuJoCo is missing, or of another release.
        """
        self.prepare()
        every, properties = self.table
        visible = properties <= np.percentile(properties, self.visible_percentile)
        numbers = every[visible]
        codec = self.codec(numbers.mean(0), numbers.std(0))
        designs = codec.designs(torch.from_numpy(numbers))
        property_of, motion_of = self.simulation
        simulated = Simulated(property_of)

        def ground_truth(designs: Tensor) -> Tensor:
            found = simulated(codec.numbers(designs).cpu().numpy())
            return torch.from_numpy(found).to(designs.device)

        def motions(designs: Tensor) -> list[Motion]:
            return in_processes(motion_of, codec.numbers(designs).cpu().numpy())

        bounds = [None, None] if self.bounds is None else [*map(torch.from_numpy, self.bounds)]
        least, greatest = (bound if bound is None else codec.designs(bound) for bound in bounds)
        return KnownProblem(
            designs,
            torch.from_numpy(properties[visible]),
            DesignSpace.of_shape(designs.shape[1:]),
            codec,
            ground_truth,
            most_scored=_MOST_SCORED,
            property_range=(float(properties.min()), float(properties.max())),
            least=least,
            greatest=greatest,
            motions=motions,
        )


@dataclass(frozen=True)
class Hopper(_Robot):
    """Policies of a robot with one leg: the 5,123 weights of a network, and what they earn.

    The network has 11 inputs, two hidden layers of 64 with tanh, and 3 outputs, which are clipped
    to [-1, 1] before they act and are paid for. The property is the return of an episode of
    gymnasium's Hopper-v5 that starts without noise: 1 for each of up to 1,000 steps without a fall,
    so that standing still is worth 1,000; 125 for each metre; less the effort. The table is what
    five searches for a policy visit, of whose 4,000 designs the worse 3,200 are visible.

    Reference: Trabucco, Geng, Kumar and Levine, "Design-Bench", ICML 2022, whose network it is;
    theirs has three further numbers, of the actions' noise, on which no return depends.
    """

    property_name = "return"

    @property
    def table(self) -> tuple[Array, Array]:
        """What the searches visited, and the returns that they saw."""
        with _shipped("hopper.npz") as arrays:
            coefficients, returns = arrays["coefficients"], arrays["returns"]
        visited = [hopper_search.visited(start, own) for start, own in enumerate(coefficients)]
        return np.concatenate(visited).reshape(-1, hopper.NUM_WEIGHTS), returns.ravel()

    @property
    def simulation(self) -> tuple[Callable[[Array], float], Callable[[Array], Motion]]:
        """An episode."""
        return hopper.returned, hopper.moved

    def codec(self, mean: Array, std: Array) -> Standardized:
        """Each weight by its place."""
        return _Weights(hopper.names(), torch.from_numpy(mean), torch.from_numpy(std))


@dataclass(frozen=True)
class _Legs(_Robot):
    """The legs of a robot, random ones about its usual legs, and how far a fixed gait gets it."""

    robot: ClassVar[Walker]
    labels: ClassVar[str]
    """The file of what became of the random designs."""

    @property
    def table(self) -> tuple[Array, Array]:
        """Random designs, and how far they got."""
        with _shipped(self.labels) as arrays:
            distances: Array = arrays["distances"]
        return self.robot.designs(len(distances)), distances

    @property
    def simulation(self) -> tuple[Callable[[Array], float], Callable[[Array], Motion]]:
        """A walk of 10 s."""
        return self.robot.distance, self.robot.moved

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Of the legs."""
        least, _, greatest = self.robot.bounds
        return least, greatest

    def codec(self, mean: Array, std: Array) -> Standardized:
        """The numbers leg by leg."""
        return Standardized(self.robot.names, torch.from_numpy(mean), torch.from_numpy(std))


@dataclass(frozen=True)
class AntMorphology(_Legs):
    """The legs of a robot with four of them, 15 numbers each, and how far a fixed gait gets it.

    The numbers and their bounds are in `lightning_mbo.robots.ant`. The gait is a central pattern
    generator, which swings every joint within its range and feels nothing. The table has
    12,505 random designs about the usual robot, of which the worse 10,004 are visible.

    Reference: Trabucco, Geng, Kumar and Levine, "Design-Bench", ICML 2022, whose numbers and bounds
    these are. Theirs is judged by the return of a trained policy.
    """

    property_name = "distance (m)"
    robot = ANT
    labels = "ant_morphology.npz"


@dataclass(frozen=True)
class DKittyMorphology(_Legs):
    """The legs of a robot after the D'Kitty, 14 numbers each, and how far a fixed gait gets it.

    The numbers, their bounds and what is taken from the D'Kitty are in
    `lightning_mbo.robots.dkitty`; the gait is one as of `AntMorphology`. The property is how far
    the robot gets forwards in 10 s, or until it turns over, which costs a metre. The table has
    12,505 random designs about the usual robot, of which the worse 10,004 are visible.

    Reference: Trabucco, Geng, Kumar and Levine, "Design-Bench", ICML 2022, whose numbers and bounds
    these are but that there no leg is higher than another. Theirs is judged by the return of a
    trained policy, on the way to a target.
    """

    property_name = "distance less falls (m)"
    robot = DKITTY
    labels = "dkitty_morphology.npz"


class _Weights(Standardized):
    """Weights of a network, no one of which means anything by itself."""

    def by_entry(self, designs: Tensor) -> DataFrame:
        """No columns: nobody asks what one weight does."""
        import pandas as pd

        return pd.DataFrame(index=range(len(designs)))


def _shipped(name: str) -> Any:
    with as_file(files("lightning_mbo.tasks") / "tables" / name) as path:
        return np.load(path)
