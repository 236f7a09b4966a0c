"""Oracles p_β(y|x): regressors of the property that know what they do not know."""

from lightning_mbo.oracles.base import Oracle
from lightning_mbo.oracles.deep_ensemble import DeepEnsemble
from lightning_mbo.oracles.kernel_ridge import KernelRidge

__all__ = ["DeepEnsemble", "KernelRidge", "Oracle"]
