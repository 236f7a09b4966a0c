"""The samples that a run's candidates come from."""

from __future__ import annotations

import pytorch_lightning as pl

from lightning_mbo.metrics.scores import score
from lightning_mbo.oracles import Oracle
from lightning_mbo.samples import DesignIteration, JudgedDesigns

from .base import DesignCallback, design_data
from .scoring import evaluate_once
from .search import search_of


class BestSamples(DesignCallback):
    """Keeps the samples of the best design iteration, to be scored after the run.

    Acts on `on_search_model_update` and at the end of the run. Saves nothing: `test` scores from
    a checkpoint.

    Attributes:
        iteration: The number of the best design iteration so far; -1 before the first.
        scores: Of its samples, once the run has ended; empty without a ground truth.
    """

    def __init__(self) -> None:
        """There are none yet."""
        self.iteration = -1
        self.samples: JudgedDesigns | None = None
        self.scores: dict[str, float] = {}

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Keep the samples if they are the best so far."""
        if iteration.is_best:
            self.iteration, self.samples = iteration.number, iteration.samples

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Score them."""
        data, search = design_data(trainer), search_of(trainer)
        if data.ground_truth is None or self.samples is None or search is None:
            return
        designs, means = self.samples.designs, self.samples.prediction.mean
        values = evaluate_once(data, designs)
        self.scores = score(data, designs, means, values, search.search.candidate_quantile)
