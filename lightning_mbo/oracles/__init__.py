"""Oracles p_β(y|x): regressors of the property that know what they do not know."""

from lightning_mbo.oracles.additive_regression import AdditiveRegression, Effect
from lightning_mbo.oracles.adversaries import (
    Adversarial,
    Adversary,
    BatchAscent,
    PersistentParticles,
)
from lightning_mbo.oracles.ascent import ascend, ascent_path
from lightning_mbo.oracles.base import Oracle
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.oracles.conservative import ConservativeObjectiveModel
from lightning_mbo.oracles.convergence import Convergence
from lightning_mbo.oracles.convolutional_ensemble import ConvolutionalEnsemble
from lightning_mbo.oracles.deep_ensemble import DeepEnsemble
from lightning_mbo.oracles.differentiable import DifferentiableOracle
from lightning_mbo.oracles.gaussian_process import GaussianProcess
from lightning_mbo.oracles.gradient import GradientOracle
from lightning_mbo.oracles.kernel_ridge import KernelRidge
from lightning_mbo.oracles.list_losses import ListLoss, ListNet, RankCosine
from lightning_mbo.oracles.normalized_likelihood import NormalizedLikelihoodModel
from lightning_mbo.oracles.objectives import (
    EnsembleObjective,
    LowerConfidenceBound,
    Mean,
    Minimum,
)
from lightning_mbo.oracles.ranking_ensemble import RankingEnsemble
from lightning_mbo.oracles.regression_ensemble import RegressionEnsemble
from lightning_mbo.oracles.representations import Representation, SmoothedLogits, Unchanged
from lightning_mbo.oracles.result_oracles import ResultOracles, for_results
from lightning_mbo.oracles.stack import Stack
from lightning_mbo.oracles.tree_ensemble import TreeEnsemble

__all__ = [
    "AdditiveRegression",
    "Adversarial",
    "Adversary",
    "BatchAscent",
    "ClosedFormOracle",
    "ConservativeObjectiveModel",
    "Convergence",
    "ConvolutionalEnsemble",
    "DeepEnsemble",
    "DifferentiableOracle",
    "Effect",
    "EnsembleObjective",
    "GaussianProcess",
    "GradientOracle",
    "KernelRidge",
    "ListLoss",
    "ListNet",
    "LowerConfidenceBound",
    "Mean",
    "Minimum",
    "NormalizedLikelihoodModel",
    "Oracle",
    "PersistentParticles",
    "RankCosine",
    "RankingEnsemble",
    "RegressionEnsemble",
    "Representation",
    "ResultOracles",
    "SmoothedLogits",
    "Stack",
    "TreeEnsemble",
    "Unchanged",
    "ascend",
    "ascent_path",
    "for_results",
]
