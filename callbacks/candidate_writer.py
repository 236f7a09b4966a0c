"""What is handed to the user."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.algorithms import Samples
from lightning_mbo.algorithms.base import log_survival
from lightning_mbo.console import say
from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import first_occurrences
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.files import run_folder, unused_path, write_text, writes_files
from lightning_mbo.oracles import Oracle

from .base import DesignCallback, DesignIteration, design_data
from .held_out import intervals
from .search import Search, search_of


class CandidateWriter(DesignCallback):
    """Writes the candidates, best first and each once.

    Acts on `on_search_model_update`, where it keeps the candidates of the best iteration so far,
    and at the end of the run, when it writes `candidates.csv`. In `predict`, also of an
    interrupted run, it draws as many new ones. Saves the candidates that it keeps.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithm 3.
    """

    def __init__(self, num_candidates: int | None = None) -> None:
        """Set how many.

        Args:
            num_candidates: Greatest number; None keeps all in `fit` and draws 100 in `predict`.

        Raises:
            ConfigurationError: If it is not positive.
        """
        if num_candidates is not None and num_candidates < 1:
            raise ConfigurationError(f"num_candidates must be at least 1, not {num_candidates}")
        self.num_candidates = num_candidates
        self.iteration = -1
        self.designs: Tensor | None = None
        self.figures: dict[str, Tensor] = {}

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Have designs drawn for `predict`."""
        if stage == "predict":
            search = _needed_search(trainer)
            num_samples = math.ceil((self.num_candidates or 100) / (1 - search.candidate_quantile))
            design_data(trainer).predict_designs = lambda: search.more_samples(num_samples)
            self._predictions: list[tuple[Tensor, Normal]] = []

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Keep the candidates of the best iteration."""
        if not iteration.is_best:
            return
        samples = iteration.samples
        order = samples.prediction.loc.argsort(descending=True, stable=True)
        order = order[iteration.candidates[order]]
        order = order[first_occurrences(samples.designs[order])][: self.num_candidates]
        self.iteration = iteration.number
        self.designs = samples.designs[order].cpu()
        figures = _figures(
            samples.prediction,
            torch.tensor(iteration.threshold, dtype=torch.float64),
        )
        if isinstance(samples, Samples):
            figures |= {
                "log_prob_search_model": samples.log_prob,
                "log_prob_training_distribution": samples.log_prob_training,
            }
        data, search = design_data(trainer), _needed_search(trainer)
        figures |= intervals(data, search, oracle, samples.designs, samples.prediction)
        self.figures = {name: values[order].cpu() for name, values in figures.items()}

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Write `candidates.csv`."""
        data = design_data(trainer)
        if writes_files(trainer) and self.designs is not None:
            write_text(
                run_folder(trainer) / "candidates.csv",
                _table(data, self.designs, self.figures).to_csv(index=False),
            )

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        oracle: pl.LightningModule,
        outputs: tuple[Normal, Tensor],
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect what the oracle says of the new designs."""
        self._predictions.append((batch, outputs[0]))

    def on_predict_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Write the best of the new designs to a new file."""
        if not trainer.is_global_zero:
            return
        search = _needed_search(trainer)
        designs = torch.cat([batch for batch, _ in self._predictions])
        means = torch.cat([prediction.loc for _, prediction in self._predictions])
        stds = torch.cat([prediction.scale for _, prediction in self._predictions])
        order = means.argsort(descending=True, stable=True)
        order = order[first_occurrences(designs[order])][: self.num_candidates or 100]
        designs = designs[order]
        prediction = Normal(means[order], stds[order], validate_args=False)
        figures = _figures(prediction, search.present_threshold)
        figures |= search.log_densities(designs)
        assert isinstance(oracle, Oracle)
        figures |= intervals(design_data(trainer), search, oracle, designs, prediction)
        table = _table(design_data(trainer), designs, figures)
        path = unused_path(run_folder(trainer) / "predicted_candidates.csv")
        write_text(path, table.to_csv(index=False))
        say(f"{len(table)} candidates written to {path}")

    def state_dict(self) -> dict[str, Any]:
        """The candidates of the best iteration so far."""
        return {"iteration": self.iteration, "designs": self.designs, "figures": self.figures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the candidates so far."""
        self.iteration = state_dict["iteration"]
        self.designs = state_dict["designs"]
        self.figures = state_dict["figures"]


def _needed_search(trainer: pl.Trainer) -> Search:
    search = search_of(trainer)
    if search is None:
        raise ConfigurationError("predict needs a search callback: add a SearchModelUpdate")
    return search


def _figures(prediction: Normal, threshold: Tensor) -> dict[str, Tensor]:
    return {
        "oracle_mean": prediction.loc,
        "oracle_std": prediction.scale,
        "probability_above_threshold": log_survival(threshold, prediction).exp(),
    }


def _table(data: DesignDataModule, designs: Tensor, figures: dict[str, Tensor]) -> pd.DataFrame:
    # The figures first: a table of many design columns is otherwise read to its far end.
    columns = pd.DataFrame({name: values.cpu().numpy() for name, values in figures.items()})
    designs = designs.cpu()
    return pd.concat([columns, data.nearest_known(designs), data.to_user_units(designs)], axis=1)
