"""Benchmark problems: designs, their labels, and the truth of every design; no Lightning."""

from lightning_mbo.tasks.base import KnownProblem, Task
from lightning_mbo.tasks.codecs import Codec
from lightning_mbo.tasks.ehrlich import EhrlichFunction
from lightning_mbo.tasks.quadratic import Quadratic
from lightning_mbo.tasks.robots import AntMorphology, DKittyMorphology, Hopper
from lightning_mbo.tasks.superconductor import MeasuredSuperconductors, SimulatedSuperconductors
from lightning_mbo.tasks.tf_bind_8 import TFBind8
from lightning_mbo.tasks.toy import Toy

__all__ = [
    "AntMorphology",
    "Codec",
    "DKittyMorphology",
    "EhrlichFunction",
    "Hopper",
    "KnownProblem",
    "MeasuredSuperconductors",
    "Quadratic",
    "SimulatedSuperconductors",
    "TFBind8",
    "Task",
    "Toy",
]
