"""Linear regression on weighted rows, with a prior variance for each block of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lightning_mbo.memory import in_chunks

_CHUNK_SIZE = 4096
_SMALLEST_REST = 1e-9
"""Of 1 minus a leverage: of a row that alone decides what is said of it there is nothing left."""


class LeftOut(NamedTuple):
    """What the other rows say of each of j rows.

    Attributes:
        residuals: Of the rows' targets, shape ``(j,)``.
        spreads: Variance of what is expected there, in that of the noise, shape ``(j,)``.
    """

    residuals: Tensor
    spreads: Tensor


class LinearPosterior(NamedTuple):
    """What is known of the coefficients, in the variance σ² of the noise of a weight of one.

    Attributes:
        coefficients: Their mean, shape ``(features,)``.
        level: The target's mean under the weights.
        centre: That of the features, shape ``(features,)``.
        level_spread: Variance of the target at `centre`.
        prior: P below, shape ``(features,)``.
        root: R below, shape ``(r, features)``; r is the less of rows and features.
        sign: s of the coefficients' covariance diag(P) + s RᵀR.
    """

    coefficients: Tensor
    level: Tensor
    centre: Tensor
    level_spread: Tensor
    prior: Tensor
    root: Tensor
    sign: Tensor

    @staticmethod
    def shapes(num_features: int) -> list[tuple[int, ...]]:
        """Of one that is empty, in the order of the attributes."""
        size = (num_features,)
        return [size, (), size, (), size, (0, num_features), ()]

    def means(self, features: Tensor) -> Tensor:
        """Of features ``(b, features)``, shape ``(b,)``."""
        return self.level + (features - self.centre) @ self.coefficients

    def spreads(self, features: Tensor) -> Tensor:
        """Variances of the means at features ``(b, features)``, shape ``(b,)``."""
        return self.level_spread + self.spreads_of_effects(features - self.centre)

    def spreads_of_effects(self, contrasts: Tensor) -> Tensor:
        """Variances of what differences of features ``(b, features)`` make, shape ``(b,)``."""
        known = (contrasts @ self.root.mT).square().sum(-1)
        found: Tensor = contrasts.square() @ self.prior + self.sign * known
        return found.clamp(min=0)


class FeatureRows(Protocol):
    """Features ``(n, features)``: a tensor, or what computes those of some rows."""

    @property
    def shape(self) -> Sequence[int]:
        """Rows and features."""

    def __getitem__(self, rows: Tensor, /) -> Tensor:
        """Those of rows whose numbers are given ``(j,)``, shape ``(j, features)``."""


class BlockRidge:
    """Minimises Σ w_i (y_i - a - b φ_i)² + Σ_j b_j² / t_j, t being the same within a block.

    The intercept has no prior. It is solved for the coefficients or for the rows, whichever are
    fewer. The posterior's variances are in the noise's of a row of weight one.

    Reference: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, sections
    2.1 and 5.4.2.
    """

    def __init__(
        self, features: FeatureRows, targets: Tensor, weights: Tensor, sizes: Sequence[int]
    ) -> None:
        """Sum up the rows.

        Args:
            features: Shape ``(n, sum(sizes))``; of many rows only some are asked for at a time.
            targets: Shape ``(n,)``.
            weights: Shape ``(n,)``, not negative, not all zero.
            sizes: Features in each block.
        """
        total = weights.sum()
        self.weights, self.total, self.sizes = weights, total, list(sizes)
        self._of_rows, num_features = features, features.shape[1]
        self._all_rows = torch.arange(len(targets), device=targets.device)
        self._some: tuple[Tensor, Tensor] | None = None
        chunks = self._all_rows.split(_CHUNK_SIZE)
        self.centre = targets.new_zeros(num_features)
        for rows in chunks:
            self.centre += weights[rows] @ features[rows]
        self.centre /= total
        self.level = weights @ targets / total
        self.targets = targets - self.level
        self.by_rows = len(targets) < num_features
        if self.by_rows:
            self.features = self._features(None)
            self._kernels = [block @ block.mT for block in self.features.split(self.sizes, 1)]
        else:
            self._gram = targets.new_zeros(num_features, num_features)
            self._moments = targets.new_zeros(num_features)
            for rows in chunks:
                part = features[rows] - self.centre
                weighted = weights[rows][:, None] * part
                self._gram += part.mT @ weighted
                self._moments += self.targets[rows] @ weighted

    def leave_one_out(self, variances: Sequence[float], rows: Tensor | None = None) -> LeftOut:
        """Predict each of some rows by all others, exactly and without refits.

        Args:
            variances: t of each block.
            rows: Their numbers ``(j,)``; None for all.
        """
        fitted, spreads = (self._by_rows if self.by_rows else self._by_features)(variances, rows)
        weights, targets = self.weights, self.targets
        if rows is not None:
            weights, targets = weights[rows], targets[rows]
        spreads = spreads + 1 / self.total
        rest = (1 - weights * spreads).clamp(min=_SMALLEST_REST)
        return LeftOut((targets - fitted) / rest, spreads / rest)

    def posterior(self, variances: Sequence[float]) -> LinearPosterior:
        """The coefficients at prior variances t, one a block."""
        by_feature = self._spread(variances)
        if self.by_rows:
            factor = self._row_factor(variances)
            roots = self.weights.sqrt()
            solved = torch.cholesky_solve((roots * self.targets)[:, None], factor)[:, 0]
            coefficients = by_feature * ((roots * solved) @ self.features)
            prior, sign = by_feature, -1.0
            scaled = roots[:, None] * self.features * by_feature
            root = torch.linalg.solve_triangular(factor, scaled, upper=False)
        else:
            factor, sds = self._feature_factor(by_feature)
            solved = torch.cholesky_solve((sds * self._moments)[:, None], factor)[:, 0]
            coefficients, prior, sign = sds * solved, torch.zeros_like(by_feature), 1.0
            root = torch.linalg.solve_triangular(factor, torch.diag(sds), upper=False)
        return LinearPosterior(
            coefficients,
            self.level,
            self.centre,
            1 / self.total,
            prior,
            root,
            torch.full_like(self.level, sign),
        )

    def _by_features(
        self, variances: Sequence[float], rows: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        used = self._spread(variances) > 0
        factor, sds = self._feature_factor(self._spread(variances), used)
        solved = torch.cholesky_solve((sds * self._moments[used])[:, None], factor)[:, 0]

        def said(part: Tensor) -> Tensor:
            scaled = part[:, used] * sds
            explained = torch.linalg.solve_triangular(factor, scaled.mT, upper=False)
            return torch.stack([scaled @ solved, explained.square().sum(0)])

        means, spreads = in_chunks(said, self._features(rows), _CHUNK_SIZE)
        return means, spreads

    def _features(self, rows: Tensor | None) -> Tensor:
        """Less their mean, of some rows or all: kept, as the same rows are asked for in turns."""
        rows = self._all_rows if rows is None else rows
        if self._some is None or self._some[0] is not rows:
            features = self.centre.new_empty(len(rows), len(self.centre))
            for part, some in zip(
                features.split(_CHUNK_SIZE), rows.split(_CHUNK_SIZE), strict=True
            ):
                torch.sub(self._of_rows[some], self.centre, out=part)
            self._some = rows, features
        return self._some[1]

    def _by_rows(self, variances: Sequence[float], rows: Tensor | None) -> tuple[Tensor, Tensor]:
        factor, kernel = self._row_factor(variances), self._kernel(variances)
        if rows is not None:
            kernel = kernel[rows]
        roots = self.weights.sqrt()
        solved = roots * torch.cholesky_solve((roots * self.targets)[:, None], factor)[:, 0]
        explained = torch.linalg.solve_triangular(factor, roots[:, None] * kernel.mT, upper=False)
        everywhere = self._kernel(variances).diagonal()
        prior = everywhere if rows is None else everywhere[rows]
        return kernel @ solved, prior - explained.square().sum(0)

    def _spread(self, variances: Sequence[float]) -> Tensor:
        """The prior variance t of each feature, shape ``(features,)``."""
        sizes = torch.tensor(self.sizes, device=self.centre.device)
        return self.centre.new_tensor(variances).repeat_interleave(sizes)

    def _feature_factor(
        self, by_feature: Tensor, used: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The Cholesky factor of 1 + √t Φᵀ W Φ √t, and √t, of the features that are used."""
        gram = self._gram
        if used is not None:
            gram, by_feature = gram[used][:, used], by_feature[used]
        sds = by_feature.sqrt()
        system = sds[:, None] * gram * sds
        system.diagonal().add_(1)
        return torch.linalg.cholesky(system), sds

    def _kernel(self, variances: Sequence[float]) -> Tensor:
        found = torch.zeros_like(self._kernels[0])
        for variance, kernel in zip(variances, self._kernels, strict=True):
            if variance > 0:
                found.add_(kernel, alpha=variance)
        return found

    def _row_factor(self, variances: Sequence[float]) -> Tensor:
        """The Cholesky factor of 1 + √W K √W."""
        roots = self.weights.sqrt()
        system = roots[:, None] * self._kernel(variances) * roots
        system.diagonal().add_(1)
        factor: Tensor = torch.linalg.cholesky(system)
        return factor
