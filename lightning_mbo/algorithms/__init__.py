"""Search algorithms: how the oracle's view of samples becomes weights for the search model."""

from lightning_mbo.algorithms.annealed_cbas import AnnealedCbAS
from lightning_mbo.algorithms.base import Algorithm
from lightning_mbo.algorithms.cbas import CbAS
from lightning_mbo.algorithms.cem_pi import CEMPI
from lightning_mbo.algorithms.cma_es import CMAES
from lightning_mbo.algorithms.dbas import DbAS
from lightning_mbo.algorithms.fb import FB
from lightning_mbo.algorithms.rwr import RWR

__all__ = [
    "CEMPI",
    "CMAES",
    "FB",
    "RWR",
    "Algorithm",
    "AnnealedCbAS",
    "CbAS",
    "DbAS",
]
