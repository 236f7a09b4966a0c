"""Search models p_θ(x): distributions over designs that are sampled and refitted."""

from lightning_mbo.search_models.base import SearchModel
from lightning_mbo.search_models.categorical import Categorical
from lightning_mbo.search_models.cma_normal import CMANormal
from lightning_mbo.search_models.multivariate_normal import MultivariateNormal
from lightning_mbo.search_models.particles import fit_to_particles, plain_search_model
from lightning_mbo.search_models.quadrature import Quadrature

__all__ = [
    "CMANormal",
    "Categorical",
    "MultivariateNormal",
    "Quadrature",
    "SearchModel",
    "fit_to_particles",
    "plain_search_model",
]
