"""Several normal distributions side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.random import standard_normal
from lightning_mbo.search_models.base import Reduce, SearchModel
from lightning_mbo.search_models.factor_components import FactorComponents
from lightning_mbo.search_models.full_components import FullComponents
from lightning_mbo.search_models.left_out import LeftOut, folds_of
from lightning_mbo.search_models.multivariate_normal import number_count, warn_of_lost_rank
from lightning_mbo.search_models.normal_components import (
    Components,
    Fit,
    WeightedDesigns,
    is_beyond_rounding,
    maximised,
    split,
)
from lightning_mbo.space import DesignSpace

_MOST_COMPONENTS = 8
"""Of a mixture that finds their number."""

_ENOUGH_DESIGNS = 2000
"""To find how many components of some rank there are: of more, some are taken."""


class GaussianMixture(SearchModel):
    """Search model of numbers: a mixture of normals.

    So the search keeps several peaks, where a single normal would lie across them. It is fitted by
    expectation maximisation from the components that it has; before its first fit that is one. At
    every fit it grows while it has fewer components than it may, by the halves of the one that is
    least like a normal. Where their number is to be found, that goes on only as long as designs
    that are left out of the fit become likelier. A component that is left with less than one design
    is dropped. With one component this is a `MultivariateNormal`.

    Covariances are full, or of some `rank` and a variance of each number's own: for many numbers
    that a few factors move together, of which a full one would have more to learn than designs say.
    How many of those there are, two thousand of the designs say.

    To what is ascribed to a component designs are added, `pseudocount` for each dimension of its
    covariance, of that within all components: few designs alone would say little of it.

    Reference: Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM
    algorithm", 1977.

    Attributes:
        log_shares: Of the components, shape ``(c,)``, float64, nats; -inf of those that are not.
        means: Shape ``(c, d)``, float64.
        choleskys: Lower factors of full covariances, shape ``(c, d, d)``, float64.
        loadings: How the factors move the numbers, where there is a rank, shape ``(c, d, r)``,
            float64.
        own: Variances that no factor explains, shape ``(c, d)``, float64.
        fitted: Whether it has been fitted.
    """

    log_shares: Tensor
    means: Tensor
    choleskys: Tensor
    loadings: Tensor
    own: Tensor
    fitted: Tensor

    def __init__(
        self,
        num_components: int | None = None,
        pseudocount: float = 1.0,
        rank: int | None = None,
    ) -> None:
        """Set the size; `build` creates the distribution.

        Args:
            num_components: c; None finds it by the likelihood of designs that are left out, at
                most 8.
            pseudocount: Designs of the covariance within components that are added to each of
                them, for each dimension.
            rank: r, of the factors by which numbers vary together, beside what each has of its
                own; None, or as many as there are numbers but one, is a full covariance.

        Raises:
            ConfigurationError: If a value is not positive.
        """
        super().__init__()
        if num_components is not None and num_components < 1:
            raise ConfigurationError(f"num_components must be at least 1, not {num_components}")
        if not 0 < pseudocount < float("inf"):
            raise ConfigurationError(f"pseudocount must be positive and finite, not {pseudocount}")
        if rank is not None and rank < 1:
            raise ConfigurationError(f"rank must be at least 1, not {rank}")
        self.num_components = num_components
        self.pseudocount = pseudocount
        self.rank = rank

    def build(self, space: DesignSpace) -> None:
        """Start as the standard normal on designs of shape ``(d,)``.

        Raises:
            ConfigurationError: If designs are not of numbers alone, or of too many without a rank.
        """
        d = number_count(space, self, has_all_pairs=self.rank is None)
        most = self.num_components or _MOST_COMPONENTS
        log_shares = torch.full((most,), -torch.inf, dtype=torch.float64)
        log_shares[0] = 0.0
        self.register_buffer("log_shares", log_shares)
        self.register_buffer("means", torch.zeros(most, d, dtype=torch.float64))
        rank = d if self.rank is None else self.rank
        self._has_factors = rank < d - 1
        if self._has_factors:
            loadings = torch.zeros(most, d, rank, dtype=torch.float64)
            self.register_buffer("loadings", loadings)
            self.register_buffer("own", torch.ones(most, d, dtype=torch.float64))
        else:
            self.register_buffer("choleskys", torch.eye(d, dtype=torch.float64).repeat(most, 1, 1))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def _buffers_of_components(self) -> tuple[Tensor, ...]:
        of_covariances = (self.loadings, self.own) if self._has_factors else (self.choleskys,)
        return self.log_shares, self.means, *of_covariances

    @property
    def components(self) -> Components:
        """Those that there are."""
        number = int(self.log_shares.isfinite().sum())
        kind = FactorComponents if self._has_factors else FullComponents
        return kind(*(buffer[:number] for buffer in self._buffers_of_components))

    def figures(self) -> dict[str, float]:
        """How many components there are."""
        return {"search_model_components": float(len(self.components.log_shares))}

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Draw ``(m, d)`` designs."""
        components = self.components
        shares = components.log_shares.exp()
        chosen = shares.multinomial(num_samples, replacement=True, generator=generator)
        noise = standard_normal(num_samples, components.num_noises, generator, shares)
        designs = components.means[chosen]
        for number in range(len(shares)):
            drawn = chosen == number
            designs[drawn] += components.coloured(number, noise[drawn])
        return designs

    def log_prob(self, designs: Tensor) -> Tensor:
        """Log-density of ``(m, d)`` designs, shape ``(m,)``."""
        return self.components.log_joint(designs.to(self.means.dtype)).logsumexp(1)

    def fit(self, designs: Tensor, weights: Tensor, reduce: Reduce = lambda x: x) -> None:
        """A local maximum of the weighted likelihood, with the pseudocount.

        A covariance that has lost rank is mended as a `MultivariateNormal`'s is.
        """
        designs, weights = designs.to(self.means), weights.to(self.means)
        table = WeightedDesigns(
            designs,
            weights,
            reduce,
            self.pseudocount * self._dimension,
            self.components.variances if self.fitted else None,
        ).where(weights > 0)
        fit = self._grown(maximised(self.components, table), table)
        warn_of_lost_rank(fit.lost, stacklevel=3)
        number = len(fit.components.log_shares)
        self.log_shares.fill_(-torch.inf)
        for buffer, values in zip(self._buffers_of_components, fit.components.parts, strict=True):
            buffer[:number] = values
        self.fitted.fill_(True)

    @property
    def _dimension(self) -> int:
        """Of a covariance: designs that tell what it is."""
        return self.loadings.shape[2] + 1 if self._has_factors else self.means.shape[1]

    def _enough(self, table: WeightedDesigns) -> WeightedDesigns:
        """As many designs as say how many components of some rank there are, or all of them."""
        number = int(table.size / _ENOUGH_DESIGNS)
        if not self._has_factors or number < 2:
            return table
        chosen = folds_of(_scaled(table), self.stream.of("enough"), number) == 0
        # Where all are alike there may be none.
        return table.where(chosen) if table.reduce(table.weights[chosen].sum()) > 0 else table

    def _grown(self, fit: Fit, table: WeightedDesigns) -> Fit:
        """The fit with as many components as there may be, or as designs left out call for."""
        left_out = (
            None if self.num_components else self._left_out(fit.components, self._enough(table))
        )
        while (number := len(fit.components.log_shares)) < len(self.log_shares):
            if left_out is not None and not left_out.want_more(
                (number + 1) * (self._dimension + 1)
            ):
                break
            larger = split(fit.components, table)
            if len(larger.components.log_shares) <= number:
                break
            fit = larger
        return fit

    def _left_out(
        self, components: Components, table: WeightedDesigns
    ) -> LeftOut[Components, WeightedDesigns]:
        return LeftOut(
            folds_of(_scaled(table), self.stream),
            table,
            lambda rest: maximised(components, rest).components,
            lambda mixture, rest: split(mixture, rest).components,
            lambda mixture, own: mixture.log_joint(table.designs[own]).logsumexp(1),
        )


def _scaled(table: WeightedDesigns) -> Tensor:
    """Designs about their mean, in standard deviations, ``(m, d)``."""
    mean = table.mean_of(table.designs)
    centred = table.designs - mean
    variances = table.mean_of(centred.square())
    return centred / variances.sqrt().where(is_beyond_rounding(variances, mean), torch.inf)
