"""Search by an estimation-of-distribution algorithm."""

from __future__ import annotations

from lightning_mbo.algorithms import Algorithm
from lightning_mbo.evidence.selection import Rule
from lightning_mbo.search_models import SearchModel
from lightning_mbo.searches import SamplingSearch

from .search import SearchCallback


class SearchModelUpdate(SearchCallback):
    """Search by samples of a search model, which is refitted to the best of them.

    Acts on `on_oracle_fit_end`, as every `SearchCallback`; what an iteration does is told of by
    `SamplingSearch`.
    """

    search: SamplingSearch

    def __init__(
        self,
        algorithm: Algorithm,
        search_model: SearchModel | None = None,
        num_samples: int = 10_000,
        num_iterations: int = 20,
        select: Rule = "promise",
        smoothing: float = 0.0,
    ) -> None:
        """Set up the search.

        Args:
            algorithm: How samples become weights.
            search_model: p_θ; it starts from the training distribution p_0, which is the same
                model fitted to the training designs. By default what the designs ask for: of
                numbers `MultivariateNormal` (`CMANormal` for CMAES), of letters or categories
                `Categorical`, of both `Product`, which a model of one of the two becomes a part of.
            num_samples: Designs drawn in each design iteration, m.
            num_iterations: Design iterations of the run.
            select: Which iteration the candidates are of: the one of the greatest `promise`, the
                80th percentile of the oracle's means, or of the greatest `held_out_likelihood`,
                weighted as often as the search finds the held-out designs.
            smoothing: Share of the model before in each update: 0 learns from the best samples
                alone, and 1 would learn nothing.

        Raises:
            ConfigurationError: If a value is out of its range, or what is given does not go
                together.
        """
        search = SamplingSearch(algorithm, search_model, num_samples, smoothing)
        super().__init__(search, num_iterations, select)
