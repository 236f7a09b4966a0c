"""Search by asking for designs of a property that is better than any measured."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.importance import ClassifierRatio
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, JudgedDesigns
from lightning_mbo.search_models import Draws, sample_allowed
from lightning_mbo.searches.base import PERCENTILE, Search
from lightning_mbo.searches.inverse_map import InverseMap


class InversionSearch(Search):
    """Samples the inverse map, from a property to designs, at a property that is wanted.

    The map is fitted once, to the training designs. The first design iteration asks it for the best
    label, each further one for more, and the oracle judges what comes: where the map goes on beyond
    the table is known of neither, but its designs are like those of the table, which an oracle that
    is searched by itself does not keep to.

    With the ratio of a classifier, an oracle can be refitted to where the samples are.

    Reference: Kumar and Levine, "Model inversion networks for model-based optimization", NeurIPS
    2020.

    Attributes:
        inverse_map: Once the search is started.
    """

    candidate_quantile = PERCENTILE
    baseline_name = "training designs"
    inverse_map: InverseMap

    def __init__(
        self, num_samples: int = 10_000, increment: float = 0.5, latent_size: int | None = None
    ) -> None:
        """Set up the search.

        Args:
            num_samples: Designs drawn in each design iteration, m.
            increment: How much more each design iteration asks for than the one before, in standard
                deviations of the labels.
            latent_size: Of the inverse map; see there.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__init__()
        if num_samples < 2:
            raise ConfigurationError(f"search.num_samples must be at least 2, not {num_samples}")
        if not 0 <= increment < float("inf"):
            raise ConfigurationError(
                f"search.increment must be finite and not negative, not {increment}"
            )
        if latent_size is not None and latent_size < 1:
            raise ConfigurationError(f"search.latent_size must be at least 1, not {latent_size}")
        self.num_samples = num_samples
        self.increment = increment
        self._latent_size = latent_size

    def start(self, problem: DesignProblem, device: torch.device | str = "cpu") -> None:
        """Fit the inverse map."""
        super().start(problem, device)
        training = problem.training
        self.inverse_map = InverseMap(problem.space, problem.stream, self._latent_size)
        self.inverse_map.fit(training.designs, training.properties, training.base_weights)
        self.inverse_map.to(device)
        if self.ratio_kind == "classifier":
            self.ratio = ClassifierRatio(problem, device)

    def advance(self, oracle: Oracle) -> DesignIteration | None:
        """Ask for more than before."""
        draws = self._draw(self.num_samples, "design", self.num_done)
        if len(draws.designs) < 2:
            return None
        prediction = oracle.predict(draws.designs)
        figures = self._figures(prediction, draws.acceptance_rate)
        log_ratios, held_out_log_ratios = (
            self.ratio.of_population(draws.designs)
            if isinstance(self.ratio, ClassifierRatio)
            else (None, None)
        )
        return DesignIteration(
            number=self.num_done,
            samples=JudgedDesigns(draws.designs, prediction, draws.drawn),
            threshold=self.threshold.item(),
            candidate_threshold=figures["oracle_p80"],
            log_ratios=log_ratios,
            sampled_log_ratios=log_ratios,
            held_out_log_ratios=held_out_log_ratios,
            metrics={**figures, "wanted": self._wanted(self.num_done)},
        )

    def last_samples(self, oracle: Oracle) -> Tensor:
        """The samples of the last design iteration, drawn again, ``(m, *design_shape)``."""
        last = max(0, self.num_done - 1)
        return self._draw(self.num_samples, "design", last).designs

    def more_samples(self, oracle: Oracle, num_samples: int) -> Draws:
        """New samples of what the last design iteration asked for."""
        return self._draw(num_samples, "predict", max(0, self.num_done - 1))

    def baseline(self) -> Tensor:
        """The training designs that meet the constraints."""
        designs = self._problem.training.designs
        return designs[self._problem.is_feasible(designs)]

    def _wanted(self, number: int) -> float:
        """The property that a design iteration asks for."""
        return self.threshold.item() + number * self.increment * self.inverse_map.scale.item()

    def _draw(self, num_samples: int, purpose: str, number: int) -> Draws:
        """Feasible samples, at most as many as are wanted."""
        problem, device = self._problem, self.inverse_map.location.device
        return sample_allowed(
            partial(self.inverse_map.sample, self._wanted(number)),
            num_samples,
            problem.stream.generator(purpose, number, device=device),
            problem.nearest_allowed,
            problem.feasible,
        )
