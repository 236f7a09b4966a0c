"""Search models p_θ(x): distributions over designs that are sampled and refitted."""

from lightning_mbo.search_models.base import SearchModel
from lightning_mbo.search_models.categorical import Categorical
from lightning_mbo.search_models.categorical_mixture import CategoricalMixture
from lightning_mbo.search_models.cma_normal import CMANormal
from lightning_mbo.search_models.gaussian_mixture import GaussianMixture
from lightning_mbo.search_models.hidden_markov import HiddenMarkov
from lightning_mbo.search_models.multivariate_normal import MultivariateNormal
from lightning_mbo.search_models.normalizing_flow import NormalizingFlow
from lightning_mbo.search_models.particles import fit_to_particles
from lightning_mbo.search_models.potts import Potts
from lightning_mbo.search_models.product import Product, search_model_for
from lightning_mbo.search_models.quadrature import Quadrature
from lightning_mbo.search_models.rejection import DRAWS_PER_SAMPLE, Draws, sample_allowed
from lightning_mbo.search_models.sparse_amounts import SparseAmounts
from lightning_mbo.search_models.unseen_levels import fit_to_designs, with_unseen_levels
from lightning_mbo.search_models.variational_autoencoder import VariationalAutoencoder

__all__ = [
    "DRAWS_PER_SAMPLE",
    "CMANormal",
    "Categorical",
    "CategoricalMixture",
    "Draws",
    "GaussianMixture",
    "HiddenMarkov",
    "MultivariateNormal",
    "NormalizingFlow",
    "Potts",
    "Product",
    "Quadrature",
    "SearchModel",
    "SparseAmounts",
    "VariationalAutoencoder",
    "fit_to_designs",
    "fit_to_particles",
    "sample_allowed",
    "search_model_for",
    "with_unseen_levels",
]
