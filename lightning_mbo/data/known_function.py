"""Tables of known truth, read and searched as a user's own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lightning_mbo.data.csv import CSV
from lightning_mbo.errors import ConfigurationError, did_you_mean
from lightning_mbo.tasks.functions import FUNCTIONS
from lightning_mbo.tasks.known_tables import TARGET


class KnownFunction(CSV):
    """A function of the columns of a table, of which random rows are known and the best are hidden.

    The run's seed draws the rows. They are read as a table of the user's own is, who says of each
    number its limits and its steps, of the categories that they are some, and of the parts of a
    mixture that they sum to one.
    """

    def __init__(
        self,
        function: str = "hartmann6",
        num_designs: int = 200,
        noise: float = 0.1,
        hidden: float = 0.2,
        cliff: bool = False,
        shuffled: bool = False,
        num_idle_columns: int = 0,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Choose the function and what is known of it.

        Args:
            function: hartmann6, branin-currin, ackley10, rosenbrock6 (of numbers), mixture, mixed
                (with categories) or steps (of integers, and numbers on steps).
            num_designs: Rows of the table.
            noise: Standard deviation of the labels' noise, in those of the truth over all designs.
            hidden: Share of the designs, the best by the truth, that are no rows.
            cliff: Whether the truth collapses where it is well above the best label, which no row
                shows.
            shuffled: Whether the labels are those of other rows: there is nothing to learn.
            num_idle_columns: Columns that have nothing to do with the property.
            batch_size: As in `CSV`.
            **kwargs: Of `CSV`.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        import pandas as pd

        if function not in FUNCTIONS:
            raise ConfigurationError(
                f"data.function: there is no {function}{did_you_mean(function, FUNCTIONS)}"
            )
        if num_designs < 1 or num_idle_columns < 0:
            raise ConfigurationError(
                "data.num_designs must be at least 1, and num_idle_columns at least 0"
            )
        if not 0 <= noise < math.inf:
            raise ConfigurationError(f"data.noise must be finite and not negative: {noise}")
        if not 0 <= hidden < 1:
            raise ConfigurationError(f"data.hidden must lie in [0, 1), not {hidden}")
        self.known = replace(
            FUNCTIONS[function].with_idle_columns(num_idle_columns),
            noise=noise,
            hidden=hidden,
            shuffled=shuffled,
        )
        columns = {name: column.options() for name, column in self.known.columns.items()}
        super().__init__(
            pd.DataFrame(),  # the run's seed is not known yet
            TARGET,
            maximize=True,
            columns=columns,
            constraints=self.known.constraints,
            batch_size=batch_size,
            **kwargs,
        )
        self.num_designs = num_designs
        self.cliff = cliff

    def load(self) -> tuple[Tensor, Tensor]:
        """Draw the table, and read it."""
        table = self.path = self.known.table(self.num_designs, self.stream.seed)
        best_label = table[TARGET].max()
        truth = self.known.collapsing(best_label) if self.cliff else self.known.truth
        designs, properties = super().load()

        def ground_truth(designs: Tensor) -> Tensor:
            return torch.from_numpy(truth(self.to_user_units(designs.cpu()))).to(designs.device)

        self.ground_truth = ground_truth
        self.noise_std = self.known.noise_std
        return designs, properties
