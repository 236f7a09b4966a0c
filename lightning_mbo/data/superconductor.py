"""Superconductors: find materials with a high critical temperature."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.data import materials
from lightning_mbo.data.base import FEWEST_DESIGNS, DesignDataModule
from lightning_mbo.data.boosted_trees import BoostedTrees
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.random import keyed_generator
from lightning_mbo.search_models import MultivariateNormal
from lightning_mbo.space import Cells, DesignSpace
from lightning_mbo.tabular.reading import numbers, read_csv, varying

TARGET = "critical_temp"


class Superconductor(DesignDataModule):
    """Superconductors, by 81 features of their composition or by the composition itself.

    Without a path the data are a shipped table of 6,197 materials with critical temperatures of
    10 K and more. It is a subset made from another collection, not the UCI data set of 21,263
    superconductors, of which `path` takes either file.

    With simulated labels the protocol is that of the paper: a ground truth of boosted trees is
    fitted to the whole table; a normal distribution to the designs with low ground truth; designs
    are drawn from it, and labelled by the ground truth plus noise.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, sections 5.2 and S4; Hamidieh 2018.
    """

    property_name = "critical temperature (K)"

    def __init__(
        self,
        path: Path | None = None,
        representation: Literal["features", "composition"] = "features",
        labels: Literal["simulated", "measured"] = "simulated",
        num_features: int = 60,
        visible_percentile: float | None = None,
        num_designs: int | None = None,
        noise_std: float = 1.0,
        cache_dir: Path | None = None,
        **kwargs: Any,
    ) -> None:
        """Choose the table and what is made of it.

        Args:
            path: UCI's train.csv (81 features) or unique_m.csv (amounts of 86 elements), or a
                table of the columns formula and critical_temp; plain or compressed.
            representation: What a design is: 81 features of its composition, or the composition.
            labels: `simulated` draws designs and labels them by the ground truth; `measured`
                trains on the table's own rows.
            num_features: With simulated labels of the features, how many of them make a design:
                those that bring the ground truth the most gain.
            visible_percentile: Rows above this percentile of the property are hidden. Default 80
                with simulated labels, 100 (no row is hidden) with measured ones.
            num_designs: How many designs are drawn; default: as many as visible rows.
            noise_std: Standard deviation of the simulated labels' noise, K.
            cache_dir: Where the fitted ground truth is kept; default: the user's cache folder.
            **kwargs: Of `DesignDataModule`.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__init__(**kwargs)
        if visible_percentile is None:
            visible_percentile = 80.0 if labels == "simulated" else 100.0
        if not 0 < visible_percentile <= 100:
            raise ConfigurationError(
                f"data.visible_percentile must lie in (0, 100], not {visible_percentile}"
            )
        if num_features < 1 or (num_designs is not None and num_designs < 1):
            raise ConfigurationError("data.num_features and num_designs must be at least 1")
        if not 0 <= noise_std < float("inf"):
            raise ConfigurationError(f"data.noise_std must be finite and not negative: {noise_std}")
        if representation not in ("features", "composition"):
            raise ConfigurationError(f"data.representation must not be {representation!r}")
        if labels not in ("simulated", "measured"):
            raise ConfigurationError(f"data.labels must not be {labels!r}")
        self.path = None if path is None else Path(path)
        self.representation = representation
        self.labels = labels
        self.num_features = num_features
        self.visible_percentile = visible_percentile
        self.num_designs = num_designs
        self.noise_std = noise_std
        self.cache_dir = cache_dir
        self._standardized: _Standardized | None = None
        self._known: pd.DataFrame | None = None

    def prepare_data(self) -> None:
        """Fit the ground truth, on one process."""
        self._standardize()

    def load(self) -> tuple[Tensor, Tensor]:
        """Standardised designs and their labels."""
        problem = self._standardize()
        trees = problem.trees
        self._names, self._mean, self._std = problem.names, problem.mean, problem.std
        self.ground_truth = lambda designs: torch.from_numpy(trees(designs.cpu().numpy())).to(
            designs.device
        )
        reference = trees(problem.values) if self.labels == "simulated" else problem.temperatures
        self.property_range = float(reference.min()), float(reference.max())
        visible = reference <= np.percentile(reference, self.visible_percentile)
        designs = self._known_designs = torch.from_numpy(problem.values[visible])
        if problem.formulas is not None:
            self._known = pd.DataFrame(
                {
                    "nearest_material": problem.formulas[visible],
                    "nearest_critical_temp": problem.temperatures[visible],
                }
            )
        if self.labels == "measured":
            return designs, torch.from_numpy(problem.temperatures[visible])
        model = MultivariateNormal()
        with designs.device:  # whatever the default device: what is drawn is the table
            model.build(DesignSpace.of_shape(designs.shape[1:]))
        model.fit(designs, designs.new_ones(len(designs)))
        generator = keyed_generator("training designs")
        designs = model.sample(self.num_designs or len(designs), generator)
        noise = torch.randn(
            len(designs), generator=generator, dtype=torch.float64, device=designs.device
        )
        return designs, self.ground_truth(designs) + self.noise_std * noise

    def nearest_allowed(self, designs: Tensor) -> Tensor:
        """Of measured compositions, no amount below zero; simulated designs are taken as drawn."""
        if self.labels == "simulated" or self.representation == "features":
            return designs
        return designs.maximum(self._none_of(designs))

    def cells(self, designs: Tensor) -> Cells:
        """Of measured compositions, an amount of zero is what was drawn at zero or below."""
        if self.labels == "simulated" or self.representation == "features":
            return super().cells(designs)
        none = self._none_of(designs)
        lower = torch.where(designs <= none + 1e-9, -torch.inf, designs)
        return Cells(lower, designs, super().cells(designs).any_level)

    def _none_of(self, designs: Tensor) -> Tensor:
        """Zero of each element, standardised, ``(d,)``."""
        return torch.from_numpy(-self._mean / self._std).to(designs)

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        """Features in their own units or amounts of the elements, by UCI's names."""
        return pd.DataFrame(designs.numpy() * self._std + self._mean, columns=self._names)

    def nearest_known(self, designs: Tensor) -> pd.DataFrame:
        """The visible material with the most similar design, where the table has formulas."""
        if self._known is None:
            return super().nearest_known(designs)
        rows = torch.cdist(designs.double(), self._known_designs).argmin(1).numpy()
        return self._known.iloc[rows].reset_index(drop=True)

    def _standardize(self) -> _Standardized:
        if self._standardized is None:
            table = read_superconductors(self.path)
            names, values = table.represented(self.representation)
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
            select = self.labels == "simulated" and self.representation == "features"
            trees = BoostedTrees.fitted(
                standardized,
                table.temperatures,
                self.num_features if select else None,
                self.cache_dir,
            )
            chosen = trees.columns
            self._standardized = _Standardized(
                [names[column] for column in kept[chosen]],
                standardized[:, chosen],
                mean[chosen],
                std[chosen],
                table.temperatures,
                table.formulas,
                trees,
            )
        return self._standardized


class _Standardized(NamedTuple):
    """The table's designs ``(N, d)`` with the columns that designs are made of."""

    names: list[str]
    values: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    formulas: NDArray[np.str_] | None
    trees: BoostedTrees


class SuperconductorTable(NamedTuple):
    """A table of superconductors.

    Attributes:
        source: What to call it in messages.
        features: Shape ``(N, 81)``, or None where the table holds compositions.
        amounts: Of the 86 elements, shape ``(N, 86)``, or None where it holds features.
        temperatures: Critical temperatures, K, shape ``(N,)``.
        formulas: Shape ``(N,)``, or None where the table has none.
    """

    source: str
    features: NDArray[np.float64] | None
    amounts: NDArray[np.float64] | None
    temperatures: NDArray[np.float64]
    formulas: NDArray[np.str_] | None

    def represented(self, representation: str) -> tuple[list[str], NDArray[np.float64]]:
        """Column names and designs.

        Raises:
            DataError: If compositions are wanted of a table that has none.
        """
        if representation == "composition":
            if self.amounts is None:
                raise DataError(
                    f"{self.source} holds features, from which compositions cannot be told. "
                    "Give UCI's unique_m.csv, or data.representation features"
                )
            return list(materials.ELEMENTS), self.amounts
        features = self.features
        if features is None:
            assert self.amounts is not None
            features = materials.superconductor_features(self.amounts)
        return list(materials.FEATURE_NAMES), features


def read_superconductors(path: Path | None) -> SuperconductorTable:
    """Read a table of superconductors; the columns tell which kind it is.

    Args:
        path: See `Superconductor`; None for the shipped subset.

    Raises:
        DataError: If it is none, or an entry cannot be used.
    """
    if path is None:
        subset = files("lightning_mbo.data") / "tables" / "superconductor_subset.csv.gz"
        with as_file(subset) as shipped:
            return read_superconductors(shipped)
    table = read_csv(path)
    columns = [str(column) for column in table.columns]
    if set(materials.FEATURE_NAMES) | {TARGET} <= set(columns):
        values = numbers(table, [*materials.FEATURE_NAMES, TARGET], path)
        return SuperconductorTable(str(path), values[:, :-1], None, values[:, -1], None)
    if set(materials.ELEMENTS) | {TARGET} <= set(columns):
        values = numbers(table, [*materials.ELEMENTS, TARGET], path)
        _check_amounts(values[:, :-1], path)
        formulas = table["material"].to_numpy(str) if "material" in columns else None
        return SuperconductorTable(str(path), None, values[:, :-1], values[:, -1], formulas)
    if {"formula", TARGET} <= set(columns):
        temperatures = numbers(table, [TARGET], path)[:, 0]
        formulas = table["formula"].fillna("").to_numpy(str)
        try:
            amounts = materials.compositions(formulas.tolist())
        except DataError as error:
            raise DataError(f"{path}, column 'formula': {error}") from error
        return SuperconductorTable(str(path), None, amounts, temperatures, formulas)
    raise DataError(_unknown_columns(path, columns))


def _check_amounts(amounts: NDArray[np.float64], path: Path) -> None:
    bad = np.flatnonzero((amounts < 0).any(1) | (amounts.sum(1) <= 0))
    if len(bad):
        raise DataError(
            f"{path}, data row {bad[0] + 1}: amounts of elements must not be "
            "negative, and not all be zero"
        )


def _unknown_columns(path: Path, columns: list[str]) -> str:
    known = {
        "UCI's train.csv": (*materials.FEATURE_NAMES, TARGET),
        "UCI's unique_m.csv": (*materials.ELEMENTS, TARGET),
        "a table of formulas": ("formula", TARGET),
    }
    missing = {kind: [c for c in names if c not in columns] for kind, names in known.items()}
    nearest = min(missing, key=lambda k: (len(missing[k]) / len(known[k]), len(missing[k])))
    lacking = missing[nearest]
    shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" * (len(lacking) > 5))
    return (
        f"{path} is not a table of superconductors: it should be one of {', '.join(known)}; to be "
        f"{nearest} it lacks the columns {shown}"
    )
