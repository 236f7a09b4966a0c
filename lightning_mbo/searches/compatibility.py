"""Which algorithms, search models and smoothing go together."""

from __future__ import annotations

from lightning_mbo.algorithms import Algorithm
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.search_models import SearchModel


def check_together(
    algorithm: Algorithm, search_model: SearchModel | None, smoothing: float
) -> None:
    """Refuse what cannot be searched by.

    Args:
        algorithm: How samples become weights.
        search_model: p_θ; None: what the designs ask for.
        smoothing: Share of the model before in each update.

    Raises:
        ConfigurationError: Naming both, and the fix.
    """
    name = type(algorithm).__name__
    if smoothing and (algorithm.gives_ranks or algorithm.collects_samples):
        raise _unsmoothed(name)
    if search_model is None:
        return
    model_name = type(search_model).__name__
    if algorithm.gives_ranks != search_model.learns_ranks:
        raise ConfigurationError(
            f"search.algorithm {name} does not go with search.search_model {model_name}: CMAES "
            "and CMANormal need each other. Set both, or neither"
        )
    if algorithm.collects_samples and search_model.has_nodes:
        raise ConfigurationError(
            f"search.algorithm {name} collects samples, of which {model_name} makes none: give "
            "--search.search_model MultivariateNormal"
        )
    if smoothing and search_model.has_nodes:
        raise _unsmoothed(model_name)


def _unsmoothed(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"search.smoothing does not go with {name}, whose updates are not by the weights of the "
        "last samples alone: leave it out"
    )
