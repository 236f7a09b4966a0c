"""The contract of a design problem."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from rich.table import Table
from torch import Tensor

from lightning_mbo.data.fits import Fits
from lightning_mbo.data.loading import (
    DesignBatch,
    DesignChunks,
    TrainingBatches,
    ValidationBatches,
    held_out_rows,
)
from lightning_mbo.designs import Distances, euclidean
from lightning_mbo.errors import CheckpointError, ConfigurationError, DataError
from lightning_mbo.goals import Goal
from lightning_mbo.label_noise import LabelNoise
from lightning_mbo.problem import FEWEST_DESIGNS, DesignProblem, GroundTruth, Property
from lightning_mbo.random import Stream
from lightning_mbo.results import Results
from lightning_mbo.robots.motion import Motion
from lightning_mbo.space import Cells, DesignSpace
from lightning_mbo.tabular.totals import Total
from lightning_mbo.tabular.types import DataFrame, Pool

_LEAST_SPREAD, _MOST_SPREAD = 1e-15, 1e15
"""Of labels, in standard deviations: their squares are numbers of single precision too."""

_LEAST_SHARE = 1e-5
"""Of the standard deviation in the largest label: single precision keeps seven digits."""


class DesignDataModule(pl.LightningDataModule, ABC):
    """A table of designs and their measured property, with a weight for each.

    Subclasses implement `load`. Designs are standardised there, or one-hot where they are
    sequences; all that the user sees is in the user's units. While no oracle fit is wanted, the
    training loader yields nothing.

    Attributes:
        problem: What is to be designed, once it is set up: all that follows but the weights.
        designs: Shape ``(n, *design_shape)``, float64; of sequences ``(n, l, v)``.
        properties: Shape ``(n,)``, float64, in the property's units.
        base_weights: What each design counts before any importance weight, shape ``(n,)``,
            float64, positive; ones where `load` sets none.
        noise: Of the labels, shapes ``(n,)``, float64; None where `load` sets none.
        groups: Which rows are the same thing, although their designs differ, and are held out
            together: equal integers, shape ``(n + h,)``, in the table's order; None where `load`
            sets none. Rows of equal designs are held out together in any case.
        results: Of all rows, where several are wanted; None where `load` sets none. The property is
            then their advance beyond the rows that are not held out.
        held_out_designs: Those that no oracle and no search model is fitted to, shape
            ``(h, *design_shape)``.
        held_out_properties: Their labels, shape ``(h,)``, which are evidence and nothing else.
        known_designs: Those of all rows in the table's order, held-out ones included, shape
            ``(n + h, *design_shape)``: no candidate is one of them.
        known_properties: Their labels, shape ``(n + h,)``; only `nearest_known` reads them.
        goals: What is wanted of each of several results; none where there is one property.
        property_name: What is maximised, with its unit.
        sign: 1, or -1 where the property is the negative of what the user measures.
        ground_truth: The expected property of designs ``(m, *design_shape)``, shape ``(m,)``, or
            None where nobody knows it. Only metrics may read it.
        true_results: Where several results are wanted, the expected ones of designs
            ``(m, *design_shape)``, in the user's units, shape ``(m, q)``, or None where nobody
            knows them. Only metrics may read them.
        noise_std: Standard deviation of measurements about the ground truth, in the property's
            units; 0 where they are exact, or nobody knows it. Only metrics may read it.
        most_scored: Of how many samples of an iteration metrics read the ground truth at most,
            where it takes long; None: of all.
        property_range: The least and the greatest property, hidden designs included, or None.
            Only metrics may read it.
        distances: How far designs lie from others.
        motions: What designs ``(m, *design_shape)`` look like while they move, or None where there
            is nothing to be seen. Only reports look.
        columns_read: What the columns of the user's table are taken for; None without one.
        totals: Which numbers of a design share a total, so that none can change alone.
        remarks: What was found of them and done for it, or is uncertain, a sentence each.
        fits: Which oracle fit is wanted.
        stream: Of all that the run draws, from when it is set up.
    """

    problem: DesignProblem
    designs: Tensor
    properties: Tensor
    base_weights: Tensor
    noise: LabelNoise | None = None
    groups: Tensor | None = None
    results: Results | None = None
    fits: Fits
    held_out_designs: Tensor
    held_out_properties: Tensor
    known_designs: Tensor
    known_properties: Tensor
    goals: tuple[Goal, ...] = ()
    property_name: str = "property"
    sign: int = 1
    ground_truth: GroundTruth | None = None
    true_results: GroundTruth | None = None
    noise_std: float = 0.0
    most_scored: int | None = None
    property_range: tuple[float, float] | None = None
    distances: Distances = staticmethod(euclidean)
    motions: Callable[[Tensor], list[Motion]] | None = None
    columns_read: Table | None = None
    totals: Sequence[Total] = ()
    remarks: Sequence[str] = ()
    stream: Stream = Stream()

    def __init__(
        self,
        batch_size: int = 100,
        validation_fraction: float = 0.2,
        held_out_fraction: float = 0.0,
        held_out: Literal["random", "top"] = "random",
    ) -> None:
        """Set what all design problems share.

        Args:
            batch_size: Points in a training batch of one ensemble member, over all processes.
            validation_fraction: Share of the points that a member validates on, drawn anew for
                each member and each fit.
            held_out_fraction: Share of the designs that no oracle and no search model is fitted
                to, to judge both by; 0 for none. Their labels are evidence and nothing else, unless
                the search selects its iteration by it. What the entries of a design can be (scales,
                levels, bounds) is taken from all designs.
            held_out: Which: `random` ones, or those with the `top` labels, which shows how an
                oracle extrapolates upwards.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__init__()
        if batch_size < 1:
            raise ConfigurationError(f"data.batch_size must be at least 1, not {batch_size}")
        if not 0 < validation_fraction < 1:
            raise ConfigurationError(
                f"data.validation_fraction must lie between 0 and 1, not {validation_fraction}"
            )
        if not 0 <= held_out_fraction < 1:
            raise ConfigurationError(
                f"data.held_out_fraction must lie in [0, 1), not {held_out_fraction}"
            )
        if held_out not in ("random", "top"):
            raise ConfigurationError(f"data.held_out must be random or top, not {held_out!r}")
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.held_out_fraction = held_out_fraction
        self.held_out = held_out
        self.test_designs: dict[str, Callable[[], Tensor]] = {}
        self.predict_designs: Callable[[], Tensor] | None = None
        self._digest: str | None = None

    @abstractmethod
    def load(self) -> tuple[Tensor, Tensor]:
        """Read the table.

        Returns:
            Designs ``(n, *design_shape)`` and properties ``(n,)``, both float64.

        Raises:
            DataError: If the table cannot be used.
        """

    @abstractmethod
    def to_user_units(self, designs: Tensor) -> DataFrame:
        """Designs ``(m, *design_shape)`` as the user knows them, one a row."""

    def by_entry(self, designs: Tensor) -> DataFrame:
        """What each number and each one-hot group of designs ``(m, *design_shape)`` is to the user.

        A column for each, in the space's order; no columns where designs are not made so. By
        default, of nothing but the letters of sequences it is known.
        """
        import pandas as pd

        none = pd.DataFrame(index=range(len(designs)))
        if not self.space.is_sequences:
            return none
        words = self.to_user_units(designs).iloc[:, 0].astype(str)
        num_places = len(self.space.groups)
        if (words.str.len() != num_places).any():
            return none
        letters = {f"place {i + 1}": words.str[i] for i in range(num_places)}
        return pd.DataFrame(letters, index=words.index)

    def read_pool(self, path: Path | DataFrame | None) -> Pool:
        """A user's own list of designs; None: the designs of the table that have no label.

        Raises:
            ConfigurationError: By default: there is no such list without a table of the user's.
        """
        raise ConfigurationError(
            f"a list of designs is read as the user's own table is, with --data CSV: "
            f"{type(self).__name__} has none"
        )

    @property
    def measured_name(self) -> str:
        """What the user measures, which the property is `sign` times."""
        return self.property_name

    @property
    def measured_names(self) -> list[str]:
        """What the user measures: each of several results, or the one of `measured_name`."""
        return [goal.name for goal in self.goals] or [self.measured_name]

    def nearest_known(self, designs: Tensor) -> DataFrame:
        """What the user may recognise each design ``(m, *design_shape)`` by; or no columns.

        It is looked for in all rows of the table, held-out ones included.
        """
        import pandas as pd

        return pd.DataFrame(index=range(len(designs)))

    @property
    def design_shape(self) -> torch.Size:
        """The shape of one design."""
        return self.known_designs.shape[1:]

    @property
    def space(self) -> DesignSpace:
        """What the entries of a design mean: by default, what its shape says."""
        return DesignSpace.of_shape(self.design_shape)

    def nearest_allowed(self, designs: Tensor) -> Tensor:
        """The nearest designs ``(m, *design_shape)`` that can be made: whole numbers, in bounds.

        By default, the designs themselves.
        """
        return designs

    def cells(self, designs: Tensor) -> Cells:
        """Which draws become each of the designs ``(n, *design_shape)`` by `nearest_allowed`.

        By default, nothing but the design itself.
        """
        return Cells.of_points(designs, self.space)

    @property
    def has_constraints(self) -> bool:
        """Whether a design can be infeasible: by default, whether a subclass says which are."""
        return type(self).feasible is not DesignDataModule.feasible

    def feasible(self, designs: Tensor) -> Tensor:
        """Which of the designs ``(m, *design_shape)`` meet all constraints, bool, ``(m,)``."""
        return torch.ones(len(designs), dtype=torch.bool, device=designs.device)

    def setup(self, stage: str) -> None:
        """Load the table once; the weights are the base weights and the first fit is wanted.

        Raises:
            DataError: If there are too few designs, or all properties are equal.
        """
        if hasattr(self, "problem"):
            return
        self.stream = Stream(_run_seed())
        self._hold_out(*self.load())
        num_designs = len(self.designs)
        if num_designs < FEWEST_DESIGNS:
            kept = " without those that are held out" if len(self.held_out_designs) else ""
            raise DataError(
                f"{num_designs} designs{kept} are too few to learn from: at least "
                f"{FEWEST_DESIGNS} are needed"
            )
        if self.properties.min() == self.properties.max():
            raise DataError(
                f"all {num_designs} designs have the same {self.property_name}, "
                f"{self.properties[0].item():g}: there is nothing to learn"
            )
        _check_scale(self.properties, self.measured_name)
        self.fits = Fits(self.problem.training, self.batch_size, self.validation_fraction)
        self.fits.begin()

    @property
    def weights(self) -> Tensor:
        """What each training design counts in the present fit, shape ``(n,)``, float64."""
        return self.fits.weights

    def train_dataloader(self) -> TrainingBatches:
        """Shuffled weighted minibatches, per member."""
        return self._placed().training_batches()

    def val_dataloader(self) -> ValidationBatches:
        """Each member's validation points."""
        return self._placed().validation_batches()

    def test_dataloader(self) -> list[DesignChunks]:
        """The designs to be scored, which the search callback provides and names."""
        return [DesignChunks(self._evaluated(source)) for source in self.test_designs.values()]

    def predict_dataloader(self) -> DesignChunks:
        """The designs to be judged, which the search callback provides."""
        source = self.predict_designs
        if source is None:
            raise ConfigurationError("predict needs a search callback, which draws the designs")
        return DesignChunks(self._evaluated(source))

    def transfer_batch_to_device(
        self, batch: DesignBatch | Tensor, device: torch.device, dataloader_idx: int
    ) -> DesignBatch | Tensor:
        """Batches are gathered on the device; nothing is to be moved."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Weights, fits and their epochs so far, and a fingerprint of the table."""
        return {**self.fits.state_dict(), "fingerprint": self._fingerprint()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was written.

        Raises:
            CheckpointError: If it was written with another table.
        """
        if state_dict["fingerprint"] != self._fingerprint():
            raise CheckpointError(
                "the checkpoint was written with other training data. Give the config, data path "
                "and seed of its own run"
            )
        self.fits.load_state_dict(state_dict)

    def _hold_out(self, designs: Tensor, properties: Tensor) -> None:
        self.known_designs, self.known_properties = designs, properties
        whole = DesignProblem(
            designs,
            properties,
            getattr(self, "base_weights", torch.ones_like(properties)),
            self.space,
            torch.zeros_like(properties, dtype=torch.bool),
            self.noise,
            self.groups,
            self.results,
            Property(self.property_name, self.measured_name, self.sign),
            self.nearest_allowed,
            self.feasible if self.has_constraints else None,
            self.cells,
            self.distances,
            self.ground_truth,
            self.stream,
        )
        if self.held_out_fraction > 0:  # to tell things apart takes long in a long table
            whole = whole.holding_out(self._held_out_rows(whole))
            if self.results is not None:
                results = self.results.judged_by(~whole.held_out)
                whole = replace(whole, results=results, properties=results.properties)
                self.results, self.known_properties = results, results.properties
        self.problem = whole
        training, evidence = whole.training, whole.evidence
        self.designs, self.properties = training.designs, training.properties
        self.base_weights, self.noise = training.base_weights, training.noise
        self.held_out_designs, self.held_out_properties = evidence.designs, evidence.properties

    def _held_out_rows(self, whole: DesignProblem) -> Tensor:
        generator = self.stream.generator("held-out designs")
        out = held_out_rows(
            whole.things, whole.properties, self.held_out_fraction, self.held_out, generator
        )
        if out.sum() < FEWEST_DESIGNS:
            raise DataError(
                f"data.held_out_fraction {self.held_out_fraction:g} of {len(out)} designs is "
                f"{out.sum()}, too few to judge by: at least {FEWEST_DESIGNS} are needed"
            )
        return out

    def _fingerprint(self) -> str:
        if self._digest is None:
            digest = hashlib.sha256()
            held_out = self.held_out_designs, self.held_out_properties
            noise = *(self.noise or ()), *(self.problem.evidence.noise or ())
            for tensor in (self.designs, self.properties, self.base_weights, *held_out, *noise):
                digest.update(tensor.contiguous().numpy().data)
            digest.update(repr(self.space.descriptors).encode())
            self._digest = digest.hexdigest()
        return self._digest

    def _trainer(self) -> pl.Trainer:
        if self.trainer is None:
            raise ConfigurationError("this datamodule is not attached to a Trainer")
        return self.trainer

    def _device(self) -> torch.device:
        return self._trainer().strategy.root_device

    def _placed(self) -> Fits:
        num_members = getattr(self._trainer().lightning_module, "num_members", 1)
        self.fits.place(self._device(), num_members)
        return self.fits

    def _evaluated(self, source: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: source().to(self._device())


def _run_seed() -> int:
    """The seed that ``pytorch_lightning.seed_everything`` was given, or torch's own."""
    return int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed()))


def _check_scale(properties: Tensor, name: str) -> None:
    """Refuse labels ``(n,)`` that oracles, in single precision, cannot tell apart or square.

    Raises:
        DataError: Naming what is measured, and what to do.
    """
    spread, largest = properties.std().item(), properties.abs().max().item()
    if not _LEAST_SPREAD <= spread <= _MOST_SPREAD:
        raise DataError(
            f"{name}: its values, of up to {largest:.3g} with a standard deviation of "
            f"{spread:.3g}, are beyond what can be computed with: give it in other units, or "
            "correct the rows that are far from all others"
        )
    if spread < _LEAST_SHARE * largest:
        raise DataError(
            f"{name}: its values, of up to {largest:.10g}, differ in digits that are lost in "
            f"computing, with a standard deviation of {spread:.3g}: subtract a constant from them"
        )
