"""What is handed to the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_mbo.algorithms.base import log_survival
from lightning_mbo.batch import handed_out
from lightning_mbo.console import say
from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import are_among, first_occurrences
from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.evidence.halves import bounds_of_halves, bounds_of_held_out
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.files import run_folder, unused_path, write_text, writes_files
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.report.candidates import candidate_table
from lightning_mbo.samples import DesignIteration, JudgedDesigns, Prediction, Samples
from lightning_mbo.search_models import Draws
from lightning_mbo.searches import Search
from lightning_mbo.spreadsheets import csv_text

from .base import DesignCallback, callback_of, design_data
from .search import search_of

if TYPE_CHECKING:
    import pandas as pd

    from lightning_mbo.tabular.pool import Pool

_NUM_PREDICTED = 100
_SAMPLES_PER_CANDIDATE = 20
"""In `predict`, and no fewer than a design iteration has; a fifth of them are candidates."""


class CandidateWriter(DesignCallback):
    """Writes the candidates, best first, each once, and none that is a design of the table.

    Held-out rows are in the table too: they have been measured.

    Acts on `on_search_model_update`, where it keeps the candidates of the best iteration so far,
    and at the end of the run, when it writes `candidates.csv`. In `predict`, also of an
    interrupted run, it chooses from new samples, or ranks a list of the user's own. A number of
    candidates is chosen as a batch: good and unlike each other. Saves the candidates that it keeps.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, algorithm 3; `diverse_batch`.

    Attributes:
        predicted: What the last `predict` found, as a table; None before.
    """

    def __init__(
        self,
        num_candidates: int | None = None,
        keep_known: bool = False,
        listed: Path | pd.DataFrame | None = None,
        escape_formulas: bool = False,
    ) -> None:
        """Set how many, and of what.

        Args:
            num_candidates: Size of the batch, which is chosen from all samples where there are too
                few candidates; None keeps all candidates in `fit` and of a list, and is 100 of new
                samples in `predict`.
            keep_known: Whether a candidate may be a design of the table.
            listed: The user's own list of designs that `predict` ranks in place of new samples.
            escape_formulas: Whether an apostrophe is put before texts that a spreadsheet would take
                for formulas, in the files that are written.

        Raises:
            ConfigurationError: If it is not positive.
        """
        if num_candidates is not None and num_candidates < 1:
            raise ConfigurationError(f"num_candidates must be at least 1, not {num_candidates}")
        self.num_candidates = num_candidates
        self.keep_known = keep_known
        self.listed = listed
        self.escape_formulas = escape_formulas
        self.iteration = -1
        self.designs: Tensor | None = None
        self.figures: dict[str, Tensor] = {}
        self.outlook: Outlook | None = None
        self.predicted: pd.DataFrame | None = None

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Note the search; have designs drawn for `predict`, or the user's list read.

        Raises:
            ConfigurationError: If there is no search, or no list goes with the data.
            DataError: If the list cannot be used.
        """
        self.predicted = None
        driver = search_of(trainer)
        if driver is None:
            raise ConfigurationError("candidates need a search callback: add a SearchModelUpdate")
        self._driver = driver
        search = self._search = driver.search
        if stage == "predict":
            assert isinstance(oracle, Oracle)
            data = design_data(trainer)
            pool = search.pool if self.listed is None else data.read_pool(self.listed)
            self._pool = pool
            least = (self.num_candidates or _NUM_PREDICTED) * _SAMPLES_PER_CANDIDATE

            def draw() -> Tensor:
                if pool is None:
                    number = max(least, len(search.last_samples(oracle)))
                    self._draws = search.more_samples(oracle, number)
                else:
                    self._draws = Draws(pool.designs, pool.designs, 1.0)
                return self._draws.designs

            data.predict_designs = draw
            self._predictions: list[tuple[Tensor, Prediction]] = []

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Keep the candidates of the best iteration."""
        if not iteration.is_best:
            return
        data, search = design_data(trainer), self._search
        samples = self._enough(data, search, oracle, iteration.samples)
        means = samples.prediction.mean
        candidates = means >= iteration.candidate_threshold
        order = self._chosen(
            data, samples.designs, samples.prediction, candidates, self.num_candidates
        )
        if self.num_candidates is None:
            order = order[: search.num_wanted]
        self.iteration = iteration.number
        self.designs = samples.designs[order].cpu()
        figures = _figures(
            samples.prediction,
            torch.tensor(iteration.threshold, dtype=torch.float64),
        )
        if isinstance(samples, Samples):
            densities = {
                "log_prob_search_model": samples.log_prob,
                "log_prob_training_distribution": samples.log_prob_training,
            }
        else:
            densities = search.log_densities(samples.drawn)
        figures = {name: values[order] for name, values in (figures | densities).items()}
        prediction = samples.prediction[order]
        bounds = self._bounds(
            data.problem, oracle, samples.designs[order], prediction, iteration.held_out
        )
        figures |= _columns(data.problem, bounds)
        # Nothing is borne out of an oracle that no half of the rows speaks beside, or that does not
        # tell what it does not know.
        fits = self._driver.half_fits.of(oracle, data.problem)
        told = bool(fits) and bounds is not None and prediction.epistemic_std.any()
        self.outlook = Outlook.of(data.problem, prediction, bounds) if told else None
        self.figures = {name: values.cpu() for name, values in figures.items()}

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Write `candidates.csv`."""
        if writes_files(trainer) and self.designs is not None:
            _warn_of_few(len(self.designs), self.num_candidates, self._search)
            table = _table(design_data(trainer), self._search.pool, self.designs, self.figures)
            write_text(
                run_folder(trainer) / "candidates.csv", csv_text(table, self.escape_formulas)
            )

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        oracle: pl.LightningModule,
        outputs: Prediction,
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect what the oracle says of the new designs."""
        self._predictions.append((batch, outputs))

    def on_predict_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Write a batch of the new designs to a new file."""
        if not trainer.is_global_zero:
            return
        assert isinstance(oracle, Oracle)
        search, data, pool = self._search, design_data(trainer), self._pool
        designs = torch.cat([batch for batch, _ in self._predictions])
        judged = Prediction.joined([prediction for _, prediction in self._predictions])
        means = judged.mean
        number = self.num_candidates
        if pool is None:
            candidates = means >= means.nanquantile(search.candidate_quantile)
            number = number or _NUM_PREDICTED
        else:
            candidates = torch.ones_like(means, dtype=torch.bool)
        order = self._chosen(data, designs, judged, candidates, number)
        _warn_of_few(len(order), self.num_candidates, search)
        designs = designs[order]
        prediction = judged[order]
        figures = _figures(prediction, search.threshold)
        drawn = self._draws.drawn.to(designs.device)
        figures |= search.log_densities(drawn[order])
        held_out = oracle.predict_unseen(data.problem)
        bounds = self._bounds(data.problem, oracle, designs, prediction, held_out)
        figures |= _columns(data.problem, bounds)
        table = self.predicted = _table(data, pool, designs, figures)
        if writes_files(trainer):
            path = unused_path(run_folder(trainer) / "predicted_candidates.csv")
            write_text(path, csv_text(table, self.escape_formulas))
            say(f"{len(table)} candidates written to {path}")

    def _bounds(
        self,
        problem: DesignProblem,
        oracle: Oracle,
        designs: Tensor,
        prediction: Prediction,
        held_out: Prediction | None,
    ) -> Tensor | None:
        """Of what is handed out; None where no fit can judge it that has not chosen it."""
        fits = self._driver.half_fits.of(oracle, problem)
        if fits:
            return bounds_of_halves(fits, designs)
        if held_out is None or not problem.held_out.any():
            return None
        return bounds_of_held_out(prediction, held_out, problem)

    def _chosen(
        self,
        data: DesignDataModule,
        designs: Tensor,
        prediction: Prediction,
        candidates: Tensor,
        number: int | None,
    ) -> Tensor:
        known = None if self.keep_known else data.known_designs
        return handed_out(designs, prediction, candidates, number, known, data.distances)

    def _enough(
        self, data: DesignDataModule, search: Search, oracle: Oracle, samples: JudgedDesigns
    ) -> JudgedDesigns:
        """The samples, and further ones while fewer can be handed out than are wanted."""
        if search.num_wanted is None:
            return samples
        wanted = self.num_candidates or search.num_wanted
        further = search.further_samples(oracle)
        while (found := self._count(data, samples)) < wanted:
            draws = next(further, None)
            if draws is None:
                rank_zero_warn(
                    f"from all training designs together the search leads to {found} different "
                    f"designs that can be handed out, where {wanted} are wanted",
                    category=MBOWarning,
                )
                break
            samples = samples.with_further(
                JudgedDesigns(draws.designs, oracle.predict(draws.designs), draws.drawn)
            )
        return samples

    def _count(self, data: DesignDataModule, samples: JudgedDesigns) -> int:
        designs = samples.designs[~samples.prediction.mean.isnan()]
        designs = designs[first_occurrences(designs)]
        known = 0 if self.keep_known else int(are_among(designs, data.known_designs).sum())
        return len(designs) - known

    def state_dict(self) -> dict[str, Any]:
        """The candidates of the best iteration so far."""
        return {
            "iteration": self.iteration,
            "designs": self.designs,
            "figures": self.figures,
            "outlook": None if self.outlook is None else list(self.outlook),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the candidates so far."""
        self.iteration = state_dict["iteration"]
        self.designs = state_dict["designs"]
        self.figures = state_dict["figures"]
        outlook = state_dict["outlook"]
        self.outlook = None if outlook is None else Outlook(*outlook)


def _warn_of_few(number: int, wanted: int | None, search: Search) -> None:
    if number == 0:
        rank_zero_warn(
            "all that can be chosen from are designs of the table, which are left out: there is no "
            "candidate. To hand them out give --keep_known true",
            category=MBOWarning,
        )
    elif wanted is not None and number < wanted and search.num_wanted is None:
        fix = (
            ""
            if search.pool is not None
            else ": give more --search.num_samples, or fewer iterations"
        )
        rank_zero_warn(
            f"{number} candidates are handed out where {wanted} are wanted: there are no more "
            f"different designs to choose from that are not in the table{fix}",
            category=MBOWarning,
        )


def _figures(prediction: Prediction, threshold: Tensor) -> dict[str, Tensor]:
    return {
        "oracle_mean": prediction.mean,
        "oracle_std": prediction.std,
        "probability_above_threshold": log_survival(threshold, prediction).exp(),
    }


def _columns(problem: DesignProblem, bounds: Tensor | None) -> dict[str, Tensor]:
    """Bounds as the user measures: from above where the property is to be small."""
    if bounds is None:
        return {}
    side = "lower" if problem.property.sign > 0 else "upper"
    return {f"{side}_95": problem.property.measured(bounds)}


def candidates_of(trainer: pl.Trainer) -> pd.DataFrame:
    """The candidates of the trainer's last `fit` or `predict`, best first, in the user's units.

    The columns are those of `candidates.csv`.

    Raises:
        ConfigurationError: If there are none yet, or nothing keeps them.
    """
    writer = callback_of(trainer, CandidateWriter)
    if writer is None:
        raise ConfigurationError("candidates_of needs a trainer with a CandidateWriter")
    if writer.predicted is not None:
        return writer.predicted
    if writer.designs is None:
        raise ConfigurationError("there are no candidates yet: the first oracle fit is unfinished")
    return _table(design_data(trainer), writer._search.pool, writer.designs, writer.figures)


def _table(
    data: DesignDataModule, pool: Pool | None, designs: Tensor, figures: dict[str, Tensor]
) -> pd.DataFrame:
    rows = None if pool is None else pool.rows_of(designs)
    return candidate_table(data, designs, figures, rows)
