"""What is handed to the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_mbo.choice import Choice
from lightning_mbo.console import say
from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.evidence.halves import Bounds, HalfFit, bounds_of_halves, bounds_of_held_out
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.files import run_folder, unused_path, write_text, writes_files
from lightning_mbo.oracles import ClosedFormOracle, Oracle
from lightning_mbo.problem import FEWEST_DESIGNS, DesignProblem
from lightning_mbo.report.candidates import candidate_table
from lightning_mbo.samples import DesignIteration, JudgedDesigns, Prediction, Samples
from lightning_mbo.search_models import Draws
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
    candidates is chosen as a batch: good and unlike each other, or where nothing is known of which
    designs are better, like those of the table. Saves the candidates that it keeps.

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
        false_share: float | None = None,
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
            false_share: How many of the candidates, at most, may be expected not to beat the best
                row: a design is handed out only if it fails with no greater probability. None does
                not ask.

        Raises:
            ConfigurationError: If the number is not positive, or the share none.
        """
        if num_candidates is not None and num_candidates < 1:
            raise ConfigurationError(f"num_candidates must be at least 1, not {num_candidates}")
        if false_share is not None and not 0 < false_share < 1:
            raise ConfigurationError(f"false_share must be between 0 and 1, not {false_share}")
        self.num_candidates = num_candidates
        self.false_share = false_share
        self.keep_known = keep_known
        self.listed = listed
        self.escape_formulas = escape_formulas
        self.iteration = -1
        self.designs: Tensor | None = None
        self.figures: dict[str, Tensor] = {}
        self.outlook: Outlook | None = None
        self._expected: float | None = None
        self._ignorance: str | None = None
        self.predicted: pd.DataFrame | None = None

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Note the search; have designs drawn for `predict`, or the user's list read.

        Raises:
            ConfigurationError: If there is no search, no list goes with the data, or the oracle
                does not tell how likely it is to be wrong where that is asked.
            DataError: If the list cannot be used.
        """
        self.predicted = None
        driver = search_of(trainer)
        if driver is None:
            raise ConfigurationError("candidates need a search callback: add a SearchModelUpdate")
        self._driver = driver
        search = self._search = driver.search
        if self.false_share is not None and not isinstance(oracle, ClosedFormOracle):
            raise _not_borne_out()
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
        choice, threshold = self._choice(data, self.num_candidates), iteration.candidate_threshold
        samples = self._blind(choice, oracle, iteration.held_out) or self._climbed(
            choice, oracle, choice.enough(iteration.samples, oracle), threshold, iteration.number
        )
        order = choice.of(samples, threshold)
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
        figures |= _columns(data.problem, prediction, bounds)
        self.outlook = None
        if len(order) and self._is_borne_out(oracle, data.problem, prediction):
            if self._expected is None:
                rows = oracle.predict(data.problem.designs.to(samples.designs.device))
                self._expected = rows.mean.max().item()
            least = None if bounds is None else bounds.property
            self.outlook = Outlook.of(data.problem, prediction, self._expected, least)
        self.figures = {name: values.cpu() for name, values in figures.items()}

    def on_train_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Forget what the oracle says of the rows, before it becomes another."""
        if design_data(trainer).fits.fitting:
            self._expected = None

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Write `candidates.csv`."""
        if writes_files(trainer) and self.designs is not None:
            data = design_data(trainer)
            self._warn(self._choice(data, self.num_candidates), len(self.designs))
            table = _table(data, self._search.pool, self.designs, self.figures)
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
        samples = JudgedDesigns(designs, judged, self._draws.drawn.to(designs.device))
        number, threshold = self.num_candidates, -torch.inf
        if pool is None:
            threshold = judged.mean.nanquantile(search.candidate_quantile).item()
            number = number or _NUM_PREDICTED
        choice = self._choice(data, number, pool)
        held_out = oracle.predict_unseen(data.problem)
        samples = self._blind(choice, oracle, held_out) or self._climbed(
            choice, oracle, samples, threshold, search.num_done
        )
        order = choice.of(samples, threshold)
        self._warn(self._choice(data, self.num_candidates, pool), len(order))
        designs, prediction = samples.designs[order], samples.prediction[order]
        figures = _figures(prediction, search.threshold)
        figures |= search.log_densities(samples.drawn[order])
        bounds = self._bounds(data.problem, oracle, designs, prediction, held_out)
        figures |= _columns(data.problem, prediction, bounds)
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
    ) -> Bounds | None:
        """Of what is handed out; None where no fit can judge it that has not chosen it."""
        if fits := self._halves(oracle, problem):
            return bounds_of_halves(fits, designs, prediction)
        if held_out is None or not problem.held_out.any():
            return None
        return bounds_of_held_out(prediction, held_out, problem)

    def _halves(self, oracle: Oracle, problem: DesignProblem) -> list[HalfFit]:
        return self._driver.half_fits.of(oracle, problem)

    def _is_borne_out(self, oracle: Oracle, problem: DesignProblem, prediction: Prediction) -> bool:
        """Whether the oracle tells what it does not know, and halves of the rows speak beside it.

        Networks that are trained together promise most where they are wrong together.
        """
        return bool(self._halves(oracle, problem)) and prediction.tells_what_it_lacks

    def _choice(
        self, data: DesignDataModule, number: int | None, pool: Pool | None = None
    ) -> Choice:
        known = None if self.keep_known else data.known_designs
        made = pool is None and self._search.pool is None
        return Choice(self._search, made, data.problem, known, number, self.false_share)

    def _blind(
        self, choice: Choice, oracle: Oracle, unseen: Prediction | None
    ) -> JudgedDesigns | None:
        """What is handed out where nothing is to be chosen by what the oracle says; else None."""
        self._ignorance = choice.ignorance(unseen)
        found = None if self._ignorance is None else choice.blind(oracle)
        if found is None:
            self._ignorance = None
        return found

    def _warn(self, choice: Choice, found: int) -> None:
        choice.warn_of_few(found)
        if self._ignorance is not None:
            rank_zero_warn(self._ignorance, category=MBOWarning)

    def _climbed(
        self, choice: Choice, oracle: Oracle, samples: JudgedDesigns, threshold: float, index: int
    ) -> JudgedDesigns:
        """The samples, and what the best of them climb to, if the oracle can be relied on so far.

        Raises:
            ConfigurationError: If it cannot, where a candidate's chance to fail is asked for.
        """
        if not self._is_borne_out(oracle, choice.problem, samples.prediction):
            if choice.false_share is not None:
                raise _not_borne_out()
            return samples
        return choice.climbed(samples, threshold, oracle, index) if choice.climbs else samples

    def state_dict(self) -> dict[str, Any]:
        """The candidates of the best iteration so far."""
        return {
            "iteration": self.iteration,
            "designs": self.designs,
            "figures": self.figures,
            "outlook": None if self.outlook is None else list(self.outlook),
            "ignorance": self._ignorance,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the candidates so far."""
        self.iteration = state_dict["iteration"]
        self.designs = state_dict["designs"]
        self.figures = state_dict["figures"]
        self._ignorance = state_dict["ignorance"]
        outlook = state_dict["outlook"]
        self.outlook = None if outlook is None else Outlook(*outlook)


def _not_borne_out() -> ConfigurationError:
    return ConfigurationError(
        "false_share needs an oracle that tells what it does not know, and is fitted in one call "
        f"to {2 * FEWEST_DESIGNS} or more training designs, such as that of my_data.yaml"
    )


def _figures(prediction: Prediction, threshold: Tensor) -> dict[str, Tensor]:
    return {
        "oracle_mean": prediction.mean,
        "oracle_std": prediction.std,
        "probability_above_threshold": prediction.log_survival(threshold).exp(),
    }


def _columns(
    problem: DesignProblem, prediction: Prediction, bounds: Bounds | None
) -> dict[str, Tensor]:
    """Bounds as the user measures, from above where the property is to be small; and results."""
    if bounds is None:
        return prediction.result_figures()
    side = "lower" if problem.property.sign > 0 else "upper"
    of_property = {f"{side}_95": problem.property.measured(bounds.property)}
    return of_property | prediction.result_figures(bounds.results)


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
