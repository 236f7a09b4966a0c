"""A design problem of numbers and categories, with constraints."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightning_mbo.data import DesignDataModule
from lightning_mbo.space import DesignSpace

SOLVENTS, VESSELS = "ABC", "XY"
NUM_RECIPES = 80


class Recipes(DesignDataModule):
    """Hours, whole, and temperature, with a solvent and a vessel; the yield is best hot and in B.

    What is hotter than `hottest` burns, and solvent A eats vessel X.
    """

    property_name = "yield"

    def __init__(self, hottest: float = 1.0) -> None:
        super().__init__(batch_size=20)
        self.hottest = hottest

    @property
    def space(self) -> DesignSpace:
        return DesignSpace(torch.Size([7]), (3, 2))

    def load(self) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng(0)
        hours = generator.integers(-3, 4, size=NUM_RECIPES)
        degrees = generator.normal(size=NUM_RECIPES)
        solvents = generator.integers(3, size=NUM_RECIPES)
        vessels = generator.integers(2, size=NUM_RECIPES)
        one_hots = np.eye(3)[solvents], np.eye(2)[vessels]
        designs = torch.from_numpy(np.column_stack([hours, degrees, *one_hots]))
        properties = degrees - (hours - 2) ** 2 / 4 + (solvents == 1) + 0.5 * vessels
        return designs, torch.from_numpy(properties)

    def nearest_allowed(self, designs: Tensor) -> Tensor:
        numbers = self.space.numbers(designs)
        hours = numbers[:, :1].round().clamp(-5, 5)
        one_hots = [
            torch.nn.functional.one_hot(group.argmax(-1), group.shape[-1]).to(designs)
            for group in self.space.one_hots(designs)
        ]
        return self.space.join(torch.cat([hours, numbers[:, 1:]], dim=1), one_hots)

    def feasible(self, designs: Tensor) -> Tensor:
        eaten = (designs[:, 2] == 1) & (designs[:, 5] == 1)
        return (designs[:, 1] <= self.hottest) & ~eaten

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        solvents, vessels = (group.argmax(1) for group in self.space.one_hots(designs))
        return pd.DataFrame(
            {
                "hours": designs[:, 0].numpy(),
                "degrees": designs[:, 1].numpy(),
                "solvent": [SOLVENTS[i] for i in solvents],
                "vessel": [VESSELS[i] for i in vessels],
            }
        )
