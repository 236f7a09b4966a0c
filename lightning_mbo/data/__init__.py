"""Design problems: tables of designs and their measured property."""

from lightning_mbo.data.base import DesignDataModule
from lightning_mbo.data.csv import CSV
from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.data.quadratic import Quadratic
from lightning_mbo.data.superconductor import Superconductor
from lightning_mbo.data.tf_bind_8 import TFBind8
from lightning_mbo.data.toy import Toy
from lightning_mbo.label_noise import LabelNoise

__all__ = [
    "CSV",
    "DesignBatch",
    "DesignDataModule",
    "LabelNoise",
    "Quadratic",
    "Superconductor",
    "TFBind8",
    "Toy",
]
