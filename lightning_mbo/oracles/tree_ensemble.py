"""An ensemble of boosted trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.label_noise import SMALLEST_BESIDE_ERRORS, noise_share
from lightning_mbo.oracles.arguments import positive_rate
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.oracles.folds import balanced_folds
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace

if TYPE_CHECKING:
    import xgboost

_SMALLEST_VARIANCE = 1e-6
"""Of the standardised labels."""

_ROUNDS_BESIDE_ERRORS = 2
"""Cross-validations, each with what the one before makes the labels' errors count for."""

_STRIDE = 5
"""Trees that are grown between two looks at the designs that are left out."""

_PATIENCE = 30
"""Trees without a smaller cross-validated error, after which no more are grown."""

_ENOUGH_LEFT_OUT = 20_000
"""Designs, by their effective number, that are left out once; then the other folds are not. The
error that the trees are counted by is known to a hundredth."""

_MOST_BINS, _FEWEST_BINS, _ALL_BINS = 256, 32, 2**16
"""What is told apart of a column, and of all columns of a wide table together."""


class TreeEnsemble(ClosedFormOracle):
    """Gradient-boosted trees: k members on all weighted designs, each with other random numbers.

    The members draw other rows and columns for each tree. How many trees there are is
    cross-validated under the weights. One-hot groups are categories of the trees; where descriptors
    tell the levels apart, these numbers stand for them. The variance is the squared error under the
    weights, cross-validated, beside the spread of the members. Equal designs are left out together.
    A label with an error of its own weighs its `noise_share`, and the errors' variance is not part
    of the oracle's. It has no gradient.

    Reference: Chen and Guestrin, "XGBoost: a scalable tree boosting system", KDD 2016; Sugiyama,
    Krauledat and Müller, "Covariate shift adaptation by importance weighted cross validation",
    JMLR 2007.

    Attributes:
        trees: The members one after another, as bytes, uint8.
        sizes: How many bytes each has, shape ``(k,)``.
        variance: Of the standardised property.
        num_trees: Of each member.
    """

    trees: Tensor
    sizes: Tensor
    variance: Tensor
    num_trees: Tensor

    def __init__(
        self,
        num_members: int = 5,
        learning_rate: float = 0.1,
        max_depth: int = 4,
        subsample: float = 0.7,
        column_share: float = 0.7,
        min_child_weight: float = 1.0,
        most_trees: int = 300,
        num_folds: int = 5,
    ) -> None:
        """Describe the ensemble.

        Args:
            num_members: k.
            learning_rate: What each tree counts for.
            max_depth: Questions that a tree asks of a design, at most.
            subsample: Share of the designs that a tree is grown on.
            column_share: Share of the columns that it may ask for.
            min_child_weight: Weight of the designs in a leaf, at least; their mean weight is one.
            most_trees: Of a member.
            num_folds: Of the cross-validation, drawn anew at each fit. Of very many designs only as
                many are left out as tell enough.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        super().__init__(num_members)
        if not (0 < subsample <= 1 and 0 < column_share <= 1):
            raise ConfigurationError(
                "model.subsample and column_share must lie in (0, 1], not "
                f"{subsample} and {column_share}"
            )
        if min(max_depth, most_trees) < 1 or num_folds < 2 or not min_child_weight >= 0:
            raise ConfigurationError(
                "model.max_depth and most_trees must be at least 1, num_folds 2 and "
                f"min_child_weight 0, not {max_depth}, {most_trees}, {num_folds} and "
                f"{min_child_weight}"
            )
        self.learning_rate = positive_rate(learning_rate)
        self.max_depth = max_depth
        self.subsample = subsample
        self.column_share = column_share
        self.min_child_weight = min_child_weight
        self.most_trees = most_trees
        self.num_folds = num_folds
        self._parsed: tuple[bytes, list[xgboost.Booster]] = (b"", [])
        self.double()

    def build(self, space: DesignSpace) -> None:
        """Note what the columns are."""
        self._space = space
        tables = space.descriptors or ((),) * len(space.groups)
        # A level that no design has would be sent anywhere by a question for levels.
        self._asked = [
            group
            for group, (size, table) in enumerate(zip(space.groups, tables, strict=True))
            if len(set(table)) < size
        ]
        numbers = ["float"] * space.described.num_numbers
        # xgboost hands the kinds to every tree: of thousands of numbers they cost more than a tree.
        self._kinds = [*numbers, *["c"] * len(self._asked)] if self._asked else None

    def start(self, problem: DesignProblem) -> None:
        """Learn the scale of the property."""
        super().start(problem)
        device = self.property_mean.device
        self.register_buffer("trees", torch.zeros(0, dtype=torch.uint8, device=device))
        self.register_buffer("sizes", torch.zeros(0, dtype=torch.int64, device=device))
        self.register_buffer("num_trees", torch.zeros((), dtype=torch.int64, device=device))
        self.register_buffer("variance", self.property_mean.new_ones(()))

    def member_outputs(self, designs: Tensor) -> Normal:
        """Each member's view of the standardised property, batch shape ``(k, b)``."""
        flat = designs.flatten(-len(self._space.shape))
        shared = self._matrix(self._columns(flat)) if flat.dim() == 2 else None
        means = [
            member.predict(self._matrix(self._columns(flat[j])) if shared is None else shared)
            for j, member in enumerate(self._members())
        ]
        mean = torch.from_numpy(np.stack(means)).to(self.variance)
        return Normal(mean, self.variance.sqrt().expand_as(mean), validate_args=False)

    def solve(self, problem: DesignProblem, weights: Tensor, generator: torch.Generator) -> None:
        """Choose the number of trees by cross-validation, then grow the members.

        Args:
            problem: Of the training designs.
            weights: Shape ``(n,)``, not negative, not all zero.
            generator: Draws the folds and the members' seeds.
        """
        mean, scale = self.property_mean.cpu(), self.property_std.cpu()
        labels = (problem.properties - mean) / scale
        columns = self._columns(problem.designs.flatten(1))
        folds = folds_of_things(problem.things, weights, self.num_folds, generator)
        left_out, used = enough_folds(folds, weights), weights
        squares, num_trees = self._validated(columns, labels, weights, weights, left_out)
        variance = _error(squares, weights, left_out)
        for _ in range(0 if problem.noise is None else _ROUNDS_BESIDE_ERRORS):
            errors, scatters = self.standardized_noise(problem).map(Tensor.cpu)
            shares = noise_share(errors, variance.clamp(min=SMALLEST_BESIDE_ERRORS))
            used, counts = weights * shares, weights * shares.square()
            squares, num_trees = self._validated(columns, labels, used, counts, left_out)
            variance = _error(squares + scatters.square() - errors.square(), counts, left_out)
        seeds = torch.randint(2**31 - 1, (self.num_members,), generator=generator, device="cpu")
        matrix = self._matrix(columns, labels, used)
        self._keep([self._grown(matrix, num_trees, seed) for seed in seeds.tolist()])
        self.num_trees.fill_(num_trees)
        self.variance.copy_(variance.clamp(min=_SMALLEST_VARIANCE))

    def validation_loss(self) -> Tensor:
        """The held-out designs' mean negative log-likelihood, over the folds."""
        # Of a normal whose variance is their mean squared error, which makes it the entropy.
        entropy: Tensor = Normal(0.0, self.variance.sqrt() * self.property_std).entropy()
        return entropy

    def _columns(self, flat: Tensor) -> NDArray[np.float32]:
        """Numbers and the numbers of levels that they do not tell, of designs ``(b, entries)``."""
        space = replace(self._space, shape=flat.shape[-1:])
        one_hots = space.one_hots(flat)
        levels = [one_hots[group].argmax(-1, keepdim=True) for group in self._asked]
        numbers = space.described.numbers(space.describe(flat))
        columns = torch.cat([numbers, *levels], -1)
        found: NDArray[np.float32] = columns.detach().cpu().numpy().astype(np.float32)
        return found

    def _matrix(
        self,
        columns: NDArray[np.float32],
        labels: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> xgboost.DMatrix:
        import xgboost

        kinds: dict[str, Any] = {
            "feature_types": self._kinds,
            "enable_categorical": True,
            "nthread": 1,
        }
        if labels is None or weights is None:
            return xgboost.DMatrix(columns, **kinds)
        # It holds nothing but what `hist` grows trees by. The scale of the weights is part of them.
        return xgboost.QuantileDMatrix(
            columns,
            label=labels.numpy(),
            weight=of_mean_one(weights).numpy(),
            max_bin=_num_bins(columns.shape[1]),
            **kinds,
        )

    def _booster(
        self, matrix: xgboost.DMatrix, seed: int, known: Sequence[xgboost.DMatrix] = ()
    ) -> Any:
        import xgboost

        labels, weights = matrix.get_label(), matrix.get_weight()
        parameters = {
            "objective": "reg:squarederror",
            "base_score": float(np.average(labels, weights=weights)),
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "subsample": self.subsample,
            "colsample_bynode": self.column_share,
            "min_child_weight": self.min_child_weight,
            "tree_method": "hist",
            "max_bin": _num_bins(matrix.num_col()),
            "nthread": 1,
            "seed": seed,
            # Else all boosters that grow in turns draw from one generator.
            "seed_per_iteration": True,
        }
        return xgboost.Booster(parameters, [matrix, *known])

    def _grown(self, matrix: xgboost.DMatrix, num_trees: int, seed: int) -> bytes:
        """A member of so many trees, in UBJSON."""
        booster = self._booster(matrix, seed=seed)
        for tree in range(num_trees):
            booster.update(matrix, tree)
        return bytes(booster.save_raw("ubj"))

    def _validated(
        self,
        columns: NDArray[np.float32],
        labels: Tensor,
        weights: Tensor,
        counts: Tensor,
        left_out: Sequence[Tensor],
    ) -> tuple[Tensor, int]:
        """Squared errors ``(n,)`` of fits without each fold at the best number of trees, and that.

        Args:
            columns: Shape ``(n, columns)``.
            labels: Shape ``(n,)``.
            weights: Of the labels in a fit, shape ``(n,)``.
            counts: Of their squared errors.
            left_out: Of each fit, bool, shape ``(n,)``.
        """
        fits: list[tuple[xgboost.Booster, xgboost.DMatrix, xgboost.DMatrix]] = []
        for out in left_out:
            kept = self._matrix(columns[~out.numpy()], labels[~out], weights[~out])
            asked = self._matrix(columns[out.numpy()])
            fits.append((self._booster(kept, seed=0, known=[asked]), kept, asked))
        best, least, num_best = torch.zeros_like(labels), float("inf"), 1
        for start in range(0, self.most_trees, _STRIDE):
            num_trees = min(start + _STRIDE, self.most_trees)
            squares = torch.zeros_like(labels)
            for (booster, kept, asked), out in zip(fits, left_out, strict=True):
                for tree in range(start, num_trees):
                    booster.update(kept, tree)
                # What the trees before say of a matrix that it knows is not asked again.
                said = booster.predict(asked, output_margin=True, validate_features=False)
                squares[out] = (labels[out] - torch.from_numpy(said)).square()
            loss = _error(squares, counts, left_out).item()
            if loss < least:
                best, least, num_best = squares, loss, num_trees
            elif num_trees - num_best >= _PATIENCE:
                break
        return best, num_best

    def _keep(self, members: Sequence[bytes]) -> None:
        device = self.variance.device
        joined = torch.from_numpy(np.frombuffer(b"".join(members), dtype=np.uint8).copy())
        self.register_buffer("trees", joined.to(device))
        self.register_buffer("sizes", torch.tensor([len(m) for m in members], device=device))

    def _members(self) -> list[xgboost.Booster]:
        """The boosters, read from their bytes where these have changed."""
        import xgboost

        content = self.trees.cpu().numpy().tobytes()
        if content != self._parsed[0]:
            boosters, start = [], 0
            for size in self.sizes.tolist():
                booster = xgboost.Booster({"nthread": 1})
                booster.load_model(bytearray(content[start : start + size]))
                boosters.append(booster)
                start += size
            self._parsed = content, boosters
        return self._parsed[1]


def _num_bins(num_columns: int) -> int:
    return max(_FEWEST_BINS, min(_MOST_BINS, _ALL_BINS // num_columns))


def enough_folds(folds: Tensor, weights: Tensor) -> list[Tensor]:
    """What is left out of a fit each, bool, ``(n,)``: every fold, or of very many designs some.

    Args:
        folds: Of each design, shape ``(n,)``.
        weights: Of each design, shape ``(n,)``.
    """
    found: list[Tensor] = []
    for fold in range(int(folds.max()) + 1):
        found.append(folds == fold)
        seen = weights[folds <= fold]
        if seen.sum().square() > _ENOUGH_LEFT_OUT * seen.square().sum():
            break
    return found


def _error(squares: Tensor, counts: Tensor, left_out: Sequence[Tensor]) -> Tensor:
    """The mean over folds of each fold's weighted mean, a scalar; of those that have weight."""
    counts = counts.to(squares)
    means = [counts[out] @ squares[out] / counts[out].sum() for out in left_out]
    return torch.stack(means).nanmean()


def of_mean_one(weights: Tensor) -> Tensor:
    """Weights ``(n,)`` of the mean one; ones where all are zero."""
    mean = weights.mean()
    return weights / mean if mean > 0 else torch.ones_like(weights)


def folds_of_things(
    things: Tensor, weights: Tensor, num_folds: int, generator: torch.Generator
) -> Tensor:
    """`balanced_folds` of designs, those of the same thing in the same, shape ``(n,)``.

    Of fewer different things than folds each has a fold of its own.

    Args:
        things: Of each design, from 0 without gaps, shape ``(n,)``.
        weights: Shape ``(n,)``.
        num_folds: k.
        generator: Of the CPU.
    """
    num_things = int(things.max()) + 1
    if num_things < 2:
        return balanced_folds(weights, num_folds, generator)
    totals = weights.new_zeros(num_things).index_add(0, things, weights)
    return balanced_folds(totals, min(num_folds, num_things), generator)[things]
