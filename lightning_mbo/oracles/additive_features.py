"""What a regression that adds up its columns sees of a design."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from lightning_mbo.space import DesignSpace

_DEGREE = 3
MOST_PAIRS = 2000
"""Products that are thought of; of a space with more of them there are none."""

_MOST_ENTRIES = 2**18
"""Of columns whose polynomials are worked out together."""


class AdditiveFeatures(nn.Module):
    """Main effects, curves and products of designs, in this order.

    Main effects are numbers, with mean 0 and variance 1 over the training designs, and one-hot
    entries less their frequency. Curves are polynomials of degrees 2 and 3 of each number, of
    which the same is true, orthogonal over the training designs; beyond these a number goes on
    along its tangent. Products are of two main effects of different columns. A number that takes
    too few values for a degree has zeros there.

    Descriptors of levels are numbers of the same column as the levels. Their curves are main
    effects too: functions of the level, as its one-hot entry is. So a level that no design has is
    expected to be what its descriptors make of it. Columns with descriptors are the last of the
    main effects.

    Attributes:
        sizes: How many there are of each.
        described: How many main effects each group with descriptors has.
    """

    centre: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor
    polynomials: Tensor
    frequencies: Tensor
    left: Tensor
    right: Tensor
    order: Tensor

    def build(self, space: DesignSpace) -> None:
        """Learn what the columns are."""
        self.space = space
        numbers, groups = main_effects(space)
        columns = [*numbers, *(torch.cat([group[0], group[2]]) for group in groups)]
        sizes = [len(column) for column in columns]
        num_pairs = (sum(sizes) ** 2 - sum(size**2 for size in sizes)) // 2
        left, right = torch.empty(2, 0, dtype=torch.long, device="cpu")
        if 0 < num_pairs <= MOST_PAIRS:
            pairs = [torch.cartesian_prod(*pair) for pair in combinations(columns, 2)]
            left, right = torch.cat(pairs).mT.contiguous()
        self.register_buffer("left", left, persistent=False)
        self.register_buffer("right", right, persistent=False)
        others, described = (
            [torch.cat(group) for group in groups if bool(len(group[0])) is has_descriptors]
            for has_descriptors in (False, True)
        )
        order = torch.cat([*numbers, *others, *described])
        self.register_buffer("order", order, persistent=False)
        self.described = [len(group) for group in described]
        self.sizes = (len(order), (_DEGREE - 1) * space.num_numbers, len(left))

    def start(self, designs: Tensor) -> None:
        """Learn scales, polynomials and frequencies of the training designs ``(n, *shape)``."""
        designs, space = self.space.describe(designs), self.space.described
        numbers = space.numbers(designs).double()
        some = max(1, _MOST_ENTRIES // len(numbers))
        found = [_scales_and_polynomials(columns) for columns in numbers.split(some, dim=1)]
        for name in found[0]:
            self.register_buffer(name, torch.cat([of_some[name] for of_some in found]))
        one_hots = space.one_hots(designs)
        frequencies = torch.cat(one_hots, -1).double().mean(0) if one_hots else numbers.new_zeros(0)
        self.register_buffer("frequencies", frequencies)

    def forward(self, inputs: Tensor, with_products: bool = True) -> Tensor:
        """Features ``(..., features)`` of flattened designs ``(..., inputs)``, float64."""
        inputs = self.space.describe(inputs.to(self.centre))
        numbers, levels = inputs.split([len(self.centre), len(self.frequencies)], -1)
        values, first = self._terms(numbers), self.space.num_numbers
        curves = values[..., first:, 2:].flatten(-2)
        main = torch.cat([values[..., 1], curves, levels - self.frequencies], -1)
        ordered = main[..., self.order] if self.described else main
        features = [ordered, values[..., :first, 2:].flatten(-2)]
        if with_products:
            features.append(main[..., self.left] * main[..., self.right])
        return torch.cat(features, -1)

    def by_column(self, num_values: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """What the main effects and curves of each column are, numbers first.

        Args:
            num_values: Of each number, evenly over the training designs'.

        Returns:
            Values ``(l,)`` of the column, their features ``(l, f)``, and which features these are.
        """
        found = []
        num_levels = len(self.frequencies)
        shares = torch.linspace(
            0, 1, num_values, dtype=self.centre.dtype, device=self.centre.device
        )
        scaled = self.lower + shares[:, None] * (self.upper - self.lower)
        safe = torch.where(self.scale > 0, self.scale, 1.0)
        numbers = scaled / safe + self.centre
        first = self.space.num_numbers
        found += [(numbers[:, j], *self._of_numbers(numbers, j, 1)) for j in range(first)]
        start, tables = 0, self.space.descriptors or ((),) * len(self.space.groups)
        for size, count, table in zip(
            self.space.groups, self.space.num_descriptors, tables, strict=True
        ):
            levels = torch.eye(size, dtype=scaled.dtype, device=scaled.device)
            described = self.centre.repeat(size, 1)
            described[:, first : first + count] = scaled.new_tensor(table).view(size, count)
            features, used = self._of_numbers(described, first, count)
            own = levels - self.frequencies[start : start + size]
            places = torch.arange(start, start + size, device=scaled.device)
            places += self.sizes[0] - num_levels
            found.append(
                (levels.argmax(1), torch.cat([features, own], 1), torch.cat([used, places]))
            )
            start, first = start + size, first + count
        others = torch.arange(self.sizes[1], device=scaled.device) + self.sizes[0]
        places = torch.cat([self.order.argsort(), others])
        return [(values, features, places[used]) for values, features, used in found]

    def _of_numbers(self, numbers: Tensor, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Features ``(l, f)`` of some of the numbers ``(l, d)``, and which features these are."""
        values = self._terms(numbers)[:, first : first + count, 1:]
        main = torch.arange(first, first + count, device=numbers.device)[:, None]
        # Of descriptors behind all linear terms, of other numbers behind all main effects.
        own = first < self.space.num_numbers
        start = self.sizes[0] if own else len(self.centre) - (_DEGREE - 1) * self.space.num_numbers
        curves = torch.arange(_DEGREE - 1, device=numbers.device) + (_DEGREE - 1) * main + start
        return values.flatten(1), torch.cat([main, curves], 1).flatten()

    def _terms(self, numbers: Tensor) -> Tensor:
        """The polynomials of numbers ``(..., d)``, shape ``(..., d, 4)``."""
        scaled = (numbers - self.centre) * self.scale
        within = torch.maximum(torch.minimum(scaled, self.upper), self.lower)
        powers = torch.stack([within**m for m in range(_DEGREE + 1)], -1)
        slopes = torch.stack([m * within ** max(m - 1, 0) for m in range(_DEGREE + 1)], -1)
        along = powers + slopes * (scaled - within)[..., None]
        return torch.einsum("...jm,jkm->...jk", along, self.polynomials)


def main_effects(space: DesignSpace) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
    """Where the main effects stand before they are brought into order.

    Returns:
        Of each number its place; of each group those of its descriptors, their curves and levels.
    """
    counts = space.num_descriptors
    curves = [(_DEGREE - 1) * count for count in counts]
    sizes = [[1] * space.num_numbers, [*counts], curves, [*space.groups]]
    places = torch.arange(sum(map(sum, sizes)), device="cpu").split([*map(sum, sizes)])
    numbers, *of_groups = (list(p.split(part)) for p, part in zip(places, sizes, strict=True))
    return numbers, list(zip(*of_groups, strict=True))


def _scales_and_polynomials(numbers: Tensor) -> dict[str, Tensor]:
    """What `AdditiveFeatures` keeps of columns ``(n, d)``."""
    centre = numbers.mean(0)
    spread = (numbers - centre).square().mean(0).sqrt()
    # A constant's mean is rounded.
    scale = torch.where(spread > 1e-12 * numbers.abs().amax(0), 1 / spread, 0.0)
    scaled = (numbers - centre) * scale
    return {
        "centre": centre,
        "scale": scale,
        "lower": scaled.amin(0),
        "upper": scaled.amax(0),
        "polynomials": orthogonal_polynomials(scaled),
    }


def orthogonal_polynomials(values: Tensor) -> Tensor:
    """Polynomials of mean square 1 over columns ``(n, d)``, each orthogonal to those before.

    Returns:
        Coefficients of the powers from 0 on, a row each, shape ``(d, 4, 4)``; zeros where a column
        has too few different values.
    """
    powers = torch.stack([values.mT**m for m in range(_DEGREE + 1)], -1)
    found = values.new_zeros(values.shape[1], _DEGREE + 1, _DEGREE + 1)
    num_distinct = (values.sort(0).values.diff(dim=0) > 0).sum(0) + 1
    for degree in range(_DEGREE + 1):
        row = torch.zeros_like(found[:, 0])
        row[:, degree] = 1.0
        for _ in range(2):  # once more against rounding
            term = powers @ row[..., None]
            along = found @ (powers.mT @ term) / len(values)
            row = row - (found.mT @ along).squeeze(-1)
        size = (powers @ row[..., None]).square().mean(1).sqrt()
        # With n - 1 terms the n different values are met exactly: what is left is rounding.
        is_more = size > 1e-7 * powers[..., degree].square().mean(1, keepdim=True).sqrt()
        is_more &= (degree < num_distinct)[:, None]
        found[:, degree] = torch.where(is_more, row / size, 0.0)
    return found
