"""Where a run's candidates lie among the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import spread
from lightning_mbo.report import page_figures as figures
from lightning_mbo.report.run_evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

_MOST_DRAWN = 600
_MOST_COMPARED = 1000
_MOST_FOR_COMPONENTS = 500
_NUM_MARGINALS = 12


def draw_map(evidence: Evidence) -> str | None:
    """None of designs that are one number: the marginal says it all."""
    designs, candidates = (d.flatten(1) for d in (evidence.data.designs, evidence.candidates))
    if designs.shape[1] < 2:
        return None
    center = designs.mean(0)
    some = designs[spread(len(designs), _MOST_FOR_COMPONENTS)] - center
    # By the products of the designs with each other: there may be more entries than designs.
    variances, vectors = torch.linalg.eigh(some @ some.mT)
    components = some.mT @ vectors[:, [-1, -2]]
    components = components / components.norm(dim=0).clamp(min=torch.finfo().tiny)
    drawn = [
        ((points[spread(len(points), most)] - center) @ components).numpy()
        for points, most in ((designs, _MOST_DRAWN), (candidates, _MOST_DRAWN // 2))
    ]
    shares = (variances[[-1, -2]] / variances.clamp(min=0).sum()).numpy()
    return figures.draw_map(drawn[0], drawn[1], shares)


def draw_marginals(evidence: Evidence) -> list[tuple[str, str]]:
    """Names and pictures of the columns in which candidates and data differ most."""
    data = evidence.data
    rows = spread(len(data.designs), 5 * _MOST_DRAWN)
    known, new = (
        _letters(data, data.to_user_units(designs))
        for designs in (data.designs[rows], evidence.candidates[:_MOST_COMPARED])
    )
    moved = {name: _moved(known[name], new[name]) for name in known.columns}
    most = sorted(moved, key=lambda name: -moved[name])[:_NUM_MARGINALS]
    return [
        (str(name), figures.draw_marginal(str(name), known[name], new[name], number))
        for number, name in enumerate(most)
    ]


def _letters(data: DesignDataModule, designs: pd.DataFrame) -> pd.DataFrame:
    """Sequences by their places, shorter ones filled up with gaps; other designs as they are."""
    import pandas as pd

    from lightning_mbo.tabular.columns import GAP

    if not data.space.is_sequences:
        return designs
    words = designs.iloc[:, 0].str.pad(data.space.shape[0], side="right", fillchar=GAP)
    places = pd.DataFrame([list(word) for word in words])
    return places.rename(columns=lambda place: f"place {place + 1}")


def _moved(data: pd.Series[Any], candidates: pd.Series[Any]) -> float:
    """How far two distributions are apart, 0 to 1: Kolmogorov's distance, or total variation."""
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(data):
        return kolmogorov_distance(data.to_numpy(np.float64), candidates.to_numpy(np.float64))
    shares = figures.frequencies(data, candidates)
    return float((shares["data"] - shares["new"]).abs().sum() / 2)


def kolmogorov_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The greatest difference of two distribution functions; of thousands of columns in seconds."""
    both = np.concatenate([one, other])
    shares = [
        np.searchsorted(np.sort(part), both, side="right") / len(part) for part in (one, other)
    ]
    return float(np.abs(shares[0] - shares[1]).max())
