"""Small tables of superconductors, of every kind that is recognised."""

from __future__ import annotations

import csv
import gzip
from importlib import resources

import numpy as np
import pandas as pd

from lightning_mbo.tasks.materials import ELEMENTS, FEATURE_NAMES


def shipped_rows() -> list[tuple[str, float]]:
    path = resources.files("lightning_mbo.tasks") / "tables" / "superconductor_subset.csv.gz"
    with path.open("rb") as raw, gzip.open(raw, "rt", encoding="utf-8", newline="") as file:
        return [(row["formula"], float(row["critical_temp"])) for row in csv.DictReader(file)]


def feature_table(seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).uniform(1.0, 9.0, size=(4, 82))
    return pd.DataFrame(values, columns=[*FEATURE_NAMES, "critical_temp"])


def amount_table() -> pd.DataFrame:
    # As in UCI's file the column of technetium is `Tc`, and a last column holds the formula.
    values = np.random.default_rng(0).uniform(1.0, 9.0, size=(4, 87))
    frame = pd.DataFrame(values, columns=[*ELEMENTS, "critical_temp"])
    return frame.assign(material="MgB2")


def formula_table() -> pd.DataFrame:
    return pd.DataFrame({"formula": ["MgB2", "NbN", "Nb", "Hg"], "critical_temp": [39, 16, 9, 4.2]})
