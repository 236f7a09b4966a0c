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
from lightning_mbo.tasks.known_tables import TARGET, KnownTable
from lightning_mbo.tasks.several_results import SEVERAL_RESULTS, KnownResults


class KnownFunction(CSV):
    """A function of the columns of a table, of which random rows are known and the best are hidden.

    The run's seed draws the rows. They are read as a table of the user's own is, who says of each
    number its limits and its steps, of the categories that they are some, and of the parts of a
    mixture that they sum to one. Of a function with several results the user says what is wanted of
    each, and the ground truth is the advance that the true results make.
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
                (with categories) or steps (of integers, and numbers on steps); parts, a sum of
                which rows have each part and none all of them, or line, the same of rows whose
                columns move together. With several results: branin-and-currin, dtlz2, vehicle,
                c2-dtlz2, reaction (with limits); toy-range, hartmann6-range and paint (of nothing
                but limits).
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

        functions: dict[str, KnownTable | KnownResults] = {**FUNCTIONS, **SEVERAL_RESULTS}
        if function not in functions:
            raise ConfigurationError(
                f"data.function: there is no {function}{did_you_mean(function, functions)}"
            )
        if num_designs < 1 or num_idle_columns < 0:
            raise ConfigurationError(
                "data.num_designs must be at least 1, and num_idle_columns at least 0"
            )
        if not 0 <= noise < math.inf:
            raise ConfigurationError(f"data.noise must be finite and not negative: {noise}")
        if not 0 <= hidden < 1:
            raise ConfigurationError(f"data.hidden must lie in [0, 1), not {hidden}")
        known = replace(functions[function], noise=noise, hidden=hidden)
        self.known = known.with_idle_columns(num_idle_columns)
        if isinstance(self.known, KnownTable):
            self.known = replace(self.known, shuffled=shuffled)
            targets = None
        elif cliff or shuffled:
            raise ConfigurationError(
                f"data.function: {function} has several results; cliff and shuffled are for one"
            )
        else:
            targets = dict(self.known.targets)
        columns = {name: column.options() for name, column in self.known.columns.items()}
        super().__init__(
            pd.DataFrame(),  # the run's seed is not known yet
            TARGET if targets is None else None,
            maximize=True,
            targets=targets,
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
        truth = self.known.truth
        if isinstance(self.known, KnownTable):
            self.noise_std = self.known.noise_std
            if self.cliff:
                truth = self.known.collapsing(table[TARGET].max())
        found = super().load()

        def true(designs: Tensor) -> Tensor:
            return torch.from_numpy(truth(self.to_user_units(designs.cpu()))).to(designs.device)

        self.ground_truth = true
        if self.results is not None:
            self.true_results, self.ground_truth = true, self._true_advance
        return found

    def _true_advance(self, designs: Tensor) -> Tensor:
        """Beyond the same rows as the property, shape ``(m,)``."""
        results = self.problem.results
        assert results is not None
        assert self.true_results is not None
        return results.advance.to(designs.device).of(self.true_results(designs))
