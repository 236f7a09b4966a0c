"""Offline model-based optimisation: from a table of measured designs to better ones."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
if not (_PACKAGE / "callbacks").is_dir():
    # In a checkout `callbacks` and `configs` stand beside this folder; installed, inside it.
    __path__.append(str(_PACKAGE.parent))

try:
    __version__ = version("lightning-mbo")
except PackageNotFoundError:  # a bare checkout
    __version__ = "0+unknown"

_MODULES = {
    "lightning_mbo.algorithms": ("CEMPI", "CMAES", "FB", "RWR", "Algorithm", "CbAS", "DbAS"),
    "lightning_mbo.callbacks": (
        "DesignCallback",
        "DesignCheckpoint",
        "DesignProgress",
        "GradientAscent",
        "ImportanceWeighting",
        "ModelInversion",
        "OracleConvergence",
        "PoolSearch",
        "SearchModelUpdate",
        "candidates_of",
        "design_callbacks",
    ),
    "lightning_mbo.data": ("CSV", "DesignDataModule"),
    "lightning_mbo.report.candidates": ("predictions_of",),
    "lightning_mbo.oracles": (
        "AdditiveRegression",
        "ConservativeObjectiveModel",
        "ConvolutionalEnsemble",
        "ClosedFormOracle",
        "DeepEnsemble",
        "GaussianProcess",
        "GradientOracle",
        "NormalizedLikelihoodModel",
        "Oracle",
        "RankingEnsemble",
        "RegressionEnsemble",
        "Stack",
        "TreeEnsemble",
    ),
    "lightning_mbo.problem": ("DesignProblem",),
    "lightning_mbo.random": ("Stream",),
    "lightning_mbo.samples": ("Prediction", "Samples"),
    "lightning_mbo.searches": (
        "AscentSearch",
        "InversionSearch",
        "SamplingSearch",
        "Search",
        "design",
    ),
    "lightning_mbo.space": ("DesignSpace",),
    "lightning_mbo.search_models": (
        "CMANormal",
        "Categorical",
        "CategoricalMixture",
        "GaussianMixture",
        "HiddenMarkov",
        "MultivariateNormal",
        "NormalizingFlow",
        "Potts",
        "SearchModel",
        "SparseAmounts",
        "VariationalAutoencoder",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # When a name is first asked for: torch takes seconds to import.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
