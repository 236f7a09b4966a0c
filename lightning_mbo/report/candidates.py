"""What is said of designs, in the user's units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from lightning_mbo.data import CSV, DesignDataModule
from lightning_mbo.oracles import Oracle

if TYPE_CHECKING:
    import pandas as pd


def candidate_table(
    data: DesignDataModule,
    designs: Tensor,
    figures: dict[str, Tensor],
    rows: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Candidates as the user reads them.

    Args:
        data: The design problem.
        designs: Shape ``(c, *design_shape)``.
        figures: Of each, ``(c,)``.
        rows: How the user calls them, c rows; None for the columns of the data.
    """
    import pandas as pd

    # The figures first: a table of many design columns is otherwise read to its far end.
    columns = pd.concat([in_user_units(data, figures), data.nearest_known(designs.cpu())], axis=1)
    if rows is None:
        own = data.to_user_units(designs.cpu())
    else:
        # A list that was made of candidates has their figures.
        own = rows.drop(columns=columns.columns, errors="ignore")
    return pd.concat([columns, own], axis=1)


def in_user_units(data: DesignDataModule, figures: dict[str, Tensor]) -> pd.DataFrame:
    """Figures of designs, ``(c,)`` each, of what the user measures, which may be to be small.

    Args:
        data: The design problem.
        figures: By name: `oracle_mean` and others.
    """
    import pandas as pd

    columns = pd.DataFrame({name: values.cpu().numpy() for name, values in figures.items()})
    sought = data.problem.property
    columns["oracle_mean"] = sought.measured(columns["oracle_mean"])
    if sought.sign < 0:
        columns = columns.rename(
            columns={"probability_above_threshold": "probability_below_threshold"}
        )
    return columns


def predictions_of(oracle: Oracle, data: CSV, table: pd.DataFrame) -> pd.DataFrame:
    """What an oracle says of designs of the user's, in the target's units.

    Args:
        oracle: Fitted to the data, or loaded from a run's checkpoint.
        data: The table that it was fitted to.
        table: Designs, one a row, as `CSV.encode` has them.

    Returns:
        The columns `oracle_mean` and `oracle_std`, and of several results those of each, with the
        index of the table.

    Raises:
        DataError: If the table is none of such designs.
    """
    prediction = oracle.predict(data.encode(table))
    figures = {"oracle_mean": prediction.mean, "oracle_std": prediction.std}
    figures |= prediction.result_figures()
    return in_user_units(data, figures).set_axis(table.index)
