"""Types of tables, for annotations where pandas is not to be imported.

jsonargparse executes the TYPE_CHECKING block of every module of which it reads a signature, so the
modules of datamodules and tasks have none: here it executes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame as DataFrame
    from pandas import Series as Series

    from lightning_mbo.tabular.pool import Pool as Pool
else:
    DataFrame = Pool = Series = Any
