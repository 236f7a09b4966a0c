"""Density ratios by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from lightning_mbo.importance.classifier_ratio import ClassifierRatio
from lightning_mbo.importance.ratios import DensityRatio, ExactRatio
from lightning_mbo.problem import DesignProblem

Kind = Literal["exact", "classifier"]
KINDS: dict[str, Callable[[DesignProblem, torch.device | str], DensityRatio]] = {
    "exact": ExactRatio,
    "classifier": ClassifierRatio,
}
