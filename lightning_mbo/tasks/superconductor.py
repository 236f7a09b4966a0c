"""Superconductors: find materials with a high critical temperature."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.problem import FEWEST_DESIGNS
from lightning_mbo.search_models import MultivariateNormal
from lightning_mbo.space import Amounts, DesignSpace
from lightning_mbo.tabular.types import DataFrame
from lightning_mbo.tasks.base import KnownProblem, Task, check_percentile
from lightning_mbo.tasks.boosted_trees import BoostedTrees
from lightning_mbo.tasks.codecs import Formulas, Standardized
from lightning_mbo.tasks.materials import ELEMENTS, PROPERTIES, read_elements
from lightning_mbo.tasks.superconductor_table import (
    TARGET,
    Representation,
    SuperconductorTable,
    read_superconductors,
)


@dataclass(frozen=True)
class _Superconductors(Task):
    """What both kinds share: a table of materials, and trees fitted to all of it as the truth.

    Without a path the table is a shipped one of 6,197 materials with critical temperatures of 10 K
    and more. It is a subset made from another collection, not the UCI data set of 21,263
    superconductors, of which `path` takes either file.

    Attributes:
        path: UCI's train.csv (81 features) or unique_m.csv (amounts of 86 elements), or a table of
            the columns formula and critical_temp; plain or compressed.
        representation: What a design is: 81 features of its composition, or the composition.
        visible_percentile: Rows above this percentile of the property are hidden.
        cache_dir: Where the fitted ground truth is kept; None: the user's cache folder.
    """

    path: Path | None = None
    representation: Representation = "features"
    visible_percentile: float = 100.0
    cache_dir: Path | None = None

    property_name = "critical temperature (K)"

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        check_percentile(self.visible_percentile)
        if self.representation not in ("features", "composition"):
            raise ConfigurationError(f"data.representation must not be {self.representation!r}")

    @property
    @abstractmethod
    def num_columns(self) -> int | None:
        """Of how many columns a design is made, those that matter most; None: of all."""

    @cached_property
    def materials(self) -> Materials:
        """The table and its ground truth, which is fitted, or read where it is kept."""
        table = read_superconductors(self.path)
        return Materials.of_table(table, self.representation, self.num_columns, self.cache_dir)

    def prepare(self) -> None:
        """Fit the ground truth."""
        _ = self.materials


@dataclass(frozen=True)
class SimulatedSuperconductors(_Superconductors):
    """Designs drawn from a normal distribution, labelled by the ground truth plus noise.

    The protocol is that of the paper: a ground truth of boosted trees is fitted to the whole table;
    the normal distribution to the designs with low ground truth.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, sections 5.2 and S4; Hamidieh 2018.

    Attributes:
        visible_percentile: Of the ground truth of the rows: the others are hidden.
        num_features: How many features make a design: those that bring the ground truth the most
            gain. A composition has all its elements.
        num_designs: How many are drawn; None: as many as visible rows.
        noise_std: Standard deviation of the labels' noise, K.
    """

    visible_percentile: float = 80.0
    num_features: int = 60
    num_designs: int | None = None
    noise_std: float = 1.0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__post_init__()
        if self.num_features < 1 or (self.num_designs is not None and self.num_designs < 1):
            raise ConfigurationError("data.num_features and num_designs must be at least 1")
        if not 0 <= self.noise_std < float("inf"):
            raise ConfigurationError(
                f"data.noise_std must be finite and not negative: {self.noise_std}"
            )

    @property
    def num_columns(self) -> int | None:
        """The chosen features, or all elements."""
        return self.num_features if self.representation == "features" else None

    def problem(self, generator: torch.Generator) -> KnownProblem:
        """Draw the designs, and then the noise of their labels; they are taken as drawn."""
        materials = self.materials
        truth = materials.trees(materials.designs)
        visible = truth <= np.percentile(truth, self.visible_percentile)
        like = torch.from_numpy(materials.designs[visible])
        model = MultivariateNormal()
        with like.device:  # whatever the default device: what is drawn is the table
            model.build(DesignSpace.of_shape(like.shape[1:]))
        model.fit(like, like.new_ones(len(like)))
        designs = model.sample(self.num_designs or len(like), generator)
        noise = torch.randn(
            len(designs), generator=generator, dtype=torch.float64, device=designs.device
        )
        labels = materials.ground_truth(designs) + self.noise_std * noise
        known = materials.problem(designs, labels, truth, visible)
        return replace(known, noise_std=self.noise_std)


@dataclass(frozen=True)
class MeasuredSuperconductors(_Superconductors):
    """The rows of the table with the temperatures that were measured; nothing is drawn.

    Reference: Trabucco, Geng, Kumar and Levine, "Design-Bench", ICML 2022, for the compositions.
    """

    @property
    def num_columns(self) -> int | None:
        """All."""
        return None

    def problem(self, generator: torch.Generator) -> KnownProblem:
        """The visible rows; of compositions, no amount can be below zero."""
        materials = self.materials
        temperatures = materials.temperatures
        visible = temperatures <= np.percentile(temperatures, self.visible_percentile)
        designs = torch.from_numpy(materials.designs[visible])
        least = None
        if self.representation == "composition":
            least = materials.codec.designs(torch.zeros_like(designs[0]))
        labels = torch.from_numpy(temperatures[visible])
        return materials.problem(designs, labels, temperatures, visible, least)


class Materials(NamedTuple):
    """The materials of a table as designs.

    Attributes:
        designs: Standardised, of the columns that designs are made of, shape ``(N, d)``.
        codec: The names of these columns, and what they are standardised by.
        temperatures: Critical temperatures, K, shape ``(N,)``.
        formulas: Shape ``(N,)``, or None where the table has none.
        trees: The expected temperature of designs.
    """

    designs: NDArray[np.float64]
    codec: Standardized
    temperatures: NDArray[np.float64]
    formulas: NDArray[np.str_] | None
    trees: BoostedTrees

    @classmethod
    def of_table(
        cls,
        table: SuperconductorTable,
        representation: Representation,
        num_columns: int | None,
        cache_dir: Path | None,
    ) -> Materials:
        """Standardise a table and fit the ground truth to it.

        Args:
            table: Of superconductors.
            representation: What a design is.
            num_columns: Of how many columns it is made, those that bring the trees the most gain;
                None: of all that are not constant.
            cache_dir: Where the trees are kept; None for the user's cache folder.

        Raises:
            DataError: If there is too little to learn from.
        """
        from lightning_mbo.tabular.reading import varying

        names, values = table.represented(representation)
        if len(values) < FEWEST_DESIGNS:
            raise DataError(
                f"{table.source} has {len(values)} rows, too few to learn from: at least "
                f"{FEWEST_DESIGNS} are needed"
            )
        if np.ptp(table.temperatures) == 0:
            raise DataError(
                f"{table.source}, column {TARGET!r}: all {len(values)} entries are equal, "
                "there is nothing to learn"
            )
        kept = varying(values, names, table.source)
        mean, std = values[:, kept].mean(0), values[:, kept].std(0)
        standardized = (values[:, kept] - mean) / std
        trees = BoostedTrees.fitted(standardized, table.temperatures, num_columns, cache_dir)
        chosen = trees.columns
        codec = Standardized(
            [names[column] for column in kept[chosen]],
            torch.from_numpy(mean[chosen]),
            torch.from_numpy(std[chosen]),
        )
        return cls(standardized[:, chosen], codec, table.temperatures, table.formulas, trees)

    def ground_truth(self, designs: Tensor) -> Tensor:
        """The trees' temperature of designs ``(m, d)`` on any device, K, shape ``(m,)``."""
        return torch.from_numpy(self.trees(designs.cpu().numpy())).to(designs.device)

    def problem(
        self,
        designs: Tensor,
        labels: Tensor,
        reference: NDArray[np.float64],
        visible: NDArray[np.bool_],
        least: Tensor | None = None,
    ) -> KnownProblem:
        """The problem of designs ``(n, d)`` with labels ``(n,)``.

        Args:
            designs: Standardised.
            labels: Critical temperatures, K.
            reference: Temperatures of all materials, shape ``(N,)``, which give the range.
            visible: Which of the materials are not hidden, shape ``(N,)``.
            least: See `KnownProblem`; with it designs are amounts, of which most are zero.
        """
        amounts, codec = None, self.codec
        if least is not None:
            codec = Formulas(self.codec, self._written_order())
            places = tuple(range(len(least)))
            amounts = Amounts(places, tuple(least.tolist()), tuple(self.codec.std.tolist()))
        return KnownProblem(
            designs,
            labels,
            DesignSpace(designs.shape[1:], amounts=amounts),
            codec,
            self.ground_truth,
            property_range=(float(reference.min()), float(reference.max())),
            least=least,
            nearest_known=self._nearest(visible),
        )

    def _written_order(self) -> list[str]:
        """The elements by how hard they are to ionise, so that metals come before oxygen."""
        energies = read_elements()[:, PROPERTIES.index("fie")]
        known = dict(zip(ELEMENTS, energies.tolist(), strict=True))
        return sorted(self.codec.names, key=known.__getitem__)

    def _nearest(self, visible: NDArray[np.bool_]) -> Callable[[Tensor], DataFrame] | None:
        """Which visible material has the most similar design, where the table has formulas."""
        import pandas as pd

        if self.formulas is None:
            return None
        known = torch.from_numpy(self.designs[visible])
        recognised = pd.DataFrame(
            {
                "nearest_material": self.formulas[visible],
                "nearest_critical_temp": self.temperatures[visible],
            }
        )

        def nearest_known(designs: Tensor) -> DataFrame:
            rows = torch.cdist(designs.double(), known).argmin(1).numpy()
            return recognised.iloc[rows].reset_index(drop=True)

        return nearest_known
