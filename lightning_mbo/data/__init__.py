"""Design problems: tables of designs and their measured property."""

from lightning_mbo.data.base import DesignDataModule
from lightning_mbo.data.loading import DesignBatch
from lightning_mbo.data.superconductor import Superconductor
from lightning_mbo.data.toy import Toy

__all__ = ["DesignBatch", "DesignDataModule", "Superconductor", "Toy"]
