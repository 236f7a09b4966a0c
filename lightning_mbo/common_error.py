"""Errors of several results that go together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

CORRELATION, NUM_ROWS = "error_correlation/", "error_correlation_rows/"
"""What the figures of two results are called, before their names."""

FEWEST_ROWS = 20
"""Of fewer, a correlation is not told from none."""

_CERTAIN = 2.58
"""Standard errors by which a correlation differs from 0: one in a hundred does by chance."""

_MOST = 0.9
"""Correlation: a few dozen nodes would not do for more."""

_NUM_SWEEPS = 100
_FEWEST_NODES, _NODES_PER_ODDS = 4, 4.0


class CommonError(NamedTuple):
    """What errors of q results have in common.

    In standard deviations, that of result j is λ_j z + √(1 - λ_j²) ε_j, with one z for all results,
    and an ε of its own, all standard normal. So errors of two results have the correlation λ_i λ_j,
    and given z they are independent. Of two results that is any correlation; of more, what one
    cause for all can bring about.

    Attributes:
        loadings: λ, ``(q,)``.
        num_rows: From how many rows the correlation of each two was estimated, ``(q, q)``.
    """

    loadings: Tensor
    num_rows: Tensor

    @classmethod
    def of(cls, residuals: Tensor) -> CommonError:
        """Estimate it from what was wrong with predictions of rows that they had not seen.

        The correlation is Spearman's, as a normal distribution has it. One that does not differ
        from 0, or is of few rows, is taken as 0; others are shrunk by what is expected of chance.

        Reference: Pearson, "On further methods of determining correlation", 1907; Schäfer and
        Strimmer, SAGMB 4, 2005, equation 10, for one correlation; Harman, "Modern factor analysis",
        1976, chapter 9, for loadings of least squares.

        Args:
            residuals: In standard deviations, ``(n, q)``; NaN where a result is missing.
        """
        import pandas as pd

        table = pd.DataFrame(residuals.cpu().numpy())
        num_rows = table.notna().astype(int).to_numpy()
        num_rows = num_rows.T @ num_rows
        ranked = table.corr("spearman", min_periods=FEWEST_ROWS).fillna(0.0).to_numpy()
        found = 2 * np.sin(np.pi / 6 * ranked)
        # Of ranks the standard error is that of chance where there is no correlation.
        chance = 1 / np.maximum(num_rows - 1, 1)
        found[found**2 < _CERTAIN**2 * chance] = 0.0
        by_chance = chance * (1 - found**2) ** 2
        found *= 1 - np.divide(by_chance, found**2, out=np.ones_like(found), where=found != 0)
        loadings = _loadings(found).to(residuals)
        return cls(loadings, torch.from_numpy(num_rows).to(residuals.device))

    @classmethod
    def none(cls, like: Tensor, num_results: int) -> CommonError:
        """Of errors that are independent, as far as is known, beside a tensor."""
        return cls(
            like.new_zeros(num_results),
            torch.zeros(num_results, num_results, dtype=torch.long, device=like.device),
        )

    @classmethod
    def of_figures(cls, figures: Mapping[str, float], names: Sequence[str]) -> CommonError | None:
        """What `figures` told of it; None where nothing did, as of a single result.

        Args:
            figures: By name, perhaps among others.
            names: Of the results.
        """
        if len(names) < 2:
            return None
        correlations, num_rows = np.zeros((2, len(names), len(names)))
        for i, j in combinations(range(len(names)), 2):
            pair = f"{names[i]}_{names[j]}"
            if CORRELATION + pair not in figures:
                return None
            correlations[i, j] = correlations[j, i] = figures[CORRELATION + pair]
            num_rows[i, j] = num_rows[j, i] = figures[NUM_ROWS + pair]
        return cls(_loadings(correlations), torch.from_numpy(num_rows).long())

    @property
    def exists(self) -> bool:
        """Whether errors are not independent."""
        return bool(self.loadings.any())

    def figures(self, names: Sequence[str]) -> dict[str, float]:
        """The correlation of each two results, and from how many rows, by name.

        Args:
            names: Of the results.
        """
        found = {}
        for i, j in combinations(range(len(names)), 2):
            pair = f"{names[i]}_{names[j]}"
            found[CORRELATION + pair] = (self.loadings[i] * self.loadings[j]).item()
            found[NUM_ROWS + pair] = self.num_rows[i, j].item()
        return found

    def to(self, device: torch.device | str) -> CommonError:
        """The same on a device."""
        return CommonError(self.loadings.to(device), self.num_rows.to(device))

    def draws(self, independent: Tensor) -> Tensor:
        """Of independent standard normal draws ``(s, q)`` such that have the correlations."""
        if not self.exists:
            return independent
        correlations = torch.outer(self.loadings, self.loadings).fill_diagonal_(1.0)
        factor: Tensor = torch.linalg.cholesky(correlations)
        return independent @ factor.T

    def nodes(self) -> tuple[Tensor, Tensor]:
        """Values of z and the logarithms of their weights, ``(k,)`` each: Gauss and Hermite's.

        What a probability is given z rises over a range of √(1 - λ²) / λ, and asks for as many.
        """
        if not self.exists:
            return self.loadings.new_zeros(1), self.loadings.new_zeros(1)
        squared = self.loadings.square().max().item()
        number = _FEWEST_NODES + math.ceil(_NODES_PER_ODDS * squared / (1 - squared))
        values, weights = np.polynomial.hermite_e.hermegauss(number)
        logarithms = np.log(weights) - math.log(math.sqrt(2 * math.pi))
        return self.loadings.new_tensor(values), self.loadings.new_tensor(logarithms)

    def given(self, value: Tensor, means: Tensor, stds: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations of results ``(m, q)``, given z, a scalar."""
        left = (1 - self.loadings.square()).sqrt()
        return means + stds * self.loadings * value, stds * left


def _loadings(correlations: np.ndarray) -> Tensor:
    """Those whose products come nearest to the correlations ``(q, q)`` in the mean square."""
    between = correlations * (1 - np.eye(len(correlations)))
    values, vectors = np.linalg.eigh(between)
    q, most = len(between), math.sqrt(_MOST)
    # Exact where all correlations are the same.
    loadings = vectors[:, -1] * math.sqrt(max(values[-1], 0.0) * q / max(q - 1, 1))
    loadings *= np.sign(loadings[np.abs(loadings).argmax()]) or 1.0
    for _ in range(_NUM_SWEEPS):
        for i in range(q):
            others = np.delete(loadings, i)
            squared = others @ others
            if squared > 0:
                loadings[i] = np.clip(np.delete(between[i], i) @ others / squared, -most, most)
    return torch.from_numpy(loadings)
