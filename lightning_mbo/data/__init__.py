"""Design problems: tables of designs and their measured property."""

from lightning_mbo.data.base import DesignDataModule
from lightning_mbo.data.csv import CSV
from lightning_mbo.data.known_function import KnownFunction
from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.data.task_data import (
    AntMorphology,
    DKittyMorphology,
    EhrlichFunction,
    Hopper,
    Quadratic,
    Superconductor,
    TaskData,
    TFBind8,
    Toy,
)
from lightning_mbo.label_noise import LabelNoise

__all__ = [
    "CSV",
    "AntMorphology",
    "DKittyMorphology",
    "DesignBatch",
    "DesignDataModule",
    "EhrlichFunction",
    "Hopper",
    "KnownFunction",
    "LabelNoise",
    "Quadratic",
    "Superconductor",
    "TFBind8",
    "TaskData",
    "Toy",
]
