"""Search algorithms: how the oracle's view of samples becomes weights for the search model."""

from lightning_mbo.algorithms.base import Algorithm, Samples
from lightning_mbo.algorithms.cbas import CbAS

__all__ = ["Algorithm", "CbAS", "Samples"]
